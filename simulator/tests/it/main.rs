//! Simulated stations against a small gateway that drives the real session machine over real TCP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod faults;
mod fleet;
mod gateway;
mod persistence;
mod tools;
