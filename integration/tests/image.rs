//! The image, built and run: what it holds, what it says of itself, and that Squall is well in it as a user without any
//! privilege, on a root that nobody can write to.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use squall_integration::containers::{Container, Engine};
use squall_integration::origin::Origin;
use squall_integration::squall::{binary, copy};
use squall_integration::wait::pause;
use squall_integration::{Api, RawClient, Settings};

const IMAGE: &str = "localhost/squall:test";
const USER: &str = "65532";

const SIZE_MAX: u64 = 15_000_000;
const START_MAX: Duration = Duration::from_millis(100);
/// What the process holds in memory when nothing happens: its own, and with what it shares with every other Squall on the machine,
/// the pages of the binary. The kernel maps 16 of these around each that is touched.
const OWN_MAX_KIB: u64 = 3 * 1024;
const RESIDENT_MAX_KIB: u64 = 12 * 1024;
const IDLE: Duration = Duration::from_secs(3);
/// How often a start is measured, since a shared machine only ever adds time.
const STARTS: usize = 5;

/// One test at a time, since one of them measures.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The image of the binary under test, from a context as `integration/build` leaves it.
fn engine(test: &str) -> Option<Engine> {
    let engine = Engine::new(test)?;
    assert!(is_static(&std::fs::read(binary()).unwrap()), "an image has no libraries: run integration/build");
    let context = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let to = context.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        to
    };
    for name in ["Dockerfile", ".dockerignore", "LICENSE", "deploy/image/writable/.keep"] {
        std::fs::copy(root().join(name), place(name)).unwrap();
    }
    copy(&place("dist/squall"));
    engine.build(context.path(), &["--target", "prebuilt"], IMAGE);
    Some(engine)
}

/// Whether an ELF file for 64 bits asks for no interpreter, which would load its libraries.
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let (table, size, count) = (number(32), number(54), number(56)); // the table follows the header
    let has_interpreter = (0..count).any(|i| number(table + i * size) == 3); // PT_INTERP
    elf.starts_with(b"\x7fELF\x02\x01") && !has_interpreter
}

fn text(done: &Output) -> String {
    String::from_utf8_lossy(&[&done.stdout[..], &done.stderr[..]].concat()).into_owned()
}

#[test]
fn it_holds_squall_and_says_how_to_run_it() {
    let _alone = alone();
    let Some(engine) = engine("what the image holds") else { return };
    let image = engine.inspect(IMAGE);
    let config = &image["Config"];
    assert_eq!(config["User"], format!("{USER}:{USER}"));
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/squall"]), &json!(["run"])));
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(config["ExposedPorts"], json!({"8080/tcp": {}, "9471/tcp": {}}), "never the control API");
    assert_eq!(image["Healthcheck"]["Test"], json!(["CMD", "/squall", "healthcheck"]), "{image:#}");
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    for label in ["title", "description", "licenses"] {
        assert!(config["Labels"][format!("org.opencontainers.image.{label}")].is_string(), "no {label}");
    }

    let (size, own) = (image["Size"].as_u64().unwrap(), std::fs::metadata(binary()).unwrap().len());
    println!("image: {size} bytes, of which the binary {own}");
    assert!(size > own && size <= SIZE_MAX, "{size} bytes");

    let mounted = PathBuf::from(engine.must(&["image", "mount", IMAGE]));
    let files = files(&mounted);
    engine.must(&["image", "unmount", IMAGE]);
    let expected = ["LICENSE", "squall", "tmp/.keep", "var/lib/squall/.keep"].map(str::to_owned);
    assert_eq!(files, BTreeSet::from(expected));
}

/// The names of all files below a directory.
fn files(top: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![top.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(top).unwrap().display().to_string());
            }
        }
    }
    found
}

const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9470);
const LISTENER: &str = "127.0.0.1:8080";
const UPSTREAM: &str = "127.0.0.1:9000";
const TCP_LISTENER: &str = "127.0.0.1:8081";

/// A listener for HTTP and one for bytes, before an upstream that has a name.
fn configuration() -> tempfile::NamedTempFile {
    let settings = Settings::new().control(&format!("{{ address: \"{CONTROL}\" }}"));
    let rest = format!(
        "listeners:\n  - {{ name: to-b, address: \"{LISTENER}\", protocol: http, cluster: service-b }}\n  \
         - {{ name: bytes, address: \"{TCP_LISTENER}\", protocol: tcp, cluster: service-b }}\n\
         clusters:\n  - {{ name: service-b, endpoints: [\"service-b:9000\"] }}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings.with(&rest).text()).unwrap();
    // Of root, for whoever runs it to read.
    Command::new("chmod").arg("644").arg(file.path()).status().unwrap();
    file
}

fn prepare<'a>(engine: &'a Engine, file: &Path) -> Container<'a> {
    let volume = format!("{}:/etc/squall.yaml:ro", file.display());
    let options = ["--read-only-tmpfs=false", "--add-host=service-b:127.0.0.1", "--volume", &volume];
    engine.prepare(&[&options[..], &["--env=SQUALL_CONFIG=/etc/squall.yaml"]].concat(), IMAGE, &[])
}

fn is_ready() -> bool {
    let Ok(mut client) = RawClient::try_connect(CONTROL) else { return false };
    client.try_send("GET /readyz HTTP/1.1\r\nHost: squall\r\n\r\n").is_ok()
        && client.try_answer("GET").is_ok_and(|answer| answer.status == 200)
}

#[test]
fn it_runs_without_any_privilege() {
    let _alone = alone();
    let Some(engine) = engine("the image at work") else { return };
    let file = configuration();
    let start = || {
        let container = prepare(&engine, file.path());
        let took = container.start("/squall", is_ready);
        (container, took)
    };
    let mut starts: Vec<Duration> = (1..STARTS).map(|_| start().1).collect();
    let (container, took) = start();
    starts.push(took);
    println!("from the start to ready: {starts:?}");
    assert!(starts.iter().min().unwrap() <= &START_MAX, "{starts:?}");

    // What the kernel says of it.
    for (name, expected) in
        [("Uid", [USER; 4].join("\t")), ("Gid", [USER; 4].join("\t")), ("NoNewPrivs", "1".to_owned())]
    {
        assert_eq!(container.status(name), expected, "{name}");
    }
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(container.status(name), "0000000000000000", "{name}");
    }
    assert_eq!(container.status("Seccomp"), "2", "a filter");

    // Idle, before anything has come.
    pause(IDLE);
    let [resident, own] =
        ["VmRSS", "RssAnon"].map(|name| container.status(name).trim_end_matches(" kB").parse::<u64>().unwrap());
    println!("idle: {resident} KiB, of which {own} are its own");
    assert!(resident <= RESIDENT_MAX_KIB && own <= OWN_MAX_KIB, "{resident} KiB, {own} its own");

    // The health check is what the image says, and a name is found without any library of the system.
    let image = engine.inspect(IMAGE);
    let check: Vec<&str> = image["Healthcheck"]["Test"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    let done = container.exec(&check[1..]);
    assert!(done.status.success(), "{}", text(&done));
    let done = container.exec(&["/squall", "healthcheck", "--control", "http://service-b:9470"]);
    assert!(done.status.success(), "{}", text(&done));
    let done = container.exec(&["/squall", "healthcheck", "--control", "http://127.0.0.1:1"]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done));

    for place in ["/squall.yaml", "/tmp/squall.yaml", "/var/lib/squall/squall.yaml"] {
        let done = container.exec(&["/squall", "config", "init", place]);
        assert!(!done.status.success() && text(&done).contains("Read-only file system"), "{place}: {}", text(&done));
    }

    container.within(traffic);
    assert_eq!(container.stop(), 0, "{}", container.said());
}

/// Calls of A to B, left alone and faulted; bytes, whose pipes the filter of system calls must allow.
fn traffic() {
    let origin = Origin::named_at("service B", UPSTREAM.parse().unwrap());
    let mut client = RawClient::connect(LISTENER.parse().unwrap());
    assert!(client.get("/").text().contains("service B"));
    let api = Api { address: CONTROL };
    api.rule("broken", &json!({"match": {"listener": "to-b"}, "percentage": 100, "fault": {"abort": 503}}));
    assert_eq!(client.get("/").status, 503);
    let mut bytes = RawClient::connect(TCP_LISTENER.parse().unwrap());
    assert!(bytes.get("/").text().contains("service B"));
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn on_a_root_that_can_be_written_to_its_user_has_two_places() {
    let _alone = alone();
    let Some(engine) = engine("what the image's user may write") else { return };
    let container = engine.prepare(
        &["--read-only=false"],
        IMAGE,
        &["run", "--upstream", "http://127.0.0.1:9000", "--state-dir", "/var/lib/squall"],
    );
    container.start("/squall", is_ready);
    let done = container.exec(&["/squall", "config", "init", "/squall.yaml"]);
    assert!(!done.status.success() && text(&done).contains("Permission denied"), "{}", text(&done));
    let done = container.exec(&["/squall", "config", "init", "/tmp/squall.yaml"]);
    assert!(done.status.success(), "{}", text(&done));
    container.within(|| Api { address: CONTROL }.halt());
    assert_eq!(container.stop(), 0, "{}", container.said());
}

/// The stage that compiles gets what cargo wants to see: cargo itself says so, without any network.
#[test]
fn the_context_has_the_whole_workspace() {
    let _alone = alone();
    let Some(engine) = Engine::new("the context of the image") else { return };
    let scene = tempfile::tempdir().unwrap();
    let (dockerfile, tag) = (scene.path().join("Dockerfile"), "localhost/context:test");
    std::fs::write(&dockerfile, "FROM scratch\nCOPY . /src\n").unwrap();
    engine.build(&root(), &["--file", dockerfile.to_str().unwrap()], tag);
    let mounted = PathBuf::from(engine.must(&["image", "mount", tag]));
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--offline", "--locked", "--package", "squall", "--depth", "0"];
    let done = Command::new(cargo).args(arguments).current_dir(mounted.join("src")).output().unwrap();
    let inside = files(&mounted.join("src"));
    engine.must(&["image", "unmount", tag]);
    assert!(done.status.success(), "{}", text(&done));
    for name in &inside {
        let is_needed = !name.starts_with("target/") && !name.starts_with(".git/") && !name.contains("/target/");
        assert!(is_needed, "{name} is in the context");
    }
    let example = "config/experiments/slow-dependency.yaml"; // a part of the binary
    assert!(inside.contains(example) && inside.contains("cli/src/main.rs"), "{inside:?}");
}
