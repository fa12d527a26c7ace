//! Without faults: every byte, half-close, resets passed on, idle timeout, drain.

use std::time::Instant;

use bytes::Bytes;

use super::super::active::Passed;
use super::super::end::Side;
use super::*;

#[test]
fn bytes_pass_both_ways_at_once() {
    run(async {
        let Link { client, upstream, relay } = World::new(vec![]).connect().await;
        let (server, _) = upstream.accept().await.unwrap();
        let len = 64 << 20;
        let data = Rc::new(pattern(len));
        let mut halves = Vec::new();
        for stream in [client, server] {
            let (mut read, mut write) = stream.into_split();
            let sent = Rc::clone(&data);
            halves.push(tokio::task::spawn_local(async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            }));
            let expected = Rc::clone(&data);
            halves.push(tokio::task::spawn_local(async move {
                let mut got = Vec::new();
                read.read_to_end(&mut got).await.unwrap();
                assert!(got == *expected, "other bytes than were sent ({} of {len})", got.len());
            }));
        }
        let start = Instant::now();
        for half in halves {
            half.await.unwrap();
        }
        println!("2 x 64 MiB in {:?}", start.elapsed());
        let outcome = relay.await.unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{:?}", outcome.end);
        assert_eq!(outcome.passed, Passed { request: len as u64, response: len as u64 });
    });
}

#[test]
fn either_side_may_close_its_half_first() {
    for client_first in [true, false] {
        run(async move {
            let link = World::new(vec![]).connect().await;
            let server = link.accept().await;
            let (mut first, mut second) = if client_first { (link.client, server) } else { (server, link.client) };
            first.write_all(b"question").await.unwrap();
            first.shutdown().await.unwrap();
            assert_eq!(read_all(&mut second).await, (b"question".to_vec(), None));
            second.write_all(b"answer").await.unwrap();
            second.shutdown().await.unwrap();
            assert_eq!(read_all(&mut first).await, (b"answer".to_vec(), None));
            assert!(matches!(link.relay.await.unwrap().end, RelayEnd::Finished));
        });
    }
}

#[test]
fn a_reset_is_passed_on_as_a_reset_after_what_came_before() {
    for by in [Side::Downstream, Side::Upstream] {
        run(async move {
            let link = World::new(vec![]).connect().await;
            let server = link.accept().await;
            let (mut breaks, mut sees) = match by {
                Side::Downstream => (link.client, server),
                Side::Upstream => (server, link.client),
            };
            breaks.write_all(b"last words").await.unwrap();
            let mut words = [0; 10];
            sees.read_exact(&mut words).await.unwrap();
            breaks.set_zero_linger().unwrap();
            drop(breaks);
            assert_eq!(read_all(&mut sees).await, (vec![], Some(io::ErrorKind::ConnectionReset)));
            let end = link.relay.await.unwrap().end;
            assert!(matches!(end, RelayEnd::Broken { by: side, .. } if side == by), "{end:?}");
        });
    }
}

#[test]
fn an_answer_before_a_broken_upload_still_arrives() {
    run(async {
        let mut link = World::new(vec![]).connect().await;
        let mut server = link.accept().await;
        link.client.write_all(b"begin").await.unwrap();
        server.write_all(b"413").await.unwrap();
        drop(server); // unread request bytes may make this a reset
        let mut answer = [0; 3];
        link.client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"413");
    });
}

#[test]
fn a_small_send_buffer_loses_nothing() {
    run(async {
        let mut world = World::new(vec![]);
        world.send_buffer = Some(4_096);
        let Link { client, upstream, relay } = world.connect().await;
        let (mut server, _) = upstream.accept().await.unwrap();
        let data = pattern(2 << 20);
        let sent = data.clone();
        let writer = tokio::task::spawn_local(async move {
            for chunk in sent.chunks(7_919) {
                server.write_all(chunk).await.unwrap();
            }
            server.shutdown().await.unwrap();
            read_all(&mut server).await
        });
        let (mut read, mut write) = client.into_split();
        let mut got = Vec::new();
        let mut buffer = [0; 1_031];
        loop {
            match read.read(&mut buffer).await.unwrap() {
                0 => break,
                n => got.extend_from_slice(&buffer[..n]),
            }
        }
        assert!(got == data);
        write.write_all(b"thanks").await.unwrap();
        write.shutdown().await.unwrap();
        assert_eq!(writer.await.unwrap(), (b"thanks".to_vec(), None));
        assert!(matches!(relay.await.unwrap().end, RelayEnd::Finished));
    });
}

#[test]
fn what_protocol_detection_read_goes_first() {
    run(async {
        let world = World::new(vec![]);
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(front.local_addr().unwrap()).await.unwrap();
        let (downstream, source) = front.accept().await.unwrap();
        let context = world.context(source, connect(upstream.local_addr().unwrap()));
        let io = Io::with_prefix(Stream::Plain(downstream), Bytes::from_static(b"PRI "));
        let relay = tokio::task::spawn_local(relay(context, io));
        client.write_all(b"or not").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut server, _) = upstream.accept().await.unwrap();
        assert_eq!(read_all(&mut server).await, (b"PRI or not".to_vec(), None));
        drop(server);
        assert_eq!(relay.await.unwrap().passed.request, 10);
    });
}

#[test]
fn no_upstream_is_a_reset_and_an_error() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut link = World::new(vec![]).connect_to(other, address).await;
        assert_eq!(read_all(&mut link.client).await, (vec![], Some(io::ErrorKind::ConnectionReset)));
        assert!(matches!(link.relay.await.unwrap().end, RelayEnd::ConnectFailed(_)));
    });
}

#[test]
fn silence_longer_than_the_idle_timeout_closes() {
    run(async {
        let idle = Duration::from_millis(200);
        let mut link = World::with_idle_timeout(vec![], Some(idle)).connect().await;
        let mut server = link.accept().await;
        for _ in 0..4 {
            tokio::time::sleep(idle / 2).await;
            server.write_all(b"x").await.unwrap();
        }
        let silent = Instant::now();
        assert_eq!(read_all(&mut link.client).await, (b"xxxx".to_vec(), None));
        assert!(silent.elapsed() >= idle - Duration::from_millis(20));
        assert!(matches!(link.relay.await.unwrap().end, RelayEnd::Idle));
    });
}

#[test]
fn the_drain_cuts() {
    run(async {
        let world = World::new(vec![]);
        let mut link = world.connect().await;
        let _server = link.accept().await;
        world.life.send(Life::Cut).unwrap();
        assert_eq!(read_all(&mut link.client).await, (vec![], None));
        assert!(matches!(link.relay.await.unwrap().end, RelayEnd::Cut));
    });
}

#[test]
fn the_drain_lets_go_of_what_faults_hold() {
    run(async {
        let hole = Fault::Blackhole(Blackhole { direction: None, max: None, idle: None });
        for fault in [hole, delay(60_000, Phase::Request)] {
            let world = World::new(vec![rule("r", fault)]);
            let mut link = world.connect().await;
            link.client.write_all(b"late").await.unwrap();
            while world.counts("r").1 == 0 {
                tokio::task::yield_now().await;
            }
            world.life.send(Life::Draining).unwrap();
            let mut server = link.accept().await;
            let mut text = [0; 4];
            server.read_exact(&mut text).await.unwrap();
            assert_eq!((&text, world.counts("r").2), (b"late", 0));
        }
    });
}

#[test]
fn a_relay_is_small() {
    run(async {
        let world = World::new(vec![]);
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let future = relay(world.context(address, pending_dial()), Io::new(stream));
        println!("{} bytes per relay", size_of_val(&future));
        assert!(size_of_val(&future) <= 2048, "{} bytes per relay", size_of_val(&future));
    });
}

fn pending_dial() -> std::future::Pending<io::Result<Stream>> {
    std::future::pending()
}
