//! Listeners and clusters that change at run time, through `PUT /v1/config`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;
use squall_integration::origin::Origin;
use squall_integration::{RawClient, Settings, Squall, eventually};

#[test]
fn listeners_and_clusters_change_at_run_time() {
    let (one, two) = (
        Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
        Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"),
    );
    let squall = Squall::start(&Settings::http(one.address));
    let api = squall.api();
    let address = squall.to_b();
    let mut open = RawClient::connect(address);
    assert_eq!(open.get("/").text(), "one");
    let mut config = api.json("/v1/config");
    config["clusters"][0]["endpoints"] = json!([two.address.to_string()]);
    let answer = api.put("/v1/config", &config.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(open.get("/").text(), "two", "the next request on an open connection");
    config["listeners"].as_array_mut().unwrap().push(json!({
        "name": "second", "address": "127.0.0.1:0", "direction": "outbound", "protocol": "http", "cluster": "service-b",
    }));
    assert_eq!(api.put("/v1/config", &config.to_string()).status, 200);
    assert_eq!(squall.to_b(), address, "the first listener stays where it is");
    let second = squall.address("second");
    assert_eq!(RawClient::connect(second).get("/").text(), "two");
    config["listeners"].as_array_mut().unwrap().remove(1);
    assert_eq!(api.put("/v1/config", &config.to_string()).status, 200);
    eventually("the removed listener refuses", Duration::from_secs(5), || {
        TcpStream::connect(second).is_err().then_some(())
    });
    assert_eq!(open.get("/").text(), "two", "the other one goes on");
    config["listeners"][0]["cluster"] = json!("nowhere");
    let answer = api.put("/v1/config", &config.to_string());
    assert!(matches!(answer.status, 400 | 422), "{}", answer.text());
    assert!(answer.text().contains("nowhere"), "{}", answer.text());
    assert_eq!(open.get("/").text(), "two");
}

#[test]
fn a_listener_at_all_addresses_serves_both_families() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let mut config = api.json("/v1/config");
    config["listeners"].as_array_mut().unwrap().push(json!({
        "name": "everywhere", "address": "[::]:0", "direction": "outbound", "protocol": "http", "cluster": "service-b",
    }));
    let answer = api.put("/v1/config", &config.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bound = squall.address("everywhere");
    assert!(bound.is_ipv6() && bound.ip().is_unspecified() && bound.port() != 0, "{bound}");
    for loopback in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        assert_eq!(RawClient::connect(SocketAddr::new(loopback, bound.port())).get("/").status, 200, "{loopback}");
    }
}

#[test]
fn a_port_in_use_is_told_and_nothing_changes() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = api.json("/v1/config");
    let before = api.generation();
    let address = taken.local_addr().unwrap().to_string();
    config["listeners"].as_array_mut().unwrap().push(json!({
        "name": "taken", "address": address, "direction": "outbound", "protocol": "http", "cluster": "service-b",
    }));
    let answer = api.put("/v1/config", &config.to_string());
    assert!((400..500).contains(&answer.status), "{} {}", answer.line, answer.text());
    assert!(answer.text().contains(&address), "names the address: {}", answer.text());
    assert_eq!(api.generation(), before);
    assert_eq!(RawClient::connect(squall.to_b()).get("/").status, 200);
}
