//! What operators ask of a gateway: to watch one station, and to empty itself.

use super::InstanceId;
use crate::types::{Epoch, StationId};
use serde::{Deserialize, Serialize};

/// One line of `GET /control/v1/stations/{station_id}/trace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum TraceLine {
    /// First line: from here on every frame is told.
    Begin {
        /// Who speaks.
        instance_id: InstanceId,
        /// Of whom.
        station_id: StationId,
        /// Unix milliseconds of the gateway's clock.
        now_ms: u64,
        /// When the trace ends by itself, Unix milliseconds.
        until_ms: u64,
        /// The session that the station has here now.
        epoch: Option<Epoch>,
    },
    /// A frame was read, or is about to be written.
    Frame(TracedFrame),
    /// A connection of the station has ended.
    Closed {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// The epoch that its HELLO named.
        epoch: Epoch,
        /// Whether it had a session; without one nothing of it was proven, or it was refused.
        is_session: bool,
        /// The close reason's label.
        reason: String,
    },
    /// Frames that were not told, because the reader was too slow.
    Dropped {
        /// How many.
        lines: u64,
    },
    /// Every 5 s: the trace lives.
    Tick {
        /// Unix milliseconds of the gateway's clock.
        now_ms: u64,
    },
    /// Last line.
    End {
        /// Why.
        reason: TraceEnd,
    },
}

/// A frame as a person reads it, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedFrame {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// From whom.
    pub direction: TraceDirection,
    /// The epoch that the connection's HELLO named: two connections at once differ in it.
    pub epoch: Epoch,
    /// Whether the connection has a session; before that nothing of it is proven.
    pub is_session: bool,
    /// The type of its message.
    pub message: String,
    /// Its number in its direction.
    pub seq: u32,
    /// The highest number of the other direction that was handled.
    pub ack: u32,
    /// How long it is on the wire.
    pub bytes: u32,
    /// What it means.
    pub text: String,
}

/// From whom a traced frame comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceDirection {
    /// The station sent it.
    FromStation,
    /// The gateway sends it.
    ToStation,
}

/// Why a trace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceEnd {
    /// Its time is over.
    TimeOver,
    /// The gateway stops.
    Stopping,
}

/// How far a drain is: the answer of `POST` and `GET /control/v1/drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainProgress {
    /// Who answers.
    pub instance_id: InstanceId,
    /// How far it is.
    pub stage: DrainStage,
    /// Sessions when it began.
    pub sessions_before: u64,
    /// Sessions that are left.
    pub sessions: u64,
    /// Commands that a station may still be at.
    pub commands_open: u64,
    /// Items that wait for the backend.
    pub uplink_items: u64,
    /// Batches of samples that wait for the store.
    pub telemetry_batches: u64,
}

/// The stages of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainStage {
    /// Nobody has asked for one.
    Serving,
    /// Stations are sent away.
    Sessions,
    /// The last things travel to backend and store.
    Queues,
    /// It is over; the process waits for its end.
    Drained,
}
