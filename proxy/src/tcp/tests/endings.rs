//! Faults that end a connection at some point of one of its directions.

use std::time::Instant;

use super::*;
use squall_config::model::{Http2Code, Reset, ResetMoment, Truncate};

fn truncate(on: Phase, bytes: u64) -> Fault {
    Fault::Truncate(Truncate::AfterBytes { on, bytes })
}

fn reset_after_data(on: Phase, milliseconds: u64) -> Fault {
    let moment = ResetMoment::AfterData { on, time: Duration::from_millis(milliseconds) };
    Fault::Reset(Reset { moment, code: Http2Code::INTERNAL_ERROR })
}

/// Both sides of a connection that was open before any rule, after `before` bytes in each direction.
async fn open(world: &World, before: usize) -> (Link, TcpStream) {
    let mut link = world.connect().await;
    let mut server = link.accept().await;
    server.write_all(&pattern(before)).await.unwrap();
    link.client.read_exact(&mut vec![0; before]).await.unwrap();
    link.client.write_all(&pattern(before)).await.unwrap();
    server.read_exact(&mut vec![0; before]).await.unwrap();
    (link, server)
}

#[test]
fn truncate_lets_exactly_so_many_request_bytes_pass() {
    for (before, bytes) in [(0, 10_000), (500, 1), (100, 300_000)] {
        run(async move {
            let world = World::new(vec![]);
            let (mut link, mut server) = open(&world, before).await;
            // Bytes before the rule do not count.
            world.publish(vec![rule("r", truncate(Phase::Request, bytes))]);
            server.write_all(b"answer").await.unwrap();
            link.client.read_exact(&mut [0; 6]).await.unwrap();
            let Link { mut client, relay, .. } = link;
            let upload = async {
                // What is sent behind the end is read and dropped for a while.
                let _cut = client.write_all(&pattern(1 << 20)).await;
            };
            let answer = async {
                let got = read_all(&mut server).await;
                drop(server);
                got
            };
            let ((), (got, end)) = tokio::join!(upload, answer);
            assert_eq!((got.len() as u64, end), (bytes, None));
            assert!(pattern(1 << 20).starts_with(&got));
            drop(client);
            let end = relay.await.unwrap().end;
            assert!(matches!(end, RelayEnd::Injected { kind: "truncate", .. }), "{end:?}");
            assert_eq!(world.counts("r"), (1, 1, 0, 0));
        });
    }
}

#[test]
fn truncate_after_no_bytes_ends_an_idle_connection_at_once() {
    for on in [Phase::Request, Phase::Response] {
        run(async move {
            let world = World::new(vec![]);
            let (mut link, mut server) = open(&world, 10).await;
            let start = Instant::now();
            world.publish(vec![rule("r", truncate(on, 0))]);
            // Both see the end at the same time: neither side's end waits for the other's.
            assert_eq!(read_all(&mut server).await, (vec![], None));
            assert_eq!(read_all(&mut link.client).await, (vec![], None));
            assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        });
    }
}

#[test]
fn both_directions_can_be_truncated_and_the_first_that_comes_ends_it() {
    run(async {
        let rules = vec![rule("a", truncate(Phase::Request, 5)), rule("b", truncate(Phase::Response, 5))];
        let world = World::new(rules);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        server.write_all(b"answer").await.unwrap();
        assert_eq!(read_all(&mut link.client).await, (b"answe".to_vec(), None));
        assert_eq!(*world.record.injected.borrow(), [("b".to_owned(), "truncate")]);

        let mut link = world.connect().await;
        let mut server = link.accept().await;
        link.client.write_all(b"question").await.unwrap();
        assert_eq!(read_all(&mut server).await, (b"quest".to_vec(), None));
        assert_eq!(world.record.injected.borrow()[1..], [("a".to_owned(), "truncate")]);
    });
}

#[test]
fn a_reset_after_data_waits_for_the_first_byte_and_then_for_its_time() {
    for (on, is_new) in [(Phase::Request, true), (Phase::Request, false), (Phase::Response, false)] {
        run(async move {
            let rules = || vec![rule("r", reset_after_data(on, 150))];
            let world = World::new(if is_new { rules() } else { vec![] });
            let (mut link, mut server) = if is_new {
                let link = world.connect().await;
                let server = link.accept().await;
                (link, server)
            } else {
                open(&world, 1000).await
            };
            world.publish(rules());
            let (sender, receiver) = ends(on, &mut link, &mut server);
            // The other direction flows on, before and after.
            for text in [b"a", b"b"] {
                receiver.write_all(text).await.unwrap();
                assert_eq!(sender.read_u8().await.unwrap(), text[0]);
                assert_eq!(*world.record.injected.borrow(), []);
            }
            let start = Instant::now();
            sender.write_all(b"trigger").await.unwrap();
            tokio::task::yield_now().await;
            receiver.write_all(b"c").await.unwrap();
            assert_eq!(sender.read_u8().await.unwrap(), b'c');
            // What comes later puts nothing off.
            sender.write_all(b"more").await.unwrap();
            assert_eq!(read_all(receiver).await, (vec![], RESET));
            assert_eq!(read_all(sender).await, (vec![], RESET));
            let took = start.elapsed();
            assert!((Duration::from_millis(150)..Duration::from_millis(600)).contains(&took), "{took:?}");
            assert_eq!(*world.record.injected.borrow(), [("r".to_owned(), "reset")]);
        });
    }
}

#[test]
fn the_end_of_a_direction_is_data_to_a_reset_and_does_not_pass() {
    run(async {
        let world = World::new(vec![rule("r", reset_after_data(Phase::Request, 0))]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        link.client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut server).await, (vec![], RESET));
        assert_eq!(read_all(&mut link.client).await, (vec![], RESET));
    });
}

#[test]
fn what_a_lifted_reset_held_back_passes_in_order() {
    // Also behind bytes that were spliced, and under other faults of the direction.
    for (before, others) in [(1, vec![]), (1 << 20, vec![]), (1, vec![rule("late", delay(50, Phase::Request))])] {
        run(async move {
            let world = World::new(vec![]);
            let mut link = world.connect().await;
            let mut server = link.accept().await;
            let sent = pattern(before);
            let mut got = vec![0; before];
            let (written, read) = tokio::join!(link.client.write_all(&sent), server.read_exact(&mut got));
            written.unwrap();
            read.unwrap();
            assert!(got == sent);
            let armed = |milliseconds| {
                let mut rules = others.clone();
                rules.push(rule("r", reset_after_data(Phase::Request, milliseconds)));
                rules
            };
            world.publish(armed(60_000));
            tokio::task::yield_now().await;
            link.client.write_all(b"held ").await.unwrap();
            assert_silent(&mut server).await;
            // What was held is data to the next definition of the rule.
            world.publish(armed(50_000));
            link.client.write_all(b"back").await.unwrap();
            assert_silent(&mut server).await;
            world.publish(others);
            link.client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut server).await, (b"held back".to_vec(), None));
        });
    }
}

#[test]
fn what_was_read_before_a_reset_waits_for_data_passes() {
    run(async {
        let late = || rule("late", delay(150, Phase::Request));
        let world = World::new(vec![late()]);
        let mut link = world.connect().await;
        let mut server = link.accept().await;
        link.client.write_all(b"before").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.publish(vec![late(), rule("r", reset_after_data(Phase::Request, 0))]);
        let mut text = [0; 6];
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"before");
        link.client.write_all(b"trigger").await.unwrap();
        assert_eq!(read_all(&mut server).await, (vec![], RESET));
    });
}

#[test]
fn who_pours_behind_an_end_sees_it_and_is_held_up_for_its_time() {
    run(async {
        let world = World::new(vec![rule("r", truncate(Phase::Request, 10))]);
        let link = world.connect().await;
        let mut server = link.accept().await;
        let Link { mut client, relay, .. } = link;
        let start = Instant::now();
        let (mut reader, mut writer) = client.split();
        let pour = async {
            let (block, mut poured) = (pattern(64 * 1024), 0);
            while let Ok(n) = writer.write(&block).await {
                poured += n;
            }
            (poured, start.elapsed())
        };
        let mut answer = Vec::new();
        let ((poured, took), answered, got) =
            tokio::join!(pour, reader.read_to_end(&mut answer), read_all(&mut server));
        assert_eq!(got, (pattern(10), None));
        answered.unwrap();
        assert!(answer.is_empty(), "{answer:?}");
        assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "{took:?}");
        // What is read of it, and what both sockets hold.
        assert!(poured < 64 << 20, "{poured} bytes");
        let end = relay.await.unwrap().end;
        assert!(matches!(end, RelayEnd::Injected { kind: "truncate", .. }), "{end:?}");
    });
}
