//! Requests at a constant rate, whatever the answers do: latency counts from the moment a request was due, so that a
//! proxy that stalls cannot hide it by slowing down its load ("coordinated omission").

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::origin::BODY;

/// More than are ever needed at once; each is used in turn, last in, first out.
const CONNECTIONS: usize = 64;

/// The timer among the events of the connections.
const ALARM: u64 = u64::MAX;

/// Latencies of one run, sorted.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// The value that this share (0 to 1) of the requests did not exceed, in microseconds.
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let at = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len());
        self.0[at - 1].as_secs_f64() * 1e6
    }
}

struct Connection {
    stream: TcpStream,
    /// When the request that is on it was due.
    due: Instant,
    received: Vec<u8>,
}

/// Asks for `path` so many times a second.
pub(crate) fn run(address: SocketAddr, path: &str, rate: u32, time: Duration) -> anyhow::Result<Latencies> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n");
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let began = Instant::now();
    let mut connections = Vec::new();
    for id in 0..CONNECTIONS {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&poll, &stream, EventData::new_u64(id as u64), EventFlags::IN)?;
        connections.push(Connection { stream, due: began, received: Vec::new() });
    }
    // epoll's own timeout counts milliseconds.
    let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    epoll::add(&poll, &alarm, EventData::new_u64(ALARM), EventFlags::IN | EventFlags::ET)?;
    let interval = Duration::from_secs(1) / rate;
    let total = usize::try_from(time.as_nanos() / interval.as_nanos())?;
    let (mut free, mut sent): (Vec<usize>, u32) = ((0..CONNECTIONS).collect(), 0);
    let (mut latencies, mut events) = (Vec::with_capacity(total), Vec::<Event>::with_capacity(CONNECTIONS));
    let began = Instant::now();
    while latencies.len() < total {
        let mut wait = Duration::from_secs(1);
        while (sent as usize) < total && !free.is_empty() {
            let due = began + interval * sent;
            wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                break;
            }
            let connection = &mut connections[free.pop().context("not empty")?];
            connection.due = due;
            connection.stream.write_all(request.as_bytes())?;
            sent += 1;
        }
        ensure!(began.elapsed() < time + Duration::from_secs(20), "answers do not come");
        events.clear();
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: Timespec::try_from(wait)? };
        timerfd_settime(&alarm, TimerfdTimerFlags::empty(), &once)?;
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.iter().filter(|event| event.data.u64() != ALARM) {
            let id = usize::try_from(event.data.u64())?;
            let connection = &mut connections[id];
            if is_answered(connection)? {
                latencies.push(connection.due.elapsed());
                connection.received.clear();
                free.push(id);
            }
        }
    }
    latencies.sort();
    Ok(Latencies(latencies))
}

/// Reads what is there; whether the origin's answer is complete.
fn is_answered(connection: &mut Connection) -> anyhow::Result<bool> {
    let mut chunk = [0; 2048];
    match connection.stream.read(&mut chunk) {
        Ok(n) => {
            ensure!(n > 0, "a connection ended");
            connection.received.extend_from_slice(&chunk[..n]);
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    let is_complete = connection.received.ends_with(&BODY);
    ensure!(!is_complete || connection.received.starts_with(b"HTTP/1.1 200"), "not the origin's answer");
    Ok(is_complete)
}
