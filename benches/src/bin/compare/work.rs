//! The kinds of work, and the load of each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::origin::{BODY, SOURCE_BYTE};
use squall_benches::process::{LOAD_CORE, pinned};

/// The path whose requests are delayed.
pub(crate) const DELAYED: &str = "/delayed";

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// HTTP/1.1 keep-alive, 64 connections, 256 B answers.
    Http1,
    /// HTTP/2 without TLS on both sides, 8 connections of 16 streams.
    Http2,
    /// One direction as fast as it goes.
    TcpBulk,
    /// 64 B there and back on 32 connections.
    TcpPingPong,
    /// The same as `http1`, with more and more rules that do not match.
    Rules,
    /// 2,000 requests a second, whatever the answers do: latency beyond that of a direct call.
    OpenLoop,
    /// A delay of 100 ms at 200 requests a second: how far from 100 ms beyond the latency without it.
    Delay,
    /// Two workers, 16 HTTP/1.1 connections: how evenly the workers share the work.
    WorkersHttp1,
    /// Two workers, one HTTP/2 connection of 128 streams: the same.
    WorkersHttp2,
    /// The same as `http1`, under TLS 1.3 from the client to the proxy.
    TlsHttp1,
    /// A connection under TLS 1.3 with a full handshake for each request.
    TlsHandshake,
    /// Memory of the process, and of its idle keep-alive connections.
    Idle,
}

impl Work {
    pub(crate) const ALL: [Self; 12] = [
        Self::Http1,
        Self::Rules,
        Self::Http2,
        Self::TcpBulk,
        Self::TcpPingPong,
        Self::OpenLoop,
        Self::Delay,
        Self::WorkersHttp1,
        Self::WorkersHttp2,
        Self::TlsHttp1,
        Self::TlsHandshake,
        Self::Idle,
    ];

    /// What one round measures.
    pub(crate) fn titles(self) -> &'static [&'static str] {
        match self {
            Self::Http1 => &["HTTP/1.1 keep-alive, 64 connections, 256 B: CPU µs per request"],
            Self::Rules => &["The same with rules or routes that do not match: CPU µs per request"],
            Self::Http2 => &["HTTP/2 without TLS, 8 connections × 16 streams, 256 B: CPU µs per request"],
            Self::TcpBulk => &["TCP bulk on 4 connections: CPU seconds per GiB"],
            Self::TcpPingPong => &["TCP ping-pong, 32 connections, 64 B: CPU µs per round trip"],
            Self::OpenLoop => &[
                "2,000 requests a second: µs added to the median of a direct call",
                "2,000 requests a second: µs added to its 99th percentile",
                "2,000 requests a second: µs added to its 99.9th percentile",
            ],
            Self::Delay => &[
                "Delay of 100 ms at 200 requests a second: ms of the earliest answer beyond 100 ms (negative: early)",
                "Delay of 100 ms at 200 requests a second: ms of error, median",
                "Delay of 100 ms at 200 requests a second: ms of error, 99th percentile",
            ],
            Self::WorkersHttp1 => &[
                "2 workers, 16 HTTP/1.1 connections: % of the work that the busier worker does",
                "2 workers, 16 HTTP/1.1 connections: CPU µs per request, both workers",
                "2 workers, 16 HTTP/1.1 connections: CPU µs per request, the busier worker",
            ],
            Self::WorkersHttp2 => &[
                "2 workers, 1 HTTP/2 connection × 128 streams: % of the work that the busier worker does",
                "2 workers, 1 HTTP/2 connection × 128 streams: CPU µs per request, both workers",
                "2 workers, 1 HTTP/2 connection × 128 streams: CPU µs per request, the busier worker",
            ],
            Self::TlsHttp1 => &["TLS 1.3, HTTP/1.1 keep-alive, 64 connections, 256 B: CPU µs per request"],
            Self::TlsHandshake => &["TLS 1.3, a connection with a full handshake for each request: CPU µs per request"],
            Self::Idle => &[
                "Memory with 5,000 idle HTTP/1.1 keep-alive connections: KiB per connection",
                "Memory before the first connection: MiB",
            ],
        }
    }

    /// Whether clients speak TLS.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::TlsHttp1 | Self::TlsHandshake)
    }

    /// Threads that carry traffic.
    pub(crate) fn workers(self) -> usize {
        if matches!(self, Self::WorkersHttp1 | Self::WorkersHttp2) { 2 } else { 1 }
    }

    /// The name that is given on the command line, and to its files.
    pub(crate) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Puts load on the proxy for so long; how many units of work it did.
    pub(crate) fn load(self, address: SocketAddr, time: Duration) -> anyhow::Result<f64> {
        match self {
            Self::Http1 | Self::Rules => wrk(&format!("http://{address}/"), 64, &[], time),
            Self::WorkersHttp1 => wrk(&format!("http://{address}/"), 16, &[], time),
            Self::TlsHttp1 => wrk(&format!("https://{address}/"), 64, &[], time),
            // It takes up no session again: each handshake is a full one.
            Self::TlsHandshake => wrk(&format!("https://{address}/"), 16, &["-H", "Connection: close"], time),
            Self::Http2 => h2load(address, 8, 16, time),
            Self::WorkersHttp2 => h2load(address, 1, 128, time),
            Self::TcpBulk => bulk(address, time),
            Self::TcpPingPong => ping_pong(address, time),
            Self::OpenLoop | Self::Delay | Self::Idle => bail!("latency and memory have no load of their own"),
        }
    }
}

/// Asks once and makes sure that the answer is the origin's, so that unlike work is not compared.
pub(crate) fn check_http1(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    exchange(&mut stream)?;
    Ok(stream)
}

/// Asks once on this connection and makes sure that the answer is the origin's.
pub(crate) fn exchange(stream: &mut (impl Read + Write)) -> anyhow::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 2048]);
    while !answer.ends_with(&BODY) {
        let n = stream.read(&mut chunk)?;
        ensure!(n > 0, "the answer ended early: {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..n]);
    }
    let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    ensure!(text.starts_with("http/1.1 200"), "not the origin's answer: {text}");
    ensure!(text.contains("content-length: 256"), "another framing: {text}");
    Ok(())
}

fn wrk(url: &str, connections: usize, more: &[&str], time: Duration) -> anyhow::Result<f64> {
    let seconds = format!("{}s", time.as_secs().max(1));
    let mut command = pinned(&[LOAD_CORE], Path::new("wrk"));
    command.args(["-t1", "-c", &connections.to_string(), "-d", &seconds]).args(more).arg(url);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "wrk saw failures:\n{text}");
    let line = text.lines().find(|line| line.contains("requests in")).with_context(|| format!("wrk said: {text}"))?;
    Ok(line.trim().split(' ').next().context("a count")?.parse()?)
}

fn h2load(address: SocketAddr, connections: u32, streams: u32, time: Duration) -> anyhow::Result<f64> {
    let seconds = time.as_secs().max(1).to_string();
    let mut command = pinned(&[LOAD_CORE], Path::new("h2load"));
    command.args([&format!("-c{connections}"), &format!("-m{streams}"), "-t1", "-D", &seconds]);
    let output = command.arg(format!("http://{address}/")).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let count = |word: &str| -> anyhow::Result<f64> {
        let line = text.lines().find(|line| line.starts_with("requests:")).with_context(|| text.to_string())?;
        let part = line.split(&[',', ':'][..]).find(|part| part.ends_with(word)).with_context(|| line.to_owned())?;
        Ok(part.trim().split(' ').next().context("a count")?.parse()?)
    };
    ensure!(count("failed")? == 0.0 && count("errored")? == 0.0, "h2load saw failures:\n{text}");
    let succeeded = count("succeeded")?;
    // Every answer has the origin's body; those under way at the end may have brought a part of theirs.
    let traffic = text.lines().find(|line| line.starts_with("traffic:")).context("h2load counts traffic")?;
    let data = traffic.rsplit_once('(').and_then(|(_, rest)| rest.split(')').next()).context("bytes of data")?;
    let (data, body): (f64, f64) = (data.parse()?, BODY.len() as f64);
    let under_way = f64::from(connections * streams) * body;
    ensure!((succeeded * body..=succeeded * body + under_way).contains(&data), "not the origin's answers:\n{text}");
    Ok(succeeded)
}

/// GiB that came through. A thread for each connection: one that is not read must not hold up the others.
fn bulk(address: SocketAddr, time: Duration) -> anyhow::Result<f64> {
    let receive = move || -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(address)?;
        let (began, mut buffer, mut bytes) = (Instant::now(), vec![0; 256 * 1024], 0);
        while began.elapsed() < time {
            let n = stream.read(&mut buffer)?;
            ensure!(n > 0, "the stream ended");
            ensure!(buffer[0] == SOURCE_BYTE && buffer[n - 1] == SOURCE_BYTE, "not what the origin sends");
            bytes += n as u64;
        }
        Ok(bytes)
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(receive)).collect();
    let mut bytes = 0;
    for thread in threads {
        bytes += thread.join().map_err(|_panic| anyhow::anyhow!("a receiver panicked"))??;
    }
    Ok(bytes as f64 / f64::from(1 << 30))
}

/// Round trips.
fn ping_pong(address: SocketAddr, time: Duration) -> anyhow::Result<f64> {
    let mut streams = (0..32).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>()?;
    for stream in &streams {
        stream.set_nodelay(true)?;
    }
    let (began, mut buffer, mut trips) = (Instant::now(), [0; 64], 0.0);
    while began.elapsed() < time {
        for stream in &mut streams {
            stream.write_all(&[b'p'; 64])?;
        }
        for stream in &mut streams {
            stream.read_exact(&mut buffer)?;
            ensure!(buffer == [b'p'; 64], "not what was sent");
            trips += 1.0;
        }
    }
    Ok(trips)
}
