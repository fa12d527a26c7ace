//! Every command of README.md and of the pages in docs/ is run, or says why not; every path in them exists; every example
//! file is valid.
//!
//! A comment before each `sh` block says what becomes of it: `start` (runs until its section ends), `run` (each line must
//! succeed) or `skip` with a reason. Ports of the text are replaced by free ones.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use squall_integration::echo::Echo;
use squall_integration::programs::find;
use squall_integration::squall::{binary, output};
use squall_integration::{Api, eventually};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[derive(Debug)]
struct Block {
    section: String,
    marker: String,
    text: String,
}

fn blocks(readme: &str) -> Vec<Block> {
    let (mut blocks, mut section, mut marker) = (Vec::new(), String::new(), String::new());
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        } else if let Some(rest) = line.strip_prefix("<!-- readme: ") {
            rest.trim_end_matches("-->").trim().clone_into(&mut marker);
        } else if line == "```sh" {
            let text: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
            blocks.push(Block { section: section.clone(), marker: std::mem::take(&mut marker), text: text.join("\n") });
        }
    }
    blocks
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// README.md and the pages in docs/.
fn pages() -> Vec<String> {
    let docs = files("docs").into_iter().map(|path| format!("docs/{}", path.file_name().unwrap().display()));
    std::iter::once("README.md".to_owned()).chain(docs).collect()
}

/// Every address of README and examples, and what stands for it in this run.
struct Ports(Vec<(&'static str, String)>);

impl Ports {
    fn new(echoes: &[Echo; 3]) -> Self {
        // All are held until all are chosen, so that none is chosen twice.
        let held: Vec<TcpListener> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let free = held.iter().map(|l| l.local_addr().unwrap().to_string());
        let names = ["127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:9470", "127.0.0.1:9471", "127.0.0.1:8474"];
        let mut all: Vec<_> = names.into_iter().zip(free).collect();
        let upstreams = ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"];
        all.extend(upstreams.into_iter().zip(echoes).map(|(name, echo)| (name, echo.address.to_string())));
        all.push(("127.0.0.1:3000", echoes[0].address.to_string()));
        Self(all)
    }

    fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn control(&self) -> Api {
        Api { address: self.apply("127.0.0.1:9470").parse().unwrap() }
    }
}

/// Stops what a section started.
struct Started(Vec<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A directory with the examples in it, ports replaced.
fn directory(ports: &Ports) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for folder in ["config/examples", "config/examples/import", "config/experiments", "deploy/kubernetes"] {
        let examples = directory.path().join(folder);
        std::fs::create_dir_all(&examples).unwrap();
        for path in files(folder) {
            let text = ports.apply(&std::fs::read_to_string(&path).unwrap());
            std::fs::write(examples.join(path.file_name().unwrap()), text).unwrap();
        }
    }
    directory
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

fn bash(text: &str, here: &Path, control: &Api) -> Command {
    let shown =
        "set -euo pipefail\ncurl() { command curl --fail-with-body --silent --show-error --max-time 30 \"$@\"; }\n";
    let mut command = Command::new("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    let own = binary().canonicalize().unwrap().parent().unwrap().display().to_string();
    command.args(["-c", &format!("{shown}{text}")]).current_dir(here).stdin(Stdio::null());
    command.env("PATH", format!("{own}:{path}")).env("NO_COLOR", "1");
    command.env_remove("SQUALL_BIN").env_remove("SQUALL_WITHOUT");
    command.env("SQUALL_CONTROL", format!("http://{}", control.address));
    command
}

fn run_section(title: &str) {
    run_section_of("README.md", title);
}

fn run_section_of(name: &str, title: &str) {
    if find("curl", &format!("{name}: {title}")).is_none() {
        return;
    }
    let readme = page(name);
    let (echoes, mut done) = ([(); 3].map(|()| Echo::http1()), 0);
    let ports = Ports::new(&echoes);
    let (directory, control, mut started) = (directory(&ports), ports.control(), Started(Vec::new()));
    for block in blocks(&readme).into_iter().filter(|b| b.section == title) {
        let text = ports.apply(&block.text);
        match block.marker.as_str() {
            "start" => {
                let mut command = bash(&format!("exec env {text}"), directory.path(), &control);
                // `run` takes its own control address from the text, not from where the client verbs ask.
                command.env_remove("SQUALL_CONTROL").stdout(Stdio::null()).stderr(Stdio::null());
                started.0.push(command.spawn().unwrap());
                eventually("what was started is ready", Duration::from_secs(10), || {
                    std::net::TcpStream::connect(control.address).ok()?;
                    (control.get("/readyz").status == 200).then_some(())
                });
            }
            "run" => {
                for line in text.lines() {
                    let out = bash(line, directory.path(), &control).output().unwrap();
                    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    assert!(out.status.success(), "{line}\n{}{}{}", out.status, said(&out.stdout), said(&out.stderr));
                }
            }
            skip => assert!(skip.starts_with("skip, "), "{block:?} says neither start, run nor skip"),
        }
        done += 1;
    }
    assert!(done >= 1, "the section {title:?} has its commands");
}

#[test]
fn the_local_proxy_works_as_written() {
    run_section("Use it as a local proxy");
}

#[test]
fn the_sidecar_works_as_written() {
    run_section("Use it as a sidecar");
}

#[test]
fn curl_works_as_written() {
    run_section("Use it with curl");
}

#[test]
fn a_request_is_followed_as_written() {
    run_section("Follow a request");
}

#[test]
fn rules_are_brought_along_as_written() {
    run_section("Bring rules along");
}

#[test]
fn losing_a_region_works_as_written() {
    run_section("Lose a region");
}

#[test]
fn it_stops_by_itself_as_written() {
    run_section("Let it stop by itself");
}

#[test]
fn interception_is_set_up_as_written() {
    run_section_of("docs/interception.md", "Set it up");
}

#[test]
fn an_experiment_works_as_written() {
    run_section("Run an experiment");
}

#[test]
fn toxiproxy_is_replaced_as_written() {
    run_section_of("docs/toxiproxy.md", "Change one port");
}

#[test]
fn a_manifest_gets_a_sidecar_as_written() {
    run_section_of("docs/sidecar.md", "Look at it first");
}

#[test]
fn what_is_installed_in_a_cluster_can_be_looked_at_as_written() {
    run_section_of("docs/kubernetes.md", "Install it");
}

#[test]
fn one_squall_is_stopped_as_written() {
    run_section_of("docs/stop.md", "Stop one Squall");
}

#[test]
fn a_pod_of_a_mesh_gets_a_sidecar_as_written() {
    run_section_of("docs/meshes.md", "Injected pods");
}

/// A file that is shown works.
#[test]
fn files_that_pages_show_are_valid() {
    for name in pages() {
        let text = page(&name);
        for file in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            if !file.starts_with("version: 1\n") {
                continue; // a part of one
            }
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("squall.yaml");
            std::fs::write(&path, file).unwrap();
            let done = output(&["config", "validate", path.to_str().unwrap()]);
            assert!(done.status.success(), "{name}\n{file}\n{}", String::from_utf8_lossy(&done.stderr));
        }
    }
}

#[test]
fn every_block_says_what_becomes_of_it() {
    let sections = [
        "Use it as a local proxy",
        "Use it as a sidecar",
        "Use it with curl",
        "Follow a request",
        "Bring rules along",
        "Lose a region",
        "Let it stop by itself",
        "Run an experiment",
        "Change one port",
        "Set it up",
        "Look at it first",
        "Install it",
        "Stop one Squall",
        "Injected pods",
    ];
    for name in pages() {
        let text = page(&name);
        let all = blocks(&text);
        assert_eq!(all.len(), text.matches("```sh").count());
        for block in all {
            let reason = block.marker.strip_prefix("skip, ");
            let is_run =
                sections.contains(&block.section.as_str()) && ["start", "run"].contains(&block.marker.as_str());
            assert!(is_run || reason.is_some_and(|r| r.len() > 10), "{name}: {block:?}");
        }
    }
}

#[test]
fn every_path_exists() {
    for name in pages() {
        let text = page(&name);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let quoted = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|w| w.ends_with(".rs") || *w == ".ci/run" || *w == "integration/run");
        let rooms = text
            .lines()
            .filter(|l| l.starts_with("    "))
            .filter_map(|l| l.split_whitespace().next())
            .filter(|w| w.ends_with('/'));
        let here = root().join(&name);
        let here = here.parent().unwrap();
        for path in links.filter(|path| !path.starts_with("http")) {
            assert!(here.join(path).exists(), "{name} links to {path}");
        }
        for path in quoted.chain(rooms) {
            assert!(root().join(path).exists(), "{name} speaks of {path}");
        }
    }
}

#[test]
fn every_example_is_valid() {
    let mut count = 0;
    for path in files("config/examples") {
        let done = output(&["config", "validate", path.to_str().unwrap()]);
        assert!(done.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&done.stderr));
        count += 1;
    }
    assert!(count >= 3, "{count} examples");
}

#[test]
fn the_version_is_that_of_the_changelog_or_to_come() {
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.contains("## [Unreleased]") || changelog.contains(&format!("## [{version}]")));
}
