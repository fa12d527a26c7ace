//! `squall-kubernetes`: what Squall is in a cluster besides its sidecars.
fn main() {}
