//! No request of the data plane reaches the control API, whatever a request, a name or a configuration says.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use squall_integration::dns::Dns;
use squall_integration::message::Answer;
use squall_integration::origin::{Origin, refusing};
use squall_integration::squall::output;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{RawClient, Settings, Squall, eventually};

const HALT: &str = "/v1/halt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

fn halt_through(address: SocketAddr) -> Answer {
    RawClient::connect(address).send(format!("POST {HALT}")).answer_to("POST")
}

fn is_halted(squall: &Squall) -> bool {
    squall.api().json("/v1/status")["halted"] == true
}

/// A forward proxy that may go anywhere, whose control API listens there.
fn forward(control: &str) -> Squall {
    let settings = Settings::new().control(&format!("{{ address: \"{control}\" }}"));
    let settings = settings.listener("dev", "http", "outside");
    Squall::start(&settings.cluster_with("outside", "http1", &[], "destinations: [\"*:*\"]"))
}

#[test]
fn a_forward_proxy_goes_everywhere_but_there() {
    for (listens, hosts) in [
        (
            "127.0.0.1:0",
            &[
                "127.0.0.1",
                "localhost",
                "localhost.",
                "LOCALHOST",
                "0.0.0.0",
                "[::ffff:127.0.0.1]",
                "[::ffff:7f00:1]",
                "[::ffff:0.0.0.0]",
            ][..],
        ),
        // A name that has two addresses is tried at both.
        ("[::1]:0", &["[::1]", "[::]", "localhost", "[0:0:0:0:0:0:0:1]"]),
    ] {
        let squall = forward(listens);
        let (proxy, port) = (squall.address("dev"), squall.api().address.port());
        for host in hosts {
            let mut client = RawClient::connect(proxy);
            let answer = client.send(format!("POST http://{host}:{port}{HALT}")).answer_to("POST");
            assert!(matches!(answer.status, 400 | 403 | 502), "{host} of {listens}: {} {}", answer.line, answer.text());
            let mut client = RawClient::connect(proxy);
            let target = format!("{host}:{port}");
            let answer =
                client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")).answer_to("CONNECT");
            assert!(matches!(answer.status, 400 | 403 | 502), "CONNECT {target}: {} {}", answer.line, answer.text());
        }
        assert!(!is_halted(&squall), "{listens}");
        let metrics = squall.api().metrics();
        assert_eq!(metrics.sum("squall_requests_total", &[("origin", "upstream")]), 0.0, "{listens}");
    }
}

#[test]
fn a_name_that_stands_for_the_control_api_is_no_way_there() {
    let (dns, echo) = (Dns::start(), Origin::ok());
    let control = refusing().port();
    // First the name of an honest upstream, then that of the control API: DNS answers change.
    dns.set("b.test", &[Ipv4Addr::new(127, 0, 0, 9)], 1);
    for address in ["127.0.0.1", "0.0.0.0"] {
        let settings = Settings::new()
            .control(&format!("{{ address: \"127.0.0.1:{control}\" }}"))
            .with(&format!("dns: {{ server: \"{}\" }}", dns.address))
            .listener("to-b", "http", "b")
            .listener("raw", "tcp", "b")
            .listener("honest", "http", "a")
            .cluster("a", "http1", &[echo.address])
            .cluster_of(
                "b",
                "http1",
                &format!("\"b.test:{control}\""),
                "health_check: { path: /v1/status, interval: 100ms, timeout: 100ms }",
            );
        let squall = Squall::start(&settings);
        dns.set("b.test", &[address.parse().unwrap()], 1);
        eventually("the name stands for the control API", PATIENCE, || {
            let status = squall.api().json("/v1/status");
            let clusters = status["clusters"].as_array()?;
            let b = clusters.iter().find(|cluster| cluster["name"] == "b")?;
            (b["endpoints"][0]["address"] == format!("{address}:{control}")).then_some(())
        });
        let answer = halt_through(squall.address("to-b"));
        assert_eq!(
            (answer.status, answer.header("x-squall-error")),
            (502, Some("upstream_is_squall")),
            "{}",
            answer.text()
        );
        // A TCP listener has nothing to say, and ends the connection.
        if let Ok(mut client) = RawClient::try_connect(squall.address("raw")) {
            let _reset_at_once = client.try_send(format!("POST {HALT}"));
            assert!(client.read_to_end().0.is_empty());
        }
        assert!(!is_halted(&squall));
        eventually("health checks do not reach it either", PATIENCE, || {
            let status = squall.api().json("/v1/status");
            let b = status["clusters"].as_array()?.iter().find(|cluster| cluster["name"] == "b")?.clone();
            (b["endpoints"][0]["health"] == "failing").then_some(())
        });
        assert_eq!(RawClient::connect(squall.address("honest")).get("/").status, 200, "others are well");
    }
}

#[test]
fn a_configuration_of_later_is_no_way_there() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with("telemetry: { address: \"127.0.0.1:0\" }"));
    let (to_b, port) = (squall.to_b(), squall.api().address.port());
    // The port was chosen by the system, so nobody could know it when the configuration was checked.
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let mut config = squall.api().json("/v1/config");
        config["clusters"][0]["endpoints"] = json!([format!("{host}:{port}")]);
        let answer = squall.api().put("/v1/config", &config.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = eventually("the cluster is taken over", PATIENCE, || {
            let answer = halt_through(to_b);
            (answer.status != 200).then_some(answer)
        });
        assert_eq!((answer.status, answer.header("x-squall-error")), (502, Some("upstream_is_squall")), "{host}");
        assert!(!is_halted(&squall), "{host}");
    }
    // Back, and its own listener is no upstream either.
    let mut config = squall.api().json("/v1/config");
    config["clusters"][0]["endpoints"] = json!([to_b.to_string()]);
    assert_eq!(squall.api().put("/v1/config", &config.to_string()).status, 200);
    let answer = eventually("no loop", PATIENCE, || Some(halt_through(to_b)).filter(|answer| answer.status == 502));
    assert_eq!(answer.header("x-squall-error"), Some("upstream_is_squall"));
    config["clusters"][0]["endpoints"] = json!([origin.address.to_string()]);
    assert_eq!(squall.api().put("/v1/config", &config.to_string()).status, 200);
    eventually("the upstream again", PATIENCE, || (RawClient::connect(to_b).get("/").status == 200).then_some(()));
}

#[test]
fn nothing_of_the_data_plane_can_name_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s.sock");
    let control = format!("{{ address: \"unix:{}\" }}", socket.display());
    for endpoint in [format!("unix:{}", socket.display()), format!("unix://{}", socket.display())] {
        let file = directory.path().join("bad.yaml");
        let settings = Settings::new().control(&control).listener("to-b", "http", "b");
        std::fs::write(&file, settings.cluster_of("b", "http1", &format!("\"{endpoint}\""), "").text()).unwrap();
        let done = output(&["config", "validate", file.to_str().unwrap()]);
        assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stdout));
    }
    let settings = Settings::new().control(&control).listener("dev", "http", "outside");
    let settings = settings.with("telemetry: { address: \"127.0.0.1:0\" }");
    let squall = Squall::start(&settings.cluster_with("outside", "http1", &[], "destinations: [\"*:*\"]"));
    let said = squall.said();
    let line = said.lines().find(|line| line.contains("dev") && line.contains("http://")).unwrap();
    let proxy: SocketAddr = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let path = socket.display();
    for target in [
        format!("POST unix:{path} HTTP/1.1\r\nHost: unix:{path}"),
        format!("POST http://unix:{path}/v1/halt HTTP/1.1\r\nHost: unix"),
        format!("POST http+unix://{}/v1/halt HTTP/1.1\r\nHost: unix", path.to_string().replace('/', "%2F")),
        format!("CONNECT unix:{path} HTTP/1.1\r\nHost: unix:{path}"),
        format!("CONNECT {path}:0 HTTP/1.1\r\nHost: unix"),
    ] {
        let mut client = RawClient::connect(proxy);
        let answer = client.send(format!("{target}\r\nContent-Length: 0\r\n\r\n")).answer_to("POST");
        assert!((400..=502).contains(&answer.status), "{target}: {}", answer.line);
    }
    pause(Duration::from_millis(50));
    let status = output(&["status", "-o", "json", "--control", &format!("unix:{path}")]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("\"halted\": false"));
}
