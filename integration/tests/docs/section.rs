//! Runs what a section of a page says.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock};

use squall_integration::echo::Echo;
use squall_integration::programs::find;
use squall_integration::scene::LoneA;
use squall_integration::service::Manners;

use crate::beside;
use crate::cluster::{self, Cluster};
use crate::machine::{self, Machine, Wanted};
use crate::page::{Block, root};
use crate::pipeline;
use crate::shell::{bash, is_ready, run_line, start};

/// Whoever measures has the machine to itself.
static QUIET: RwLock<()> = RwLock::new(());

/// Every address of pages and examples, and what stands for it in this run.
struct Ports(Vec<(&'static str, String)>);

impl Ports {
    fn new(echoes: &[Echo; 3], a: Option<&LoneA>) -> Self {
        let names = [
            "127.0.0.1:8080",
            "127.0.0.1:8081",
            "127.0.0.1:9470",
            "127.0.0.1:9471",
            "127.0.0.1:8474",
            "127.0.0.1:3128",
        ];
        // All are held until all are chosen, so that none is chosen twice.
        let held = names.map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
        let mut all: Vec<_> = held.iter().map(|(name, l)| (*name, l.local_addr().unwrap().to_string())).collect();
        // What other machines reach is not opened to them by a test.
        all.push(("0.0.0.0:9470", all[2].1.clone()));
        let upstreams = ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"];
        all.extend(upstreams.into_iter().zip(echoes).map(|(name, echo)| (name, echo.address.to_string())));
        all.push(("127.0.0.1:3000", a.map_or(echoes[0].address, |a| a.address).to_string()));
        Self(all)
    }

    fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn control(&self) -> String {
        self.apply("127.0.0.1:9470")
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.apply(name).parse().unwrap()
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
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = ports.apply(&std::fs::read_to_string(&path).unwrap());
                std::fs::write(examples.join(path.file_name().unwrap()), text).unwrap();
            }
        }
    }
    std::os::unix::fs::symlink(root().join("deploy/chart"), directory.path().join("deploy/chart")).unwrap();
    directory
}

/// The commands of a block, each with its line: those that end in `\` go on in the next.
fn commands(block: &Block, text: &str) -> Vec<(usize, String)> {
    let (mut commands, mut open) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().enumerate() {
        let (at, mut whole) = open.take().unwrap_or((block.line + 1 + number, String::new()));
        whole.push_str(line);
        if line.ends_with('\\') {
            whole.push('\n');
            open = Some((at, whole));
        } else if !whole.trim().is_empty() && !whole.starts_with('#') {
            commands.push((at, whole));
        }
    }
    commands.extend(open);
    commands
}

/// What a page says that its commands print is among what they printed, however the words are aligned.
fn check_said(shown: &str, said: &str) -> Result<(), String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: Vec<String> = said.lines().map(words).collect();
    match shown.lines().find(|line| !said.contains(&words(line))) {
        None => Ok(()),
        Some(line) => Err(format!("{line:?} is not among\n{}", said.join("\n"))),
    }
}

/// A block that is not run says why, and is at least what bash can read; tests that it names are there.
fn skipped(block: &Block, reason: &str) -> Result<(), String> {
    if reason.len() < 15 {
        return Err("skip needs a reason".to_owned());
    }
    for test in reason.split('`').skip(1).step_by(2) {
        let is_test = ["", ".rs"].iter().any(|end| root().join(format!("integration/tests/{test}{end}")).exists());
        if !is_test {
            return Err(format!("the tests of {test:?} are not in integration/tests"));
        }
    }
    let done = Command::new("bash").args(["-n", "-c", &block.text]).output().map_err(|e| e.to_string())?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// The line of a page, what stands there, and why that is wrong.
type Wrong = (usize, String, String);

/// What the commands of a section run in.
struct Scene {
    test: String,
    directory: tempfile::TempDir,
    ports: Ports,
    echoes: [Echo; 3],
    started: Started,
    /// By commands, since the last block that was to be compared with it.
    said: String,
    cluster: Option<Cluster>,
    /// What kubectl and Helm are; `None` where they are left out.
    functions: Option<String>,
    machine: Option<Machine>,
    /// Where a block wants one that calls and is called.
    a: Option<LoneA>,
}

impl Scene {
    fn new(test: &str, blocks: &[Block]) -> Self {
        let echoes = [(); 3].map(|()| Echo::http1());
        let a = blocks.iter().any(beside::is_for_one).then(|| LoneA::new(Manners::ROBUST));
        let ports = Ports::new(&echoes, a.as_ref());
        if let Some(a) = &a {
            a.calls(ports.address("127.0.0.1:8080"));
        }
        let is_for_cluster = blocks.iter().any(cluster::is_for_one);
        let functions = if is_for_cluster { cluster::functions(blocks, test) } else { None };
        let (directory, started, said, test) = (directory(&ports), Started(Vec::new()), String::new(), test.to_owned());
        Self { test, directory, ports, echoes, started, said, cluster: None, functions, machine: None, a }
    }

    /// Does what a block says.
    fn play(&mut self, block: &Block) -> Result<(), Wrong> {
        if let Some(wanted) = machine::wanted(block) {
            return self.play_on_machine(block, wanted);
        }
        if let Some(typed) = beside::typed(block) {
            return self.play_beside_a(block, &typed);
        }
        let (here, control, text) = (self.directory.path(), self.ports.control(), self.ports.apply(&block.text));
        match block.marker.split_once(' ').unwrap_or((&block.marker, "")) {
            ("file", name) => std::fs::write(here.join(name), text).unwrap(),
            ("start", "") => {
                let mut command = bash(&format!("exec env {}", text.trim()), here);
                // Where no text says where the control API listens.
                command.env("SQUALL_CONTROL", &control);
                let child = start(&mut command, here, || is_ready(control.parse().unwrap()));
                self.started.0.push(child.map_err(|why| (block.line + 1, text.trim().to_owned(), why))?);
            }
            ("run", "") => {
                let environment = [("SQUALL_CONTROL", format!("http://{control}"))];
                for (number, line) in commands(block, &text) {
                    self.said += &run_line(&line, here, &environment).map_err(|why| (number, line, why))?;
                }
            }
            ("said", "") => {
                let said = std::mem::take(&mut self.said);
                check_said(&text, &said).map_err(|why| (block.line, "what commands say".to_owned(), why))?;
            }
            ("pipeline", "") => {
                pipeline::run(&text, here).map_err(|(step, why)| (block.line, step, why))?;
            }
            ("cluster", "") | ("empty", "cluster") => self.play_in_cluster(block, &text)?,
            ("skip,", reason) => {
                skipped(block, reason).map_err(|why| (block.line, "a block that is not run".to_owned(), why))?;
            }
            _ => {
                let why =
                    "a comment `<!-- docs: … -->` has to stand before it; integration/tests/docs/main.rs says which";
                let why = why.to_owned();
                return Err((block.line, format!("the marker {:?}", block.marker), why));
            }
        }
        Ok(())
    }

    fn play_in_cluster(&mut self, block: &Block, text: &str) -> Result<(), Wrong> {
        let Some(functions) = self.functions.clone() else { return Ok(()) };
        let environment =
            self.cluster(block, &functions).map_err(|why| (block.line, "a block for a cluster".to_owned(), why))?;
        for (number, line) in commands(block, text) {
            let whole = format!("{functions}{line}");
            let done = run_line(&whole, self.directory.path(), &environment);
            let settled = done.and_then(|_said| self.cluster.as_ref().map_or(Ok(()), Cluster::settle));
            settled.map_err(|why| (number, line, why))?;
        }
        Ok(())
    }

    /// Where the cluster is that a block is for: a new one where it says that, else the one of its section.
    fn cluster(&mut self, block: &Block, functions: &str) -> Result<Vec<(&'static str, String)>, String> {
        let here = self.directory.path();
        let cluster = match self.cluster.take() {
            _ if block.marker == "empty cluster" => Cluster::empty(),
            Some(cluster) => cluster,
            None => Cluster::installed(here, functions, &self.echoes[0])?,
        };
        Ok(self.cluster.insert(cluster).environment(here))
    }

    /// With somebody who calls A meanwhile, and experiments of seconds.
    fn play_beside_a(&mut self, block: &Block, typed: &[&str]) -> Result<(), Wrong> {
        let here = self.directory.path();
        let environment = [("SQUALL_CONTROL", format!("http://{}", self.ports.control()))];
        beside::hasten(here);
        beside::hasten(&here.join("config/experiments"));
        let to_a = self.ports.address("127.0.0.1:8081");
        let a = self.a.as_mut().unwrap();
        a.is_called(to_a, beside::RATE);
        for (number, line) in commands(block, &self.ports.apply(&block.text)) {
            let done = match typed {
                [] => run_line(&line, here, &environment),
                _ => beside::converse(&line, here, &environment, typed),
            };
            self.said += &done.map_err(|why| (number, line, why))?;
        }
        a.is_left_alone();
        Ok(())
    }

    /// On the machine of its section, or on a new one where it says that there is nothing yet.
    fn play_on_machine(&mut self, block: &Block, wanted: Wanted) -> Result<(), Wrong> {
        let text = self.ports.apply(&block.text);
        let kept = self.machine.take().filter(|_| wanted != Wanted::Empty);
        let is_new = kept.is_none();
        let make = || Machine::empty(self.directory.path(), self.ports.address("127.0.0.1:9470"), &self.test);
        let Some(machine) = kept.or_else(make) else { return Ok(()) };
        let machine = self.machine.insert(machine);
        if is_new && wanted == Wanted::Catching {
            machine.catch().map_err(|why| (block.line, "a machine with Squall on it".to_owned(), why))?;
        }
        if !machine.has_whom_it_calls(block, &self.test) {
            return Ok(());
        }
        for (number, line) in commands(block, &text) {
            let done = if machine::is_started(block) { machine.start(&line) } else { machine.run(&line) };
            done.map_err(|why| (number, line, why))?;
        }
        Ok(())
    }
}

/// Does what the blocks of a section say, from the first to the last.
pub(crate) fn run(page: &str, title: &str, blocks: &[Block]) -> Result<(), String> {
    let test = format!("{page}: {title}");
    if find("curl", &test).is_none() {
        return Ok(());
    }
    let mut scene = Scene::new(&test, blocks);
    for block in blocks {
        let measures = block.text.contains("squall demo") && block.marker == "run";
        let _alone = measures.then(|| QUIET.write().unwrap_or_else(PoisonError::into_inner));
        let _beside = (!measures).then(|| QUIET.read().unwrap_or_else(PoisonError::into_inner));
        let failed = |(line, what, why)| format!("{page}:{line}, {title:?}: {what}\n{why}");
        scene.play(block).map_err(failed)?;
    }
    let left = scene.machine.as_ref().map_or(Ok(()), Machine::is_well);
    left.map_err(|why| format!("{page}, {title:?}: it leaves a redirect, or an outage\n{why}"))
}
