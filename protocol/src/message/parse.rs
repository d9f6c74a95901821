//! The atoms of all bodies, as nom parsers over a slice that holds the whole payload.

use super::MessageError;
use crate::types::{BankSerial, CommandId, EventNo, SlotNumber};
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult};

pub(super) use nom::Parser;

pub(super) type Input<'a> = &'a [u8];
pub(super) type Parsed<'a, O> = IResult<Input<'a>, O, MessageError>;

impl ParseError<&[u8]> for MessageError {
    #[inline]
    fn from_error_kind(_: &[u8], kind: ErrorKind) -> Self {
        if matches!(kind, ErrorKind::Eof) { Self::Truncated } else { Self::Value }
    }

    #[inline]
    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// Runs a parser over the fixed part, the first `BYTES` bytes of a payload, and gives back what follows.
///
/// The parser sees a slice whose length the compiler knows, so only one bound is checked while running.
#[inline(always)]
pub(super) fn fixed<'a, const BYTES: usize, O>(
    mut parser: impl Parser<Input<'a>, Output = O, Error = MessageError>,
    payload: Input<'a>,
) -> Result<(Input<'a>, O), MessageError> {
    let (head, rest) = payload.split_first_chunk::<BYTES>().ok_or(MessageError::Truncated)?;
    match parser.parse(&head[..]) {
        Ok(([], output)) => Ok((rest, output)),
        // A fixed part whose fields do not add up to its size is noticed by the first test that reads it.
        Ok(_) => Err(MessageError::Value),
        Err(error) => Err(inner(error)),
    }
}

/// Runs a parser over the begin of a slice and gives back what follows.
#[inline]
pub(super) fn begin<'a, O>(
    mut parser: impl Parser<Input<'a>, Output = O, Error = MessageError>,
    input: Input<'a>,
) -> Result<(Input<'a>, O), MessageError> {
    parser.parse(input).map_err(inner)
}

#[inline]
fn inner(error: Err<MessageError>) -> MessageError {
    match error {
        Err::Error(error) | Err::Failure(error) => error,
        Err::Incomplete(_) => MessageError::Truncated,
    }
}

/// Runs a parser over a whole value; leftovers are an error.
#[inline(always)]
pub(super) fn whole<'a, O>(
    tag: u8,
    parser: impl Parser<Input<'a>, Output = O, Error = MessageError>,
    value: Input<'a>,
) -> Result<O, MessageError> {
    match begin(parser, value) {
        Ok(([], output)) => Ok(output),
        Ok(_) | Err(MessageError::Truncated) => Err(MessageError::TagLength(tag)),
        Err(error) => Err(error),
    }
}

// nom's own numbers are read byte by byte in a loop, which the compiler does not make one load of.
macro_rules! numbers {
    ($($name:ident $number:ty),*) => {$(
        #[inline(always)]
        pub(super) fn $name(input: Input<'_>) -> Parsed<'_, $number> {
            let (rest, bytes) = array(input)?;
            Ok((rest, <$number>::from_be_bytes(bytes)))
        }
    )*};
}

numbers!(be_u8 u8, be_i8 i8, be_u16 u16, be_i16 i16, be_u32 u32, be_u64 u64);

#[inline(always)]
pub(super) fn be_u24(input: Input<'_>) -> Parsed<'_, u32> {
    let (rest, [high, middle, low]) = array(input)?;
    Ok((rest, u32::from_be_bytes([0, high, middle, low])))
}

#[inline(always)]
pub(super) fn array<const N: usize>(input: Input<'_>) -> Parsed<'_, [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((bytes, rest)) => Ok((rest, *bytes)),
        None => Err(Err::Error(MessageError::Truncated)),
    }
}

#[inline(always)]
pub(super) fn event_no(input: Input<'_>) -> Parsed<'_, EventNo> {
    let (rest, number) = be_u64(input)?;
    if number > EventNo::MAX.0 { Err(Err::Error(MessageError::Value)) } else { Ok((rest, EventNo(number))) }
}

#[inline(always)]
pub(super) fn command_id(input: Input<'_>) -> Parsed<'_, CommandId> {
    array.map(CommandId).parse(input)
}

/// 8 bytes, zeros for "none".
#[inline(always)]
pub(super) fn bank(input: Input<'_>) -> Parsed<'_, Option<BankSerial>> {
    array.map(|serial| if serial == [0; 8] { None } else { Some(BankSerial(serial)) }).parse(input)
}

/// 1 byte, zero for "none".
#[inline(always)]
pub(super) fn slot(input: Input<'_>) -> Parsed<'_, Option<SlotNumber>> {
    be_u8.map(|number| if number == 0 { None } else { Some(number) }).parse(input)
}

/// An unsigned LEB128 number in its shortest form, up to 64 bits.
#[inline]
pub(super) fn varint(input: Input<'_>) -> Parsed<'_, u64> {
    let mut number = 0_u64;
    let mut rest = input;
    for shift in (0..64).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else {
            return Err(Err::Error(MessageError::Truncated));
        };
        rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            let too_large = shift == 63 && byte > 1;
            let too_long = shift > 0 && byte == 0;
            return if too_large || too_long {
                Err(Err::Error(MessageError::Varint))
            } else {
                Ok((rest, number))
            };
        }
    }
    Err(Err::Error(MessageError::Varint))
}

/// A whole TLV value of 1 to `max_bytes` printable ASCII characters.
pub(super) fn text(tag: u8, max_bytes: usize, value: Input<'_>) -> Result<&str, MessageError> {
    if value.is_empty() || value.len() > max_bytes {
        return Err(MessageError::TagLength(tag));
    }
    match core::str::from_utf8(value) {
        Ok(text) if value.iter().all(|byte| matches!(byte, b' '..=b'~')) => Ok(text),
        _ => Err(MessageError::Text),
    }
}
