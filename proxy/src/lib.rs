//! The data plane: carries A's traffic and applies the decided faults to it.
//!
//! **The life of a request**, in order: [`listener`] accepts, [`secure`] ends TLS, [`connection`] tells the protocol
//! ([`protocol`]), [`http1::server`] or [`http2::server`] reads requests, which share a [`downstream`], [`http::exchange`] ★ is the
//! request from head to end: view, head ([`http::request`]), decision ([`http::fault`]), faults before the upstream, [`upstream`],
//! head of the answer ([`http::response`]), faults behind the upstream, body ([`http::response_body`]), and [`http::record`] at the end.
//!
//! **The life of a TCP connection**: [`listener`], [`connection`], [`tcp::served`], [`tcp::relay`] ★. A tunnel is one too, from the
//! switch of protocols on ([`http::tunnel`]) or from a CONNECT ([`http::connect`]), unless what is in it is opened: then it is a
//! connection once more.
//!
//! **The end of a listener** leaves its connections alone, unless it was made at run time and has a start: [`tenure`].
//!
//! **The life of a fault**: [`http::fault`] says in which order they act on an exchange, [`tcp::fault`] which are on for a
//! stream; how fast bytes leave is the business of [`pace`] for both.
//!
//! **The life of a rule change**: the store publishes a snapshot; a worker adopts it ([`view`]) at its next exchange;
//! what faults hold ([`hold`]) looks at it at once.
//!
//! **The life of a trace**: [`telemetry::trace`] decides with the request's head whether the exchange has one, and makes
//! its spans at the end; whoever is at the other end of the queue exports them.
//!
//! **The life of an outcome**: while an experiment runs, [`telemetry::outcome`] notes of each exchange by which ids others belong
//! to it, and how it ended; it is kept until the rest of the process takes it.
//!
//! **The life of an endpoint**: [`upstream::shared`] is what all workers know of a cluster; [`upstream::upkeep`] resolves
//! names and makes health checks, on a thread of its own; a worker picks one ([`upstream::cluster`]) before the decision.
//!
//! A worker shares nothing for a request that no rule matches: thread, runtime, sockets, upstream connections and
//! counters are its own ([`worker`]); [`workers`] is all of them, with their threads, for the rest of the process. Connections,
//! and at times streams, go to the worker that has least to do ([`balance`]).

#![cfg_attr(docsrs, allow(rustdoc::private_intra_doc_links))]
#![allow(rustdoc::private_intra_doc_links, reason = "the map is for those who read the code")]

mod balance;
#[cfg(feature = "bench")]
pub mod bench;
mod connection;
mod downstream;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod hold;
mod http;
mod http1;
mod http2;
mod life;
mod listener;
mod net;
mod pace;
mod protocol;
mod redirected;
mod secure;
mod tcp;
mod telemetry;
mod tenure;
mod tls;
mod turn;
mod upstream;
mod view;
mod when_woken;
mod worker;
mod workers;

pub use telemetry::tap::Tap;
pub use telemetry::totals::DURATION_BOUNDS;
pub use telemetry::trace::Traces;
pub use telemetry::trace::propagation::{Format, Propagation};
pub use telemetry::trace::queue::{FinishedSpans, SpanQueue, span_queue};
pub use telemetry::trace::sampler::Sampler;
pub use tls::certs::authorities_of_system;
pub use tls::store::check as check_certificates;
pub use workers::{BindError, BoundListeners, Drained, Proxy, ProxyOptions};
