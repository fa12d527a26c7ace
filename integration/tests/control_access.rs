//! Who may call the control API: tokens and their roles, and what becomes of those who have none.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use squall_integration::message::{Answer, read_answer};
use squall_integration::origin::Origin;
use squall_integration::squall::{command, output};
use squall_integration::wait::PATIENCE;
use squall_integration::{Api, End, RawClient, Settings, Squall, eventually};

const READ: &str = "read-token-of-grafana";
const INJECT: &str = "inject-token-of-the-pipeline";
const ADMIN: &str = "admin-token-of-alice";
const RULE: &str = r#"{"percentage": 0, "fault": {"abort": 503}}"#;

fn tokens() -> String {
    format!("# who may what\nread grafana {READ}\ninject pipeline {INJECT}\nadmin alice {ADMIN}\n")
}

fn write(file: &Path, text: &str, mode: u32) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A Squall whose control API asks for a token, and the file of these.
fn start(origin: &Origin, arguments: &[&str]) -> (Squall, tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    write(&file, &tokens(), 0o600);
    let control = format!("{{ address: \"127.0.0.1:0\", token_file: {} }}", file.display());
    let settings = Settings::http(origin.address).control(&control).with("telemetry: { address: \"127.0.0.1:0\" }");
    (Squall::start_with(&settings, arguments), directory, file)
}

fn call(api: &Api, token: &str, method: &str, path: &str, body: &str) -> Answer {
    match token {
        "" => api.call(method, path, &[], body),
        token => api.call(method, path, &[&format!("Authorization: Bearer {token}")], body),
    }
}

fn refused(squall: &Squall, reason: &str) -> f64 {
    let text = call(&squall.api(), READ, "GET", "/metrics", "").text();
    squall_integration::exposition::Exposition::parse(&text).sum("squall_control_refused_total", &[("reason", reason)])
}

#[test]
fn each_role_may_do_what_it_is_for() {
    let origin = Origin::ok();
    let (squall, ..) = start(&origin, &[]);
    let api = squall.api();
    let config = call(&api, READ, "GET", "/v1/config", "").text();
    // Method, path, body, and the status for nobody, read, inject and admin.
    for (method, path, body, expected) in [
        ("GET", "/livez", "", [200, 200, 200, 200]),
        ("GET", "/readyz", "", [200, 200, 200, 200]),
        ("GET", "/metrics", "", [401, 200, 200, 200]),
        ("GET", "/openapi.json", "", [401, 200, 200, 200]),
        ("GET", "/v1/rules", "", [401, 200, 200, 200]),
        ("HEAD", "/v1/rules", "", [401, 200, 200, 200]),
        ("GET", "/v1/config", "", [401, 200, 200, 200]),
        ("GET", "/v1/status", "", [401, 200, 200, 200]),
        ("PUT", "/v1/rules/r", RULE, [401, 403, 201, 200]),
        ("PATCH", "/v1/rules/r", "{\"percentage\": 0}", [401, 403, 200, 200]),
        ("DELETE", "/v1/rules/r", "", [401, 403, 204, 404]),
        ("PUT", "/v1/rules", "[]", [401, 403, 200, 200]),
        ("PUT", "/v1/rules?dry_run=true", "[]", [401, 403, 200, 200]),
        ("POST", "/v1/halt", "", [401, 403, 200, 200]),
        ("POST", "/v1/resume", "", [401, 403, 200, 200]),
        ("PUT", "/v1/config", &config, [401, 403, 403, 200]),
        ("GET", "/v1/lease", "", [401, 200, 200, 200]),
        ("PUT", "/v1/lease", r#"{"holder": "ci", "ttl": "30s"}"#, [401, 403, 200, 200]),
        ("DELETE", "/v1/lease", "", [401, 403, 200, 200]),
        ("GET", "/v1/log-level", "", [401, 200, 200, 200]),
        ("PUT", "/v1/log-level", r#"{"level": "info"}"#, [401, 403, 403, 200]),
        // What is not there, or not to be done so, is nobody's business without a token.
        ("GET", "/v1/nothing", "", [401, 404, 404, 404]),
        ("POST", "/v1/rules", "", [401, 405, 405, 405]),
    ] {
        for (token, expected) in ["", READ, INJECT, ADMIN].into_iter().zip(expected) {
            let answer = call(&api, token, method, path, body);
            assert_eq!(answer.status, expected, "{method} {path} with {token:?}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate"), (expected == 401).then_some("Bearer"));
            assert!(!answer.text().contains("token-of"), "{}", answer.text());
            if expected == 403 {
                assert!(answer.text().contains("the call needs"), "{}", answer.text());
            }
        }
    }
    assert_eq!((refused(&squall, "unauthenticated"), refused(&squall, "forbidden")), (21.0, 12.0 + 1.0));
    assert!(!squall.said().contains("token-of"), "no secret in the log");
}

#[test]
fn what_is_no_token_is_told_nothing() {
    let origin = Origin::ok();
    let (squall, ..) = start(&origin, &[]);
    let bare = squall.api().get("/v1/status").text();
    let two = format!("Authorization: Bearer {ADMIN}\r\nAuthorization: Bearer {ADMIN}");
    for field in [
        "Authorization: Bearer wrong".to_owned(),
        format!("Authorization: Basic {ADMIN}"),
        format!("Authorization: {ADMIN}"),
        format!("Authorization: Bearer {}", &ADMIN[..ADMIN.len() - 1]),
        format!("Authorization: Bearer {ADMIN}x"),
        format!("Cookie: token={ADMIN}"),
        two,
    ] {
        let answer = squall.api().call("GET", "/v1/status", &[&field], "");
        assert_eq!((answer.status, answer.text()), (401, bare.clone()), "{field}");
    }
    let query = squall.api().get(&format!("/v1/status?access_token={ADMIN}"));
    assert_eq!(query.status, 401, "tokens in addresses end up in logs");
    // The scheme is written in any case (RFC 9110 §11.1).
    assert_eq!(squall.api().call("GET", "/v1/status", &[&format!("authorization: bearer {READ}")], "").status, 200);
}

/// A stream of events that a token opened, behind its status.
fn watch(squall: &Squall, path: &str, token: &str) -> RawClient {
    let mut client = RawClient::connect(squall.api().address);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    ));
    assert_eq!(client.read_exact(12), b"HTTP/1.1 200", "{path}");
    client
}

#[test]
fn streams_end_when_the_token_that_opened_them_is_gone() {
    let origin = Origin::ok();
    let (squall, _directory, file) = start(&origin, &[]);
    let status: serde_json::Value =
        serde_json::from_str(&call(&squall.api(), READ, "GET", "/v1/status", "").text()).unwrap();
    let to_b: SocketAddr = status["listeners"][0]["address"].as_str().unwrap().parse().unwrap();
    for path in ["/v1/events", "/v1/tap"] {
        let (mut gone, mut stays) = (watch(&squall, path, READ), watch(&squall, path, INJECT));
        write(&file, &tokens().replace(READ, "another-token-of-grafana"), 0o600);
        let (bytes, end) = gone.read_to_end();
        assert_eq!(end, End::Fin, "{path}: {}", String::from_utf8_lossy(&bytes));
        assert!(bytes.ends_with(b"0\r\n\r\n"), "{path}: a body that is over, and not one that broke");
        // Whoever else watches does so on.
        assert!(call(&squall.api(), ADMIN, "PUT", "/v1/rules/r", RULE).status < 300);
        assert_eq!(RawClient::connect(to_b).get("/").status, 200);
        let word = if path == "/v1/events" { "event: rule" } else { "event: exchange" };
        let mut seen = String::new();
        eventually(word, PATIENCE, || {
            seen.push_str(&String::from_utf8_lossy(&stays.read_exact(1)));
            seen.contains(word).then_some(())
        });
        write(&file, &tokens(), 0o600);
        let is_back = || (call(&squall.api(), READ, "GET", "/v1/status", "").status == 200).then_some(());
        eventually("the token is back", PATIENCE, is_back);
    }
}

/// One call from an address of its own.
fn from(source: [u8; 4], to: SocketAddr, token: &str, target: &str) -> Answer {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(&to.into()).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    let head = format!(
        "{target} HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    read_answer(&mut std::io::BufReader::new(stream), "GET").unwrap()
}

#[test]
fn a_guesser_is_slowed_down_and_locks_nobody_out_of_the_kill_switch() {
    let origin = Origin::ok();
    let (squall, ..) = start(&origin, &[]);
    let to = squall.api().address;
    let guesser = [127, 0, 0, 7];
    // Calls without a token are no guesses.
    for _ in 0..20 {
        assert_eq!(squall.api().get("/v1/status").status, 401);
    }
    let answers: Vec<u16> =
        (0..15).map(|n| from(guesser, to, &format!("guess-number-{n:06}"), "GET /v1/status").status).collect();
    assert_eq!((&answers[..10], &answers[10..]), (&[401; 10][..], &[429; 5][..]));
    let limited = from(guesser, to, ADMIN, "GET /v1/status");
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!(limited.status == 429 && (1..=7).contains(&wait), "{} {wait}", limited.line);
    assert_eq!(from(guesser, to, ADMIN, "PUT /v1/rules").status, 429);
    assert_eq!(from(guesser, to, "another-guess-here", "POST /v1/halt").status, 429);
    assert_eq!(from(guesser, to, READ, "POST /v1/halt").status, 403, "a right token, of too small a role");
    assert_eq!(from(guesser, to, INJECT, "POST /v1/halt").status, 200, "the kill switch");
    assert_eq!(from([127, 0, 0, 8], to, INJECT, "POST /v1/resume").status, 200, "others are left alone");
    assert_eq!(refused(&squall, "rate_limited"), 8.0);
    // After six seconds there is a try again.
    eventually("one more try", PATIENCE, || (from(guesser, to, ADMIN, "GET /v1/status").status == 200).then_some(()));
}

#[test]
fn the_signal_and_telemetry_need_no_token() {
    let origin = Origin::ok();
    let (squall, ..) = start(&origin, &[]);
    let telemetry = eventually("the address of telemetry", PATIENCE, || {
        let said = squall.said();
        let line = said.lines().find(|line| line.trim_start().starts_with("telemetry"))?;
        line.split("http://").nth(1)?.strip_suffix("/metrics")?.parse().ok()
    });
    let telemetry = Api { address: telemetry };
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(telemetry.get(path).status, 200, "{path}");
    }
    for path in ["/v1/rules", "/v1/status", "/v1/config", "/openapi.json"] {
        assert_eq!(call(&telemetry, ADMIN, "GET", path, "").status, 404, "{path}");
    }
    squall.signal("USR1");
    eventually("halted", PATIENCE, || {
        (call(&squall.api(), READ, "GET", "/v1/status", "").json()["halted"] == true).then_some(())
    });
}

#[test]
fn tokens_are_replaced_while_squall_runs() {
    let origin = Origin::ok();
    let (squall, _directory, file) = start(&origin, &[]);
    let api = squall.api();
    let status_of = |token: &str| call(&api, token, "GET", "/v1/status", "").status;
    write(&file, &format!("admin alice {ADMIN}\nread grafana a-new-token-of-grafana\n"), 0o600);
    // Asked with a token that stays good: too many tries of one that is not there yet would be guesses.
    let count = || call(&api, ADMIN, "GET", "/v1/status", "").json()["tokens"]["count"].as_u64();
    eventually("two tokens", PATIENCE, || (count() == Some(2)).then_some(()));
    assert_eq!(status_of("a-new-token-of-grafana"), 200);
    assert_eq!((status_of(READ), status_of(INJECT), status_of(ADMIN)), (401, 401, 200));
    // A file that cannot be used changes nothing, and is told.
    for (text, mode, part) in [(tokens(), 0o644, "chmod 600"), ("nonsense\n".to_owned(), 0o600, "line 1")] {
        write(&file, &text, mode);
        eventually("the file is reported", PATIENCE, || {
            let tokens = call(&api, ADMIN, "GET", "/v1/status", "").json()["tokens"].clone();
            (tokens["count"] == 2 && tokens["error"].as_str()?.contains(part)).then_some(())
        });
        assert_eq!((status_of(READ), status_of(ADMIN)), (401, 200));
    }
    let metrics = squall_integration::exposition::Exposition::parse(&call(&api, ADMIN, "GET", "/metrics", "").text());
    assert!(metrics.sum("squall_control_token_reloads_total", &[("result", "error")]) >= 2.0);
    // By rename, as careful programs write.
    let other = file.with_extension("new");
    write(&other, &tokens(), 0o600);
    std::fs::rename(&other, &file).unwrap();
    eventually("the first tokens again", PATIENCE, || (count() == Some(3)).then_some(()));
    assert!(call(&api, READ, "GET", "/v1/status", "").json()["tokens"]["error"].is_null());
    assert!(!squall.said().contains("token-of"));
}

#[test]
fn hangup_reads_the_tokens_again_where_nothing_is_watched() {
    let origin = Origin::ok();
    let (squall, _directory, file) = start(&origin, &["--no-watch"]);
    write(&file, &format!("admin bob {ADMIN}\n"), 0o600);
    squall.signal("HUP");
    eventually("one token", PATIENCE, || {
        (call(&squall.api(), ADMIN, "GET", "/v1/status", "").json()["tokens"]["count"] == 1).then_some(())
    });
    assert_eq!(call(&squall.api(), READ, "GET", "/v1/status", "").status, 401);
}

#[test]
fn what_would_be_open_to_all_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    write(Path::new(&file("open")), &tokens(), 0o644);
    write(Path::new(&file("empty")), "# nobody\n", 0o600);
    write(Path::new(&file("good")), &tokens(), 0o600);
    for (control, parts) in [
        ("{ address: \"0.0.0.0:0\" }".to_owned(), ["control.address", "token_file", "client_ca"]),
        (format!("{{ token_file: {} }}", file("open")), ["control.token_file", "644", "chmod 600"]),
        (format!("{{ token_file: {} }}", file("empty")), ["control.token_file", "no token", "a line for each"]),
        (format!("{{ token_file: {} }}", file("none")), ["control.token_file", "cannot be read", "rights"]),
        (format!("{{ address: \"0.0.0.0:0\", token_file: {} }}", file("open")), ["squall.yaml:2:", "644", "chmod 600"]),
    ] {
        std::fs::write(file("squall.yaml"), Settings::new().control(&control).text()).unwrap();
        for words in [&["config", "validate"][..], &["run", "-c"]] {
            let done = output(&[words, &[&file("squall.yaml")]].concat());
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(3), "{control}: {said}");
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in {said}");
            assert!(!said.contains("token-of"), "{said}");
        }
    }
    // The same by flags alone; with the token file it starts, and warns of the missing TLS.
    let open = ["run", "--upstream", "127.0.0.1:9", "--listen", "127.0.0.1:0", "--control", "0.0.0.0:0"];
    assert_eq!(output(&open).status.code(), Some(3));
    let mut child = command(&open)
        .args(["--control-token-file", &file("good")])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, lines) = std::sync::mpsc::channel();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        std::io::BufRead::lines(stderr).map_while(Result::ok).try_for_each(|line| tell.send(line))
    });
    // The log has a thread of its own, so that its lines come before or after the others.
    let (mut said, parts) = (String::new(), ["without TLS", "Bearer $SQUALL_TOKEN"]);
    while !parts.iter().all(|part| said.contains(part)) {
        said.push_str(&lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{said}")));
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn client_verbs_bring_their_token() {
    let origin = Origin::ok();
    let (squall, directory, _) = start(&origin, &[]);
    let control = squall.api().url();
    let secret = directory.path().join("my-token");
    std::fs::write(&secret, format!("{INJECT}\n")).unwrap();
    let secret = secret.to_str().unwrap();
    let run = |words: &[&str], token: Option<&str>| {
        let mut command = command(&[words, &["--control", &control]].concat());
        if let Some(token) = token {
            command.env("SQUALL_TOKEN", token);
        }
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let set = ["rule", "set", "slow", "--percentage", "0", "--fault", "delay=1s"];
    assert_eq!(run(&[&set[..], &["--token-file", secret]].concat(), None).0, Some(0));
    assert_eq!(run(&["halt", "--token-file", secret], Some("the-file-wins-over-this")).0, Some(0));
    assert_eq!(run(&["status"], Some(READ)).0, Some(0));
    let (code, _, said) = run(&["status"], None);
    assert!(code == Some(1) && said.contains("401") && said.contains("SQUALL_TOKEN_FILE"), "{said}");
    let (code, _, said) = run(&["resume"], Some(READ));
    assert!(
        code == Some(1) && said.contains("403") && said.contains("needs inject") && said.contains("inject or admin"),
        "{said}"
    );
    let (code, _, said) = run(&["status", "--token-file", "/nonexistent"], None);
    assert!(code == Some(1) && said.contains("/nonexistent"), "{said}");
    let (code, _, said) = run(&["status"], Some("two words"));
    assert!(code == Some(1) && said.contains("SQUALL_TOKEN does not hold a token") && !said.contains("two"), "{said}");
    // Lines to copy name where the secret is, never the secret.
    let (_, line, _) = run(&["halt", "--curl", "--token-file", secret], None);
    assert!(line.contains(&format!("-H \"Authorization: Bearer $(cat {secret})\"")), "{line}");
    let (_, line, _) = run(&["halt", "--curl"], Some(ADMIN));
    assert!(line.contains("Bearer $SQUALL_TOKEN") && !line.contains(ADMIN), "{line}");
    let health = run(&["healthcheck"], None);
    assert_eq!(health.0, Some(0), "whether Squall is well is no secret: {}", health.2);
    assert_eq!(call(&squall.api(), READ, "GET", "/v1/rules/slow", "").json()["fault"], json!({"delay": "1s"}));
}
