//! One run: every round goes over all peers, so that what the machine does in the meantime hits all of them.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::args::Options;
use crate::origin::Origin;
use crate::peer::{Peer, Running, Setup};
use crate::process::{LOAD_CORE, Process, pinned};
use crate::report::{Row, Table};
use crate::work::{Work, check_http1};

/// Idle connections whose memory is counted.
const IDLE_CONNECTIONS: usize = 5_000;

/// Measures everything that is asked for, and writes it down.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores >= 2, "this machine has {cores} core: proxy and load need one each");
    // Load that this process makes itself must not take time from the proxy.
    let mut core = rustix::thread::CpuSet::new();
    core.set(LOAD_CORE);
    rustix::thread::sched_setaffinity(None, &core)?;
    let directory = options.out.join("run");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let this = std::env::current_exe()?;
    let (_origin, line) = Process::start_and_read_line(pinned(LOAD_CORE, &this).arg("origin"))?;
    let origin = Origin::parse(&line).with_context(|| format!("the origin said {line:?}"))?;
    let setup = Setup { squall: &options.squall, directory: &directory.canonicalize()?, origin };
    let kinds = if options.work.is_empty() { Work::ALL.to_vec() } else { options.work.clone() };
    let mut page = String::new();
    for work in kinds {
        let table = compare(work, options, &setup)?;
        crate::report::say(&table.markdown());
        page.push_str(&table.markdown());
    }
    let file = options.out.join("results.md");
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
}

fn compare(work: Work, options: &Options, setup: &Setup<'_>) -> anyhow::Result<Table> {
    let is_wanted = |peer: &Peer| options.peers.is_empty() || options.peers.iter().any(|p| peer.name().starts_with(p));
    let mut rows = Vec::new();
    let mut peers = Vec::new();
    for peer in Peer::of(work).into_iter().filter(is_wanted) {
        match peer.start(work, setup)? {
            Some(running) => {
                rows.push(Row::new(peer.name()));
                peers.push(running);
            }
            None => rows.push(Row::left_out(peer.name())),
        }
    }
    for _ in 0..options.rounds {
        for (row, running) in rows.iter_mut().filter(|row| !row.is_left_out).zip(&peers) {
            row.values.push(one(work, running, options).with_context(|| row.name.clone())?);
        }
        if work == Work::Idle {
            break; // memory that was once used is not given back: a second round would say less
        }
    }
    Ok(Table { title: work.title(), rows })
}

/// One round of one peer.
fn one(work: Work, running: &Running, options: &Options) -> anyhow::Result<f64> {
    if work == Work::Idle {
        let before = running.process.resident_kib()?;
        let open = (0..IDLE_CONNECTIONS).map(|_| check_http1(running.address)).collect::<Result<Vec<_>, _>>()?;
        return Ok((running.process.resident_kib()? - before) / open.len() as f64);
    }
    if work == Work::Http1 {
        check_http1(running.address)?;
    }
    work.load(running.address, Duration::from_secs(1))?;
    let before = running.process.cpu_us()?;
    let units = work.load(running.address, Duration::from_secs(options.seconds))?;
    let used = running.process.cpu_us()? - before;
    Ok(if work == Work::TcpBulk { used / 1e6 / units } else { used / units })
}
