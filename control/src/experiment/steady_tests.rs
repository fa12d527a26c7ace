use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use squall_config::load_text;
use squall_config::model::{Direction, Name};
use squall_telemetry::TrafficTotals;

use super::*;
use crate::web::{WebAnswer, WebFuture, WebRequest};

const BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 1.0];

/// A statement whose opposite is this condition of a guard.
fn statement(broken: &str, restored_within: Option<Duration>) -> SteadyState {
    let text = format!(
        "version: 1\nlisteners: [{{name: to-a, address: '127.0.0.1:0', cluster: a, direction: inbound}}]\n\
         clusters: [{{name: a, endpoints: ['127.0.0.1:1']}}]\nguards: [{{name: g, condition: {{{broken}}}}}]\n"
    );
    let guard = load_text(&text).unwrap().1.guards.remove(0);
    SteadyState { name: guard.name, statement: format!("not {broken}"), broken: guard.condition, restored_within }
}

/// Answers probes with a status that is set from outside.
#[derive(Default)]
struct Probed(AtomicU16, Mutex<u32>);

impl Web for Probed {
    fn ask(&self, _: WebRequest) -> WebFuture {
        *self.1.lock().unwrap() += 1;
        let status = self.0.load(Ordering::Relaxed);
        Box::pin(async move {
            if status == 0 { Err("refused".to_owned()) } else { Ok(WebAnswer { status, body: Vec::new() }) }
        })
    }
}

struct World {
    steady: Steady,
    traffic: Traffic,
    began: Instant,
    now: Instant,
    said: Vec<String>,
}

impl World {
    fn new(statements: &[SteadyState]) -> Self {
        Self::with(statements, &(Arc::new(Probed::default()) as Arc<dyn Web>))
    }

    fn with(statements: &[SteadyState], web: &Arc<dyn Web>) -> Self {
        let now = Instant::now();
        let name = |text| Name::new(text).unwrap();
        let (connections, bytes_request, bytes_response) = (0, 0, 0);
        let (begun, ended, injected, failed, durations) = (0, 0, 0, 0, vec![0; BOUNDS.len() + 1]);
        let (listener, cluster, direction) = (name("to-a"), name("a"), Direction::Inbound);
        let total = TrafficTotals {
            listener,
            cluster,
            direction,
            connections,
            bytes_request,
            bytes_response,
            begun,
            ended,
            injected,
            failed,
            durations,
        };
        let traffic = Traffic { duration_bounds: BOUNDS, totals: vec![total] };
        let statements = statements.iter().map(|about| Statement::new(about, web)).collect();
        let steady = Steady { statements, phase: RunPhase::Baseline, entered: now };
        Self { steady, traffic, began: now, now, said: Vec::new() }
    }

    /// So many tenths of a second of 10 requests each, of which so many fail and so many are in this bucket of durations.
    fn flow(&mut self, tenths: u32, failed: u64, slow: (usize, u64)) {
        for _ in 0..tenths {
            let total = &mut self.traffic.totals[0];
            total.begun += 10;
            total.ended += 10;
            total.failed += failed;
            total.durations[slow.0] += slow.1;
            total.durations[0] += 10 - slow.1;
            self.now += Duration::from_millis(100);
            let said = self.steady.step(self.now, &self.traffic);
            self.said.extend(said);
        }
    }

    fn enter(&mut self, phase: RunPhase) {
        self.steady.enter(phase, self.now, &self.traffic);
    }

    fn report(&mut self) -> SteadyStateReport {
        self.steady.report(self.began, self.now, &self.traffic).remove(0)
    }
}

#[test]
fn each_phase_counts_on_its_own() {
    let mut world = World::new(&[statement("metric: error_rate, above: 1%, for: 1s", None)]);
    world.flow(50, 0, (0, 0));
    assert_eq!(world.steady.trouble_of_baseline(world.now, &world.traffic), None);
    world.enter(RunPhase::Injecting);
    world.flow(40, 0, (0, 0));
    world.flow(10, 1, (0, 0));
    world.enter(RunPhase::Recovering);
    assert!(!world.steady.is_steady(), "nothing is known yet of the recovery");
    world.flow(20, 0, (0, 0));
    assert!(world.steady.is_steady());
    let report = world.report();
    assert_eq!((report.unit.as_str(), report.bound), ("%", Some(1.0)));
    let held = [&report.baseline, &report.injecting, &report.recovering].map(|held| held.held);
    assert_eq!(held, [Some(true), Some(false), Some(true)]);
    assert_eq!(
        report.injecting.value.map(|value| (value * 100.0).round()),
        Some(204.0),
        "10 of 490, the first look is the base"
    );
    // In the last five seconds it was broken from the first failures on, and held again in the recovery.
    assert_eq!(report.broken.len(), 1);
    let (from, to) = report.broken[0];
    assert!((9.0..9.8).contains(&from) && to.unwrap() > 10.0, "{from} {to:?}");
    assert_eq!(world.said.len(), 2, "{:?}", world.said);
}

#[test]
fn quantiles_are_compared_with_their_bound() {
    let mut world = World::new(&[statement("metric: p90, above: 500ms, for: 1s", None)]);
    world.flow(30, 0, (3, 0));
    world.enter(RunPhase::Injecting);
    world.flow(30, 0, (3, 2));
    let report = world.report();
    assert_eq!((report.baseline.held, report.injecting.held, report.unit.as_str()), (Some(true), Some(false), "s"));
    assert!(report.injecting.value.unwrap() > 0.5 && report.baseline.value.unwrap() < 0.1, "{report:?}");
}

#[test]
fn too_little_says_nothing_and_keeps_faults_from_flowing() {
    let mut world = World::new(&[statement("metric: error_rate, above: 1%, for: 1s", None)]);
    world.flow(9, 0, (0, 0));
    let trouble = world.steady.trouble_of_baseline(world.now, &world.traffic).unwrap();
    assert!(
        trouble.contains("nobody knows") && trouble.contains("80 requests are too few, 100 are needed"),
        "{trouble}"
    );
}

#[test]
fn what_does_not_hold_is_named_with_its_value() {
    let mut world = World::new(&[
        statement("metric: error_rate, above: 1%, for: 1s", None),
        statement("metric: request_rate, below: 1000, for: 1s", None),
        statement("metric: in_flight, above: 5, for: 1s", None),
    ]);
    world.flow(50, 1, (0, 0));
    let trouble = world.steady.trouble_of_baseline(world.now, &world.traffic).unwrap();
    assert!(trouble.contains("does not hold (10.00 %)") && trouble.contains("(100.00 requests/s)"), "{trouble}");
    assert!(!trouble.contains("in_flight"), "{trouble}");
}

#[test]
fn a_break_may_be_forgiven_when_it_is_short() {
    let broken_for = |tenths: u32| {
        let within = Some(Duration::from_secs(8));
        let mut world = World::new(&[statement("metric: error_rate, above: 10%, for: 1s", within)]);
        world.flow(50, 0, (0, 0));
        world.enter(RunPhase::Injecting);
        world.flow(50, 0, (0, 0));
        world.flow(tenths, 10, (0, 0));
        world.flow(100, 0, (0, 0));
        let found = world.report().injecting;
        (found.held, found.trouble)
    };
    assert_eq!(broken_for(0), (Some(true), None));
    let (held, trouble) = broken_for(20);
    assert!(held == Some(true) && trouble.unwrap().contains("at most"), "5 s is what the last seconds forget after");
    let (held, trouble) = broken_for(90);
    assert!(held == Some(false) && trouble.unwrap().contains("and may be for 8s"));
}

#[tokio::test]
async fn probes_are_asked_and_counted() {
    let probed = Arc::new(Probed::default());
    probed.0.store(200, Ordering::Relaxed);
    let about = statement("probe: 'http://127.0.0.1:1/', every: 100ms, failures: 2", None);
    let mut world = World::with(&[about], &(Arc::clone(&probed) as Arc<dyn Web>));
    let asked = async |world: &mut World, n: u32| {
        let until = *probed.1.lock().unwrap() + n;
        while *probed.1.lock().unwrap() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.said.extend(world.steady.step(Instant::now(), &Traffic::default()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        world.said.extend(world.steady.step(Instant::now(), &Traffic::default()));
    };
    assert!(world.steady.trouble_of_baseline(world.now, &world.traffic).unwrap().contains("nothing was measured"));
    asked(&mut world, 2).await;
    assert_eq!(world.steady.trouble_of_baseline(world.now, &world.traffic), None);
    world.enter(RunPhase::Injecting);
    probed.0.store(503, Ordering::Relaxed);
    asked(&mut world, 1).await;
    assert!(world.steady.is_steady(), "one failure is not enough");
    asked(&mut world, 2).await;
    assert!(!world.steady.is_steady());
    assert!(world.said.iter().any(|said| said.ends_with("does not hold: 503 status")), "{:?}", world.said);
    probed.0.store(0, Ordering::Relaxed);
    asked(&mut world, 1).await;
    let report = world.report();
    assert_eq!((report.injecting.held, report.unit.as_str(), report.bound), (Some(false), "status", None));
    assert_eq!(report.injecting.trouble.as_deref(), Some("refused"));
    let before = *probed.1.lock().unwrap();
    drop(world);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(*probed.1.lock().unwrap(), before, "nobody asks any more");
}
