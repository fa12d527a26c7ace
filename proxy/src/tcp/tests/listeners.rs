//! Connections that end with their listener, and those that outlive it.

use super::*;

/// What becomes of the listener.
#[derive(Clone, Copy, Debug)]
enum Now {
    Gone,
    Start(Option<u64>),
}

impl World {
    fn set_listener(&self, now: Now, rules: Vec<Rule>) {
        let mut config = config(rules, None);
        match now {
            Now::Gone => config.listeners.clear(),
            Now::Start(start) => config.listeners[0].start = start,
        }
        self.publish_config(config);
    }

    fn started(start: Option<u64>, rules: Vec<Rule>) -> Self {
        let world = Self::new(vec![]);
        world.set_listener(Now::Start(start), rules);
        world
    }
}

#[test]
fn open_connections_end_on_both_sides_with_the_listener_that_they_came_through() {
    for now in [Now::Gone, Now::Start(Some(2)), Now::Start(None)] {
        run(async move {
            let world = World::started(Some(1), vec![]);
            let mut link = world.connect().await;
            let mut server = link.accept().await;
            assert_flows(&mut link.client, &mut server).await;
            // Other rules are no other start.
            world.set_listener(Now::Start(Some(1)), vec![rule("r", delay(1, Phase::Request))]);
            assert_flows(&mut link.client, &mut server).await;
            world.set_listener(now, vec![]);
            // Nobody waits for anybody: both ends are there before either side answers.
            assert_eq!(read_all(&mut link.client).await, (vec![], None));
            assert_eq!(read_all(&mut server).await, (vec![], None));
            drop((server, link.client));
            assert!(matches!(link.relay.await.unwrap().end, RelayEnd::ListenerEnded), "{now:?}");
        });
    }
}

#[test]
fn connections_without_a_start_outlive_their_listener() {
    for now in [Now::Gone, Now::Start(Some(1))] {
        run(async move {
            let world = World::started(None, vec![]);
            let mut link = world.connect().await;
            let mut server = link.accept().await;
            world.set_listener(now, vec![]);
            assert_flows(&mut link.client, &mut server).await;
            world.set_listener(Now::Start(Some(2)), vec![]);
            assert_flows(&mut server, &mut link.client).await;
        });
    }
}

#[test]
fn connections_that_are_held_or_still_dial_end_too() {
    run(async {
        let hole = Fault::Blackhole(Blackhole { direction: None, max: None, idle: None });
        let world = World::started(Some(1), vec![rule("hole", hole)]);
        let mut link = world.connect().await;
        link.client.write_all(b"unread").await.unwrap();
        tokio::task::yield_now().await;
        world.set_listener(Now::Gone, vec![]);
        assert_eq!(read_all(&mut link.client).await, (vec![], None));
        drop(link.client);
        assert!(matches!(link.relay.await.unwrap().end, RelayEnd::ListenerEnded));

        let world = World::started(Some(1), vec![]);
        let (mut client, downstream) = crate::net::for_tests::pair().await;
        let dial = std::future::pending::<io::Result<Stream>>();
        let context = world.context("127.0.0.1:1".parse().unwrap(), dial);
        let relay = tokio::task::spawn_local(relay(context, Io::new(downstream)));
        tokio::task::yield_now().await;
        world.set_listener(Now::Start(Some(2)), vec![]);
        assert_eq!(read_all(&mut client).await, (vec![], None));
        drop(client);
        assert!(matches!(relay.await.unwrap().end, RelayEnd::ListenerEnded));
    });
}

#[test]
fn a_snapshot_from_before_the_start_ends_nothing() {
    let world = World::started(Some(2), vec![]);
    let now = world.snapshot();
    let tenure = Tenure::new(Some(2), &now).unwrap();
    let mut before = config(vec![], None);
    before.listeners[0].start = Some(1);
    let before = compile(Arc::new(before), None, Stamp { generation: now.generation - 1, halted: false, seed: 7 });
    assert!(!tenure.is_over(&before, &now.listeners[0].listener.name));
    assert!(!tenure.is_over(&now, &now.listeners[0].listener.name));
}
