//! Which stations may log in: followed from the backend, kept while it is away.

use crate::backend::{BackendClient, Backoff};
use crate::config::UnknownStations;
use crate::limits;
use crate::metrics::carrier_failures;
use crate::registry::{Leave, Registry};
use protocol::control::{Admission, Roster, RosterEntry};
use protocol::types::StationId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;

/// The last known roster, in memory: a login reads nothing else.
#[derive(Default)]
pub struct RosterView {
    entries: RwLock<HashMap<StationId, RosterEntry>>,
    version: AtomicU64,
    loaded: AtomicBool,
}

impl RosterView {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a roster was ever received. Before that nobody is let in.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// What the roster says of a station; `None` if it does not know it.
    pub fn entry(&self, station_id: &StationId) -> Option<RosterEntry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(station_id).cloned()
    }

    /// Whether a station of this key generation may prove itself; `None` if the roster does not know it.
    pub fn takes_key(&self, station_id: &StationId, key_gen: u16) -> Option<bool> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(station_id)?;
        Some(entry.admission != Admission::Revoked && key_gen >= entry.min_key_gen)
    }

    /// How many stations it knows.
    pub fn station_count(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes what has changed, or everything if `whole`.
    pub fn apply(&self, roster: Roster, whole: bool) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if whole {
            entries.clear();
        }
        entries.extend(roster.entries.into_iter().map(|entry| (entry.station_id, entry)));
        drop(entries);
        self.version.store(roster.version, Ordering::Release);
        self.loaded.store(true, Ordering::Release);
        metrics::gauge!("chautari_gateway_roster_version").set(roster.version as f64);
    }

    /// Follows the backend until `stop`; sessions that lose their admission are closed.
    pub async fn follow(
        self: Arc<Self>,
        backend: BackendClient,
        registry: Arc<Registry>,
        unknown_stations: UnknownStations,
        stop: CancellationToken,
    ) {
        let (failures, _) = carrier_failures();
        let mut backoff = Backoff::new();
        loop {
            // The first one is not waited for: nobody is let in without it.
            let is_loaded = self.is_loaded();
            let (known, wait_ms) = if is_loaded {
                (self.version.load(Ordering::Acquire), limits::ROSTER_WAIT_MS)
            } else {
                (0, 0)
            };
            let answer = tokio::select! {
                answer = backend.roster(known, wait_ms) => answer,
                () = stop.cancelled() => return,
            };
            match answer {
                Ok(None) => {
                    backoff.reset();
                    if !is_loaded {
                        // Unchanged since nothing: there are no stations yet.
                        self.apply(Roster { version: 0, entries: Vec::new() }, true);
                    }
                }
                // The backend's book was put back to an earlier state: read it anew.
                Ok(Some(roster)) if roster.version < known => {
                    tracing::warn!(known, version = roster.version, "the roster went back; reading it anew");
                    self.version.store(0, Ordering::Release);
                }
                Ok(Some(roster)) => {
                    backoff.reset();
                    let is_news = roster.version > known || !is_loaded;
                    let changed: Vec<_> = roster.entries.iter().map(|entry| entry.station_id).collect();
                    let is_whole = known == 0;
                    self.apply(roster, is_whole);
                    if is_whole {
                        self.send_unknown_away(unknown_stations, &registry);
                    }
                    self.send_away(&changed, &registry);
                    if !is_news {
                        // An answer without news must not become a busy loop.
                        tokio::select! {
                            () = backoff.pause() => {}
                            () = stop.cancelled() => return,
                        }
                    }
                }
                Err(error) => {
                    failures.increment(1);
                    tracing::debug!(%error, "the roster cannot be read; the last one stays");
                    tokio::select! {
                        () = backoff.pause() => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// A whole roster says who is not in it, too.
    fn send_unknown_away(&self, unknown_stations: UnknownStations, registry: &Registry) {
        if unknown_stations == UnknownStations::Accept {
            return;
        }
        for session in registry.sessions() {
            if self.takes_key(&session.station_id, session.epoch.key_gen()).is_none() {
                session.leave(Leave::Revoked);
            }
        }
    }

    fn send_away(&self, changed: &[StationId], registry: &Registry) {
        for station_id in changed {
            let (Some(entry), Some(session)) = (self.entry(station_id), registry.route(station_id)) else {
                continue;
            };
            if entry.admission != Admission::Approved || session.epoch.key_gen() < entry.min_key_gen {
                session.leave(Leave::Revoked);
            }
        }
    }
}
