//! Threads that write rules, move the kill switch and read snapshots, in orders that the scheduler of shuttle chooses:
//! `cargo rustc -p squall-control --lib --profile test -- --cfg shuttle`, as `.ci/run` does.

use serde_json::json;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use super::tests::publisher;
use super::*;

/// Orders that are tried. The scheduler draws from a fixed seed.
const ORDERS: usize = 1_000;

fn put(publisher: &Publisher, name: &str) -> u64 {
    let rule = json!({"name": name, "percentage": 5, "fault": {"delay": "1s"}});
    let rule = squall_config::parse_value(&rule).unwrap();
    publisher.update(&Write::by(Actor::default()), |draft| Ok(draft.put_rule(rule))).unwrap().generation
}

fn names(publisher: &Publisher) -> Vec<String> {
    publisher.store.load().rules.iter().map(|rule| rule.rule.name.to_string()).collect()
}

fn try_orders(scenario: fn()) {
    let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(7, ORDERS);
    let mut config = shuttle::Config::new();
    // Validation and compilation need more than the default of 32 KiB, in a build without optimization.
    config.stack_size = 1 << 20;
    shuttle::Runner::new(scheduler, config).run(scenario);
}

/// Reads like a worker: generations only rise, and from the end of a call of halt on nothing is injected.
fn watch(publisher: &Arc<Publisher>, is_halted: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (publisher, is_halted) = (Arc::clone(publisher), Arc::clone(is_halted));
    thread::spawn(move || {
        let mut last = 0;
        for _ in 0..8 {
            let must_be_halted = is_halted.load(Ordering::SeqCst);
            let snapshot = publisher.store.load();
            assert!(snapshot.generation >= last, "{} after {last}", snapshot.generation);
            assert!(snapshot.halted || !must_be_halted, "generation {} injects", snapshot.generation);
            assert!(!snapshot.halted || snapshot.listeners.iter().all(|listener| listener.http_rules.is_empty()));
            last = snapshot.generation;
            thread::yield_now();
        }
    })
}

#[test]
fn halt_wins_over_writers_in_all_orders() {
    try_orders(|| {
        let (publisher, is_halted) = (publisher(None).0, Arc::new(AtomicBool::new(false)));
        let writers = ["a", "b"].map(|name| {
            let publisher = Arc::clone(&publisher);
            thread::spawn(move || put(&publisher, name))
        });
        let (halting, told) = (Arc::clone(&publisher), Arc::clone(&is_halted));
        let halt = thread::spawn(move || {
            let generation = halting.halt(Actor::default(), "enough");
            told.store(true, Ordering::SeqCst);
            generation
        });
        let watching = watch(&publisher, &is_halted);
        let [a, b] = writers.map(|writer| writer.join().unwrap());
        let halted = halt.join().unwrap();
        watching.join().unwrap();

        let mut generations = [a, b, halted];
        generations.sort_unstable();
        assert_eq!(generations, [2, 3, 4], "each change has a generation of its own");
        let last = publisher.store.load();
        assert!(last.halted && last.generation == 4 && publisher.stats().halted);
        let mut names = names(&publisher);
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "slow"], "no write is lost");
    });
}

#[test]
fn resume_brings_back_what_was_written_meanwhile() {
    try_orders(|| {
        let publisher = publisher(None).0;
        publisher.halt(Actor::default(), "enough");
        let (writing, resuming) = (Arc::clone(&publisher), Arc::clone(&publisher));
        let writer = thread::spawn(move || put(&writing, "a"));
        let resume = thread::spawn(move || resuming.resume(Actor::default(), "well again"));
        let (a, resumed) = (writer.join().unwrap(), resume.join().unwrap());
        let last = publisher.store.load();
        assert_eq!((last.generation, last.halted, a.max(resumed), a.min(resumed)), (4, false, 4, 3));
        assert_eq!(names(&publisher), ["slow", "a"]);
        assert_eq!(last.listeners[0].http_rules.len(), 2);
    });
}
