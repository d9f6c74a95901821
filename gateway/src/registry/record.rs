//! What is kept of one station, whether it has a session or not.

use super::SessionHandle;
use super::trouble::{Conflict, Flaps};
use crate::config::FlappingSettings;
use protocol::control::StationTrouble;
use protocol::types::{Epoch, StationId};
use std::sync::Arc;

pub(super) struct Record {
    pub(super) last_epoch: Epoch,
    pub(super) session: Option<Arc<SessionHandle>>,
    /// When the last session was opened, monotonic.
    pub(super) opened_ms: u64,
    /// How the last session ended, if one has.
    pub(super) closed: Option<Box<Closed>>,
    /// Only there while sessions follow each other soon.
    pub(super) flaps: Option<Box<Flaps>>,
    /// Only there after a stale epoch was proven.
    pub(super) conflict: Option<Box<Conflict>>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) epoch: Epoch,
    pub(super) reason: &'static str,
    pub(super) at_ms: u64,
    pub(super) last_seen_ms: u64,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            last_epoch: Epoch::default(),
            session: None,
            opened_ms: 0,
            closed: None,
            flaps: None,
            conflict: None,
        }
    }

    /// Answers whether the station begins to flap with this session.
    pub(super) fn note_opened(&mut self, settings: &FlappingSettings, now_ms: u64, wall_ms: u64) -> bool {
        let before_ms = std::mem::replace(&mut self.opened_ms, now_ms);
        let is_first = self.last_epoch == Epoch::default();
        if settings.sessions == 0 || is_first {
            return false;
        }
        if self.flaps.is_none() && now_ms.saturating_sub(before_ms) > settings.window_ms {
            return false;
        }
        let flaps = self.flaps.get_or_insert_with(|| Box::new(Flaps::after(before_ms)));
        flaps.opened(settings, now_ms, wall_ms)
    }

    pub(super) fn trouble(&self, station_id: StationId) -> StationTrouble {
        StationTrouble {
            station_id,
            flapping: self.flaps.as_ref().and_then(|flaps| flaps.episode()),
            quarantine: self.conflict.as_ref().and_then(|conflict| conflict.quarantine()),
        }
    }
}
