//! Harness of Squall's integration tests: the real binary between real sockets.
//!
//! - [`squall`]: a running `squall` with a configuration of its own, stopped when it goes out of scope
//! - [`settings`]: configuration texts, short enough to be read in a test
//! - [`api`]: the control API, as curl would speak it
//! - [`raw`]: a downstream client that sees bytes, FIN, RST and silence apart
//! - [`message`]: HTTP/1 answers, read from bytes without any help of hyper
//! - [`client`]: hyper clients for keep-alive, HTTP/2 and streaming bodies
//! - [`certs`]: an authority of its own for each test, and clients that speak TLS
//! - [`controller`]: a controller of sidecars that answers as a test says, well or badly
//! - [`origin`]: an upstream that does exactly what a script says, byte for byte
//! - [`echo`]: an upstream on hyper (HTTP/1 or HTTP/2) that reports what it saw
//! - [`exposition`]: Prometheus text, as numbers
//! - [`foreign`]: clients that were not written here, and what one call with each came to
//! - [`containers`]: images that are built and run, where the machine has an engine
//! - [`path`]: a client, Squall and an echo, where a test needs no more
//! - [`pods`]: two network namespaces with a cable between them, where the machine lets a test make such
//! - [`programs`]: nginx, redis-server and other real programs, where the machine has them
//! - [`service`]: a small Service A that calls Service B, as well or as badly as a test wants
//! - [`scene`]: both of them, Squall beside A, and callers: what an experiment is about
//! - [`keyboard`]: a program that asks people, and what they type
//! - [`kubernetes`]: a cluster without machines: an API server in memory, a controller, sidecars that only talk
//! - [`load`]: many keep-alive clients at once
//! - [`wait`]: deadlines in place of sleeps

pub mod api;
pub mod certs;
pub mod client;
pub mod containers;
pub mod controller;
pub mod dns;
pub mod echo;
pub mod exposition;
pub mod foreign;
pub mod keyboard;
pub mod kubernetes;
pub mod load;
pub mod message;
pub mod origin;
pub mod path;
pub mod pods;
pub mod programs;
pub mod raw;
pub mod scene;
pub mod service;
pub mod settings;
pub mod squall;
pub mod wait;

pub use api::Api;
pub use certs::{Authority, TlsClient, TlsOptions};
pub use controller::{Controller, Manner};
pub use raw::{End, RawClient};
pub use settings::Settings;
pub use squall::Squall;
pub use wait::eventually;
