//! The nouns of the protocol: ids, counters and keys, each with one text form.

use core::fmt;
use core::str::FromStr;

/// A text that is not the canonical form of the type it was parsed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct ParseTypeError(pub &'static str);

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn parse_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident, $label:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (at, byte) in self.0.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseTypeError;

            fn from_str(text: &str) -> Result<Self, ParseTypeError> {
                let text = text.as_bytes();
                let dashed = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text[*at] == b'-');
                if !dashed {
                    return Err(ParseTypeError($label));
                }
                let mut digits = [0; 32];
                let mut kept = text.iter().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
                for digit in &mut digits {
                    *digit = kept.next().map_or(0, |(_, byte)| *byte);
                }
                parse_hex(&digits).map(Self).ok_or(ParseTypeError($label))
            }
        }

        #[cfg(feature = "std")]
        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id.into_bytes())
            }
        }

        #[cfg(feature = "std")]
        impl From<$name> for uuid::Uuid {
            fn from(id: $name) -> Self {
                uuid::Uuid::from_bytes(id.0)
            }
        }
    };
}

uuid_newtype!(
    /// A station: the 16 bytes of its UUID in the backend. The printed serial number is an attribute.
    StationId, "station id"
);
uuid_newtype!(
    /// A command: a UUIDv7 made by the backend before any money is held.
    CommandId, "command id"
);

impl CommandId {
    /// The Unix milliseconds in the first 48 bits of a UUIDv7.
    pub const fn unix_ms(&self) -> u64 {
        let b = &self.0;
        (b[0] as u64) << 40
            | (b[1] as u64) << 32
            | (b[2] as u64) << 24
            | (b[3] as u64) << 16
            | (b[4] as u64) << 8
            | b[5] as u64
    }
}

/// The 8 bytes that a slot reads from a power bank; 16 upper-case hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankSerial(pub [u8; 8]);

impl fmt::Display for BankSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for BankSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BankSerial {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        parse_hex(text.as_bytes()).map(Self).ok_or(ParseTypeError("power bank serial"))
    }
}

/// A session's rank among all sessions of its station: key generation, boot and connection counted together.
///
/// The highest one wins everywhere. It exceeds 53 bits, so its text form is 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// `key_gen(15 bits) << 48 | boot_no(24) << 24 | conn_no(24)`; `None` if a part does not fit.
    pub const fn from_parts(key_gen: u16, boot_no: u32, conn_no: u32) -> Option<Self> {
        if key_gen >> 15 != 0 || boot_no >> 24 != 0 || conn_no >> 24 != 0 {
            return None;
        }
        Some(Self((key_gen as u64) << 48 | (boot_no as u64) << 24 | conn_no as u64))
    }

    /// The key generation in it.
    pub const fn key_gen(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The boot number in it.
    pub const fn boot_no(self) -> u32 {
        (self.0 >> 24) as u32 & 0xFF_FFFF
    }

    /// The connection number in it.
    pub const fn conn_no(self) -> u32 {
        self.0 as u32 & 0xFF_FFFF
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Epoch {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        parse_hex(text.as_bytes()).map(|bytes| Self(u64::from_be_bytes(bytes))).ok_or(ParseTypeError("epoch"))
    }
}

/// The number of an event in a station's one ordered uplink: 63 bits, monotonic in flash, gaps allowed, never reused.
///
/// Zero means "none yet". Its text form in JSON is a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventNo(pub u64);

impl EventNo {
    /// The greatest number that exists.
    pub const MAX: Self = Self(u64::MAX >> 1);
}

impl fmt::Display for EventNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for EventNo {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        let number = text.parse().map_err(|_| ParseTypeError("event number"))?;
        if number > Self::MAX.0 { Err(ParseTypeError("event number")) } else { Ok(Self(number)) }
    }
}

/// A slot of a station, counted from 1.
pub type SlotNumber = u8;

/// The state bits of a slot, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct SlotState(pub u16);

impl SlotState {
    /// The sensor sees a bank.
    pub const INSERTED: u16 = 1 << 0;
    /// The lock is closed.
    pub const LOCKED: u16 = 1 << 1;
    /// The bank charges.
    pub const CHARGING: u16 = 1 << 2;
    /// Taken out of use by LOCK_SLOT.
    pub const DISABLED: u16 = 1 << 3;
    /// The motor did not reach its end position.
    pub const FAULT_MOTOR: u16 = 1 << 8;
    /// The sensors contradict each other.
    pub const FAULT_SENSOR: u16 = 1 << 9;
    /// The bank is there and cannot be read.
    pub const FAULT_UNREADABLE: u16 = 1 << 10;
    /// The bank reports an error of its own.
    pub const FAULT_BANK: u16 = 1 << 11;
    /// The contact delivers no charge.
    pub const FAULT_CHARGE: u16 = 1 << 12;
    /// Any fault.
    pub const FAULTS: u16 = 0xFF00;

    /// Whether all bits of `mask` are set.
    pub const fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }
}

#[cfg(feature = "std")]
mod json {
    use super::{BankSerial, CommandId, Epoch, EventNo, StationId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    macro_rules! as_text {
        ($($name:ty),*) => {$(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                }
            }
        )*};
    }

    as_text!(StationId, CommandId, BankSerial, Epoch, EventNo);
}
