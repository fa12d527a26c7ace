//! Applies faults to traffic: all data-plane I/O.
#![cfg_attr(not(test), allow(dead_code, reason = "the listeners that use it are built on another branch"))]

mod net;
mod tcp;
