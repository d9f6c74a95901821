//! What gateway and stations of this bench share.

use protocol::crypto::MasterKey;

pub(super) const KEY_ID: u16 = 1;
pub(super) const INTERNAL_KEY: &str = "an-internal-key-for-benches";
/// The devices that answer commands have numbers from here on.
pub(super) const COMMAND_DEVICES_FROM: usize = 1_000_000;

/// A master key that gateway and stations share.
pub(super) fn master() -> MasterKey {
    MasterKey::from_bytes([42; 32])
}
