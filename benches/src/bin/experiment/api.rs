//! The control API of the Squall that is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

/// It is asked on a connection of its own each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api(pub(crate) SocketAddr);

impl Api {
    /// What it answers, which has to be of 2xx.
    pub(crate) fn call(self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect(self.0)?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").context("a head")?;
        Ok(serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Waits until the status of an experiment is as wanted.
    pub(crate) fn until(self, name: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let experiment = self.call("GET", &format!("/v1/experiments/{name}"), &Value::Null)?;
            if wanted(&experiment["status"]) {
                return Ok(());
            }
            ensure!(begun.elapsed() < Duration::from_secs(60), "{:#}", experiment["status"]);
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}
