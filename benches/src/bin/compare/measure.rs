//! One run: every round goes over all peers, so that what the machine does in the meantime hits all of them.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::args::Options;
use crate::identity::Identity;
use crate::open_loop;
use crate::origin::Origin;
use crate::peer::{Peer, Running};
use crate::report::{Row, Table};
use crate::setup::Setup;
use crate::work::{DELAYED, Work, check_http1};
use squall_benches::process::{LOAD_CORE, Process, pinned, run_on_load_core};

/// Idle connections whose memory is counted.
const IDLE_CONNECTIONS: usize = 5_000;
/// Connections before those: the code that the first ones run is no memory of the others.
const FIRST_CONNECTIONS: usize = 50;

/// Measures everything that is asked for, and writes it down.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run_on_load_core()?;
    let directory = options.out.join("run");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let this = std::env::current_exe()?;
    let (_origin, line) = Process::start_and_read_line(pinned(&[LOAD_CORE], &this).arg("origin"))?;
    let origin = Origin::parse(&line).with_context(|| format!("the origin said {line:?}"))?;
    let directory = directory.canonicalize()?;
    let identity = Identity::make(&directory)?;
    let setup = Setup { squall: &options.squall, directory: &directory, origin, identity };
    let kinds = if options.work.is_empty() { Work::ALL.to_vec() } else { options.work.clone() };
    let mut page = String::new();
    for work in kinds {
        for (i, table) in compare(work, options, &setup)?.into_iter().enumerate() {
            crate::report::say(&table.markdown());
            page.push_str(&table.markdown());
            let name = format!("{}{}.svg", work.name(), if i == 0 { String::new() } else { format!("-{}", i + 1) });
            crate::picture::draw(&table, &options.out.join(&name))?;
            page.push_str(&format!("\n![{}]({name})\n", table.title));
        }
    }
    let file = options.out.join("results.md");
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
}

fn compare(work: Work, options: &Options, setup: &Setup<'_>) -> anyhow::Result<Vec<Table>> {
    let is_wanted = |peer: &Peer| {
        options.peers.is_empty()
            || *peer == Peer::Direct
            || options.peers.iter().any(|wanted| peer.name().starts_with(wanted))
    };
    let (mut rows, mut peers) = (Vec::new(), Vec::new());
    for peer in Peer::of(work).into_iter().filter(is_wanted) {
        match peer.start(work, setup)? {
            Some(running) => {
                rows.push(Row::new(peer.name()));
                peers.push(running);
            }
            None => rows.push(Row::left_out(peer.name())),
        }
    }
    // One set of rows for each number that a round gives.
    let mut tables: Vec<Table> =
        work.titles().iter().map(|title| Table { title: (*title).to_owned(), rows: rows.clone() }).collect();
    // What was used once is not given back: a second round of memory would say less.
    let rounds = if work == Work::Idle { 1 } else { options.rounds };
    for _ in 0..rounds {
        let mut direct = None;
        let present = rows.iter().enumerate().filter(|(_, row)| !row.is_left_out).map(|(at, _)| at);
        for (at, running) in present.zip(&peers) {
            let logged = running.logged()?;
            let values = one(work, running, &mut direct, (options, setup)).with_context(|| rows[at].name.clone())?;
            ensure!(running.logged()? == logged, "{} wrote to its log, the others do not", rows[at].name);
            for (table, value) in tables.iter_mut().zip(values) {
                table.rows[at].values.push(value);
            }
        }
    }
    Ok(tables)
}

/// One round of one peer: a number for each title of the work. `direct` is what the round's first peer, the origin
/// itself, gave.
fn one(
    work: Work,
    running: &Running,
    direct: &mut Option<Vec<f64>>,
    (options, setup): (&Options, &Setup<'_>),
) -> anyhow::Result<Vec<f64>> {
    let time = Duration::from_secs(options.seconds);
    match work {
        Work::Idle => memory(running),
        Work::OpenLoop => {
            open_loop::run(running.address, "/", 2_000, Duration::from_secs(1))?;
            let latencies = open_loop::run(running.address, "/", 2_000, time)?;
            let own: Vec<f64> = [0.5, 0.99, 0.999].map(|share| latencies.quantile_us(share)).into();
            let direct = direct.get_or_insert_with(|| own.clone());
            let added = own.iter().zip(direct.iter()).map(|(own, direct)| own - direct);
            Ok(if running.process.is_none() { own.clone() } else { added.collect() })
        }
        Work::Delay => {
            let without = open_loop::run(running.address, "/", 200, time)?.quantile_us(0.5);
            let with = open_loop::run(running.address, DELAYED, 200, time)?;
            ensure!(with.quantile_us(0.5) > 9e4, "it does not delay each request");
            let beyond = |share: f64, expected: f64| (with.quantile_us(share) - expected) / 1e3;
            Ok(vec![beyond(0.0, 1e5), beyond(0.5, 1e5 + without), beyond(0.99, 1e5 + without)])
        }
        Work::WorkersHttp1 | Work::WorkersHttp2 => {
            let process = running.process()?;
            if work == Work::WorkersHttp1 {
                check_http1(running.address)?;
            }
            // Longer than the others: who shares by load has to see it first.
            work.load(running.address, Duration::from_secs(3))?;
            let before = process.cpu_us_of_threads()?;
            let units = work.load(running.address, time)?;
            let after = process.cpu_us_of_threads()?;
            let used = after.iter().map(|(thread, us)| us - before.get(thread).copied().unwrap_or(0.0));
            let (all, most) = used.fold((0.0, 0.0), |(all, most): (f64, f64), us| (all + us, most.max(us)));
            Ok(vec![100.0 * most / all, all / units, most / units])
        }
        Work::Http1
        | Work::Rules
        | Work::Http2
        | Work::TcpBulk
        | Work::TcpPingPong
        | Work::TlsHttp1
        | Work::TlsHandshake => {
            let process = running.process()?;
            if matches!(work, Work::Http1 | Work::Rules) {
                check_http1(running.address)?;
            }
            if work.is_tls() {
                setup.identity.check(running.address)?;
            }
            work.load(running.address, Duration::from_secs(1))?;
            let before = process.cpu_us()?;
            let units = work.load(running.address, time)?;
            let used = process.cpu_us()? - before;
            Ok(vec![if work == Work::TcpBulk { used / 1e6 / units } else { used / units }])
        }
    }
}

/// KiB for each idle connection, and MiB before the first.
fn memory(running: &Running) -> anyhow::Result<Vec<f64>> {
    let process = running.process()?;
    let open = |n| (0..n).map(|_| check_http1(running.address)).collect::<Result<Vec<_>, _>>();
    let before = process.resident_kib()?;
    let _first = open(FIRST_CONNECTIONS)?;
    let base = process.resident_kib()?;
    let counted = open(IDLE_CONNECTIONS)?;
    Ok(vec![(process.resident_kib()? - base) / counted.len() as f64, before / 1024.0])
}
