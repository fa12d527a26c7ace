//! One engine: what Toxiproxy's API makes is seen in the control API, in metrics and in the audit, and the other way round.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::wait::PATIENCE;
use squall_integration::{RawClient, Settings, Squall, eventually, squall};

use super::Toxiproxy;

#[test]
fn a_toxic_is_a_rule_and_a_proxy_a_listener() {
    let toxiproxy = Toxiproxy::start();
    let origin = Origin::mirror();
    let listen = toxiproxy.proxy("Redis Master", origin.address);
    toxiproxy.toxic("Redis%20Master", "latency", "downstream", &json!({"latency": 20}));
    let control = toxiproxy.squall.api();
    let status = control.json("/v1/status");
    assert_eq!(status["listeners"][0]["name"], "redis-master");
    assert_eq!(status["listeners"][0]["address"], json!(listen.to_string()));
    assert_eq!(status["listeners"][0]["enabled"], true);
    let rule = control.json("/v1/rules/redis-master.latency_downstream");
    assert_eq!((&rule["percentage"], &rule["match"]), (&json!(100), &json!({"listener": "redis-master"})));
    assert_eq!(rule["fault"], json!({"delay": {"fixed": "20ms", "on": "response"}}));
    assert_eq!(
        (&rule["toxic"]["proxy"], &rule["toxic"]["name"]),
        (&json!("Redis Master"), &json!("latency_downstream"))
    );
    assert!(rule["status"]["expires_at"].is_string(), "a fault that somebody forgets ends");
    let mut client = RawClient::connect(listen);
    client.send("x").read_exact(1);
    assert_eq!(control.injected("redis-master.latency_downstream"), 1);
    let metrics = control.metrics();
    let labels = [("rule", "redis-master.latency_downstream"), ("kind", "delay"), ("cluster", "redis-master")];
    assert_eq!(metrics.sum("chaos_injected_faults_total", &labels), 1.0);
    let audit = control.json("/v1/audit");
    let operations: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().filter_map(|entry| entry["operation"].as_str()).collect();
    assert!(operations.ends_with(&["createProxy", "createToxic"]), "{operations:?}");
    // Another name is not how Toxiproxy calls it.
    assert_eq!(
        control
            .put("/v1/rules/redis-master.latency_downstream", "{\"percentage\": 1, \"fault\": {\"delay\": \"1s\"}}")
            .status,
        409
    );
    assert_eq!(
        control.call("PATCH", "/v1/rules/redis-master.latency_downstream", &[], "{\"percentage\": 1}").status,
        409
    );
    // The control API takes it away, and so it is gone there.
    control.remove("redis-master.latency_downstream");
    assert_eq!(toxiproxy.call("GET", "/proxies/Redis%20Master/toxics", &Value::Null, 200), json!([]));
    toxiproxy.call("POST", "/proxies/Redis%20Master", &json!({"enabled": false}), 200);
    let off = &control.json("/v1/status")["listeners"][0];
    assert_eq!((&off["enabled"], &off["address"]), (&json!(false), &Value::Null));
}

#[test]
fn where_no_host_is_written_it_listens_everywhere_and_leads_to_this_machine() {
    let toxiproxy = Toxiproxy::start();
    let origin = Origin::mirror();
    let upstream = format!(":{}", origin.address.port());
    let proxy = json!({"name": "a", "listen": ":0", "upstream": upstream});
    let made = toxiproxy.call("POST", "/proxies", &proxy, 201);
    assert_eq!(made["upstream"], json!(upstream), "as it was written");
    let listen: SocketAddr = made["listen"].as_str().unwrap().parse().unwrap();
    assert!(listen.ip().is_unspecified(), "{listen}");
    let works = || {
        for host in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(host.parse().unwrap(), listen.port());
            RawClient::connect(address).send("x").read_exact(1);
        }
    };
    works();
    // Neither populate nor an update takes it for another one.
    let mut client = RawClient::connect(SocketAddr::new("127.0.0.1".parse().unwrap(), listen.port()));
    client.send("x").read_exact(1);
    let same = json!([{"name": "a", "listen": format!(":{}", listen.port()), "upstream": upstream}]);
    assert_eq!(toxiproxy.call("POST", "/populate", &same, 201)["proxies"][0]["upstream"], json!(upstream));
    toxiproxy.call("POST", "/proxies/a", &json!({"upstream": upstream}), 200);
    client.send("x").read_exact(1);
    toxiproxy.call("POST", "/proxies/a", &json!({"upstream": "127.0.0.1:9"}), 200);
    let back = toxiproxy.call("POST", "/proxies/a", &json!({"upstream": upstream}), 200);
    assert_eq!(back["upstream"], json!(upstream));
    works();
}

#[test]
fn halt_lifts_toxics_until_resume() {
    let toxiproxy = Toxiproxy::start();
    let origin = Origin::mirror();
    let mut client = RawClient::connect(toxiproxy.proxy("a", origin.address));
    client.send("x").read_exact(1);
    toxiproxy.toxic("a", "bandwidth", "downstream", &json!({"rate": 0}));
    client.send("y");
    assert!(client.is_silent_for(Duration::from_millis(200)));
    toxiproxy.squall.api().halt();
    assert_eq!(client.read_exact(1), b"y");
    assert_eq!(toxiproxy.call("GET", "/proxies/a/toxics", &Value::Null, 200).as_array().unwrap().len(), 1);
    client.send("z").read_exact(1);
    toxiproxy.squall.api().resume();
    client.send("w");
    assert!(client.is_silent_for(Duration::from_millis(200)));
}

#[test]
fn a_toxic_ends_with_its_ttl() {
    let toxiproxy = Toxiproxy::start();
    let origin = Origin::mirror();
    let mut client = RawClient::connect(toxiproxy.proxy("a", origin.address));
    client.send("x").read_exact(1);
    let toxic = json!({"type": "bandwidth", "attributes": {"rate": 0}, "ttl": "300ms"});
    toxiproxy.call("POST", "/proxies/a/toxics", &toxic, 200);
    let begin = Instant::now();
    assert_eq!(client.send("y").read_exact(1), b"y");
    assert!(begin.elapsed() >= Duration::from_millis(200));
    eventually("an end of the toxic", PATIENCE, || {
        (toxiproxy.call("GET", "/proxies/a/toxics", &Value::Null, 200) == json!([])).then_some(())
    });
}

const FILE: &str = "  proxies:
    - name: Redis
      listen: 127.0.0.1:0
      upstream: 127.0.0.1:9
      toxics:
        - {type: latency, attributes: {latency: 20}}
        - {type: bandwidth, stream: upstream, toxicity: 0.5, attributes: {rate: 7}, ttl: 1h}
    - {name: off, upstream: 'nowhere.invalid:1', enabled: false}
";

#[test]
fn proxies_and_toxics_of_the_file_are_there_from_the_start() {
    let toxiproxy = Toxiproxy::start_with(FILE);
    let proxies = toxiproxy.call("GET", "/proxies", &Value::Null, 200);
    let names = |toxics: &Value| -> Vec<String> {
        toxics.as_array().unwrap().iter().map(|toxic| toxic["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&proxies["Redis"]["toxics"]), ["bandwidth_upstream", "latency_downstream"]);
    assert_eq!((&proxies["off"]["enabled"], &proxies["off"]["listen"]), (&json!(false), &json!("")));
    let rules = toxiproxy.squall.api().json("/v1/rules");
    let of_file = rules["rules"].as_array().unwrap().iter().all(|rule| rule["status"]["origin"] == "file");
    assert!(of_file, "{rules:#}");
    // The configuration in force is as somebody would write it, and can be put back.
    let control = toxiproxy.squall.api();
    let config = control.json("/v1/config");
    assert_eq!(config["toxiproxy"]["proxies"][0]["toxics"][1]["attributes"], json!({"rate": 7}), "{config:#}");
    let put = control.put("/v1/config", &config.to_string());
    assert_eq!((put.status, &put.json()["changed"]), (200, &json!(false)), "{}", put.text());
}

#[test]
fn a_reload_keeps_what_the_api_made_and_the_connections_of_what_stays() {
    let origin = Origin::mirror();
    let more = FILE.replace("127.0.0.1:9", &origin.address.to_string());
    let toxiproxy = Toxiproxy::start_with(&more);
    toxiproxy.toxic("Redis", "slicer", "downstream", &json!({}));
    let of_api = toxiproxy.proxy("of-api", origin.address);
    toxiproxy.toxic("of-api", "latency", "downstream", &json!({"latency": 1}));
    let redis = toxiproxy.call("GET", "/proxies/Redis", &Value::Null, 200)["listen"].as_str().unwrap().parse().unwrap();
    let mut clients: Vec<RawClient> = [redis, of_api].map(RawClient::connect).into();
    clients.iter_mut().for_each(|client| drop(client.send("x").read_exact(1)));
    let text = std::fs::read_to_string(toxiproxy.squall.file()).unwrap();
    std::fs::write(
        toxiproxy.squall.file(),
        text.replace("latency: 20", "latency: 30").replace("name: off", "name: other"),
    )
    .unwrap();
    toxiproxy.squall.signal("HUP");
    let proxies = eventually("the new file", PATIENCE, || {
        let proxies = toxiproxy.call("GET", "/proxies", &Value::Null, 200);
        proxies["other"].is_object().then_some(proxies)
    });
    assert!(proxies["off"].is_null() && proxies["of-api"]["toxics"][0]["name"] == "latency_downstream", "{proxies:#}");
    let toxics: Vec<&Value> =
        proxies["Redis"]["toxics"].as_array().unwrap().iter().map(|toxic| &toxic["name"]).collect();
    assert_eq!(toxics, ["bandwidth_upstream", "latency_downstream", "slicer_downstream"]);
    assert_eq!(proxies["Redis"]["toxics"][1]["attributes"]["latency"], 30);
    clients.iter_mut().for_each(|client| drop(client.send("y").read_exact(1)));
}

#[test]
fn no_toxic_of_the_api_outlives_the_process_with_its_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let settings =
        Settings::new().with(&format!("toxiproxy:\n  address: 127.0.0.1:0\n{FILE}state_dir: {}", state.display()));
    let toxiproxy = Toxiproxy::of(&settings);
    toxiproxy.proxy("of-api", "127.0.0.1:9");
    toxiproxy.toxic("of-api", "latency", "downstream", &json!({"latency": 1}));
    toxiproxy.toxic("Redis", "slicer", "downstream", &json!({}));
    toxiproxy.call("DELETE", "/proxies/Redis/toxics/latency_downstream", &Value::Null, 204);
    toxiproxy.squall.signal("KILL");
    drop(toxiproxy);
    let toxiproxy = Toxiproxy::of(&settings);
    let proxies = toxiproxy.call("GET", "/proxies", &Value::Null, 200);
    assert!(proxies["of-api"].is_null(), "{proxies:#}");
    let toxics: Vec<&Value> =
        proxies["Redis"]["toxics"].as_array().unwrap().iter().map(|toxic| &toxic["name"]).collect();
    assert_eq!(toxics, ["bandwidth_upstream", "slicer_downstream"], "as they were changed");
}

#[test]
fn what_is_wrong_in_the_file_is_said_where_it_is() {
    let file = "version: 1
toxiproxy:
  address: 0.0.0.0:8474
  proxies:
    - {name: a, upstream: 'a:1', listen: 127.0.0.1:1}
    - {name: a, upstream: 'a:1'}
    - {name: b}
    - name: c
      upstream: c:1
      listen: nonsense
    - name: d
      upstream: d
      toxics:
        - {type: latencyy}
        - {type: latency, attributes: {latncy: 5}}
        - {type: latency, stream: sideways}
        - {type: bandwidth, attributes: {rate: fast}}
        - {type: latency, name: long, attributes: {latency: 999999999}}
";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("squall.yaml");
    std::fs::write(&path, file).unwrap();
    let done = squall_integration::squall::output(&["config", "validate", path.to_str().unwrap()]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(3), "{said}");
    for expected in [
        ":3:3: toxiproxy.address: 0.0.0.0:8474 can be reached from other machines",
        ":6:8: toxiproxy.proxies[1].name: there is a proxy \"a\" before",
        "toxiproxy.proxies[2].upstream: missing",
        ":10:7: toxiproxy.proxies[3].listen: \"nonsense\" is not an address to listen on",
        "toxiproxy.proxies[4]: cluster \"d\": \"d\" is not a host and a port: the port is missing",
        ":14:12: toxiproxy.proxies[4].toxics[0].type: there is no toxic \"latencyy\"",
        "toxiproxy.proxies[4].toxics[1].attributes.latncy: latency has no attribute \"latncy\"; it has jitter, latency",
        "toxiproxy.proxies[4].toxics[2].stream: \"sideways\" is neither upstream nor downstream",
        "toxiproxy.proxies[4].toxics[3].attributes.rate: ",
        "toxiproxy.proxies[4].toxics[4]: rule \"d.long\":",
    ] {
        assert!(said.contains(expected), "{expected}\n---\n{said}");
    }
}

#[test]
fn tokens_are_asked_for_unless_it_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    std::fs::write(&tokens, "read reader r-0123456789abcdef\ninject tester i-0123456789abcdef\n").unwrap();
    std::os::unix::fs::PermissionsExt::set_mode(&mut std::fs::metadata(&tokens).unwrap().permissions(), 0o600);
    assert!(std::process::Command::new("chmod").args(["600", tokens.to_str().unwrap()]).status().unwrap().success());
    let start = |more: &str| {
        let control = format!("{{ address: \"127.0.0.1:0\", token_file: {} }}", tokens.display());
        let text = format!("toxiproxy: {{address: 127.0.0.1:0{more}}}");
        Squall::start(&Settings::new().control(&control).with(&text))
    };
    let make = json!({"name": "a", "upstream": "127.0.0.1:9", "enabled": false}).to_string();
    let closed = start("");
    let call = |token: &str| closed.toxiproxy().call("POST", "/proxies", &[token], &make).status;
    assert_eq!(call("X-None: 1"), 401);
    assert_eq!(call("Authorization: Bearer wrong"), 401);
    assert_eq!(call("Authorization: Bearer r-0123456789abcdef"), 403);
    assert_eq!(call("Authorization: Bearer i-0123456789abcdef"), 201);
    let open = start(", open: true");
    assert_eq!(open.toxiproxy().call("POST", "/proxies", &[], &make).status, 201);
}

#[test]
fn a_flag_opens_it_to_all_machines_and_by_every_name() {
    let refused = squall::output(&["run", "--control", "127.0.0.1:0", "--toxiproxy", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && said.contains("squall run --toxiproxy-open"), "{said}");
    let answered = |flags: &[&str]| {
        let squall = Squall::start_without_file(flags);
        let mut client = RawClient::connect(squall.toxiproxy().address);
        client.send("GET /version HTTP/1.1\r\nHost: proxies.test\r\n\r\n").answer().status
    };
    assert_eq!(answered(&["--toxiproxy", "127.0.0.1:0"]), 403);
    assert_eq!(answered(&["--toxiproxy", "0.0.0.0:0", "--toxiproxy-open"]), 200);
}

#[test]
fn no_proxy_leads_to_squalls_own_doors() {
    let toxiproxy = Toxiproxy::start();
    for own in [toxiproxy.api.address, toxiproxy.squall.api().address] {
        let listen = toxiproxy.proxy(&format!("to-{own}"), own);
        // A connection that is reset at once is as good as one that is reset later.
        let Ok(mut client) = RawClient::try_connect(listen) else { continue };
        let _ = client.try_send("GET /proxies HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.read_to_end().0, b"", "a proxy led to {own}");
    }
}
