//! The backend's randomness: codes, tokens and ids come from one generator, seeded by hand in tests.

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Letters of codes that people read to each other: none that looks like a digit.
pub(crate) const READABLE: &str = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A shared handle on a cryptographic generator.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same numbers every time: for tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.with(|generator| generator.fill_bytes(&mut bytes));
        bytes
    }

    /// A uniform number below `bound`.
    pub fn below(&self, bound: u32) -> u32 {
        self.with(|generator| generator.random_range(0..bound))
    }

    /// `length` characters of `alphabet`, uniformly.
    pub fn text(&self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.below(letters.len() as u32) as usize]).collect()
    }

    /// A UUIDv7 that carries `now`.
    pub fn uuid_v7(&self, now: DateTime<Utc>) -> Uuid {
        let unix_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &self.bytes()).into_uuid()
    }

    fn with<T>(&self, work: impl FnOnce(&mut StdRng) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_time_and_the_seed_decides_the_rest() {
        let now = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let id = Random::seeded(7).uuid_v7(now);
        assert_eq!(id, Random::seeded(7).uuid_v7(now));
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(u64::from_be_bytes(id.as_bytes()[..8].try_into().unwrap()) >> 16, 1_700_000_000_123);
    }
}
