//! What a double takes from outside: the time, and the letters of its ids.

use chrono::{DateTime, Utc};
use protocol::clock::{Clock, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A clock and a seed. Clones share both.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    random: Arc<Mutex<StdRng>>,
}

impl World {
    /// The caller's clock, and the same ids for the same seed.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { clock, random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// The machine's clock and ids that nobody can guess, for a double that runs by itself.
    pub fn real() -> Self {
        Self { clock: Arc::new(SystemClock::new()), random: Arc::new(Mutex::new(StdRng::from_os_rng())) }
    }

    /// The present moment.
    pub fn now(&self) -> DateTime<Utc> {
        let unix_us = i64::try_from(self.clock.wall_us()).unwrap_or(i64::MAX);
        DateTime::from_timestamp_micros(unix_us).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// `length` letters of `alphabet`.
    pub fn text(&self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        (0..length).map(|_| letters[random.random_range(0..letters.len())]).collect()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({})", self.now())
    }
}
