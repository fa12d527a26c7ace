//! Following the orders of a cluster's controller: rules, experiments and halts that hold as long as it goes on giving them.
//!
//! The life of an order: the follower ([`follow`]) asks the controller ([`crate::web`]), saying how things are ([`report`]), and
//! waits; what comes back is read ([`answer`]), put in force by the publisher ([`orders`]) and by the board of the experiments
//! ([`runs`]), and noted for those who ask ([`board`]). How long it waits, and when it asks again, is for [`pace`] to say.
//!
//! Each answer renews the lease. Its end does not hang on the follower: [`crate::expiry`] looks at the clock, and drops what was
//! ordered, whatever became of the question that is under way.

pub(crate) mod answer;
pub(crate) mod board;
mod follow;
mod labels;
mod orders;
mod pace;
mod report;
mod runs;

pub(crate) use follow::run;
pub(crate) use orders::expire_orders;
