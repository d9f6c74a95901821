//! One suite for every implementation of [`TelemetryStore`]: the trait's promises, checked from outside.
//!
//! A test gives a [`Subject`] and calls [`all`]; the model-based check takes operations from the
//! caller, so that a property test can make and shrink them.
//!
//! Every check works with stations of its own and asserts by panicking, as tests do.
#![expect(clippy::unwrap_used, reason = "a check fails by panicking")]

mod checks;
mod operations;
mod samples;

pub use checks::{all, samples_of};
pub use operations::{Operation, compare};
pub use samples::{bank, batch, event, numbered_batch, sample, slot, station};

use crate::TelemetryStore;
use async_trait::async_trait;
use protocol::clock::ManualClock;
use std::sync::Arc;

/// The length of the windows that a subject must use: the suite moves the clock across them.
pub const WINDOW_MS: u64 = 60_000;

/// A wall time to start at, the beginning of a window.
pub const START_MS: u64 = 1_763_899_200_000;

/// An implementation under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the store: empty the first time, then with everything it had acknowledged.
    async fn open(&self) -> Arc<dyn TelemetryStore>;

    /// The clock that the store uses.
    fn clock(&self) -> Arc<ManualClock>;

    /// Rewrites stored data into their final form, where the implementation has one.
    async fn settle(&self, store: &dyn TelemetryStore);

    /// Whether [`TelemetryStore::expire`] deletes; rows that carry a time to live of their own do not need it.
    fn expires_when_asked(&self) -> bool {
        true
    }
}
