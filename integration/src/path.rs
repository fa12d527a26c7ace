//! The way from a client through Squall to a server that echoes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::echo::Echo;
use crate::{Api, RawClient, Settings, Squall};

/// Squall before an echo that speaks HTTP/1.1.
#[derive(Debug)]
pub struct Path {
    /// The upstream.
    pub echo: Echo,
    /// What stands before it.
    pub squall: Squall,
}

impl Path {
    /// Without a rule, and with another seed each time.
    #[must_use]
    pub fn bare() -> Self {
        Self::start(Settings::http)
    }

    /// Without a rule, and always with the same seed.
    #[must_use]
    pub fn seeded() -> Self {
        Self::start(|echo| Settings::http(echo).with("seed: 7"))
    }

    fn start(settings: impl FnOnce(SocketAddr) -> Settings) -> Self {
        let echo = Echo::http1();
        let squall = Squall::start(&settings(echo.address));
        Self { echo, squall }
    }

    /// With one rule that hits everything, and always with the same seed.
    #[must_use]
    pub fn with(fault: &Value) -> Self {
        let path = Self::seeded();
        path.api().rule("r", &json!({"percentage": 100, "fault": fault}));
        path
    }

    /// The control API.
    pub fn api(&self) -> Api {
        self.squall.api()
    }

    /// A client that speaks HTTP/1.1.
    pub fn client(&self) -> RawClient {
        RawClient::connect(self.squall.to_b())
    }

    /// Runs a test with an HTTP/2 client.
    pub fn http2<T>(&self, test: impl AsyncFnOnce(Client) -> T) -> T {
        let address = self.squall.to_b();
        client::run(Duration::from_secs(60), async { test(Client::http2(address).await).await })
    }
}
