//! Resets, refusals, black holes; decisions and their life over snapshots.

use std::time::Instant;

use super::*;
use squall_config::model::{Blackhole, Http2Code, Reset, ResetMoment};

fn reset_after(after_bytes: u64) -> Fault {
    reset(ResetMoment::Response { after_bytes })
}

fn reset(moment: ResetMoment) -> Fault {
    Fault::Reset(Reset { moment, code: Http2Code::INTERNAL_ERROR })
}

fn blackhole(max: Option<Duration>) -> Fault {
    Fault::Blackhole(Blackhole { direction: None, max, idle: None })
}

#[test]
fn refuse_and_reset_end_a_new_connection_before_upstream_hears_of_it() {
    for fault in [Fault::Refuse, reset_after(0)] {
        run(async move {
            let kind = fault.kind();
            let world = World::new(vec![rule("r", fault)]);
            let mut link = world.connect().await;
            assert_eq!(read_all(&mut link.client).await, (vec![], RESET));
            let end = link.relay.await.unwrap().end;
            assert!(matches!(end, RelayEnd::Injected { kind: k, .. } if k == kind), "{end:?}");
            assert_eq!(world.counts("r"), (1, 1, 0, 0));
            let dialled = tokio::time::timeout(Duration::from_millis(20), link.upstream.accept()).await;
            assert!(dialled.is_err());
        });
    }
}

#[test]
fn refuse_leaves_open_connections_alone() {
    run(async {
        let world = World::new(vec![]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        world.publish(vec![rule("r", Fault::Refuse)]);
        assert_silent(&mut link.client).await;
        server.write_all(b"x").await.unwrap();
        assert_eq!(link.client.read_u8().await.unwrap(), b'x');
        assert_eq!(world.counts("r"), (0, 0, 0, 0));
    });
}

#[test]
fn reset_of_an_open_connection_hits_both_sides_at_once() {
    run(async {
        let world = World::new(vec![]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        server.write_all(b"x").await.unwrap();
        assert_eq!(link.client.read_u8().await.unwrap(), b'x');
        let start = Instant::now();
        world.publish(vec![rule("r", reset_after(0))]);
        assert_eq!(read_all(&mut link.client).await, (vec![], RESET));
        assert_eq!(read_all(&mut server).await, (vec![], RESET));
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
        assert_eq!(*world.record.injected.borrow(), [("r".to_owned(), "reset")]);
    });
}

#[test]
fn reset_lets_exactly_so_many_response_bytes_pass() {
    for (before, after_bytes) in [(0, 10_000), (500, 1), (100, 300_000)] {
        run(async move {
            let world = World::new(vec![]);
            let mut link = world.connect().await;
            let mut server = link.accept().await;
            server.write_all(&pattern(before)).await.unwrap();
            link.client.read_exact(&mut vec![0; before]).await.unwrap();
            // Bytes before the rule do not count.
            world.publish(vec![rule("r", reset_after(after_bytes))]);
            let answer = tokio::task::spawn_local(async move {
                let _reset = server.write_all(&pattern(1 << 20)).await;
                read_all(&mut server).await.1
            });
            let (got, end) = read_all(&mut link.client).await;
            assert_eq!((got.len() as u64, end), (after_bytes, RESET));
            assert!(pattern(1 << 20).starts_with(&got));
            assert!(answer.await.unwrap().is_none_or(|kind| Some(kind) == RESET));
        });
    }
}

#[test]
fn a_lifted_blackhole_lets_everything_flow() {
    for halted in [false, true] {
        run(async move {
            let world = World::new(vec![]);
            let mut link = world.connect().await;
            let mut server = link.accept().await;
            world.publish(vec![rule("hole", blackhole(None))]);
            tokio::task::yield_now().await;
            link.client.write_all(b"question").await.unwrap();
            server.write_all(b"answer").await.unwrap();
            assert_silent(&mut server).await;
            assert_silent(&mut link.client).await;
            assert_eq!(world.counts("hole"), (1, 1, 1, 0));
            if halted {
                world.halt();
            } else {
                world.publish(vec![]);
            }
            let mut text = [0; 8];
            server.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"question");
            link.client.read_exact(&mut text[..6]).await.unwrap();
            assert_eq!(&text[..6], b"answer");
            assert_eq!(world.record.injected.borrow().len(), 1);
        });
    }
}

#[test]
fn a_connection_that_a_shadow_rule_picked_has_the_fault_for_as_long_as_the_rule_injects() {
    run(async {
        let with = |mode| vec![Rule { mode, ..rule("hole", blackhole(None)) }];
        let world = World::new(with(Mode::Shadow));
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        let mut text = [0; 8];
        link.client.write_all(b"question").await.unwrap();
        server.read_exact(&mut text).await.unwrap();
        assert_eq!((world.counts("hole"), world.shadowed("hole")), ((1, 0, 0, 0), 1));
        assert_eq!(*world.record.shadows.borrow(), ["hole"]);
        world.publish(with(Mode::Inject));
        tokio::task::yield_now().await;
        server.write_all(b"answer").await.unwrap();
        assert_silent(&mut link.client).await;
        assert_eq!((world.counts("hole"), world.shadowed("hole")), ((1, 1, 1, 0), 1));
        world.publish(with(Mode::Shadow));
        link.client.read_exact(&mut text[..6]).await.unwrap();
        assert_eq!((world.counts("hole"), world.shadowed("hole")), ((1, 1, 0, 0), 1));
    });
}

#[test]
fn a_blackholed_new_connection_dials_when_it_is_lifted() {
    run(async {
        let world = World::new(vec![rule("hole", blackhole(None))]);
        let mut link = world.connect().await;
        link.client.write_all(b"hello").await.unwrap();
        let dialled = tokio::time::timeout(Duration::from_millis(50), link.upstream.accept()).await;
        assert!(dialled.is_err());
        world.publish(vec![]);
        let mut server = link.accept().await;
        let mut text = [0; 5];
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
    });
}

#[test]
fn a_blackhole_ends_with_its_max_or_with_downstream() {
    run(async {
        let max = Duration::from_millis(50);
        let world = World::new(vec![rule("hole", blackhole(Some(max)))]);
        let start = Instant::now();
        let mut link = world.connect().await;
        assert_eq!(read_all(&mut link.client).await, (vec![], None));
        assert!(start.elapsed() >= max);
        assert!(matches!(link.relay.await.unwrap().end, RelayEnd::Injected { kind: "blackhole", .. }));

        world.publish(vec![rule("hole", blackhole(None))]);
        for opens_first in [false, true] {
            if opens_first {
                world.halt();
            } else {
                world.publish(vec![rule("hole", blackhole(None))]);
            }
            let mut link = world.connect().await;
            if opens_first {
                let _server = link.accept().await;
                world.publish(vec![rule("hole", blackhole(None))]);
            }
            link.client.write_all(b"anyone?").await.unwrap();
            drop(link.client);
            assert!(matches!(link.relay.await.unwrap().end, RelayEnd::Abandoned));
        }
        assert_eq!(world.counts("hole").2, 0);
    });
}

#[test]
fn zero_per_cent_never_and_a_decision_is_taken_once() {
    run(async {
        let world = World::new(vec![rule_at("r", 0, vec![reset_after(0)])]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        // Not picked once: not picked at another percentage either, nor after halt and resume.
        let certain = || vec![rule("r", reset_after(0))];
        world.publish(certain());
        tokio::task::yield_now().await;
        world.halt();
        tokio::task::yield_now().await;
        world.publish(certain());
        assert_silent(&mut link.client).await;
        server.write_all(b"x").await.unwrap();
        assert_eq!(link.client.read_u8().await.unwrap(), b'x');
        assert_eq!(world.counts("r"), (1, 0, 0, 0));
        // Removed and made anew it is another rule.
        world.publish(vec![]);
        tokio::task::yield_now().await;
        world.publish(certain());
        assert_eq!(read_all(&mut link.client).await, (vec![], RESET));
    });
}

#[test]
fn a_picked_connection_follows_the_definition_of_its_rule() {
    run(async {
        let world = World::new(vec![rule("r", delay(10_000, Phase::Response))]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        server.write_all(b"x").await.unwrap();
        assert_silent(&mut link.client).await;
        world.publish(vec![rule_at("r", 0, vec![delay(150, Phase::Response)])]);
        assert_eq!(link.client.read_u8().await.unwrap(), b'x');
        assert_eq!(world.counts("r"), (1, 1, 1, 0));
    });
}

#[test]
fn a_used_up_budget_passes_and_counts() {
    run(async {
        let mut world = World::new(vec![rule("r", reset_after(0))]);
        world.budget = Budget::new(0);
        let mut link = world.connect().await;
        link.accept().await.write_all(b"x").await.unwrap();
        assert_eq!(read_all(&mut link.client).await, (b"x".to_vec(), None));
        assert_eq!(world.counts("r"), (1, 0, 0, 1));
    });
}

#[test]
fn the_first_terminal_fault_wins() {
    run(async {
        let world = World::new(vec![rule("hole", blackhole(None)), rule("r", reset_after(0))]);
        let mut link = world.connect().await;
        assert_silent(&mut link.client).await;
        assert_eq!(*world.record.injected.borrow(), [("hole".to_owned(), "blackhole")]);
    });
}

#[test]
fn the_delay_of_a_rule_comes_before_its_reset() {
    run(async {
        let faults = vec![delay(100, Phase::Request), reset(ResetMoment::Request)];
        let world = World::new(vec![rule_at("r", 1_000_000, faults)]);
        let start = Instant::now();
        let mut link = world.connect().await;
        assert_eq!(read_all(&mut link.client).await, (vec![], RESET));
        assert!(start.elapsed() >= Duration::from_millis(100));
        assert_eq!(world.counts("r"), (1, 1, 0, 0));
    });
}
