use squall_config::load_text;
use squall_config::spec::ConfigSpec;

use super::*;
use crate::publish::tests::{FakePlane, app_of};
use crate::state::Start;
use crate::web::{WebFuture, WebRequest};
use crate::write::Write;

const FILE: &str = "version: 1
listeners: [{name: to-b, address: 127.0.0.1:0, cluster: b}]
clusters: [{name: b, endpoints: ['127.0.0.1:9000']}]
guards: [{name: idle, condition: {metric: request_rate, below: 1, for: 1s}}]
";

fn idle() -> (Arc<App>, Arc<FakePlane>) {
    let (document, config) = load_text(FILE).unwrap();
    app_of(Start::fresh(document, config), None)
}

/// Nobody answers.
struct Nobody;

impl Web for Nobody {
    fn ask(&self, _: WebRequest) -> WebFuture {
        Box::pin(std::future::pending())
    }
}

/// Looks so often, a quarter of a second apart.
fn look(watched: &mut Watched, app: &Arc<App>, begin: Instant, steps: std::ops::Range<u32>) -> bool {
    let mut has_tripped = false;
    let web = Arc::new(Nobody) as Arc<dyn Web>;
    for step in steps {
        watched.follow(app, &web);
        has_tripped |= watched.step(app, begin + STEP * step);
    }
    has_tripped
}

fn state(app: &App) -> &'static str {
    app.guards()[0].state
}

#[tokio::test]
async fn a_trip_halts_once_and_tells_everybody() {
    let (app, _plane) = idle();
    let mut events = app.publisher.events().subscribe().unwrap();
    let (mut watched, begin) = (Watched::default(), Instant::now());
    assert!(!look(&mut watched, &app, begin, 0..5));
    assert_eq!((state(&app), app.publisher.stats().halted), ("breaching", false));
    assert!(look(&mut watched, &app, begin, 5..6));
    let halt = app.publisher.view().halt.unwrap();
    assert_eq!(halt.reason, "guard idle: request_rate below 1 for 1s; 0 requests/s in 1.0 s");
    assert!(!look(&mut watched, &app, begin, 6..20), "once");
    let stats = app.guards().remove(0);
    assert_eq!((stats.state, stats.trips), ("tripped", 1));
    let mut told = Vec::new();
    while told.len() < 3 {
        let Some(crate::events::Received::Event(event)) = events.next().await else { panic!("three events") };
        told.push((event.kind, event.data["state"].as_str().unwrap_or_default().to_owned()));
    }
    let expected = [(EventKind::Guard, "breaching"), (EventKind::Halt, ""), (EventKind::Guard, "tripped")];
    assert_eq!(told, expected.map(|(kind, state)| (kind, state.to_owned())));
    let entry = app.audit.last(1).remove(0);
    assert_eq!((entry.operation.as_str(), entry.reason.as_deref()), ("halt", Some(halt.reason.as_str())));
}

#[test]
fn after_a_resume_a_guard_begins_afresh() {
    let (app, _plane) = idle();
    let (mut watched, begin) = (Watched::default(), Instant::now());
    assert!(look(&mut watched, &app, begin, 0..6));
    app.publisher.resume(Actor::default(), "");
    watched.follow(&app, &(Arc::new(Nobody) as Arc<dyn Web>));
    assert_eq!(state(&app), "ok", "before it has looked");
    assert!(!look(&mut watched, &app, begin, 6..11), "the time before does not count");
    assert!(!app.publisher.stats().halted);
    assert_eq!(state(&app), "breaching");
    assert!(look(&mut watched, &app, begin, 11..12));
    assert_eq!(app.guards()[0].trips, 2);
}

#[test]
fn a_guard_that_stays_as_it_is_goes_on_over_a_change_of_the_configuration() {
    let (app, _plane) = idle();
    let change = |change: fn(&mut ConfigSpec)| {
        let done = app.publisher.update(&Write::by(Actor::default()), |draft| {
            change(&mut draft.document);
            Ok(())
        });
        done.unwrap();
    };
    let (mut watched, begin) = (Watched::default(), Instant::now());
    look(&mut watched, &app, begin, 0..4);
    change(|document| document.fault_header = Some(false));
    assert!(look(&mut watched, &app, begin, 4..6), "it had waited for most of its time already");
    app.publisher.resume(Actor::default(), "");
    look(&mut watched, &app, begin, 6..10);
    change(|document| {
        let condition = document.guards[0].condition.as_mut().unwrap();
        condition.held_for = Some("1500ms".into());
    });
    assert!(!look(&mut watched, &app, begin, 10..17), "another condition begins with nothing");
    assert!(look(&mut watched, &app, begin, 17..18));
    change(|document| document.guards.clear());
    assert!(!look(&mut watched, &app, begin, 18..19));
    assert!(app.guards().is_empty());
}
