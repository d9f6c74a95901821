//! Writing into a slice of the caller.

use crate::types::{BankSerial, CommandId, EventNo, SlotNumber};

/// Why a message was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncodeError {
    /// The slice of the caller ended.
    #[error("the buffer is too small")]
    BufferTooSmall,
    /// The payload would exceed the hard cap.
    #[error("the payload is too long")]
    TooLong,
    /// A field holds a value that the wire cannot carry.
    #[error("{0} cannot be put on the wire")]
    OutOfRange(&'static str),
}

/// A place in a slice, moving forward.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the begin of `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.at
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let end = self.at + bytes.len();
        let place = self.out.get_mut(self.at..end).ok_or(EncodeError::BufferTooSmall)?;
        place.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Appends one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) -> Result<(), EncodeError> {
        self.bytes(&[value])
    }

    /// Appends 2 bytes, big endian.
    #[inline]
    pub fn u16(&mut self, value: u16) -> Result<(), EncodeError> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends 3 bytes, big endian.
    #[inline]
    pub fn u24(&mut self, value: u32) -> Result<(), EncodeError> {
        let [0, rest @ ..] = value.to_be_bytes() else {
            return Err(EncodeError::OutOfRange("a number of 24 bits"));
        };
        self.bytes(&rest)
    }

    /// Appends 4 bytes, big endian.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result<(), EncodeError> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends 8 bytes, big endian.
    #[inline]
    pub fn u64(&mut self, value: u64) -> Result<(), EncodeError> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends an event number, 8 bytes.
    #[inline]
    pub fn event_no(&mut self, event_no: EventNo) -> Result<(), EncodeError> {
        if event_no > EventNo::MAX {
            return Err(EncodeError::OutOfRange("event_no"));
        }
        self.u64(event_no.0)
    }

    /// Appends a command id, 16 bytes.
    #[inline]
    pub fn command_id(&mut self, id: CommandId) -> Result<(), EncodeError> {
        self.bytes(&id.0)
    }

    /// Appends a bank's serial, 8 bytes; zeros stand for "none".
    #[inline]
    pub fn bank(&mut self, bank: Option<BankSerial>) -> Result<(), EncodeError> {
        match bank {
            Some(BankSerial([0, 0, 0, 0, 0, 0, 0, 0])) => Err(EncodeError::OutOfRange("bank serial")),
            Some(serial) => self.bytes(&serial.0),
            None => self.bytes(&[0; 8]),
        }
    }

    /// Appends a slot's number, 1 byte; zero stands for "none".
    #[inline]
    pub fn slot(&mut self, slot: Option<SlotNumber>) -> Result<(), EncodeError> {
        match slot {
            Some(0) => Err(EncodeError::OutOfRange("slot")),
            Some(number) => self.u8(number),
            None => self.u8(0),
        }
    }

    /// Appends an unsigned LEB128 number in its shortest form.
    #[inline]
    pub fn varint(&mut self, mut value: u64) -> Result<(), EncodeError> {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80)?;
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// Appends a TLV whose value is written by `value`.
    pub fn tlv(
        &mut self,
        tag: u8,
        value: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.u8(tag)?;
        let rest = self.out.get_mut(self.at..).ok_or(EncodeError::BufferTooSmall)?;
        // The length stands before the value and is 1 byte in nearly all cases: write the value
        // behind 1 byte and move it only if 2 are needed.
        let (_, place) = rest.split_first_mut().ok_or(EncodeError::BufferTooSmall)?;
        let mut writer = Writer::new(place);
        value(&mut writer)?;
        let length = writer.written();
        if length >= 1 << 14 {
            return Err(EncodeError::TooLong);
        }
        if length >= 0x80 {
            if rest.len() < length + 2 {
                return Err(EncodeError::BufferTooSmall);
            }
            rest.copy_within(1..1 + length, 2);
        }
        self.varint(length as u64)?;
        self.at += length;
        Ok(())
    }

    /// Appends a TLV of text, nothing if the text is empty.
    pub fn text_tlv(
        &mut self,
        tag: u8,
        text: &str,
        max_bytes: usize,
        name: &'static str,
    ) -> Result<(), EncodeError> {
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > max_bytes || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(EncodeError::OutOfRange(name));
        }
        self.tlv(tag, |value| value.bytes(text.as_bytes()))
    }
}
