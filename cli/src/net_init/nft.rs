//! The rules as one transaction of nftables.

use std::fmt::Write;

use ipnet::IpNet;
use squall_inject::PortRange;

use super::plan::Plan;
use super::program::{Program, Refused};

/// Before those of Istio and Linkerd (-100): the application's connections come to Squall first, and what Squall sends goes
/// on through theirs.
const PRIORITY: i32 = -105;

/// The families of tables that rules of a redirect can stand in.
const FAMILIES: [&str; 3] = ["inet", "ip", "ip6"];

/// Where the rules stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// In one for both families (Linux 5.2).
    Inet,
    /// In one for each.
    Split,
}

/// Puts the rules in force, all at once, in place of those before.
pub(super) fn install(plan: &Plan) -> Result<(), Refused> {
    let nft = Program::find("nft", "nftables")?;
    let run = |tables| nft.run(&["-f", "-"], &ruleset(plan, tables));
    match run(Tables::Inet) {
        Err(refused) if !refused.is_for_want_of_rights() => run(Tables::Split).map_err(|_| refused),
        done => done,
    }
}

/// Takes the rules out, all at once. None there is as good.
pub(super) fn remove() -> Result<(), Refused> {
    Program::find("nft", "nftables")?.run(&["-f", "-"], &removal())
}

/// What takes the rules out, whether they are there or not: a table has to exist for it to be deleted.
pub(super) fn removal() -> String {
    FAMILIES.iter().fold(String::new(), |text, family| {
        text + &format!("add table {family} squall\ndelete table {family} squall\n")
    })
}

/// What puts them in force.
pub(super) fn ruleset(plan: &Plan, tables: Tables) -> String {
    let mut text = removal();
    match tables {
        Tables::Inet => table(&mut text, plan, "inet"),
        Tables::Split => {
            table(&mut text, plan, "ip");
            if plan.ipv6 {
                table(&mut text, plan, "ip6");
            }
        }
    }
    text
}

/// One table, for IPv4 (`ip`), IPv6 (`ip6`) or as much of both as the plan wants (`inet`).
fn table(text: &mut String, plan: &Plan, family: &str) {
    let (v4, v6) = (family != "ip6", family == "ip6" || (family == "inet" && plan.ipv6));
    let mut lines = vec!["# What the application sends.".to_owned()];
    let only_v4 = (family == "inet" && !v6).then(|| "meta nfproto ipv6 return".to_owned());
    lines.extend(only_v4.clone());
    lines.push(format!("meta skuid {} return", set(plan.skip_uids.iter())));
    lines.push("oifname \"lo\" return".to_owned());
    let is_v4 = |net: &&IpNet| matches!(net, IpNet::V4(_));
    let (v4s, v6s): (Vec<&IpNet>, Vec<&IpNet>) = plan.skip_subnets.iter().partition(is_v4);
    for (nets, name, is_meant) in [(v4s, "ip", v4), (v6s, "ip6", v6)] {
        if is_meant && !nets.is_empty() {
            lines.push(format!("{name} daddr {} return", set(nets.into_iter())));
        }
    }
    lines.extend(skip(&plan.skip_outbound_ports));
    lines.push(format!("meta l4proto tcp redirect to :{}", plan.outbound_port));
    let mut chains = vec![("output", lines)];
    if let Some(port) = plan.inbound_port {
        let mut lines = vec!["# What others send to the application.".to_owned()];
        lines.extend(only_v4);
        lines.push("iifname \"lo\" return".to_owned());
        lines.push("fib daddr type != local return".to_owned());
        lines.extend(skip(&plan.skip_inbound_ports));
        lines.push(format!("meta l4proto tcp redirect to :{port}"));
        chains.push(("prerouting", lines));
    }
    let _ = writeln!(text, "table {family} squall {{");
    for (chain, lines) in chains {
        let _ = writeln!(text, "  chain {chain} {{");
        let _ = writeln!(text, "    type nat hook {chain} priority {PRIORITY}; policy accept;");
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
}

fn skip(ports: &[PortRange]) -> Option<String> {
    (!ports.is_empty()).then(|| format!("tcp dport {} return", set(ports.iter())))
}

fn set<T: ToString>(members: impl Iterator<Item = T>) -> String {
    let members: Vec<_> = members.map(|member| member.to_string()).collect();
    format!("{{ {} }}", members.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Mesh;
    use super::*;

    #[test]
    fn the_plain_case_is_short() {
        let plan = Plan { outbound_port: 15101, skip_uids: vec![65502], ..Plan::default() };
        let expected = "\
add table inet squall
delete table inet squall
add table ip squall
delete table ip squall
add table ip6 squall
delete table ip6 squall
table inet squall {
  chain output {
    type nat hook output priority -105; policy accept;
    # What the application sends.
    meta nfproto ipv6 return
    meta skuid { 65502 } return
    oifname \"lo\" return
    meta l4proto tcp redirect to :15101
  }
}
";
        assert_eq!(ruleset(&plan, Tables::Inet), expected);
    }

    fn everything() -> Plan {
        let plan = Plan {
            outbound_port: 1,
            inbound_port: Some(2),
            skip_uids: vec![65502, 7],
            skip_outbound_ports: vec!["9092".parse().unwrap(), "15090-15095".parse().unwrap()],
            skip_inbound_ports: vec!["9471".parse().unwrap()],
            skip_subnets: ["10.1.0.0/16", "10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec(),
            ipv6: true,
        };
        plan.beside(&[Mesh::Istio, Mesh::Linkerd])
    }

    #[test]
    fn what_is_skipped_comes_before_the_redirect() {
        let text = ruleset(&everything(), Tables::Inet);
        let expected = "\
table inet squall {
  chain output {
    type nat hook output priority -105; policy accept;
    # What the application sends.
    meta skuid { 7, 1337, 2102, 65502 } return
    oifname \"lo\" return
    ip daddr { 10.0.0.0/8 } return
    ip6 daddr { fd00::/8 } return
    tcp dport { 4140-4191, 9092, 15000-15095 } return
    meta l4proto tcp redirect to :1
  }
  chain prerouting {
    type nat hook prerouting priority -105; policy accept;
    # What others send to the application.
    iifname \"lo\" return
    fib daddr type != local return
    tcp dport { 4140-4191, 9471, 15000-15090 } return
    meta l4proto tcp redirect to :2
  }
}
";
        assert_eq!(text.strip_prefix(removal().as_str()), Some(expected));
    }

    #[test]
    fn old_kernels_get_a_table_for_each_family() {
        let text = ruleset(&everything(), Tables::Split);
        let (v4, v6) = text.strip_prefix(removal().as_str()).unwrap().split_once("table ip6 squall").unwrap();
        assert!(v4.starts_with("table ip squall") && v4.contains("ip daddr") && !v4.contains("ip6 daddr"), "{v4}");
        assert!(v6.contains("ip6 daddr") && !v6.contains("ip daddr") && !v6.contains("nfproto"), "{v6}");
        let plan = Plan { ipv6: false, ..everything() };
        assert!(!ruleset(&plan, Tables::Split).contains("table ip6 squall {"));
    }
}
