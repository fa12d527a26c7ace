//! Ends rules and the lease when their time is over, and what a controller ordered when it falls silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actor::{Actor, Part};
use crate::app::App;
use crate::disk::Disk;
use crate::document::Now;
use crate::fleet;
use crate::publish::Publisher;

/// While there is a rule that ends, both clocks are read at least this often: the wall clock may have been set, the
/// machine may have slept.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// While somebody holds the lease, both clocks are read at least this often.
const LOOK_AT_LEASE_EVERY: Duration = Duration::from_millis(500);

/// While a controller's orders hold, which is for seconds, both clocks are read at least this often.
const LOOK_AT_ORDERS_EVERY: Duration = Duration::from_millis(500);

/// How much time is left is written down this often, where it outlives the process: after a restart of the machine with a
/// wrong clock a rule lives at most this much longer.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// A change that is under way holds up the end of rules: when it takes this long, faults end in another way.
const EXPIRE_WITHIN: Duration = Duration::from_secs(10);

/// Sleeps until the next rule ends, publishes without it; never returns. A change of rules wakes it.
pub(crate) async fn end_rules(app: Arc<App>) {
    let publisher = &app.publisher;
    let (mut kept, mut disk) = (Instant::now(), Disk::default());
    loop {
        let (of_rules, of_orders) = (publisher.view().written.next_deadline(), app.controller.deadline());
        let changed = publisher.changed.deadlines.notified();
        let Some(deadline) = of_rules.into_iter().chain(of_orders).min() else {
            changed.await;
            continue;
        };
        let look_every = if of_orders.is_some() { LOOK_AT_ORDERS_EVERY } else { LOOK_EVERY };
        let sleep = deadline.saturating_duration_since(Now::read().monotonic).min(look_every);
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = changed => {}
        }
        let now = Now::read();
        fleet::expire_orders(&app, now);
        let are_silent = publisher.has_silent_orders(now);
        if publisher.view().written.expired(now).is_empty() && !are_silent {
            if of_rules.is_some() && kept.elapsed() >= KEEP_EVERY {
                kept = Instant::now();
                publisher.write_later(&mut disk, Publisher::keep_time);
            }
            continue;
        }
        let writer = Arc::clone(publisher);
        let expire = tokio::task::spawn_blocking(move || {
            if are_silent {
                writer.drop_orders();
            }
            writer.expire(now)
        });
        let why = match tokio::time::timeout(EXPIRE_WITHIN, expire).await {
            Ok(Ok(_)) => {
                publisher.write_later(&mut disk, Publisher::write_down);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "another change takes too long".to_owned(),
        };
        tracing::error!(why, "rules cannot be ended; all faults are halted");
        publisher.halt(Actor::Squall(Part::Expiry), "rules could not be ended in time");
        publisher.write_later(&mut disk, Publisher::write_down);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends the lease when its time is over; never returns.
pub(crate) async fn end_lease(publisher: Arc<Publisher>) {
    let mut disk = Disk::default();
    loop {
        let changed = publisher.changed.lease.notified();
        let Some(lease) = publisher.lease() else {
            changed.await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep(lease.left(Now::read()).min(LOOK_AT_LEASE_EVERY)) => {}
            () = changed => {}
        }
        if publisher.expire_lease(Now::read()) {
            publisher.write_later(&mut disk, Publisher::write_down);
        }
    }
}
