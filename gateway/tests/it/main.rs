//! The gateway from the outside: real sockets, a backend that keeps its state, a store in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod attacks;
mod bounds;
mod commands;
mod control;
mod descriptors;
mod drain;
mod events;
mod fleet;
mod lines;
mod login;
mod overload;
mod presence;
mod reasons;
mod takeover;
mod telemetry;
mod trace;
mod whole_station;
