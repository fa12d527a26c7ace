//! Black holes of one direction.

use std::time::Instant;

use super::*;

const NEVER: Option<Duration> = None;

fn hole(direction: Phase, max: Option<Duration>, idle: Option<Duration>) -> Rule {
    rule("hole", Fault::Blackhole(Blackhole { direction: Some(direction), max, idle }))
}

#[test]
fn one_direction_is_dropped_while_the_other_flows() {
    for on in [Phase::Request, Phase::Response] {
        for is_new in [false, true] {
            run(async move {
                let world = World::new(if is_new { vec![hole(on, NEVER, NEVER)] } else { vec![] });
                let mut link = world.connect().await;
                let mut server = link.accept().await;
                if !is_new {
                    assert_flows(&mut link.client, &mut server).await;
                    assert_flows(&mut server, &mut link.client).await;
                    world.publish(vec![hole(on, NEVER, NEVER)]);
                    tokio::task::yield_now().await;
                }
                let (sender, receiver) = ends(on, &mut link, &mut server);
                // Whoever sends into it is never blocked.
                sender.write_all(&pattern(20 << 20)).await.unwrap();
                assert_silent(receiver).await;
                assert_flows(receiver, sender).await;
                // The end of the direction passes, and the other one lives on.
                sender.shutdown().await.unwrap();
                assert_eq!(read_all(receiver).await, (vec![], None));
                assert_flows(receiver, sender).await;
                receiver.shutdown().await.unwrap();
                assert_eq!(read_all(sender).await, (vec![], None));
                assert!(matches!(link.relay.await.unwrap().end, RelayEnd::Finished));
                assert_eq!(*world.record.injected.borrow(), [("hole".to_owned(), "blackhole")]);
                assert_eq!(world.counts("hole"), (1, 1, 0, 0));
            });
        }
    }
}

#[test]
fn both_directions_can_have_a_hole() {
    run(async {
        let other = Rule { name: Name::new("other").unwrap(), ..hole(Phase::Response, NEVER, NEVER) };
        let world = World::new(vec![hole(Phase::Request, NEVER, NEVER), other]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        link.client.write_all(b"question").await.unwrap();
        server.write_all(b"answer").await.unwrap();
        assert_silent(&mut server).await;
        assert_silent(&mut link.client).await;
        assert_eq!(world.record.injected.borrow().len(), 2);
    });
}

#[test]
fn what_was_read_before_a_hole_passes() {
    run(async {
        let late = || rule("late", delay(150, Phase::Request));
        let world = World::new(vec![late()]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        link.client.write_all(b"before").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.publish(vec![late(), hole(Phase::Request, NEVER, NEVER)]);
        tokio::task::yield_now().await;
        link.client.write_all(b"after").await.unwrap();
        link.client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut server).await, (b"before".to_vec(), None));
    });
}

#[test]
fn a_hole_closes_the_connection_at_its_max_whatever_comes() {
    run(async {
        let max = Duration::from_millis(150);
        let world = World::new(vec![hole(Phase::Request, Some(max), NEVER)]);
        let start = Instant::now();
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        while start.elapsed() < Duration::from_millis(120) {
            link.client.write_all(b"x").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(read_all(&mut server).await, (vec![], None));
        assert_eq!(read_all(&mut link.client).await, (vec![], None));
        let took = start.elapsed();
        assert!((max..Duration::from_millis(500)).contains(&took), "{took:?}");
    });
}

#[test]
fn a_hole_closes_the_connection_when_nothing_came_for_its_idle() {
    run(async {
        let idle = Duration::from_millis(150);
        let world = World::new(vec![hole(Phase::Request, NEVER, Some(idle))]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        let start = Instant::now();
        let mut last = start;
        while start.elapsed() < Duration::from_millis(400) {
            last = Instant::now();
            link.client.write_all(b"x").await.unwrap();
            // What comes in the other direction does not count, and does not matter.
            assert_flows(&mut server, &mut link.client).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        let noise = async {
            while server.write_all(b"y").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let (_noise, (_, end)) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(1), noise), read_all(&mut link.client));
        assert_eq!(end, None);
        let took = last.elapsed();
        assert!((idle..Duration::from_secs(2)).contains(&took), "{took:?}");

        // Without a byte it is counted from the beginning.
        let start = Instant::now();
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        assert_eq!(read_all(&mut server).await, (vec![], None));
        assert_eq!(read_all(&mut link.client).await, (vec![], None));
        let took = start.elapsed();
        assert!((idle..Duration::from_millis(600)).contains(&took), "{took:?}");
    });
}

#[test]
fn a_lifted_hole_closes_the_connection() {
    // Removed, halted, changed into another fault or into a hole of the other direction.
    let same = || hole(Phase::Request, NEVER, NEVER);
    let lifted = [
        Some(vec![]),
        None,
        Some(vec![rule("hole", delay(10, Phase::Request))]),
        Some(vec![hole(Phase::Response, NEVER, NEVER)]),
    ];
    for rules in lifted {
        run(async move {
            let world = World::new(vec![same()]);
            let mut link = world.connect().await;
            let mut server = link.accept().await;
            link.client.write_all(b"lost").await.unwrap();
            // Another definition of the same hole does not lift it.
            world.publish(vec![hole(Phase::Request, Some(Duration::from_secs(50)), NEVER)]);
            assert_silent(&mut server).await;
            assert_flows(&mut server, &mut link.client).await;
            match rules {
                Some(rules) => world.publish(rules),
                None => world.halt(),
            }
            assert_eq!(read_all(&mut server).await, (vec![], None));
            assert_eq!(read_all(&mut link.client).await, (vec![], None));
            drop((server, link.client));
            let end = link.relay.await.unwrap().end;
            assert!(matches!(end, RelayEnd::Injected { kind: "blackhole", .. }), "{end:?}");
        });
    }
}

#[test]
fn dropped_bytes_are_traffic_to_the_idle_timeout_of_the_listener() {
    run(async {
        let idle = Duration::from_millis(200);
        let world = World::with_idle_timeout(vec![hole(Phase::Request, NEVER, NEVER)], Some(idle));
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        let start = Instant::now();
        while start.elapsed() < idle * 3 {
            link.client.write_all(b"x").await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_flows(&mut server, &mut link.client).await;
    });
}
