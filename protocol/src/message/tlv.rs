//! The part of a payload that grows without a new version.

use super::MessageError;
use super::parse::{begin, varint};

/// Whether a message knows a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Known,
    Unknown,
}

/// The bit of a tag that forbids to skip it.
pub(super) const CRITICAL: u8 = 0x80;

/// Visits the TLVs of a payload in order. `visit` takes the values that it knows.
#[inline(always)]
pub(super) fn each<'a>(
    payload: &'a [u8],
    mut visit: impl FnMut(u8, &'a [u8]) -> Result<Tag, MessageError>,
) -> Result<(), MessageError> {
    let mut rest = payload;
    let mut last = None;
    while let Some((&tag, after_tag)) = rest.split_first() {
        if last.is_some_and(|last| tag <= last) {
            return Err(MessageError::TagOrder(tag));
        }
        last = Some(tag);
        let (after_length, length) = match after_tag {
            [length @ 0..0x80, after_length @ ..] => (after_length, usize::from(*length)),
            _ => long_length(tag, after_tag)?,
        };
        let (value, after) = after_length.split_at_checked(length).ok_or(MessageError::Truncated)?;
        if visit(tag, value)? == Tag::Unknown && tag & CRITICAL != 0 {
            return Err(MessageError::UnknownCriticalTag(tag));
        }
        rest = after;
    }
    Ok(())
}

/// A length of 128 bytes or more.
#[cold]
fn long_length(tag: u8, input: &[u8]) -> Result<(&[u8], usize), MessageError> {
    let (rest, length) = begin(varint, input)?;
    if length >= 1 << 14 { Err(MessageError::TagLength(tag)) } else { Ok((rest, length as usize)) }
}

/// For messages that have no TLVs yet.
#[inline]
pub(super) fn skip_all(payload: &[u8]) -> Result<(), MessageError> {
    each(payload, |_, _| Ok(Tag::Unknown))
}
