//! Squall under attack: each attack goes on beside a well-behaved client, which notices next to nothing; the attackers get the
//! answers that they should get, and memory stays bounded. What nobody else would send is written byte by byte.
//!
//! `SQUALL_ATTACKS=FILE` appends a row for each attack to a file; `integration/ATTACKS.md` has those of one run.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cores;
mod frames;
mod held;
mod hostile;
mod http1;
mod http2;
mod opening;
mod process;
mod scene;
mod upstream;
