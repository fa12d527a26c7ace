//! What the process has only so much of: descriptors, places of the control API, readers of the log.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use squall_integration::origin::{Origin, refusing};
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{Api, RawClient, Settings, Squall, eventually};

fn open_files_max(squall: &Squall, limit: usize) {
    let done = Command::new("prlimit").args([format!("--pid={}", squall.pid()), format!("--nofile={limit}:")]).status();
    assert!(done.is_ok_and(|status| status.success()), "prlimit sets a limit");
}

/// Time on a processor since the start, in ticks of 10 ms.
fn ticks(squall: &Squall) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", squall.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn without_descriptors_what_is_open_goes_on_and_nothing_spins() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let address = squall.to_b();
    let mut open = RawClient::connect(address);
    assert_eq!(open.get("/").status, 200);
    let used = std::fs::read_dir(format!("/proc/{}/fd", squall.pid())).unwrap().count();
    open_files_max(&squall, used + 3);
    // They wait in the queue of the kernel, which nobody empties.
    let crowd: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    eventually("a word about it", PATIENCE, || squall.said().contains("raise the limit of open files").then_some(()));
    let (before, begun) = (ticks(&squall), Instant::now());
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(open.get("/").status, 200, "a connection that is open goes on");
        pause(Duration::from_millis(20));
    }
    let busy = ticks(&squall) - before;
    assert!(busy < 50, "{busy} ticks of 10 ms in 1.5 s");
    drop(crowd);
    open_files_max(&squall, 1024);
    assert_eq!(RawClient::connect(address).get("/").status, 200);
}

#[test]
fn callers_that_say_nothing_do_not_keep_others_from_the_control_api() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let address = squall.api().address;
    let mut crowd: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    for half in crowd.iter_mut().skip(100) {
        let _ = std::io::Write::write_all(half, b"PUT /v1/rules/x HTTP/1.1\r\nHost: s\r\nX: ");
    }
    let begun = Instant::now();
    assert_eq!(squall.api().post("/v1/halt", "").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(crowd);
}

#[test]
fn watchers_of_the_control_api_are_so_many_and_no_more() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    for path in ["/v1/events", "/v1/tap"] {
        let ask = || {
            let mut client = RawClient::connect(squall.api().address);
            client.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
            let line = String::from_utf8(client.read_exact(12)).unwrap();
            (client, line)
        };
        let watchers: Vec<(RawClient, String)> = (0..100).map(|_| ask()).collect();
        let n_served = watchers.iter().filter(|(_, line)| line.ends_with("200")).count();
        let n_refused = watchers.iter().filter(|(_, line)| line.ends_with("503")).count();
        assert!(n_served >= 8 && n_refused > 0 && n_served + n_refused == 100, "{path}: {n_served}, {n_refused}");
        assert_eq!(squall.api().get("/v1/status").status, 200, "beside all watchers of {path}");
        drop(watchers);
    }
}

#[test]
fn a_body_of_the_control_api_has_its_limit() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let answer = squall.api().put("/v1/rules", &format!("[{}]", " ".repeat(5 << 20)));
    assert_eq!(answer.status, 413);
    let mut client = RawClient::connect(squall.api().address);
    let _ = client.try_send(format!("GET / HTTP/1.1\r\nHost: s\r\nX: {}\r\n\r\n", "x".repeat(200_000)));
    assert!(client.try_answer("GET").is_ok_and(|answer| answer.status == 431));
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    std::fs::write(&file, Settings::http(refusing()).text()).unwrap();
    let mut command = squall_integration::squall::command(&["run", "--log", "debug", "-c"]);
    let mut child = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Read until the control API listens, and never again.
    let mut log = BufReader::with_capacity(64, child.stderr.take().unwrap());
    let address: SocketAddr = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the control address comes");
        if let Some((_, rest)) = line.split_once("http://").filter(|_| line.contains("control ")) {
            break rest.trim().parse().unwrap();
        }
    };
    let api = Api { address };
    for n in 0..600 {
        let rule = serde_json::json!({"percentage": n % 100, "fault": {"delay": "1ms"}});
        assert!(api.put("/v1/rules/storm", &rule.to_string()).status < 300);
    }
    let begun = Instant::now();
    assert_eq!(api.post("/v1/halt", "").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // What is said of calls that fail is more than may wait; the rest is counted.
    let status = api.json("/v1/status");
    let mut client = RawClient::connect(status["listeners"][0]["address"].as_str().unwrap().parse().unwrap());
    eventually("lines are lost, and counted", PATIENCE * 3, || {
        (0..1_000).for_each(|_| assert_eq!(client.get("/").status, 502));
        (api.metrics().sum("squall_log_lines_lost_total", &[]) > 0.0).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // The pipe was full, so that a thread that writes to it had to wait.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut log, &mut rest).unwrap();
    assert!(rest.len() >= 60 * 1024, "{} bytes", rest.len());
}
