//! Who a station is.

use crate::crypto::StationKey;
use crate::message::Capabilities;
use crate::types::StationId;

/// What a station is provisioned with, and what it says of itself in HELLO.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Who.
    pub station_id: StationId,
    /// Which master its key comes from.
    pub key_id: u16,
    /// Which generation of its key, 15 bits.
    pub key_gen: u16,
    /// The key.
    pub key: StationKey,
    /// Firmware name and version.
    pub firmware: ShortText,
    /// Hardware model.
    pub hardware: ShortText,
    /// The modem's IMEI.
    pub imei: ShortText,
    /// The SIM card's number.
    pub iccid: ShortText,
    /// What it can do beside ejecting.
    pub capabilities: Capabilities,
}

/// At most 32 printable ASCII characters, without a heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ShortText {
    bytes: [u8; 32],
    length: u8,
}

impl ShortText {
    /// Takes a text; `None` if it is too long or not printable ASCII.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let place = bytes.get_mut(..text.len())?;
        place.copy_from_slice(text.as_bytes());
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        is_printable.then_some(Self { bytes, length: text.len() as u8 })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl core::fmt::Debug for ShortText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self.as_str(), f)
    }
}
