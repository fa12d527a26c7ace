//! Start, signals, drain and end.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::client::{self, Client, get};
use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::squall::output;
use squall_integration::{End, RawClient, Settings, Squall, eventually};

const GET: &str = "GET /echo HTTP/1.1\r\nHost: b\r\n\r\n";

fn start(more: &str) -> (Echo, Squall) {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address).with(more));
    (echo, squall)
}

fn arrived(echo: &Echo, count: usize) {
    eventually("the request arrives", Duration::from_secs(5), || (echo.requests() >= count).then_some(()));
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    let (echo, mut squall) = start("drain: { timeout: 20s }");
    let address = squall.to_b();
    let mut idle = RawClient::connect(address);
    assert_eq!(idle.get("/echo").status, 200);
    let mut busy = RawClient::connect(address);
    busy.send("GET /slow/1500 HTTP/1.1\r\nHost: b\r\n\r\n");
    arrived(&echo, 2);
    squall.signal("TERM");
    let answer = busy.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(busy.read_to_end(), (vec![], End::Fin));
    assert_eq!(idle.read_to_end(), (vec![], End::Fin), "an idle connection is closed in order");
    assert_eq!(squall.wait(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn while_draining_nothing_new_comes_in_and_readyz_says_so() {
    let (echo, mut squall) = start("drain: { timeout: 20s }");
    let (address, api) = (squall.to_b(), squall.api());
    let mut busy = RawClient::connect(address);
    busy.send("GET /slow/2500 HTTP/1.1\r\nHost: b\r\n\r\n");
    arrived(&echo, 1);
    squall.signal("TERM");
    eventually("no new connections", Duration::from_secs(2), || TcpStream::connect(address).is_err().then_some(()));
    let ready = api.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(api.get("/livez").status, 200, "draining is no reason to be killed");
    assert!(squall.is_running());
    assert_eq!(busy.answer().status, 200);
    assert_eq!(squall.wait(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn the_drain_delay_keeps_accepting_while_not_ready() {
    let (_echo, mut squall) = start("drain: { delay: 1500ms, timeout: 5s }");
    let (address, api) = (squall.to_b(), squall.api());
    squall.signal("TERM");
    eventually("not ready", Duration::from_secs(1), || (api.get("/readyz").status == 503).then_some(()));
    assert_eq!(RawClient::connect(address).get("/echo").status, 200, "for those who have not noticed yet");
    assert_eq!(squall.wait(Duration::from_secs(8)).code(), Some(0));
}

#[test]
fn held_requests_are_cut_short_by_the_drain() {
    let (_echo, mut squall) = start("drain: { timeout: 20s }");
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"delay": "60s"}}));
    let mut clients: Vec<RawClient> = (0..10).map(|_| RawClient::connect(squall.to_b())).collect();
    for client in &mut clients {
        client.send(GET);
    }
    let api = squall.api();
    eventually("ten held", Duration::from_secs(5), || {
        (api.metrics().sum("chaos_active_faults", &[]) == 10.0).then_some(())
    });
    let begin = Instant::now();
    squall.signal("TERM");
    for client in &mut clients {
        let (_, end) = client.read_to_end();
        assert_ne!(end, End::Silence);
    }
    assert_eq!(squall.wait(Duration::from_secs(5)).code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn the_hard_deadline_ends_what_does_not_end() {
    let origin = Origin::start(|mut peer| {
        peer.request();
        peer.read_to_end();
    });
    let mut squall = Squall::start(&Settings::http(origin.address).with("drain: { timeout: 700ms }"));
    let mut client = RawClient::connect(squall.to_b());
    client.send(GET);
    eventually("the request arrives", Duration::from_secs(5), || (origin.seen().len() == 1).then_some(()));
    let begin = Instant::now();
    squall.signal("TERM");
    assert_ne!(client.read_to_end().1, End::Silence);
    squall.wait(Duration::from_secs(5));
    assert!((Duration::from_millis(600)..Duration::from_secs(3)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[test]
fn a_second_signal_means_now() {
    for signal in ["TERM", "INT"] {
        let (echo, mut squall) = start("drain: { timeout: 60s }");
        let mut busy = RawClient::connect(squall.to_b());
        busy.send("GET /slow/30000 HTTP/1.1\r\nHost: b\r\n\r\n");
        arrived(&echo, 1);
        squall.signal(signal);
        eventually("draining", Duration::from_secs(3), || (squall.api().get("/readyz").status == 503).then_some(()));
        squall.signal(signal);
        squall.wait(Duration::from_secs(3));
        assert_ne!(busy.read_to_end().1, End::Silence);
    }
}

#[test]
fn http2_clients_get_goaway_and_their_answers() {
    let (echo, mut squall) = start("drain: { timeout: 20s }");
    let address = squall.to_b();
    client::run(Duration::from_secs(30), async {
        let mut client = Client::http2(address).await;
        assert_eq!(client.must(get("/echo")).await.status, 200);
        let mut stream = client.stream();
        let slow = tokio::spawn(async move { stream.must(get("/slow/1000")).await });
        while echo.requests() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        squall.signal("TERM");
        assert_eq!(slow.await.unwrap().body, "ok", "a stream in flight finishes");
        let late = tokio::time::timeout(Duration::from_secs(5), client.send(get("/echo"))).await.expect("no hang");
        assert!(late.is_err(), "no new stream after GOAWAY: {late:?}");
        assert_eq!(squall.wait(Duration::from_secs(5)).code(), Some(0));
    });
}

#[test]
fn relays_are_drained_and_then_cut() {
    let origin = Origin::mirror();
    let mut squall = Squall::start(&Settings::tcp(origin.address).with("drain: { timeout: 1s }"));
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(client.send("one").read_exact(3), b"one");
    squall.signal("TERM");
    squall_integration::wait::pause(Duration::from_millis(300));
    assert_eq!(client.send("two").read_exact(3), b"two", "an open relay goes on");
    assert_ne!(client.read_to_end().1, End::Silence, "until the deadline");
    squall.wait(Duration::from_secs(5));
}

#[test]
fn held_relays_are_let_go_by_the_drain() {
    let origin = Origin::mirror();
    let mut squall = Squall::start(&Settings::tcp(origin.address).with("drain: { timeout: 20s }"));
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"blackhole": true}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send("one");
    let api = squall.api();
    eventually("held", Duration::from_secs(5), || (api.injected("r") == 1).then_some(()));
    let begin = Instant::now();
    squall.signal("TERM");
    assert_eq!(client.read_exact(3), b"one", "as if there were no rule");
    drop(client);
    assert_eq!(squall.wait(Duration::from_secs(5)).code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn sigusr1_halts() {
    let (_echo, squall) = start("");
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"delay": "60s"}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send(GET);
    let api = squall.api();
    eventually("held", Duration::from_secs(5), || (api.metrics().sum("chaos_active_faults", &[]) == 1.0).then_some(()));
    squall.signal("USR1");
    assert_eq!(client.answer().status, 200, "released");
    assert_eq!(client.get("/echo").status, 200, "and no more");
    assert_eq!(api.metrics().sum("chaos_halted", &[]), 1.0);
}

#[test]
fn an_access_log_that_cannot_be_written_is_named() {
    let done =
        output(&["run", "--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--access-log", "no/log"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("access_log: cannot write to no/log: No such file or directory"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    let listener = Settings::http("127.0.0.1:9".parse().unwrap())
        .text()
        .replace("address: 127.0.0.1:0", &format!("address: {address}"));
    std::fs::write(&file, listener).unwrap();
    let done = output(&["run", "-c", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("to-b"), "names address and listener: {said}");
    let control = format!("version: 1\ncontrol: {{ address: \"{address}\" }}\n");
    std::fs::write(&file, control).unwrap();
    let done = output(&["run", "-c", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("control"), "{said}");
    // The same where flags say it.
    for (listen, control, named) in
        [(address.as_str(), "127.0.0.1:0", "to-upstream"), ("127.0.0.1:0", &address, "control")]
    {
        let flags = ["run", "--upstream", "http://127.0.0.1:9", "--listen", listen, "--control", control];
        let done = output(&flags);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(&address) && said.contains(named), "{said}");
    }
}

#[test]
fn an_invalid_file_at_start_is_exit_3_with_every_problem() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    let text = "version: 1\nlisteners:\n  - name: to-b\n    adress: 127.0.0.1:0\n    cluster: nowhere\nrules:\n  - name: r\n    fault: { delay: 2s }\n";
    std::fs::write(&file, text).unwrap();
    for arguments in [vec!["run", "-c", file.to_str().unwrap()], vec!["config", "validate", file.to_str().unwrap()]] {
        let done = output(&arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
        assert_eq!(done.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(
            said.contains("squall.yaml:4:5: listeners[0].adress") && said.contains("did you mean \"address\"?"),
            "{said}"
        );
    }
    std::fs::write(&file, "version: 1\nlisteners: [}\n").unwrap();
    assert_eq!(output(&["run", "-c", file.to_str().unwrap()]).status.code(), Some(3));
    assert_eq!(output(&["run", "-c", "/nonexistent/squall.yaml"]).status.code().map(|c| c == 1 || c == 3), Some(true));
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let (_echo, squall) = start("");
    let control = squall.api().url();
    let code = |arguments: &[&str]| {
        let done = output(arguments);
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    assert_eq!(code(&["--version"]).0, Some(0));
    assert_eq!(code(&["--help"]).0, Some(0));
    assert_eq!(code(&["nonsense"]).0, Some(2));
    assert_eq!(code(&["run", "--nonsense"]).0, Some(2));
    assert_eq!(code(&["status", "--control", &control]), (Some(0), String::new()));
    let nobody = format!("http://{}", squall_integration::origin::refusing());
    let (unreachable, said) = code(&["status", "--control", &nobody]);
    assert_eq!(unreachable, Some(4), "{said}");
    assert!(said.contains(nobody.trim_start_matches("http://")), "names the address: {said}");
}

#[test]
fn client_verbs_work_on_a_running_squall() {
    let (_echo, squall) = start("");
    let control = squall.api().url();
    let file = squall.directory().join("rule.yaml");
    std::fs::write(&file, "name: r\npercentage: 100\nfault: { abort: 503 }\n").unwrap();
    let run = |arguments: &[&str]| {
        let done = output(&[arguments, &["--control", &control]].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned(), said)
    };
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"abort": 503}}));
    let mut client = RawClient::connect(squall.to_b());
    let (code, list, said) = run(&["rule", "ls", "-o", "json"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(serde_json::from_str::<serde_json::Value>(&list).is_ok_and(|v| v.to_string().contains("\"r\"")), "{list}");
    assert!(run(&["rule", "ls"]).1.contains('r'));
    assert!(run(&["rule", "get", "r", "-o", "yaml"]).1.contains("abort"));
    assert_eq!(run(&["rule", "disable", "r"]).0, Some(0));
    assert_eq!(client.get("/echo").status, 200);
    assert_eq!(run(&["rule", "enable", "r"]).0, Some(0));
    assert_eq!(client.get("/echo").status, 503);
    assert_eq!(run(&["halt"]).0, Some(0));
    assert_eq!(client.get("/echo").status, 200);
    assert_eq!(run(&["resume"]).0, Some(0));
    assert_eq!(client.get("/echo").status, 503);
    assert_eq!(run(&["rule", "rm", "r"]).0, Some(0));
    assert_eq!(client.get("/echo").status, 200);
    let (code, _, said) = run(&["rule", "get", "r"]);
    assert_ne!(code, Some(0), "{said}");
}

#[test]
fn healthcheck_tells_ready_from_not() {
    let (_echo, squall) = start("");
    let control = squall.api().url();
    assert_eq!(output(&["healthcheck", "--control", &control]).status.code(), Some(0));
    let nobody = format!("http://{}", squall_integration::origin::refusing());
    assert_ne!(output(&["healthcheck", "--control", &nobody]).status.code(), Some(0));
}

#[test]
fn the_telemetry_address_is_read_only() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address).with("telemetry: { address: \"127.0.0.1:0\" }"));
    let said = squall.said();
    let address = said
        .lines()
        .find(|l| l.contains("telemetry") && l.contains("http://"))
        .and_then(|l| l.split("http://").nth(1))
        .map(|rest| rest.split(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).next().unwrap_or_default())
        .and_then(|a| a.parse().ok())
        .unwrap_or_else(|| panic!("no telemetry URL in {said}"));
    let telemetry = squall_integration::Api { address };
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(telemetry.get(path).status, 200, "{path}");
        let by_name = format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n");
        assert_eq!(RawClient::connect(address).send(by_name).answer().status, 200, "{path} of a host of any name");
    }
    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/v1/rules"),
        ("PUT", "/v1/rules/r"),
        ("POST", "/v1/halt"),
        ("GET", "/v1/config"),
    ] {
        assert_eq!(telemetry.call(method, path, &[], "").status, 404, "{method} {path}");
    }
}

#[test]
fn run_works_without_a_file() {
    let echo = Echo::http1();
    let directory = tempfile::tempdir().unwrap();
    let mut child = squall_integration::squall::command(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--upstream",
    ]);
    let child = child.arg(format!("http://{}", echo.address)).current_dir(directory.path());
    let mut child = child.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let (sender, urls) = std::sync::mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut said = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end && said.iter().filter(|l: &&String| l.contains("http://127.0.0.1:")).count() < 2 {
        said.extend(urls.recv_timeout(Duration::from_millis(100)));
    }
    let answered = said.iter().flat_map(|l| l.split("http://").skip(1)).any(|rest| {
        let address = rest.split(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).next().unwrap_or_default();
        let Ok(address) = address.parse() else { return false };
        address != echo.address
            && TcpStream::connect(address).is_ok()
            && RawClient::connect(address).get("/echo").text().contains("\"target\":\"/echo\"")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answered, "no URL of the listener among: {said:#?}");
}
