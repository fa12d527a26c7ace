//! Changes what Squall does while it runs: the only writer of snapshots, and the API, the file and the clock that ask
//! it to write.
//!
//! The life of a change:
//! - it comes from the API (`server` → `access` → `calls`), from Toxiproxy's (`server` → `toxiproxy`), the file (`watch`), the clock (`expiry`), a guard
//!   (`guards`) or a lease that nobody renews (`lease`), which stop all faults, or the controller of a cluster (`fleet`);
//! - `publish` checks its precondition, applies it to a draft (`document`), validates the whole, binds new
//!   sockets through the [`DataPlane`], compiles and publishes: all or nothing;
//! - `events` tells those that listen, `audit` remembers who did it, `state` what outlives the process.
//!
//! What all of them share is an [`App`].

mod access;
mod actor;
mod app;
mod audit;
mod calls;
mod data_plane;
mod directory;
mod disk;
mod document;
mod error;
mod events;
mod experiment;
mod expiry;
mod fleet;
mod guard;
mod guards;
mod input;
mod lease;
mod listen;
mod merge_patch;
mod openapi;
mod publish;
mod reload;
mod role;
mod routes;
mod server;
mod slow_reader;
mod state;
mod switch;
mod sync;
mod text;
mod toxiproxy;
mod view;
mod watch;
mod web;
mod write;

pub use access::{Access, Refused};
pub use actor::{Actor, Caller, Identity, Part};
pub use app::{App, AppOptions, ControlStats};
pub use data_plane::{DataPlane, Taps};
pub use experiment::report::{ReportFormat, UnknownFormat};
pub use fleet::board::{ControllerAnswer, ControllerStats};
pub use guards::board::GuardStats;
pub use listen::BindError;
pub use openapi::openapi;
pub use publish::{Overlay, Publisher, PublisherStats};
pub use reload::Reload;
pub use role::Role;
pub use server::{Control, ControlError, ControlOptions, TlsSource, start};
pub use state::Start;
pub use web::{Web, WebAnswer, WebConnection, WebFuture, WebRequest};
pub use write::UpdateError;
