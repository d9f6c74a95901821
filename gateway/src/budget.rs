//! What the gateway keeps in memory for stations, and what it does when that is too much (I7).
//!
//! Two settings bound it: `station_bytes_max` for one station, `stations_bytes_max` for all. Counted are
//! the connection's task, the registry's entry, half frames, bytes that the socket did not take, frames that
//! wait for a queue, and the queues to the backend and to the store, until these have answered. Samples
//! wait as they came, so a frame that unfolds to a hundred times its size costs what it weighed on the wire;
//! only those of one append are unfolded.
//!
//! One station's bytes are split, so that no part can starve another:
//!
//! | limit | what happens there |
//! |---|---|
//! | a quarter in the queue to the store | further samples wait with the connection, unacknowledged: their window stays closed |
//! | a quarter in the queue to the backend | the same for events; a report is dropped and counted, because the backend asks again |
//! | a quarter with the connection | the socket is not read any further, and TCP holds the station back; after `stalled_ms_max` it is closed, `over_budget` |
//! | any byte that the socket does not take | the socket is not read; at `write_backlog_bytes_max`, or after `stalled_ms_max` without progress, it is closed, `slow_reader` |
//!
//! The last quarter is headroom: what one read may add before the limit is seen.
//!
//! Of all stations together ([`Level`]):
//!
//! | bytes held | what happens there |
//! |---|---|
//! | 3/4 of all | the sample lane rests: windows close, no batch enters the queue; events go on |
//! | 7/8 of all | logins are refused (`bytes_max`), sessions go on |
//! | all | sockets are closed at accept, none is read, and who holds bytes for longer than `stalled_ms_max` is closed |
//!
//! The share in a queue belongs to the station, not to its session: coming back does not renew it.

use crate::config::Settings;
use protocol::types::StationId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that are held for all stations.
#[derive(Debug)]
pub struct Budget {
    held: AtomicUsize,
    all_max: usize,
    station_max: usize,
}

/// How much is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Enough.
    Plenty,
    /// Samples wait with their stations.
    NoSamples,
    /// Nobody else may log in, either.
    NoLogins,
    /// Nothing more is read.
    Full,
}

impl Budget {
    /// Nothing is held.
    pub const fn new(settings: &Settings) -> Self {
        Self {
            held: AtomicUsize::new(0),
            all_max: settings.stations_bytes_max,
            station_max: settings.station_bytes_max,
        }
    }

    /// Bytes that are held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// So much more is held. It is never refused: who looks at [`Self::level`] first does not come here.
    pub fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much less is held.
    pub fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What may be done with what is left.
    pub fn level(&self) -> Level {
        let held = self.held();
        if held >= self.all_max {
            Level::Full
        } else if held >= self.all_max / 8 * 7 {
            Level::NoLogins
        } else if held >= self.all_max / 4 * 3 {
            Level::NoSamples
        } else {
            Level::Plenty
        }
    }

    /// What one station may have in one queue, and what a connection may keep and still be read.
    pub const fn quarter_of_station(&self) -> usize {
        self.station_max / 4
    }
}

/// How many bytes of a queue are whose. Stations without any have no entry.
#[derive(Debug)]
pub(crate) struct Shares {
    by_station: HashMap<StationId, usize>,
    each_max: usize,
}

impl Shares {
    pub(crate) fn new(each_max: usize) -> Self {
        Self { by_station: HashMap::new(), each_max }
    }

    /// Takes so many bytes, unless the station has too many. Who has none gets any: nothing waits for ever.
    pub(crate) fn take(&mut self, station_id: StationId, bytes: usize) -> bool {
        let share = self.by_station.entry(station_id).or_default();
        if *share > 0 && *share + bytes > self.each_max {
            return false;
        }
        *share += bytes;
        true
    }

    pub(crate) fn give_back(&mut self, station_id: StationId, bytes: usize) {
        if let Some(share) = self.by_station.get_mut(&station_id) {
            *share = share.saturating_sub(bytes);
            if *share == 0 {
                self.by_station.remove(&station_id);
            }
        }
        if self.by_station.is_empty() && self.by_station.capacity() > SHARES_KEPT {
            self.by_station = HashMap::new();
        }
    }
}

/// Room for so many shares is kept while there is none.
const SHARES_KEPT: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_go_first_then_logins_then_everything() {
        let budget = Budget::new(&Settings { stations_bytes_max: 800, ..Settings::default() });
        let mut levels = Vec::new();
        for _ in 0..8 {
            budget.hold(100);
            levels.push(budget.level());
        }
        use Level::{Full, NoLogins, NoSamples, Plenty};
        assert_eq!(levels, [Plenty, Plenty, Plenty, Plenty, Plenty, NoSamples, NoLogins, Full]);
        budget.release(800);
        assert_eq!((budget.held(), budget.level()), (0, Plenty));
    }

    #[test]
    fn a_share_is_bounded_and_an_empty_one_takes_anything() {
        let (mut shares, [one, other]) = (Shares::new(100), [StationId([1; 16]), StationId([2; 16])]);
        assert!(shares.take(one, 500), "nothing waits for ever");
        assert!(!shares.take(one, 1));
        assert!(shares.take(other, 60) && !shares.take(other, 60) && shares.take(other, 40));
        shares.give_back(one, 500);
        assert!(shares.take(one, 1));
        shares.give_back(one, 1);
        shares.give_back(other, 100);
        assert!(shares.by_station.is_empty());
    }
}
