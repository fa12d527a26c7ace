//! `squall net-init` and listeners with `cluster: original_dst`: an application in a pod of its own, which knows nothing of
//! Squall beside it, calls a service in another one. As root, in network namespaces that each test makes for itself.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::foreign::{postgres, redis};
use squall_integration::origin::Origin;
use squall_integration::pods::{Pods, must};
use squall_integration::programs::{Program, as_user, find};
use squall_integration::squall::{binary, copy, output};
use squall_integration::wait::PATIENCE;
use squall_integration::{End, RawClient, Squall, eventually};

/// Squall's own; the application is somebody else.
const SQUALL: u32 = 65502;
const APPLICATION: u32 = 1000;

/// Squall as a user of its own, with the listener that `net-init` redirects to.
fn sidecar(clusters: &str) -> Squall {
    Squall::start_as(SQUALL, &text(clusters))
}

fn text(clusters: &str) -> String {
    format!(
        "version: 1\n\
         control: {{ address: 127.0.0.1:0 }}\n\
         access_log: stdout\n\
         listeners:\n\
         - {{ name: out, address: \"[::]:15101\", cluster: original_dst, detect_timeout: 400ms }}\n\
         clusters: [{clusters}]\n"
    )
}

fn net_init(arguments: &[&str]) {
    let done = output(&[&["net-init"], arguments].concat());
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What curl came to as the application: its exit code, the status, the body.
fn curl(arguments: &[&str]) -> (i32, u16, String) {
    let common = ["-s", "-m", "5", "-w", "\n%{http_code}"];
    let done = as_user(APPLICATION, "curl", &[&common, arguments].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, status) = said.rsplit_once('\n').unwrap_or(("", "0"));
    (done.status.code().unwrap_or(-1), status.parse().unwrap_or(0), body.to_owned())
}

fn status(address: SocketAddr) -> u16 {
    curl(&[&format!("http://{address}/")]).1
}

/// Every request through Squall is answered with this, and no other one.
fn fault_everything(squall: &Squall) {
    squall.api().rule("every", &json!({"percentage": 100, "fault": {"abort": 418}}));
}

fn curl_and_pods(test: &str) -> Option<Pods> {
    find("curl", test)?;
    Pods::new(test)
}

#[test]
fn an_application_that_knows_nothing_gets_faults() {
    let Some(pods) = curl_and_pods("an_application_that_knows_nothing_gets_faults") else { return };
    let (b, b6) = (pods.b.at(8000), pods.b.at_v6(8000));
    let _origins = pods.b.within(|| [Origin::named_at("four", b), Origin::named_at("six", b6)]);
    pods.a.within(|| {
        let squall =
            sidecar("{name: service-b, original_dst: true, destinations: [\"10.77.0.2:8000\", \"service-c:*\"]}");
        assert_eq!(status(b), 200);
        net_init(&["--ipv6"]);
        assert_eq!(curl(&[&format!("http://{b}/")]), (0, 200, "four".to_owned()));
        assert_eq!(curl(&[&format!("http://{b6}/")]), (0, 200, "six".to_owned()));
        // Whatever Host says, it goes where it was going; and belongs to the cluster that says so.
        assert_eq!(curl(&["-H", "Host: service-c", &format!("http://{b6}/")]).2, "six");
        let requests = |cluster| squall.api().metrics().sum("squall_requests_total", &[("cluster", cluster)]);
        assert_eq!((requests("service-b"), requests("original_dst")), (2.0, 1.0));
        let of_b = json!({"percentage": 100, "match": {"cluster": "service-b"}, "fault": {"abort": 503}});
        squall.api().rule("r", &of_b);
        assert_eq!((status(b), status(b6)), (503, 200));
        assert_eq!(curl(&["-H", "Host: service-c", &format!("http://{b6}/")]).1, 503);
        let of_six = json!({"percentage": 100, "match": {"endpoint": "[fd77::2]:8000"}, "fault": {"abort": 504}});
        squall.api().rule("r", &of_six);
        assert_eq!((status(b), status(b6)), (200, 504));
        let of_host = json!({"percentage": 100, "match": {"authority": "service-d"}, "fault": {"abort": 505}});
        squall.api().rule("r", &of_host);
        assert_eq!((status(b), curl(&["-H", "Host: service-d", &format!("http://{b}/")]).1), (200, 505));
        let logged = r#""cluster":"service-b","direction":"outbound","source":"[::ffff:10.77.0.1]:"#;
        eventually("the access log", PATIENCE, || squall.said().contains(logged).then_some(()));
        // What nobody listens at is refused by Squall, since the connection to it is made.
        assert_eq!(status(pods.b.at(9)), 502);
    });
}

#[test]
fn databases_and_servers_that_speak_first_pass() {
    let test = "databases_and_servers_that_speak_first_pass";
    let (Some(pods), Some(_)) = (Pods::new(test), find("redis-cli", test)) else { return };
    let Some(_redis) = pods.b.within(|| Program::redis_at(pods.b.at(6379), test)) else { return };
    let greeting = |mut peer: squall_integration::origin::Peer| {
        peer.send("I speak first\n");
        let _ = peer.read_to_end();
    };
    let (mysql, odd) = (pods.b.at(3306), pods.b.at(3307));
    let _greeting = pods.b.within(|| [Origin::start_at(mysql, greeting), Origin::start_at(odd, greeting)]);
    pods.a.within(|| {
        let squall = sidecar("{name: redis, original_dst: true, destinations: [\"10.77.0.0/24:6379\"]}");
        net_init(&[]);
        let call = || redis(pods.b.at(6379), "hello");
        assert_eq!(call().code, "ok");
        let greeted = |address| {
            let (begin, mut client) = (Instant::now(), RawClient::connect(address));
            assert_eq!(client.read_exact(14), b"I speak first\n");
            begin.elapsed()
        };
        // Port 3306 is never looked at; elsewhere nothing said for detect_timeout means that the server speaks first.
        assert!(greeted(mysql) < Duration::from_millis(400));
        assert!(greeted(odd) >= Duration::from_millis(400));
        let slow = json!({"percentage": 100, "match": {"cluster": "redis"}, "fault": {"delay": "300ms"}});
        squall.api().rule("r", &slow);
        let outcome = call();
        assert!(outcome.code == "ok" && outcome.took >= Duration::from_millis(300), "{outcome:?}");
        squall.api().rule("r", &json!({"percentage": 100, "match": {"cluster": "redis"}, "fault": {"reset": true}}));
        assert_ne!(call().code, "ok");
        assert!(greeted(mysql) < Duration::from_millis(400), "another cluster");
    });
}

#[test]
fn psql_queries_a_database_through_squall() {
    let test = "psql_queries_a_database_through_squall";
    let (Some(pods), Some(psql)) = (Pods::new(test), find("psql", test)) else { return };
    let addresses = [pods.b.at(5432), pods.b.at_v6(5433)];
    let start = |address| pods.b.within(|| Program::postgres_at(address, APPLICATION, test));
    let [Some(_four), Some(_six)] = addresses.map(start) else { return };
    pods.a.within(|| {
        let squall = sidecar("{name: database, original_dst: true, destinations: [\"*:5432\", \"*:5433\"]}");
        let carried = || squall.api().metrics().sum("squall_upstream_connections_total", &[("cluster", "database")]);
        let query = |address| postgres(&psql, address, "SELECT sum(n) FROM generate_series(1, 100000) n");
        net_init(&["--ipv6"]);
        for address in addresses {
            let direct = query(address);
            assert!(direct.code == "ok" && direct.said.starts_with("5000050000 "), "{direct:?}");
        }
        assert_eq!(carried(), 2.0, "both went through Squall");
        let of_database = |fault| json!({"percentage": 100, "match": {"cluster": "database"}, "fault": fault});
        squall.api().rule("r", &of_database(json!({"delay": "300ms"})));
        for address in addresses {
            let slow = query(address);
            assert!(slow.code == "ok" && slow.took >= Duration::from_millis(300), "{slow:?}");
        }
        squall.api().rule("r", &of_database(json!({"reset": true})));
        for address in addresses {
            let reset = query(address);
            assert!(reset.code == "exit 2" && reset.said.contains("connection"), "{reset:?}");
        }
        assert_eq!(carried(), 4.0, "what is reset never gets to the database");
        net_init(&["--remove"]);
        assert_eq!(query(addresses[0]).code, "ok", "direct again, whatever the rules say");
        assert_eq!(carried(), 4.0);
    });
}

#[test]
fn a_balancer_before_the_pod_says_who_called_and_the_service_learns_it() {
    let Some(pods) = curl_and_pods("a_balancer_before_the_pod_says_who_called_and_the_service_learns_it") else {
        return;
    };
    pods.b.within(|| {
        let service = pods.b.at(8000);
        let Some(_nginx) = Program::nginx_proxy_protocol_at(service, "PROXY protocol in pods") else { return };
        let inbound = "name: in, direction: inbound, proxy_protocol: accept, ";
        let service_cluster = "{name: service, original_dst: true, destinations: [\"*:8000\"], proxy_protocol: v2}";
        let text = text(service_cluster).replace("name: out, ", inbound).replace("15101", "15106");
        let squall = Squall::start_as(SQUALL, &text);
        net_init(&["--inbound-port", "15106", "--skip-outbound-ports", "1-65535"]);
        // What the balancer says of the caller is what rules see, and what the service is told.
        let call = |caller: &str| {
            let head = format!("PROXY TCP4 {caller} {} 4711 8000\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n", service.ip());
            pods.a.within(|| {
                let mut balancer = RawClient::connect(service);
                balancer.send(head);
                balancer.answer()
            })
        };
        let answer = call("192.0.2.7");
        assert_eq!((answer.status, answer.text()), (200, "192.0.2.7 4711".to_owned()));
        let of_one = json!({"percentage": 100, "match": {"source": "192.0.2.0/24"}, "fault": {"abort": 418}});
        squall.api().rule("r", &of_one);
        assert_eq!((call("192.0.2.7").status, call("203.0.113.1").status), (418, 200));
        // Who says nothing of it is refused.
        assert_eq!(pods.a.within(|| self::status(service)), 0);
    });
}

#[test]
fn what_is_skipped_is_direct() {
    let Some(pods) = curl_and_pods("what_is_skipped_is_direct") else { return };
    let ports = [8000, 8001, 9092];
    let _origins = pods.b.within(|| ports.map(|port| Origin::named_at("b", pods.b.at(port))));
    pods.a.within(|| {
        let squall = sidecar("");
        fault_everything(&squall);
        let statuses = || ports.map(|port| status(pods.b.at(port)));
        let as_squall = || {
            let url = format!("http://{}/", pods.b.at(8000));
            let done = as_user(SQUALL, "curl", &["-s", "-m", "5", &url]).output().unwrap();
            String::from_utf8_lossy(&done.stdout).into_owned()
        };
        for (options, expected) in [
            (&[][..], [418, 418, 418]),
            (&["--skip-outbound-ports", "8001,9000-9100"], [418, 200, 200]),
            (&["--skip-subnets", "10.77.0.0/24"], [200, 200, 200]),
            (&["--skip-subnets", "10.78.0.0/24,fd00::/8"], [418, 418, 418]),
            (&["--skip-uids", "1000"], [200, 200, 200]),
        ] {
            for mode in ["nft", "iptables"] {
                if mode == "iptables" && find("iptables", "interception by iptables").is_none() {
                    continue;
                }
                net_init(&[options, &["--mode", mode]].concat());
                assert_eq!(statuses(), expected, "{options:?} with {mode}");
                assert_eq!(as_squall(), "b", "what Squall itself sends is left alone");
                net_init(&["--remove", "--mode", mode]);
                assert_eq!(statuses(), [200; 3], "{options:?} with {mode} taken back");
            }
        }
        // Loopback is left alone, and so is IPv6 unless it is asked for.
        let _here = Origin::named_at("here", "127.0.0.1:8000".parse().unwrap());
        let _here_too = Origin::named_at("here", pods.a.at(8000));
        net_init(&[]);
        assert_eq!((status("127.0.0.1:8000".parse().unwrap()), status(pods.a.at(8000))), (200, 200));
        let refused = curl(&[&format!("http://{}/", pods.b.at_v6(8000))]).0;
        assert_eq!(refused, 7, "nobody listens there, and nobody redirects it");
    });
}

fn said(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}

#[test]
fn twice_is_the_same_as_once_and_remove_leaves_nothing() {
    let Some(pods) = Pods::new("twice_is_the_same_as_once_and_remove_leaves_nothing") else { return };
    let mut kinds = vec![("nft", "nft", &["list", "ruleset"][..])];
    if find("iptables", "net-init --mode iptables").is_some() {
        kinds.push(("iptables", "iptables-save", &["-t", "nat"]));
    }
    pods.a.within(|| {
        for (mode, program, list) in kinds {
            let rules = || {
                let all = said(program, list);
                all.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect::<String>()
            };
            let install = || net_init(&["--mode", mode, "--inbound-port", "15106", "--mesh", "istio,linkerd"]);
            let fresh = rules();
            net_init(&["--mode", mode, "--remove"]);
            install();
            let once = rules();
            assert!(once.contains("15101") && once.contains("15106") && once.contains("1337"), "{once}");
            install();
            assert_eq!(rules(), once);
            // Another plan takes the place of the one before.
            net_init(&["--mode", mode, "--outbound-port", "4444"]);
            let other = rules();
            assert!(other.contains("4444") && !other.contains("15101") && !other.contains("15106"), "{other}");
            for _ in 0..2 {
                net_init(&["--mode", mode, "--remove"]);
                let left = rules();
                assert!(!left.to_lowercase().contains("squall"), "{left}");
                assert!(mode != "nft" || left == fresh, "{left}");
            }
        }
    });
}

/// `squall net-init` where these programs are not: they are covered up, in a mount namespace of its own.
fn net_init_without(programs: &[&str], arguments: &[&str]) -> (Option<i32>, String) {
    // All are looked for before one is hidden: several are links to the same file.
    let hide = "files=$(for program in $HIDDEN; do readlink -f $(command -v $program); done | sort -u)
                for file in $files; do mount --bind /dev/null $file || exit 99; done
                exec \"$@\"";
    let own = binary();
    let command = [&["-m", "sh", "-c", hide, "sh", own.to_str().unwrap(), "net-init"], arguments].concat();
    let done = Command::new("unshare").args(command).env("HIDDEN", programs.join(" ")).output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn where_a_program_is_not_installed_another_one_does_it_or_it_is_said() {
    let Some(pods) = Pods::new("where_a_program_is_not_installed_another_one_does_it_or_it_is_said") else { return };
    let all: Vec<&str> = ["nft", "iptables", "iptables-nft", "iptables-legacy"]
        .into_iter()
        .filter(|program| *program == "nft" || find(program, "net-init --mode iptables").is_some())
        .collect();
    pods.a.within(|| {
        let (code, said) = net_init_without(&["nft"], &["--mode", "nft"]);
        let expected = "nft is not installed (package nftables); install it, or use --mode iptables";
        assert!(code == Some(1) && said.contains(expected), "{code:?} {said}");
        let (code, said) = net_init_without(&all, &[]);
        let expected = "neither works: nft is not installed (package nftables); iptables is not installed (package iptables); \
                        install one of them";
        assert!(code == Some(1) && said.contains(expected), "{code:?} {said}");
        if all.len() > 1 {
            let (code, said) = net_init_without(&["nft"], &[]);
            assert!(code == Some(0) && said.contains("with iptables"), "{code:?} {said}");
            assert!(self::said("iptables-save", &["-t", "nat"]).contains("15101"));
        }
    });
}

#[test]
fn what_fails_for_one_family_is_done_for_none() {
    let test = "what_fails_for_one_family_is_done_for_none";
    let (Some(pods), Some(_)) = (Pods::new(test), find("iptables", test)) else { return };
    let directory = tempfile::tempdir().unwrap();
    let fake = |name: &str, code: u8| {
        let file = directory.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\ncat >/dev/null\necho 'no such table' >&2\nexit {code}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    pods.a.within(|| {
        let fails = || {
            let mut command = squall_integration::squall::command(&["net-init", "--mode", "iptables", "--ipv6"]);
            let done = command.env("PATH", &path).output().unwrap();
            let text = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.code() == Some(1) && text.contains("no such table"), "{text}");
            let rules = said("iptables-save", &["-t", "nat"]);
            assert!(!rules.contains("SQUALL"), "{rules}");
        };
        for name in ["ip6tables", "ip6tables-nft", "ip6tables-legacy"] {
            fake(name, 3);
            fake(&format!("{name}-restore"), 3);
        }
        fails();
        // It is there, and does not take the rules.
        fake("ip6tables", 0);
        fails();
    });
}

#[test]
fn a_user_without_rights_is_told_so() {
    let Some(pods) = Pods::new("a_user_without_rights_is_told_so") else { return };
    pods.a.within(|| {
        let directory = tempfile::tempdir().unwrap();
        let (own, all) = (directory.path().join("squall"), std::os::unix::fs::PermissionsExt::from_mode(0o755));
        copy(&own);
        std::fs::set_permissions(directory.path(), all).unwrap();
        let run =
            |arguments: &[&str]| -> Output { as_user(APPLICATION, own.to_str().unwrap(), arguments).output().unwrap() };
        for mode in ["auto", "nft"] {
            let done = run(&["net-init", "--mode", mode]);
            let text = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(1), "{text}");
            assert!(text.contains("NET_ADMIN"), "{text}");
        }
        // To look at them needs no rights, and changes nothing.
        let done = run(&["net-init", "--simulate"]);
        assert!(done.status.success());
        assert!(String::from_utf8_lossy(&done.stdout).contains("redirect to :15101"));
        assert!(!said("nft", &["list", "ruleset"]).contains("squall"));
    });
}

#[test]
fn without_squall_every_redirected_connection_is_refused() {
    let Some(pods) = curl_and_pods("without_squall_every_redirected_connection_is_refused") else { return };
    let _origins = pods.b.within(|| [8000, 8001].map(|port| Origin::named_at("b", pods.b.at(port))));
    pods.a.within(|| {
        let squall = sidecar("");
        net_init(&["--skip-outbound-ports", "8001"]);
        assert_eq!(status(pods.b.at(8000)), 200);
        let mut open = RawClient::connect(pods.b.at(8000));
        assert_eq!(open.get("/").status, 200);
        squall.signal("KILL");
        assert_ne!(open.read_to_end().1, End::Silence, "what went through it ends with it");
        let refused = || RawClient::try_connect(pods.b.at(8000)).err().map(|error| error.kind());
        eventually("connections to be refused", PATIENCE, || {
            (refused()? == std::io::ErrorKind::ConnectionRefused).then_some(())
        });
        assert_eq!(curl(&[&format!("http://{}/", pods.b.at(8000))]).0, 7, "connection refused");
        assert_eq!(status(pods.b.at(8001)), 200, "what is skipped is not concerned");
        // Another one takes over; or nobody.
        let again = sidecar("");
        assert_eq!(status(pods.b.at(8000)), 200);
        drop(again);
        net_init(&["--remove"]);
        assert_eq!(status(pods.b.at(8000)), 200);
    });
}

#[test]
fn incoming_connections_are_redirected_when_asked_for() {
    let Some(pods) = curl_and_pods("incoming_connections_are_redirected_when_asked_for") else { return };
    pods.b.within(|| {
        let text = text("").replace("name: out, ", "name: in, direction: inbound, ").replace("15101", "15106");
        let _services = [8000, 8001].map(|port| Origin::named_at("b", pods.b.at(port)));
        let squall = Squall::start_as(SQUALL, &text);
        net_init(&["--inbound-port", "15106", "--skip-inbound-ports", "8001", "--skip-outbound-ports", "1-65535"]);
        squall.api().rule("r", &json!({"percentage": 100, "match": {"direction": "inbound"}, "fault": {"abort": 418}}));
        let from_a = |port: u16| pods.a.within(|| status(pods.b.at(port)));
        assert_eq!((from_a(8000), from_a(8001)), (418, 200));
        squall.api().remove("r");
        assert_eq!(from_a(8000), 200);
    });
}

#[test]
fn a_loop_ends_at_once() {
    let Some(pods) = curl_and_pods("a_loop_ends_at_once") else { return };
    let _origin = pods.b.within(|| Origin::named_at("b", pods.b.at(8000)));
    pods.a.within(|| {
        let squall = sidecar("");
        net_init(&[]);
        // To the listener itself, at any address of this machine.
        for ip in [pods.a.v4, IpAddr::from([127, 0, 0, 1])] {
            let url = format!("http://{}/", SocketAddr::new(ip, 15101));
            let (_, status, body) = curl(&[&url]);
            assert!(status == 403 && body.contains("Squall itself"), "{status} {body}");
        }
        drop(squall);
        // As a user whose connections are redirected, too: each one would come back for ever.
        let squall = Squall::start_as(APPLICATION, &text(""));
        let (_, status, body) = curl(&[&format!("http://{}/", pods.b.at(8000))]);
        assert!(status == 403 && body.contains("Squall itself"), "{status} {body}");
        let mut bytes = RawClient::connect(pods.b.at(3306));
        assert_ne!(bytes.read_to_end().1, End::Silence);
        let told = "--proxy-uid";
        eventually("a line that says what to do", PATIENCE, || squall.said().contains(told).then_some(()));
        let accepted = squall.api().metrics().sum("squall_upstream_connections_total", &[]);
        assert!(accepted < 40.0, "{accepted} connections for two");
    });
}

#[test]
fn tproxy_needs_no_nat() {
    let Some(pods) = curl_and_pods("tproxy_needs_no_nat") else { return };
    // Pod B stands between A and a network of its own.
    let service = SocketAddr::from(([10, 99, 0, 5], 8000));
    pods.a.within(|| must(&format!("route add 10.99.0.0/16 via {}", pods.b.v4)));
    pods.b.within(|| {
        must("addr add 10.99.0.5/32 dev lo");
        must("rule add fwmark 1 lookup 100");
        must("route add local default dev lo table 100");
        let rule = "iifname != \"lo\" ip daddr 10.99.0.0/16 meta l4proto tcp tproxy to :15101 meta mark set 1 accept";
        for line in [
            "add table ip test",
            "add chain ip test p { type filter hook prerouting priority mangle; }",
            &format!("add rule ip test p {rule}"),
        ] {
            let done = Command::new("nft").arg(line).output().unwrap();
            assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let _service = Origin::named_at("service", service);
        let transparent = text("").replace("cluster: original_dst", "cluster: original_dst, transparent: true");
        let squall = Squall::start_as(0, &transparent);
        let call = || pods.a.within(|| curl(&[&format!("http://{service}/")]));
        assert_eq!(call(), (0, 200, "service".to_owned()));
        fault_everything(&squall);
        assert_eq!(call().1, 418);
    });
}
