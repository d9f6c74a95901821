//! The doubles from outside, over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod caller;
mod esewa;
mod khalti;
mod misbehaviour;
mod stripe;
