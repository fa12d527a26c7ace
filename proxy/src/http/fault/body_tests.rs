use std::cell::Cell;

use squall_config::model::Fault;
use squall_fault::Stamp;
use squall_fault::snapshot::Snapshot;
use tokio::sync::watch;

use super::*;

/// A snapshot with one rule, which flips bits.
fn snapshot() -> Arc<Snapshot> {
    let text = "version: 1\nlisteners:\n  - { name: a, address: '127.0.0.1:0', cluster: b }\n\
                clusters:\n  - { name: b, endpoints: ['127.0.0.1:9'] }\n\
                rules:\n  - { name: r, percentage: 100, fault: { corrupt: 10% } }\n";
    let config = Arc::new(squall_config::load_text(text).unwrap().1);
    Arc::new(squall_fault::compile(config, None, Stamp::first(7)))
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_waits_while_the_worker_drains_only_waits() {
    let snapshot = snapshot();
    let compiled = &snapshot.rules[0];
    let Fault::Corrupt(corrupt) = &compiled.rule.faults[0] else { panic!("{:?}", compiled.rule) };
    let fault = (Arc::clone(&compiled.state), BodyFault::Flips(BitFlips::new(corrupt.rate, 1)));
    let (changes, life) = (watch::Sender::new(Arc::clone(&snapshot)), watch::Sender::new(Life::Serving));
    let control = Control { changes: changes.subscribe(), life: life.subscribe() };
    let mut faults = BodyFaults::new(vec![fault], control);
    life.send_replace(Life::Draining);
    let looks = Cell::new(0);
    let read = std::future::poll_fn(|cx| {
        faults.poll(cx, |_| {
            looks.set(looks.get() + 1);
            Poll::<Option<Result<Frame<Bytes>, Interrupt>>>::Pending
        })
    });
    tokio::time::timeout(Duration::from_millis(20), read).await.expect_err("nothing comes");
    assert!(looks.get() < 5, "it looked {} times", looks.get());
}
