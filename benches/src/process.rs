//! Child processes on a core of their own, and what they use.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// The core of the proxy under test; it runs there alone.
pub const PROXY_CORE: usize = 0;
/// The core of load and upstream.
pub const LOAD_CORE: usize = 1;

/// A process that ends with its owner.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From now on this process, which makes load, runs on its own core and takes no time from the proxy.
///
/// # Errors
/// With fewer than two cores.
pub fn run_on_load_core() -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores >= 2, "this machine has {cores} core: proxy and load need one each");
    let mut core = rustix::thread::CpuSet::new();
    core.set(LOAD_CORE);
    Ok(rustix::thread::sched_setaffinity(None, &core)?)
}

/// A command that will run on these cores only.
pub fn pinned(cores: &[usize], program: &Path) -> Command {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cores.join(",")).arg(program).stdin(Stdio::null());
    command
}

impl Process {
    /// Starts it; what it says goes to a file.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command.stdout(file.try_clone()?).stderr(file).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start {command:?}"))? })
    }

    /// Starts it and gives back the first line it prints.
    pub fn start_and_read_line(command: &mut Command) -> anyhow::Result<(Self, String)> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("its output is piped")?;
        let process = Self { child };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok((process, line.trim().to_owned()))
    }

    /// Waits until it accepts connections.
    pub fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            if Instant::now() > deadline {
                bail!("nothing accepts on {address}");
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Waits until these words stand in its log, which may be written later than they are said.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for_words(&self, log: &Path, words: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !std::fs::read_to_string(log)?.contains(words) {
            ensure!(Instant::now() < deadline, "{words:?} does not stand in {}", log.display());
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Time on the processor, user and system, of all its threads that still run, in microseconds. From `schedstat`,
    /// which counts nanoseconds (Linux, Documentation/scheduler/sched-stats).
    pub fn cpu_us(&self) -> anyhow::Result<f64> {
        Ok(self.cpu_us_of_threads()?.values().sum())
    }

    /// [`Self::cpu_us`] of each thread that still runs, by its id.
    pub fn cpu_us_of_threads(&self) -> anyhow::Result<BTreeMap<OsString, f64>> {
        let mut threads = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?;
            let stat = std::fs::read_to_string(task.path().join("schedstat"))?;
            let ns: f64 = stat.split(' ').next().context("schedstat begins with the time")?.parse()?;
            threads.insert(task.file_name(), ns / 1000.0);
        }
        Ok(threads)
    }

    /// What a thread is called.
    ///
    /// # Errors
    /// When it does not run.
    pub fn name_of_thread(&self, thread: &std::ffi::OsStr) -> anyhow::Result<String> {
        let task = Path::new("/proc").join(self.child.id().to_string()).join("task").join(thread);
        Ok(std::fs::read_to_string(task.join("comm"))?.trim().to_owned())
    }

    /// Resident memory in KiB (`proc_pid_status(5)`, VmRSS).
    pub fn resident_kib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// An address of loopback that nobody uses.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
