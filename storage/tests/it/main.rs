//! The checks of the telemetry store, in one binary.
#![expect(clippy::unwrap_used, reason = "a check fails by panicking")]

mod embedded;
mod kill;
mod model;
mod released_data;
mod scylla;
