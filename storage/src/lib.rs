//! Telemetry: what stations measured and what happened to them, kept by time.
//!
//! One trait, [`TelemetryStore`]; implementations beside it:
//!
//! * [`embedded::EmbeddedStore`]: SQLite files of this machine, nothing to install.
//! * [`scylla::ScyllaStore`]: a CQL cluster, for installations of several machines.
//! * [`model::ModelStore`]: in memory, the meaning of the trait in the fewest lines. The other
//!   implementations are compared with it.
//!
//! One suite (`conformance`, behind the feature of that name) runs on every implementation.
//!
//! Nothing here is the book: rentals and money are decided by the backend's own database.
//! What is stored here is history, and what a page shows as "latest".
#![warn(missing_docs)]

pub mod record;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod crash;
pub mod embedded;
pub mod limits;
mod metrics;
pub mod model;
pub mod scylla;

use async_trait::async_trait;
use protocol::types::{BankSerial, EventNo, StationId};
pub use record::{
    BankPosition, BankReading, EventRecord, LatestSample, Page, Paged, Resolution, Sample, SampleBatch,
    SamplePosition, SlotSample, StationReadings, StoredSample, TimeRange,
};

/// Where telemetry is kept.
///
/// Writes may be repeated at will: after an error of any kind the caller keeps what it wanted to
/// write and writes it again, and what had been stored all the same is not stored twice.
/// Readers see everything that was acknowledged before they asked.
///
/// The order of samples is that of [`SamplePosition`]: time first, then boot and number, so that two
/// samples of the same millisecond keep the order in which the station took them.
#[async_trait]
pub trait TelemetryStore: Send + Sync {
    /// Stores batches, each whole or not at all. `Ok` means that all of them survive a power failure.
    ///
    /// A batch is identified by (station, boot_no, first_sample_no): one whose first sample is stored
    /// already is a resend and changes nothing. The station cuts a batch once, so two batches of one
    /// boot never overlap in part.
    async fn append(&self, batches: Vec<SampleBatch>) -> Result<(), StoreError>;

    /// Stores a later copy of events that the backend has accepted; durable as [`Self::append`] is.
    ///
    /// An event is identified by (station, event_no); a resend changes nothing.
    async fn append_events(&self, events: Vec<EventRecord>) -> Result<(), StoreError>;

    /// The newest sample of each station whose clock is not in doubt, in the order asked.
    ///
    /// Stations without one are left out. It outlives the retention of the samples themselves.
    async fn latest(&self, stations: &[StationId]) -> Result<Vec<LatestSample>, StoreError>;

    /// The samples of one station in a range of time, ascending, a page at a time.
    async fn samples(
        &self,
        station: StationId,
        range: TimeRange,
        resolution: Resolution,
        page: Page<SamplePosition>,
    ) -> Result<Paged<StoredSample, SamplePosition>, StoreError>;

    /// The events of one station with a number greater than `after`, ascending, at most `limit` of
    /// them (clamped to 1..=[`limits::PAGE_ITEMS_MAX`]).
    async fn events(
        &self,
        station: StationId,
        after: EventNo,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError>;

    /// What all stations read of one power bank in a range of time, ascending, a page at a time.
    async fn bank_life(
        &self,
        bank: BankSerial,
        range: TimeRange,
        page: Page<BankPosition>,
    ) -> Result<Paged<BankReading, BankPosition>, StoreError>;

    /// Deletes samples and events that arrived before this time, whole windows only: what arrived
    /// less than one window earlier may stay. Latest samples stay.
    ///
    /// Stores also expire by themselves after their configured retention. One whose rows carry their
    /// own time to live does nothing here.
    async fn expire(&self, arrived_before_ms: u64) -> Result<(), StoreError>;

    /// How the store is doing. Never waits for storage.
    fn health(&self) -> StoreHealth;

    /// Finishes what is queued and releases everything. Every later call fails with
    /// [`StoreError::Unavailable`]; a second close does nothing.
    async fn close(&self) -> Result<(), StoreError>;
}

/// What a caller can react to. Details are logged once, by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreError {
    /// The store is closed, starting or out of reach: write again later, do not acknowledge.
    #[error("the telemetry store is not available")]
    Unavailable,
    /// No answer in time. The write may have happened; writing it again is harmless.
    #[error("the telemetry store did not answer in time")]
    Timeout,
    /// Stored bytes fail validation: repeating does not help.
    #[error("the telemetry store holds damaged data")]
    Corrupt,
    /// No room: do not acknowledge; it recovers by itself once there is room.
    #[error("the telemetry store is full")]
    Full,
}

impl StoreError {
    /// The name for metric labels and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Corrupt => "corrupt",
            Self::Full => "full",
        }
    }
}

/// What [`TelemetryStore::health`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// The last write's failure, until a write succeeds again.
    pub failing: Option<StoreError>,
    /// Writes that wait for their commit.
    pub queued_writes: usize,
    /// Bytes that the store occupies, where it can tell.
    pub stored_bytes: Option<u64>,
    /// Damaged files that were set aside, by name: a person should look.
    pub set_aside: Vec<String>,
}

impl StoreHealth {
    /// Whether writes are expected to succeed.
    pub fn is_writable(&self) -> bool {
        self.failing.is_none()
    }
}
