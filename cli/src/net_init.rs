//! `squall net-init`: has the kernel redirect a pod's connections to Squall, and takes that back.

mod iptables;
mod nft;
mod plan;
mod program;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use squall_inject::PortRange;

use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::verb::EPILOGUE;
use plan::{Mesh, Plan};
use program::Refused;

/// Arguments of `squall net-init`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall net-init                                   outgoing TCP connections go to port 15101
  squall net-init --simulate                        the rules, without putting them in force
  squall net-init --skip-outbound-ports 9092,15000-15090 --skip-subnets 10.0.0.0/8
  squall net-init --ipv6 --inbound-port 15106       IPv6 and incoming connections, too
  squall net-init --mesh istio                      in a pod with Istio's sidecar
  squall net-init --remove                          takes everything back

Needs the capability NET_ADMIN and no configuration; that of Squall has a listener with
`cluster: original_dst` at the port. Run it in the network namespace of the application, such as
from an init container. What Squall itself sends (by its user id), loopback and everything but TCP
stay as they are. Twice is the same as once.",
    after_long_help = EPILOGUE
)]
pub(crate) struct NetInitArgs {
    /// Where Squall listens for the application's outgoing connections
    #[arg(long, value_name = "PORT", default_value_t = 15101, value_parser = clap::value_parser!(u16).range(1..))]
    outbound_port: u16,
    /// Where Squall listens for connections to the application; without it they are left alone
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    inbound_port: Option<u16>,
    /// The user id that Squall runs as; its own connections are left alone
    #[arg(long, value_name = "UID", default_value_t = 65502)]
    proxy_uid: u32,
    /// More user ids whose connections are left alone
    #[arg(long, value_name = "UID", value_delimiter = ',')]
    skip_uids: Vec<u32>,
    /// Connections to these ports are left alone, such as 9092 or 15000-15090
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    skip_outbound_ports: Vec<PortRange>,
    /// Connections of others to these ports are left alone, such as health checks and metrics
    #[arg(long, value_name = "PORTS", value_delimiter = ',', requires = "inbound_port")]
    skip_inbound_ports: Vec<PortRange>,
    /// Connections to these networks are left alone, such as 10.0.0.0/8 or fd00::/8
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    skip_subnets: Vec<IpNet>,
    /// Leaves alone what belongs to this service mesh in the same pod
    #[arg(long, value_name = "MESH", value_enum, value_delimiter = ',')]
    mesh: Vec<Mesh>,
    /// Redirects IPv6, too; Squall has to listen there, as at `[::]:15101`
    #[arg(long)]
    ipv6: bool,
    /// With what: nft, iptables, or the first of them that works
    #[arg(long, value_enum, default_value = "auto")]
    mode: Mode,
    /// Prints what would be done, and does nothing
    #[arg(long)]
    simulate: bool,
    /// Takes the redirect back
    #[arg(long)]
    remove: bool,
}

/// What puts the rules in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// nft, else iptables
    Auto,
    /// nftables
    Nft,
    /// iptables, of either kind
    Iptables,
}

/// Does it, or says what it would do.
pub(crate) fn execute(args: &NetInitArgs) -> Outcome {
    let plan = args.plan();
    match (args.simulate, args.remove) {
        (true, remove) => output::data(simulated(args.mode, &plan, remove).trim_end())?,
        (false, true) => remove(args.mode)?,
        (false, false) => {
            let with = install(args.mode, &plan)?;
            output::say(&told(&plan, with));
        }
    }
    Ok(Exit::Ok)
}

impl NetInitArgs {
    fn plan(&self) -> Plan {
        Plan {
            outbound_port: self.outbound_port,
            inbound_port: self.inbound_port,
            skip_uids: std::iter::once(self.proxy_uid).chain(self.skip_uids.iter().copied()).collect(),
            skip_outbound_ports: self.skip_outbound_ports.clone(),
            skip_inbound_ports: self.skip_inbound_ports.clone(),
            skip_subnets: self.skip_subnets.clone(),
            ipv6: self.ipv6,
        }
        .beside(&self.mesh)
    }
}

fn simulated(mode: Mode, plan: &Plan, remove: bool) -> String {
    let families: &[iptables::Family] = if plan.ipv6 { &iptables::FAMILIES } else { &iptables::FAMILIES[..1] };
    match (mode, remove) {
        (Mode::Auto | Mode::Nft, false) => nft::ruleset(plan, nft::Tables::Inet),
        (Mode::Auto | Mode::Nft, true) => nft::removal(),
        (Mode::Iptables, false) => families.iter().map(|family| iptables::installation(plan, *family)).collect(),
        (Mode::Iptables, true) => iptables::FAMILIES.iter().map(|family| iptables::removal(*family)).collect(),
    }
}

/// Puts the rules in force; with what.
fn install(mode: Mode, plan: &Plan) -> Result<&'static str, Failure> {
    let refused = match mode {
        Mode::Iptables => None,
        Mode::Nft | Mode::Auto => match nft::install(plan) {
            Ok(()) => return Ok("nft"),
            // What is not permitted to one is not to the other.
            Err(refused) if mode == Mode::Nft || refused.is_for_want_of_rights() => return Err(refused.into()),
            Err(refused) => Some(refused),
        },
    };
    iptables::install(plan).map_err(|iptables| match refused {
        Some(nft) => {
            let fix = match (&nft, &iptables) {
                (Refused::NotInstalled(_), Refused::NotInstalled(_)) => "; install one of them",
                _ => "",
            };
            Failure::new(Exit::Failure, format!("neither works: {nft}; {iptables}{fix}"))
        }
        None => iptables.into(),
    })?;
    Ok("iptables")
}

/// Takes back whatever is there.
fn remove(mode: Mode) -> Result<(), Failure> {
    let mut refused = Vec::new();
    let mut is_done = false;
    if mode != Mode::Iptables {
        match nft::remove() {
            Ok(()) => is_done = true,
            Err(why) => refused.push(why),
        }
    }
    if mode != Mode::Nft {
        match iptables::remove() {
            Ok(()) => is_done = true,
            Err(why) => refused.push(why),
        }
    }
    // Of two ways, one that is not installed has left nothing.
    let failed = refused.into_iter().find(|why| !is_done || !matches!(why, Refused::NotInstalled(_)));
    failed.map_or(Ok(()), |why| Err(why.into()))
}

fn told(plan: &Plan, with: &str) -> String {
    let family = if plan.ipv6 { "IPv4 and IPv6" } else { "IPv4 (--ipv6 for both)" };
    let inbound = plan.inbound_port.map(|port| format!(", incoming ones to port {port}")).unwrap_or_default();
    format!(
        "outgoing TCP connections over {family} go to port {}{inbound}; with {with}; `squall net-init --remove` takes it back",
        plan.outbound_port
    )
}
