//! A cluster without machines: an API server in memory, a controller beside it, and sidecars that only talk.
//!
//! - [`ApiServer`]: objects, watches, statuses, tokens and events, over plain HTTP, for the operator, kubectl and Helm; and all
//!   that can go wrong with it
//! - [`Operator`]: the real `squall-kubernetes`, stopped when it goes out of scope
//! - [`Follower`]: asks for orders over TLS as a sidecar does, follows them, and remembers what it was told

mod admission;
mod answer;
mod call;
mod cluster;
mod discovery;
mod follower;
mod kinds;
mod objects;
mod operator;
mod patch;
mod place;
mod protobuf;
mod routes;
mod selector;
mod server;
mod state;
mod store;
mod strategic;
mod table;
mod tokens;

pub use follower::{Follower, Manners, ask};
pub use objects::{condition, holds};
pub use operator::{Operator, binary};
pub use server::ApiServer;
pub use state::Trouble;
pub use tokens::Token;
