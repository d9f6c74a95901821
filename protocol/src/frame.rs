//! The frame: where it begins and ends, and whether it arrived whole.
//!
//! ```text
//!  0      2     3     4        6        8            12           16          16+len
//!  | magic | ver | type | flags  | length | seq (u32)  | ack (u32)  | payload   | check |
//!  | C5 B7 | 1   | u8   | u16    | u16    |            |            | length B  | 4 B   |
//! ```
//!
//! Numbers are big endian. `check` is CRC-32C over header and payload. After any error the
//! connection is closed: nothing here looks for the next frame in a broken stream.

mod check;
mod kind;
mod writer;

pub use check::crc32c;
pub use kind::{Direction, MessageType, Protection};
pub use writer::{EncodeError, Writer};

use crate::crypto::SessionKey;
use crate::limits::{CHECK_BYTES, FRAME_OVERHEAD_BYTES, HEADER_BYTES, MAC_TLV_BYTES};

/// The first two bytes of every frame.
pub const MAGIC: [u8; 2] = [0xC5, 0xB7];
/// The frame layout of this build.
pub const VERSION: u8 = 1;
/// The tag of the `mac` TLV: the highest, so it is always the last.
pub const MAC_TAG: u8 = 0xFF;

/// Byte ranges of the header.
mod field {
    use core::ops::Range;

    pub(super) const MAGIC: Range<usize> = 0..2;
    pub(super) const VERSION: usize = 2;
    pub(super) const KIND: usize = 3;
    pub(super) const FLAGS: Range<usize> = 4..6;
    pub(super) const LENGTH: Range<usize> = 6..8;
    pub(super) const SEQ: Range<usize> = 8..12;
    pub(super) const ACK: Range<usize> = 12..16;
}

/// The header without what follows from its place: magic, version and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of the message.
    pub kind: MessageType,
    /// Modifiers of the frame.
    pub flags: Flags,
    /// The number of the frame in its direction, from 1, +1 each.
    pub seq: u32,
    /// The highest `seq` of the other direction that was handled.
    pub ack: u32,
}

/// Modifiers of a frame. Bits 0–7 may be ignored by who does not know them, bits 8–15 may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// The sender waits for a reaction: handle it before anything that is only stored.
    pub const URGENT: Self = Self(1 << 0);
    /// Set at random by test builds, without meaning.
    pub const GREASE: Self = Self(1 << 7);
    /// The bits that a receiver must know.
    pub const CRITICAL: u16 = 0xFF00;

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A frame that arrived whole, borrowed from the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Its payload, `mac` TLV included if there is one.
    pub payload: &'a [u8],
    /// Header and payload, which the MAC covers.
    covered: &'a [u8],
}

/// What a buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A frame that has not ended yet, or nothing at all.
    Incomplete {
        /// The buffer must hold this many bytes, counted from its begin, before another try can say more.
        /// Never above the cap given to [`decode`] plus [`FRAME_OVERHEAD_BYTES`].
        needed: usize,
    },
    /// A whole frame.
    Complete {
        /// The frame.
        frame: Frame<'a>,
        /// Its bytes; the next frame begins there.
        consumed: usize,
    },
}

/// Bytes that are not a frame. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// The first bytes are not the magic.
    #[error("not a CSP frame")]
    BadMagic,
    /// A frame layout that this build does not know.
    #[error("frame layout {0} is not known")]
    UnsupportedVersion(u8),
    /// A critical flag that this build does not know.
    #[error("critical flags {0:#06x} are not known")]
    UnsupportedFlag(u16),
    /// The payload is longer than agreed.
    #[error("a payload of {0} bytes is longer than agreed")]
    TooLong(u16),
    /// The CRC does not fit.
    #[error("the check does not fit")]
    BadCheck,
}

/// Why a frame is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MacError {
    /// There is no `mac` TLV at the end.
    #[error("the frame carries no MAC")]
    Missing,
    /// It was made with another key, or for other bytes.
    #[error("the MAC is wrong")]
    Wrong,
}

/// Finds the frame that `buffer` begins with.
///
/// `payload_max_bytes` caps the length before anything is waited for, so a caller may reserve
/// `needed` bytes without fear. Errors are found as early as the bytes allow.
#[inline]
pub fn decode(buffer: &[u8], payload_max_bytes: u16) -> Result<Decoded<'_>, FrameError> {
    let Some((head, rest)) = buffer.split_first_chunk::<HEADER_BYTES>() else {
        return decode_short(buffer);
    };
    if head[field::MAGIC] != MAGIC {
        return Err(FrameError::BadMagic);
    }
    if head[field::VERSION] != VERSION {
        return Err(FrameError::UnsupportedVersion(head[field::VERSION]));
    }
    let length = u16_at(head, field::LENGTH);
    if length > payload_max_bytes {
        return Err(FrameError::TooLong(length));
    }
    let length = usize::from(length);
    let consumed = FRAME_OVERHEAD_BYTES + length;
    if rest.len() < length + CHECK_BYTES {
        return Ok(Decoded::Incomplete { needed: consumed });
    }
    let (covered, check) = buffer[..consumed].split_at(HEADER_BYTES + length);
    if !check_fits(covered, check) {
        return Err(FrameError::BadCheck);
    }
    let flags = Flags(u16_at(head, field::FLAGS));
    if flags.0 & Flags::CRITICAL != 0 {
        return Err(FrameError::UnsupportedFlag(flags.0 & Flags::CRITICAL));
    }
    let header = Header {
        kind: MessageType(head[field::KIND]),
        flags,
        seq: u32_at(head, field::SEQ),
        ack: u32_at(head, field::ACK),
    };
    Ok(Decoded::Complete { frame: Frame { header, payload: &rest[..length], covered }, consumed })
}

/// Writes one frame to the begin of `out` and returns its length.
///
/// `payload` writes the payload; with a `key` the `mac` TLV follows it. Nothing in `out` is
/// meaningful after an error.
pub fn encode(
    header: &Header,
    key: Option<&SessionKey>,
    out: &mut [u8],
    payload: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<usize, EncodeError> {
    let Some((head, rest)) = out.split_first_chunk_mut::<HEADER_BYTES>() else {
        return Err(EncodeError::BufferTooSmall);
    };
    let mut writer = Writer::new(rest);
    payload(&mut writer)?;
    let body_length = writer.written();
    let length = body_length + if key.is_some() { MAC_TLV_BYTES } else { 0 };
    let wire_length = u16::try_from(length).map_err(|_| EncodeError::TooLong)?;
    if wire_length > crate::limits::PAYLOAD_HARD_MAX_BYTES {
        return Err(EncodeError::TooLong);
    }
    head[field::MAGIC].copy_from_slice(&MAGIC);
    head[field::VERSION] = VERSION;
    head[field::KIND] = header.kind.0;
    head[field::FLAGS].copy_from_slice(&header.flags.0.to_be_bytes());
    head[field::LENGTH].copy_from_slice(&wire_length.to_be_bytes());
    head[field::SEQ].copy_from_slice(&header.seq.to_be_bytes());
    head[field::ACK].copy_from_slice(&header.ack.to_be_bytes());
    let mut end = HEADER_BYTES + body_length;
    if let Some(key) = key {
        let mac = key.mac(&out[..end]);
        let mut writer = Writer::new(&mut out[end..]);
        writer.u8(MAC_TAG)?;
        writer.u8(mac.len() as u8)?;
        writer.bytes(&mac)?;
        end += MAC_TLV_BYTES;
    }
    let check = crc32c(&out[..end]).to_be_bytes();
    let place = out.get_mut(end..end + CHECK_BYTES).ok_or(EncodeError::BufferTooSmall)?;
    place.copy_from_slice(&check);
    Ok(end + CHECK_BYTES)
}

impl<'a> Frame<'a> {
    /// The payload without its `mac` TLV, if `key` made that MAC for this very header and payload.
    ///
    /// Compares in constant time.
    pub fn authenticated_payload(&self, key: &SessionKey) -> Result<&'a [u8], MacError> {
        let (payload, mac) = self.split_mac().ok_or(MacError::Missing)?;
        let covered = &self.covered[..self.covered.len() - MAC_TLV_BYTES];
        if key.mac_fits(covered, mac) { Ok(payload) } else { Err(MacError::Wrong) }
    }

    /// The payload without its `mac` TLV and that TLV's value, **unverified**: for tools that have no key.
    pub fn split_mac(&self) -> Option<(&'a [u8], &'a [u8; 8])> {
        let (before, mac) = self.payload.split_last_chunk::<8>()?;
        let (payload, &[MAC_TAG, 8]) = before.split_last_chunk::<2>()? else { return None };
        Some((payload, mac))
    }
}

/// Judges the first bytes of a header that has not arrived whole.
#[cold]
fn decode_short(buffer: &[u8]) -> Result<Decoded<'_>, FrameError> {
    if buffer.iter().zip(&MAGIC).any(|(byte, magic)| byte != magic) {
        return Err(FrameError::BadMagic);
    }
    match buffer.get(field::VERSION) {
        Some(&version) if version != VERSION => Err(FrameError::UnsupportedVersion(version)),
        _ => Ok(Decoded::Incomplete { needed: FRAME_OVERHEAD_BYTES }),
    }
}

#[inline]
fn check_fits(covered: &[u8], check: &[u8]) -> bool {
    // A fuzzer cannot guess a CRC: without this it would never get past this line.
    cfg!(fuzzing) || crc32c(covered).to_be_bytes() == check
}

#[inline]
fn u16_at(head: &[u8; HEADER_BYTES], range: core::ops::Range<usize>) -> u16 {
    u16::from_be_bytes([head[range.start], head[range.start + 1]])
}

#[inline]
fn u32_at(head: &[u8; HEADER_BYTES], range: core::ops::Range<usize>) -> u32 {
    let at = range.start;
    u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}
