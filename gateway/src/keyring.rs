//! The master keys from which every station's key is derived.

use protocol::crypto::{MasterKey, StationKey};
use protocol::types::StationId;
use std::collections::BTreeMap;

/// Master generations by `key_id`; during a rotation there are two.
#[derive(Clone, Default)]
pub struct KeyRing {
    masters: BTreeMap<u16, MasterKey>,
}

impl KeyRing {
    /// A ring of these masters.
    pub fn new(masters: impl IntoIterator<Item = (u16, MasterKey)>) -> Self {
        Self { masters: masters.into_iter().collect() }
    }

    /// Whether a master of this generation is here.
    pub fn has(&self, key_id: u16) -> bool {
        self.masters.contains_key(&key_id)
    }

    /// Derives a station's key, if its master is here.
    pub fn station_key(&self, key_id: u16, station_id: StationId, key_gen: u16) -> Option<StationKey> {
        self.masters.get(&key_id).map(|master| master.station_key(station_id, key_gen))
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.masters.keys()).finish()
    }
}
