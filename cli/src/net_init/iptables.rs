//! The rules as iptables takes them, where there is no nft: one transaction for each family.

use std::fmt::Write;

use ipnet::IpNet;
use squall_inject::PortRange;

use super::plan::Plan;
use super::program::{Program, Refused};

const OUTPUT: &str = "SQUALL_OUTPUT";
const PREROUTING: &str = "SQUALL_PREROUTING";
/// The chains of the kernel, and what they jump to.
const HOOKS: [(&str, &str); 2] = [("OUTPUT", OUTPUT), ("PREROUTING", PREROUTING)];

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Both.
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    /// The system's own choice first, then the kinds of it.
    fn programs(self) -> [&'static str; 3] {
        match self {
            Self::V4 => ["iptables", "iptables-nft", "iptables-legacy"],
            Self::V6 => ["ip6tables", "ip6tables-nft", "ip6tables-legacy"],
        }
    }

    fn has(self, net: &IpNet) -> bool {
        matches!((self, net), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }
}

/// A program that this kernel works with, and the one that takes whole tables.
struct Iptables {
    rules: Program,
    restore: Program,
    /// What is in force, as `-S` lists it.
    listed: String,
}

impl Iptables {
    /// The first of the family that works.
    fn find(family: Family) -> Result<Self, Refused> {
        let mut refused = None;
        for name in family.programs() {
            match Self::of(name) {
                Ok(found) => return Ok(found),
                // One that is there and does not work says more than one that is not.
                Err(why) if refused.is_none() || !matches!(why, Refused::NotInstalled(_)) => refused = Some(why),
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or(Refused::NotInstalled("iptables")))
    }

    fn of(name: &str) -> Result<Self, Refused> {
        let rules = Program::find(name, "iptables")?;
        let restore = Program::find(&format!("{name}-restore"), "iptables")?;
        let listed = rules.output(&["-w", "-t", "nat", "-S"], "")?;
        Ok(Self { rules, restore, listed })
    }

    /// Whether the kernel's chain leads to ours already.
    fn is_hooked(&self, hook: &str, chain: &str) -> bool {
        self.listed.lines().any(|line| line == jump("-A", hook, chain))
    }

    fn has_chain(&self, chain: &str) -> bool {
        self.listed.lines().any(|line| line == format!("-N {chain}"))
    }

    fn install(&self, plan: &Plan, family: Family) -> Result<(), Refused> {
        let is_hooked = HOOKS.map(|(hook, chain)| self.is_hooked(hook, chain));
        self.restore(&table(plan, family, is_hooked))
    }

    fn restore(&self, table: &str) -> Result<(), Refused> {
        self.restore.run(&["-w", "--noflush"], table)
    }
}

/// Puts the rules in force, for all families that the plan has or for none.
pub(super) fn install(plan: &Plan) -> Result<(), Refused> {
    let v4 = Iptables::find(Family::V4)?;
    // Before anything is changed: one of the two is often missing.
    let v6 = Iptables::find(Family::V6);
    if !plan.ipv6 {
        v4.install(plan, Family::V4)?;
        // Of a plan before that had IPv6.
        return v6.map_or(Ok(()), |v6| take_out(&v6));
    }
    let v6 = v6?;
    v4.install(plan, Family::V4)?;
    v6.install(plan, Family::V6).inspect_err(|_| {
        // The failure is told, and half of a redirect must not stay.
        let _as_far_as_it_goes = remove();
    })
}

/// Takes the rules out. None there is as good.
pub(super) fn remove() -> Result<(), Refused> {
    let mut first = Ok(());
    for (index, family) in FAMILIES.into_iter().enumerate() {
        match Iptables::find(family) {
            Ok(iptables) => take_out(&iptables)?,
            Err(why) if index == 0 => first = Err(why),
            // A kernel without IPv6 has no rules for it.
            Err(_) => {}
        }
    }
    first
}

fn take_out(iptables: &Iptables) -> Result<(), Refused> {
    let present: Vec<_> = HOOKS.into_iter().filter(|(_, chain)| iptables.has_chain(chain)).collect();
    if present.is_empty() {
        return Ok(());
    }
    for (hook, chain) in present.iter().filter(|(hook, chain)| iptables.is_hooked(hook, chain)) {
        iptables.rules.run(&["-w", "-t", "nat", "-D", hook, "-p", "tcp", "-j", chain], "")?;
    }
    let lines: String = present.iter().map(|(_, chain)| format!("-F {chain}\n-X {chain}\n")).collect();
    iptables.restore(&format!("*nat\n{lines}COMMIT\n"))
}

fn jump(what: &str, hook: &str, chain: &str) -> String {
    format!("{what} {hook} -p tcp -j {chain}")
}

/// What puts the rules in force where there were none.
pub(super) fn installation(plan: &Plan, family: Family) -> String {
    let program = family.programs()[0];
    format!("# {program}-restore --noflush\n{}", table(plan, family, [false; 2]))
}

/// What takes them out where they are.
pub(super) fn removal(family: Family) -> String {
    let program = family.programs()[0];
    let mut text = String::new();
    for (hook, chain) in HOOKS {
        let _ = writeln!(text, "{program} -t nat {}", jump("-D", hook, chain));
    }
    for (_, chain) in HOOKS {
        let _ = writeln!(text, "{program} -t nat -F {chain}\n{program} -t nat -X {chain}");
    }
    text
}

/// A table for `iptables-restore --noflush`, which empties our own chains and leaves all others as they are.
fn table(plan: &Plan, family: Family, is_hooked: [bool; 2]) -> String {
    let mut text = "*nat\n".to_owned();
    for (_, chain) in HOOKS {
        let _ = writeln!(text, ":{chain} - [0:0]");
    }
    let mut rule = |chain: &str, rest: &str| {
        let _ = writeln!(text, "-A {chain} {rest}");
    };
    for uid in &plan.skip_uids {
        rule(OUTPUT, &format!("-m owner --uid-owner {uid} -j RETURN"));
    }
    rule(OUTPUT, "-o lo -j RETURN");
    for net in plan.skip_subnets.iter().filter(|net| family.has(net)) {
        rule(OUTPUT, &format!("-d {net} -j RETURN"));
    }
    let mut ports = |chain: &str, skipped: &[PortRange], port: u16| {
        for range in skipped {
            rule(chain, &format!("-p tcp --dport {} -j RETURN", range.with(':')));
        }
        rule(chain, &format!("-p tcp -j REDIRECT --to-ports {port}"));
    };
    ports(OUTPUT, &plan.skip_outbound_ports, plan.outbound_port);
    if let Some(port) = plan.inbound_port {
        ports(PREROUTING, &plan.skip_inbound_ports, port);
    }
    for ((hook, chain), is_hooked) in HOOKS.into_iter().zip(is_hooked) {
        if !is_hooked && (hook == "OUTPUT" || plan.inbound_port.is_some()) {
            // First of all, before those of Istio and Linkerd.
            let _ = writeln!(text, "-I {hook} 1 -p tcp -j {chain}");
        }
    }
    text + "COMMIT\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_comes_before_the_redirect() {
        let plan = Plan {
            outbound_port: 1,
            inbound_port: Some(2),
            skip_uids: vec![7, 65502],
            skip_outbound_ports: vec!["9092".parse().unwrap(), "15000-15090".parse().unwrap()],
            skip_inbound_ports: vec!["9471".parse().unwrap()],
            skip_subnets: ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec(),
            ipv6: true,
        };
        let expected = "\
*nat
:SQUALL_OUTPUT - [0:0]
:SQUALL_PREROUTING - [0:0]
-A SQUALL_OUTPUT -m owner --uid-owner 7 -j RETURN
-A SQUALL_OUTPUT -m owner --uid-owner 65502 -j RETURN
-A SQUALL_OUTPUT -o lo -j RETURN
-A SQUALL_OUTPUT -d 10.0.0.0/8 -j RETURN
-A SQUALL_OUTPUT -p tcp --dport 9092 -j RETURN
-A SQUALL_OUTPUT -p tcp --dport 15000:15090 -j RETURN
-A SQUALL_OUTPUT -p tcp -j REDIRECT --to-ports 1
-A SQUALL_PREROUTING -p tcp --dport 9471 -j RETURN
-A SQUALL_PREROUTING -p tcp -j REDIRECT --to-ports 2
-I OUTPUT 1 -p tcp -j SQUALL_OUTPUT
-I PREROUTING 1 -p tcp -j SQUALL_PREROUTING
COMMIT
";
        assert_eq!(table(&plan, Family::V4, [false; 2]), expected);
        let again = table(&plan, Family::V6, [true; 2]);
        assert!(again.contains("-d fd00::/8") && !again.contains("10.0.0.0") && !again.contains("-I "), "{again}");
        let outbound = table(&Plan { inbound_port: None, ..plan }, Family::V4, [false; 2]);
        assert!(!outbound.contains("-I PREROUTING") && !outbound.contains("-A SQUALL_PREROUTING"), "{outbound}");
    }
}
