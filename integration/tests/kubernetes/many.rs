//! Two hundred sidecars at once.

use std::io::Write as _;
use std::time::{Duration, Instant};

use squall_integration::eventually;

use super::{PATIENCE, World, late, rule};

/// A build for development on a machine that others use takes longer than the tenth of a second that it takes otherwise.
const SECONDS_MAX: u64 = 20;

#[test]
fn two_hundred_sidecars_have_their_orders_within_seconds() {
    let world = World::start(&["--lease", "30s"]);
    let followers = world.followers(200);
    let begun = Instant::now();
    world.server.create(rule("slow"), &late("10m"));
    eventually("the rule in all of them", PATIENCE, || {
        followers.iter().all(|one| one.rules() == ["slow"]).then_some(())
    });
    let last = followers.iter().filter_map(|one| one.taken()).max().unwrap();
    let took = last.saturating_duration_since(begun);
    let _ = writeln!(std::io::stderr(), "200 sidecars: {} ms from the rule to the last orders", took.as_millis());
    assert!(took < Duration::from_secs(SECONDS_MAX), "{took:?}");
    world.server.until(rule("slow"), PATIENCE, |rule| {
        rule["status"]["hitPods"] == 200 && rule["status"]["phase"] == "Injecting"
    });
}
