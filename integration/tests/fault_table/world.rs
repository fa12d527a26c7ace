//! One protocol: a real upstream, Squall, and a client that was not written here.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use squall_integration::echo::Echo;
use squall_integration::foreign::{self, Outcome};
use squall_integration::programs::{Peer, Program, find, python};
use squall_integration::{Authority, Settings, Squall, eventually};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Http1,
    Http2,
    Grpc,
    WebSocket,
    Tcp,
    Tls,
}

/// In their order.
pub(crate) const COLUMNS: [Column; 6] =
    [Column::Http1, Column::Http2, Column::Grpc, Column::WebSocket, Column::Tcp, Column::Tls];

impl Column {
    /// Its head in the document.
    pub(crate) fn head(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1 (curl)",
            Self::Http2 => "HTTP/2 (curl)",
            Self::Grpc => "gRPC (grpcio)",
            Self::WebSocket => "WebSocket (websockets)",
            Self::Tcp => "TCP (redis-cli)",
            Self::Tls => "TLS (curl, HTTP/2 by ALPN)",
        }
    }

    /// What a call comes to when nothing is wrong.
    pub(crate) fn well(self) -> &'static str {
        match self {
            Self::Http1 | Self::Http2 | Self::Tls => "200",
            Self::Grpc => "OK",
            Self::WebSocket | Self::Tcp => "ok",
        }
    }
}

/// As much as an answer is long.
pub(crate) const BYTES: usize = 20_000;

enum Upstream {
    Echo(Echo),
    Peer(Peer, PathBuf),
    Redis { _program: Program },
    Tls(Echo, Box<Authority>),
}

/// What a column is checked in.
pub(crate) struct World {
    column: Column,
    upstream: Upstream,
    squall: Squall,
}

impl World {
    /// `None` when a program is missing.
    pub(crate) fn new(column: Column) -> Option<Self> {
        let test = "fault_table";
        let (upstream, settings) = match column {
            Column::Http1 | Column::Http2 => {
                find("curl", test)?;
                let echo = Echo::http1();
                let settings = Settings::http(echo.address);
                (Upstream::Echo(echo), settings)
            }
            Column::Tls => {
                find("curl", test)?;
                let (echo, authority) = (Echo::http1(), Authority::new());
                authority.issue("b");
                let settings = Settings::new()
                    .listener_with("to-b", "http", "service-b", &authority.listener("b"))
                    .cluster("service-b", "http1", &[echo.address]);
                (Upstream::Tls(echo, Box::new(authority)), settings)
            }
            Column::Grpc => {
                let python = python(test)?;
                let peer = Peer::start(&python, "grpc_peer.py");
                let settings = Settings::http2(peer.address);
                (Upstream::Peer(peer, python), settings)
            }
            Column::WebSocket => {
                let python = python(test)?;
                let peer = Peer::start(&python, "websocket_peer.py");
                let settings = Settings::http(peer.address);
                (Upstream::Peer(peer, python), settings)
            }
            Column::Tcp => {
                find("redis-cli", test)?;
                let redis = Program::redis(test)?;
                let settings = Settings::tcp(redis.address);
                (Upstream::Redis { _program: redis }, settings)
            }
        };
        Some(Self { column, upstream, squall: Squall::start(&settings.with("seed: 7")) })
    }

    fn address(&self) -> SocketAddr {
        self.squall.to_b()
    }

    /// One call.
    pub(crate) fn call(&self) -> Outcome {
        let url = format!("http://{}/sized/{BYTES}", self.address());
        let expected: Vec<u8> = (0..BYTES).map(|i| i.to_le_bytes()[0]).collect();
        match (self.column, &self.upstream) {
            (Column::Http1, _) => foreign::curl(&url, &["--http1.1"], &expected),
            (Column::Http2, _) => foreign::curl(&url, &["--http2-prior-knowledge"], &expected),
            (Column::Grpc, Upstream::Peer(_, python)) => foreign::grpc(python, self.address(), "Stream", BYTES / 5),
            (Column::WebSocket, Upstream::Peer(_, python)) => foreign::websocket(python, self.address()),
            (_, Upstream::Tls(_, authority)) => {
                let url = format!("https://localhost:{}/sized/{BYTES}", self.address().port());
                foreign::curl(&url, &["--http2", "--cacert", &authority.file("ca.crt")], &expected)
            }
            (_, _) => foreign::redis(self.address(), &"r".repeat(BYTES)),
        }
    }

    /// How many calls the upstream got, where it says so.
    pub(crate) fn calls(&self) -> Option<usize> {
        match &self.upstream {
            Upstream::Echo(echo) | Upstream::Tls(echo, _) => Some(echo.requests()),
            Upstream::Peer(peer, python) if self.column == Column::Grpc => {
                let said = foreign::grpc(python, peer.address, "Calls", 0).said;
                let report: Value = serde_json::from_str(&said).unwrap();
                report["text"].as_str().unwrap().parse().ok()
            }
            Upstream::Peer(..) | Upstream::Redis { .. } => None,
        }
    }

    /// Waits for the upstream to have got so many.
    pub(crate) fn eventually_calls(&self, calls: usize, context: &str) {
        eventually(&format!("{calls} calls: {context}"), std::time::Duration::from_secs(5), || {
            (self.calls() == Some(calls)).then_some(())
        });
    }

    pub(crate) fn rule(&self, rule: &Value) {
        let mut rule = rule.clone();
        rule["percentage"] = 100.into();
        self.squall.api().rule("r", &rule);
    }

    pub(crate) fn remove(&self) {
        self.squall.api().remove("r");
    }
}
