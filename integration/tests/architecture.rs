//! The invariants that can be seen in the source itself.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The crates that nobody is given. Every other member of the workspace is shipped.
const FOR_US: [&str; 3] = ["benches", "integration", "integration/fuzz"];
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let done = Command::new(cargo).args(arguments).arg("--offline").current_dir(root()).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// All members of the workspace, as cargo tells of them.
fn packages() -> &'static [Value] {
    static PACKAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
        let mut metadata: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(metadata["packages"].take()).unwrap()
    });
    &PACKAGES
}

/// The folder of a member.
fn folder(package: &Value) -> String {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().strip_prefix(root().canonicalize().unwrap()).unwrap().display().to_string()
}

/// The folders of all members.
fn crates() -> Vec<String> {
    let folders: Vec<_> = packages().iter().map(folder).collect();
    assert!(FOR_US.iter().all(|ours| folders.iter().any(|folder| folder == ours)), "{folders:?}");
    folders
}

/// The folders of those that are shipped.
fn shipped_crates() -> Vec<String> {
    crates().into_iter().filter(|folder| !FOR_US.contains(&folder.as_str())).collect()
}

/// Direct dependencies of each member, without those of its tests.
fn direct() -> BTreeMap<String, Vec<String>> {
    let all = packages().iter().map(|package| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let names = all.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        (package["name"].as_str().unwrap().to_owned(), names)
    });
    all.collect()
}

/// Everything that a crate is linked with.
fn linked(package: &str) -> Vec<String> {
    let tree = cargo(&["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    tree.lines().filter_map(|l| l.split_whitespace().next().map(str::to_owned)).collect()
}

/// Rust files below a folder of the workspace, with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust in {folder}");
    found
}

/// The lines of a shipped crate that are neither test nor comment: (file, line number, line).
fn shipped(folder: &str) -> Vec<(String, usize, String)> {
    let mut lines = Vec::new();
    for (file, text) in sources(&format!("{folder}/src")) {
        if file.ends_with("tests.rs") || file.contains("/tests/") {
            continue;
        }
        // Tests stand last in their file.
        let code = &text[..start_of_tests(&text).unwrap_or(text.len())];
        let numbered = code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
        lines.extend(numbered.map(|(i, l)| (file.clone(), i + 1, l.to_owned())));
    }
    lines
}

/// Where the module of tests begins: `#[cfg(test)]`, perhaps other attributes, `mod`.
fn start_of_tests(text: &str) -> Option<usize> {
    let is_module = |(at, _): &(usize, &str)| {
        let mut rest = text[at + 1..].lines().skip_while(|l| l.starts_with('#'));
        rest.next().is_some_and(|l| l.starts_with("mod "))
    };
    text.match_indices("\n#[cfg(test)]").find(is_module).map(|(at, _)| at)
}

/// Lines of a shipped crate that have one of these words.
fn with_words(folder: &str, words: &[&str]) -> Vec<String> {
    let lines = shipped(folder).into_iter().filter(|(_, _, l)| words.iter().any(|w| l.contains(w)));
    lines.map(|(file, number, line)| format!("{file}:{number}: {}", line.trim())).collect()
}

#[test]
fn dependencies_point_one_way() {
    let direct = direct();
    for (package, banned) in [
        ("squall-config", &["tokio", "hyper", "arc-swap", "squall-fault", "squall-proxy", "squall-control"][..]),
        ("squall-fault", &["tokio", "hyper", "squall-proxy", "squall-control"]),
        ("squall-telemetry", &["tokio", "squall-proxy", "squall-control"]),
        ("squall-proxy", &["squall-control", "clap", "axum", "anyhow", "hyper"]),
        ("squall-control", &["squall-proxy", "clap", "anyhow"]),
        ("squall-inject", &["squall-config", "squall-proxy", "squall-control", "serde-saphyr", "clap", "anyhow"]),
    ] {
        let own = direct.get(package).unwrap_or_else(|| panic!("no {package}"));
        for name in banned {
            assert!(!own.iter().any(|d| d == name), "{package} must not know {name}");
        }
    }
    for (package, dependencies) in &direct {
        assert!(!dependencies.iter().any(|d| d == "squall"), "{package} must not know squall");
    }
}

#[test]
fn what_decides_is_linked_with_no_runtime() {
    for package in ["squall-config", "squall-fault", "squall-inject", "squall-telemetry"] {
        let all = linked(package);
        for banned in ["tokio", "hyper", "h2", "mio", "socket2", "getrandom"] {
            assert!(!all.iter().any(|l| l == banned), "{package} is linked with {banned}");
        }
    }
    assert!(!linked("squall").iter().any(|l| l.starts_with("kube") || l.starts_with("k8s-")), "a client of Kubernetes");
    assert!(!linked("squall-config").iter().any(|l| l == "arc-swap"));
    assert!(!linked("squall-proxy").iter().any(|l| l == "clap" || l == "squall-control"));
    assert!(!linked("squall-control").iter().any(|l| l == "squall-proxy"));
}

#[test]
fn deciding_reads_no_clock_and_no_entropy() {
    let words = [
        "Instant::now",
        "SystemTime",
        "rand::rng",
        "thread_rng",
        "OsRng",
        "SysRng",
        "from_os_rng",
        "std::net::Tcp",
        "std::fs",
    ];
    assert_eq!(with_words("fault", &words), Vec::<String>::new());
}

#[test]
fn a_fleet_is_planned_without_clock_runtime_or_client() {
    let words = ["Instant::now", "SystemTime", "Timestamp::now", "tokio", "kube::", "std::fs", "std::net"];
    let lines = with_words("kubernetes/operator", &words);
    let in_fleet = |line: &&String| line.starts_with("kubernetes/operator/src/fleet");
    assert_eq!(lines.iter().filter(in_fleet).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn metric_names_stand_in_one_file() {
    let allowed = [
        "proxy/src/telemetry/metrics.rs",
        "cli/src/run/exposition.rs",
        "cli/src/demo",
        "kubernetes/operator/src/serve/metrics",
    ];
    let names = [
        "\"chaos_",
        "\"squall_requests",
        "\"squall_request_",
        "\"squall_active",
        "\"squall_bytes",
        "\"squall_upstream",
        "\"squall_config",
        "\"squall_control",
        "\"squall_build",
        "\"squall_worker",
        "\"squall_endpoint",
        "\"squall_tls",
        "\"squall_proxy_protocol",
        "\"squall_guard",
        "\"squall_lease",
        "\"squall_kubernetes_",
    ];
    for folder in shipped_crates() {
        let lines = with_words(&folder, &names);
        let outside: Vec<_> = lines.iter().filter(|l| !allowed.iter().any(|a| l.starts_with(a))).collect();
        assert!(outside.is_empty(), "{outside:#?}");
    }
}

#[test]
fn what_a_worker_starts_stays_on_its_thread() {
    let words = ["tokio::spawn", "task::spawn(", "spawn_blocking", "block_in_place", "new_multi_thread"];
    assert_eq!(with_words("proxy", &words), Vec::<String>::new(), "spawn_local; only upkeep has a thread of its own");
}

#[test]
fn nothing_shipped_panics_by_carelessness() {
    for folder in shipped_crates() {
        let words = [".unwrap()", "todo!(", "unimplemented!(", "dbg!(", "process::exit("];
        assert_eq!(with_words(&folder, &words), Vec::<String>::new());
        assert_eq!(
            nameless_expectations(&shipped(&folder)),
            Vec::<String>::new(),
            "an expectation names its invariant"
        );
    }
}

/// The places of expectations that name no invariant, where the text may stand on a line of its own.
fn nameless_expectations(lines: &[(String, usize, String)]) -> Vec<String> {
    let expects = |(_, (_, _, line)): &(usize, &(String, usize, String))| line.contains(".expect(");
    let nameless = lines.iter().enumerate().filter(expects).filter(|(at, (_, _, line))| {
        let next = lines.get(at + 1).map_or("", |(_, _, next)| next.trim_start());
        line.split(".expect(").skip(1).any(|after| {
            let said = if after.trim().is_empty() { next } else { after };
            said.starts_with('"') && !said.starts_with("\"invariant: ")
        })
    });
    nameless.map(|(_, (file, number, line))| format!("{file}:{number}: {}", line.trim())).collect()
}

#[test]
fn an_expectation_is_found_wherever_its_text_stands() {
    let lines = |text: &str| text.lines().map(|line| ("x.rs".to_owned(), 1, line.to_owned())).collect::<Vec<_>>();
    for good in ["a.expect(\"invariant: b\")", "a.expect(\n    \"invariant: b\",\n)", "parser.expect(b'x')"] {
        assert_eq!(nameless_expectations(&lines(good)), Vec::<String>::new());
    }
    for bad in ["a.expect(\"b\")", "a.expect(\n    \"b\",\n)", "a.expect(\"invariant: b\").expect(\"c\")"] {
        assert_eq!(nameless_expectations(&lines(bad)).len(), 1, "{bad}");
    }
}

#[test]
fn causes_are_told_by_one() {
    let lines: Vec<_> =
        shipped_crates().iter().flat_map(|folder| with_words(folder, &["::source(", "error.source()"])).collect();
    assert_eq!(lines, Vec::<String>::new(), "squall_config::Chain tells an error with its causes");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(text.contains("unsafe_code = \"forbid\"") && text.contains("unwrap_used = \"deny\""));
    for folder in crates() {
        let manifest = std::fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder}/Cargo.toml");
    }
}

#[test]
fn what_replaces_the_settings_of_clippy_repeats_them() {
    let lines = |file: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        text.lines().filter(|line| !line.trim_start().starts_with('#')).map(str::to_owned).collect()
    };
    for folder in crates() {
        let file = format!("{folder}/clippy.toml");
        if root().join(&file).exists() {
            let (all, own) = (lines("clippy.toml"), lines(&file));
            let missing: Vec<_> = all.iter().filter(|line| !own.contains(line)).collect();
            assert_eq!(missing, Vec::<&String>::new(), "{file} replaces clippy.toml for its crate");
        }
    }
}

#[test]
fn files_are_short_and_no_test_is_switched_off() {
    for folder in crates() {
        for (file, text) in sources(&folder) {
            assert!(text.lines().count() <= LINES_MAX, "{file} has {} lines", text.lines().count());
            let is_this = file == "integration/tests/architecture.rs";
            assert!(is_this || !text.contains("#[ignore"), "{file} switches a test off");
            assert!(is_this || !text.contains("allow(dead_code"), "{file} keeps dead code");
        }
    }
}

#[test]
fn no_room_is_called_misc() {
    for folder in crates() {
        for (file, _) in sources(&folder) {
            let stem = Path::new(&file).file_stem().unwrap().to_str().unwrap();
            assert!(!["util", "utils", "common", "helpers", "manager", "misc"].contains(&stem), "{file}");
        }
    }
}

#[test]
fn what_the_workspace_lists_is_used() {
    let dependencies = packages().iter().flat_map(|package| package["dependencies"].as_array().unwrap());
    let used: Vec<&str> = dependencies.map(|dependency| dependency["name"].as_str().unwrap()).collect();
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let shared = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in shared.lines().filter(|l| l.contains('=') && !l.starts_with('#')) {
        let name = line.split('=').next().unwrap().trim();
        assert!(used.contains(&name), "{name} is in the workspace's list, but nobody uses it");
    }
}

#[test]
fn what_a_manifest_asks_for_is_used() {
    for package in packages() {
        let texts: Vec<String> = sources(&folder(package)).into_iter().map(|(_, text)| text).collect();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap().replace('-', "_");
            let is_named = |text: &String| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name);
            assert!(texts.iter().any(is_named), "{} asks for {name} and never uses it", package["name"]);
        }
    }
}
