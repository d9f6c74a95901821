//! End-to-end stories over real sockets, crash runs, and the rules of the house.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;
mod world;

mod crash;
mod load;
mod operator;
mod orders;
mod soak;
mod story;

mod model;

mod alerts;
mod tidy;
