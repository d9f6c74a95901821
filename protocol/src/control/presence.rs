//! Who is here, and how they do: the lines of the presence stream.

use super::InstanceId;
use crate::types::{Epoch, StationId};
use serde::{Deserialize, Serialize};

/// One line of the presence stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum PresenceLine {
    /// First line: all that follows until `SnapshotEnd` is the present state.
    Hello {
        /// Who speaks.
        instance_id: InstanceId,
        /// Unix milliseconds of the gateway's clock.
        now_ms: u64,
    },
    /// A station is here, or its state changed.
    Station(StationPresence),
    /// A station's session of that epoch is gone. A snapshot says so of every station without a
    /// session that had one since the gateway's start.
    Gone {
        /// Who.
        station_id: StationId,
        /// Which session; a later one is not touched.
        epoch: Epoch,
        /// The close reason's label.
        reason: String,
        /// When, Unix milliseconds.
        at_ms: u64,
        /// When the session was last heard of, Unix milliseconds; 0 from a gateway that does not say.
        #[serde(default)]
        last_seen_ms: u64,
    },
    /// What is wrong with a station's way of connecting; all of it, so an empty one is the end of it.
    Trouble(StationTrouble),
    /// Stations that were heard of since the last such line.
    Alive {
        /// Each with its proof of life.
        stations: Vec<ProofOfLife>,
    },
    /// The snapshot is complete.
    SnapshotEnd,
    /// Every 5 s: the stream lives.
    Tick {
        /// Unix milliseconds of the gateway's clock.
        now_ms: u64,
    },
    /// A line of a newer gateway; it means nothing here.
    #[serde(other)]
    Other,
}

/// A routable station.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationPresence {
    /// Who.
    pub station_id: StationId,
    /// The session's epoch.
    pub epoch: Epoch,
    /// `true` while an eject probe or the keepalive is overdue.
    pub suspect: bool,
    /// Since when it is suspect, else since when it is here, Unix milliseconds.
    pub since_ms: u64,
    /// The last proof of life, Unix milliseconds.
    pub last_seen_ms: u64,
    /// Measured round trip, if any.
    pub rtt_ms: Option<u32>,
}

/// When a session was last heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofOfLife {
    /// Who.
    pub station_id: StationId,
    /// Which session.
    pub epoch: Epoch,
    /// When, Unix milliseconds.
    pub last_seen_ms: u64,
    /// Measured round trip, if any.
    pub rtt_ms: Option<u32>,
}

/// What is wrong with a station's way of connecting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationTrouble {
    /// Who.
    pub station_id: StationId,
    /// It comes and goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<Flapping>,
    /// Two devices use its identity, and neither gets a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

impl StationTrouble {
    /// Nothing is wrong any more.
    pub const fn is_over(&self) -> bool {
        self.flapping.is_none() && self.quarantine.is_none()
    }
}

/// A station that opens too many sessions; its begin names the episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flapping {
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// How many sessions had been opened by then.
    pub sessions: u32,
    /// Within how many milliseconds.
    pub within_ms: u64,
}

/// Two devices with one identity; its begin names the episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// Until when neither gets a session, Unix milliseconds.
    pub until_ms: u64,
}
