//! Watching requests as they end, over the API and on the command line.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::path::Path;
use squall_integration::wait::PATIENCE;
use squall_integration::{eventually, squall};

/// With a rule for what is broken at B, and one for what is slow.
fn scene() -> Path {
    let scene = Path::bare();
    let broken = json!({"match": {"path": {"prefix": "/broken"}}, "percentage": 100, "fault": {"abort": 503}});
    let slow = json!({"match": {"path": {"prefix": "/sized"}}, "percentage": 100, "fault": {"delay": "5ms"}});
    scene.api().rule("broken-b", &broken);
    scene.api().rule("slow-b", &slow);
    scene
}

/// Events of `GET /v1/tap` with this query, from now on.
fn watch(scene: &Path, query: &str) -> Watched {
    let address = scene.api().address;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /v1/tap{query} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut watched = Watched(BufReader::new(stream));
    assert!(watched.line().starts_with("HTTP/1.1 200"));
    while !watched.line().starts_with(": watching") {}
    watched
}

fn ask(scene: &Path, paths: &[&str]) {
    let mut client = scene.client();
    for path in paths {
        client.get(path);
    }
}

struct Watched(BufReader<TcpStream>);

impl Watched {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The next event, as its kind and data.
    fn next(&mut self) -> (String, Value) {
        let mut kind = String::new();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("event: ") {
                kind = text.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (kind, serde_json::from_str(data).unwrap());
            }
            assert!(!line.is_empty(), "the stream ended");
        }
    }
}

#[test]
fn each_filter_lets_through_what_it_says() {
    let scene = scene();
    for (query, expected) in [
        ("", &["/echo?q=1", "/broken/1", "/sized/10"][..]),
        ("?faulted=true", &["/broken/1", "/sized/10"]),
        ("?rule=slow-b", &["/sized/10"]),
        ("?path=/br", &["/broken/1"]),
        ("?path=%2Fbroken%2F1&status=503", &["/broken/1"]),
        ("?status=2xx", &["/echo?q=1", "/sized/10"]),
        ("?status=2xx&faulted=true", &["/sized/10"]),
    ] {
        let mut watched = watch(&scene, query);
        // A worker may not have heard yet that somebody watches; what it does not show then is shown the next time.
        for path in expected {
            let seen = eventually(path, PATIENCE, || {
                ask(&scene, &["/echo?q=1", "/broken/1", "/sized/10"]);
                let (kind, line) = watched.next();
                assert_eq!(kind, "exchange");
                let seen = line["path"].as_str().unwrap().to_owned();
                let all: Vec<&str> = expected.iter().map(|path| path.split('?').next().unwrap()).collect();
                assert!(all.contains(&&*seen), "{query}: {line}");
                (seen == path.split('?').next().unwrap()).then_some(line)
            });
            assert!(!seen.to_string().contains("q=1"), "{seen}");
        }
    }
}

#[test]
fn there_are_so_many_a_second_and_the_rest_is_counted() {
    let scene = scene();
    let mut watched = watch(&scene, "?rate=5&path=/echo");
    let mut client = scene.client();
    let (mut shown, mut missed) = (0, 0);
    eventually("so many are left out that it is said", PATIENCE, || {
        for _ in 0..50 {
            client.get("/echo");
        }
        let (kind, data) = watched.next();
        match kind.as_str() {
            "missed" => missed += data["missed"].as_u64().unwrap(),
            _ => shown += 1,
        }
        (missed > 0).then_some(())
    });
    assert!(shown >= 1 && missed >= 45 - 5, "{shown} shown, {missed} missed");
}

#[test]
fn what_is_not_known_is_refused() {
    let scene = scene();
    for query in ["?statuss=503", "?status=600", "?rate=0", "?rate=many", "?faulted=perhaps"] {
        let answer = scene.api().get(&format!("/v1/tap{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains("status=503 or 5xx"), "{}", answer.text());
    }
    let watchers: Vec<Watched> = (0..16).map(|_| watch(&scene, "")).collect();
    assert_eq!(scene.api().get("/v1/tap").status, 503);
    drop(watchers);
    eventually("a place is free again", PATIENCE, || {
        let address = scene.api().address;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /v1/tap HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (&head == b"HTTP/1.1 200").then_some(())
    });
}

fn tap(scene: &Path, arguments: &[&str]) -> Child {
    let control = scene.api().url();
    let mut command = squall::command(&[&["tap", "--control", &control], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Makes traffic until it ends; its code, and what it wrote.
fn end_of(scene: &Path, mut child: Child) -> (Option<i32>, String, String) {
    let status = eventually("squall tap has enough", PATIENCE, || {
        ask(scene, &["/echo", "/broken/1"]);
        child.try_wait().unwrap()
    });
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (status.code(), out, err)
}

#[test]
fn the_command_line_shows_lines() {
    let scene = scene();
    let (code, out, err) = end_of(&scene, tap(&scene, &["-n", "3", "--faulted"]));
    assert_eq!((code, out.lines().count()), (Some(0), 3), "{out}{err}");
    for line in out.lines() {
        assert!(line.contains(" GET b/broken/1 -> service-b 503 ") && line.ends_with(" broken-b/abort"), "{line}");
    }
    let (code, out, _) = end_of(&scene, tap(&scene, &["-n", "1", "--path", "/echo", "-o", "json"]));
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &line["path"], &line["status"]), (Some(0), &json!("/echo"), &json!(200)));

    let (code, _, err) = end_of(&scene, tap(&scene, &["--status", "teapot"]));
    assert!(code == Some(3) && err.contains("\"teapot\" is no status"), "{code:?} {err}");
    let output = squall::output(&["tap", "--control", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(4));
    let curl = squall::output(&["tap", "--rule", "a b", "--curl"]);
    assert!(String::from_utf8_lossy(&curl.stdout).contains("/v1/tap?rate=100&rule=a%20b"), "{curl:?}");
}

#[test]
fn who_waits_for_a_rule_that_is_not_there_is_told_at_once() {
    let scene = scene();
    let mut child = tap(&scene, &["-n", "1", "--rule", "later"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    err.read_line(&mut said).unwrap();
    let expected =
        "there is no rule \"later\"; waiting until there is one (`squall rule ls` lists those that there are)\n";
    assert!(said.ends_with(expected), "{said}");
    // It goes on waiting: what the rule touches once it is there is shown.
    scene
        .api()
        .rule("later", &json!({"match": {"path": {"prefix": "/echo"}}, "percentage": 100, "fault": {"abort": 503}}));
    child.stderr = Some(err.into_inner());
    let (code, out, rest) = end_of(&scene, child);
    assert!(code == Some(0) && out.contains("later/abort") && rest.is_empty(), "{code:?} {out} {rest}");
    let (_, _, err) = end_of(&scene, tap(&scene, &["-n", "1", "--rule", "later"]));
    assert_eq!(err, "");
}

#[test]
fn watchers_do_not_keep_squall_from_its_end() {
    let mut scene = scene();
    let _watched = watch(&scene, "");
    scene.squall.signal("TERM");
    assert!(scene.squall.wait(Duration::from_secs(5)).success());
}
