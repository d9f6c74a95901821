//! GOAWAY, ERROR, ACK, TIME: what both ends say about the session itself.

use super::parse::{
    Input, Parsed, Parser, be_u8, be_u16, be_u24, be_u32, be_u64, event_no, fixed, text, whole,
};
use super::tlv::{self, Tag};
use super::{Alternatives, Body, ErrorClass, ErrorCode, GoawayReason, MessageError};
use crate::frame::{EncodeError, MessageType, Writer};
use crate::limits::{ERROR_TEXT_MAX_BYTES, LANE_WINDOW_BYTES, LANE_WINDOW_FRAMES};
use crate::types::EventNo;

/// GOAWAY: the sender closes after the deadline; open ejects finish first.
///
/// ```text
/// fixed: reason(1) deadline_ms(4)
/// tlv:   01 alternatives
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goaway<'a> {
    /// Why.
    pub reason: GoawayReason,
    /// The connection is closed this long after the frame.
    pub deadline_ms: u32,
    /// Where to go instead.
    pub alternatives: Alternatives<'a>,
}

impl<'a> Body<'a> for Goaway<'a> {
    const KIND: MessageType = MessageType::GOAWAY;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (reason, deadline_ms)) = fixed::<5, _>((be_u8, be_u32), payload)?;
        let alternatives = Alternatives::only_tlv(rest)?;
        Ok(Self { reason: GoawayReason::from_wire(reason), deadline_ms, alternatives })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u8(self.reason.to_wire())?;
        writer.u32(self.deadline_ms)?;
        self.alternatives.encode(writer)
    }
}

/// ERROR: something was wrong with a frame of the receiver.
///
/// ```text
/// fixed: code(2) class(1) ref_type(1) ref_seq(4) retry_after_ms(4)
/// tlv:   01 text
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'a> {
    /// What.
    pub code: ErrorCode,
    /// What the receiver has to do.
    pub class: ErrorClass,
    /// The type of the frame in question, 0 if none.
    pub ref_kind: MessageType,
    /// The `seq` of the frame in question, 0 if none.
    pub ref_seq: u32,
    /// How long to wait before the same is tried again.
    pub retry_after_ms: u32,
    /// For the reader of a log, empty if there is nothing to add.
    pub text: &'a str,
}

const ERROR_TEXT_TAG: u8 = 0x01;

impl<'a> Body<'a> for Error<'a> {
    const KIND: MessageType = MessageType::ERROR;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (code, class, ref_kind, ref_seq, retry_after_ms)) =
            fixed::<12, _>((be_u16, be_u8, be_u8, be_u32, be_u32), payload)?;
        let mut words = "";
        tlv::each(rest, |tag, value| match tag {
            ERROR_TEXT_TAG => {
                words = text(tag, ERROR_TEXT_MAX_BYTES, value)?;
                Ok(Tag::Known)
            }
            _ => Ok(Tag::Unknown),
        })?;
        Ok(Self {
            code: ErrorCode::from_wire(code),
            class: ErrorClass::from_wire(class),
            ref_kind: MessageType(ref_kind),
            ref_seq,
            retry_after_ms,
            text: words,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u16(self.code.to_wire())?;
        writer.u8(self.class.to_wire())?;
        writer.u8(self.ref_kind.0)?;
        writer.u32(self.ref_seq)?;
        writer.u32(self.retry_after_ms)?;
        writer.text_tlv(ERROR_TEXT_TAG, self.text, ERROR_TEXT_MAX_BYTES, "text")
    }
}

/// ACK: what is stored durably, per lane, and what may be in flight from now on.
///
/// ```text
/// fixed: –
/// tlv:   01 events_through(8)  02 samples_through: boot_no(3) sample_no(4)
///        03 event_window(6)    04 sample_window(6)
/// ```
///
/// An empty ACK only carries the header's `ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ack {
    /// All events up to this one are stored; the station may forget them.
    pub events_through: Option<EventNo>,
    /// All samples of the boot up to this one are stored.
    pub samples_through: Option<SamplePoint>,
    /// Replaces the event lane's window; zero frames close the lane.
    pub event_window: Option<Window>,
    /// Replaces the sample lane's window; zero frames close the lane.
    pub sample_window: Option<Window>,
}

/// A sample's place: boots ascend, and samples within a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SamplePoint {
    /// Which boot, 24 bits.
    pub boot_no: u32,
    /// Counted in RAM from 0 in each boot.
    pub sample_no: u32,
}

/// What a lane may have in flight without acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Frames.
    pub frames: u16,
    /// Bytes of their payloads.
    pub bytes: u32,
}

impl Window {
    /// Nothing may be sent.
    pub const CLOSED: Self = Self { frames: 0, bytes: 0 };

    /// So many frames, and as many bytes of LANE_WINDOW_BYTES as they are of LANE_WINDOW_FRAMES.
    pub const fn of_frames(frames: u16) -> Self {
        Self { frames, bytes: LANE_WINDOW_BYTES * frames as u32 / LANE_WINDOW_FRAMES as u32 }
    }

    pub(super) fn parse(input: Input<'_>) -> Parsed<'_, Self> {
        (be_u16, be_u32).map(|(frames, bytes)| Self { frames, bytes }).parse(input)
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u16(self.frames)?;
        writer.u32(self.bytes)
    }
}

mod ack_tag {
    pub(super) const EVENTS_THROUGH: u8 = 0x01;
    pub(super) const SAMPLES_THROUGH: u8 = 0x02;
    pub(super) const EVENT_WINDOW: u8 = 0x03;
    pub(super) const SAMPLE_WINDOW: u8 = 0x04;
}

impl<'a> Body<'a> for Ack {
    const KIND: MessageType = MessageType::ACK;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let mut ack = Self::default();
        tlv::each(payload, |tag, value| {
            match tag {
                ack_tag::EVENTS_THROUGH => ack.events_through = Some(whole(tag, event_no, value)?),
                ack_tag::SAMPLES_THROUGH => {
                    let point =
                        (be_u24, be_u32).map(|(boot_no, sample_no)| SamplePoint { boot_no, sample_no });
                    ack.samples_through = Some(whole(tag, point, value)?);
                }
                ack_tag::EVENT_WINDOW => ack.event_window = Some(whole(tag, Window::parse, value)?),
                ack_tag::SAMPLE_WINDOW => ack.sample_window = Some(whole(tag, Window::parse, value)?),
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(ack)
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if let Some(through) = self.events_through {
            writer.tlv(ack_tag::EVENTS_THROUGH, |value| value.event_no(through))?;
        }
        if let Some(through) = self.samples_through {
            writer.tlv(ack_tag::SAMPLES_THROUGH, |value| {
                value.u24(through.boot_no)?;
                value.u32(through.sample_no)
            })?;
        }
        if let Some(window) = self.event_window {
            writer.tlv(ack_tag::EVENT_WINDOW, |value| window.encode(value))?;
        }
        if let Some(window) = self.sample_window {
            writer.tlv(ack_tag::SAMPLE_WINDOW, |value| window.encode(value))?;
        }
        Ok(())
    }
}

/// TIME: the station asks with its uptime; the gateway answers with the same uptime and its clock.
///
/// ```text
/// fixed: uptime_ms(8)
/// tlv:   01 wall_ms(8), in the answer only
/// ```
///
/// The station takes half of the round trip as the anchor's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The station's uptime when it asked.
    pub uptime_ms: u64,
    /// The gateway's clock when it answered, Unix milliseconds.
    pub wall_ms: Option<u64>,
}

const WALL_TAG: u8 = 0x01;

impl<'a> Body<'a> for Time {
    const KIND: MessageType = MessageType::TIME;

    #[inline(always)]
    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, uptime_ms) = fixed::<8, _>(be_u64, payload)?;
        let mut wall_ms = None;
        tlv::each(rest, |tag, value| match tag {
            WALL_TAG => {
                wall_ms = Some(whole(tag, be_u64, value)?);
                Ok(Tag::Known)
            }
            _ => Ok(Tag::Unknown),
        })?;
        Ok(Self { uptime_ms, wall_ms })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u64(self.uptime_ms)?;
        match self.wall_ms {
            Some(wall_ms) => writer.tlv(WALL_TAG, |value| value.u64(wall_ms)),
            None => Ok(()),
        }
    }
}
