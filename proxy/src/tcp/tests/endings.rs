//! Faults that end a connection at some point of one of its directions.

use std::time::Instant;

use squall_config::model::Truncate;
use tokio::io::AsyncWriteExt;

use super::*;

fn truncate(on: Phase, bytes: u64) -> Fault {
    Fault::Truncate(Truncate::AfterBytes { on, bytes })
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
            world.publish(vec![rule("r", truncate(Phase::Request, bytes))], false);
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
            world.publish(vec![rule("r", truncate(on, 0))], false);
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
