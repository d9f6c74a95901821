//! HELLO, CHALLENGE, PROOF, WELCOME, RETRY: who are you, prove it, here are the terms.

use super::parse::{
    Input, Parsed, Parser, array, be_u8, be_u16, be_u24, be_u32, be_u64, begin, fixed, text, whole,
};
use super::tlv::{self, Tag};
use super::{Body, DisconnectReason, MessageError, RetryReason, Window};
use crate::crypto::{self, Nonce};
use crate::frame::{EncodeError, MessageType, Writer};
use crate::limits::{
    ADDRESS_MAX_BYTES, ALTERNATIVES_MAX, ICCID_MAX_BYTES, IMEI_MAX_BYTES, MODEL_TEXT_MAX_BYTES, SLOTS_MAX,
};
use crate::types::{Epoch, StationId};

/// HELLO: a station names itself and its counters.
///
/// ```text
/// fixed: ver_min(1) ver_max(1) station_id(16) key_id(2) key_gen(2) boot_no(3) conn_no(3)
///        nonce_s(16) payload_max(2) last_disconnect(1)
/// tlv:   01 firmware  02 hardware  03 imei  04 capabilities(4)  05 slots(1)  06 iccid
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The oldest message set that the station speaks.
    pub version_min: u8,
    /// The newest.
    pub version_max: u8,
    /// Who.
    pub station_id: StationId,
    /// Which master its key was derived from.
    pub key_id: u16,
    /// Which generation of its key, 15 bits.
    pub key_gen: u16,
    /// Which boot, 24 bits.
    pub boot_no: u32,
    /// Which connection of that boot, 24 bits.
    pub conn_no: u32,
    /// Fresh random bytes.
    pub nonce_s: Nonce,
    /// The longest payload that the station can receive.
    pub payload_max_bytes: u16,
    /// How its last connection ended.
    pub last_disconnect: DisconnectReason,
    /// Firmware name and version, empty if not told.
    pub firmware: &'a str,
    /// Hardware model, empty if not told.
    pub hardware: &'a str,
    /// The modem's IMEI, empty if not told; must equal the one on record.
    pub imei: &'a str,
    /// The SIM card's number, empty if not told.
    pub iccid: &'a str,
    /// What it can do beside ejecting.
    pub capabilities: Capabilities,
    /// How many slots it has.
    pub slots: Option<u8>,
}

/// What a station can do beside ejecting. Unknown bits are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// It has a loudspeaker: SET_VOLUME and RING work.
    pub const SOUND: Self = Self(1 << 0);
    /// It measures each bank's health.
    pub const HEALTH: Self = Self(1 << 1);
    /// It measures its supply and its board temperature.
    pub const SUPPLY: Self = Self(1 << 2);

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Hello<'_> {
    /// The session's rank, `None` if a counter exceeds its bits.
    pub const fn epoch(&self) -> Option<Epoch> {
        Epoch::from_parts(self.key_gen, self.boot_no, self.conn_no)
    }
}

mod hello_tag {
    pub(super) const FIRMWARE: u8 = 0x01;
    pub(super) const HARDWARE: u8 = 0x02;
    pub(super) const IMEI: u8 = 0x03;
    pub(super) const CAPABILITIES: u8 = 0x04;
    pub(super) const SLOTS: u8 = 0x05;
    pub(super) const ICCID: u8 = 0x06;
}

impl<'a> Body<'a> for Hello<'a> {
    const KIND: MessageType = MessageType::HELLO;

    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, fields) = fixed::<47, _>(
            (be_u8, be_u8, array, be_u16, be_u16, be_u24, be_u24, array, be_u16, be_u8),
            payload,
        )?;
        let (
            version_min,
            version_max,
            id,
            key_id,
            key_gen,
            boot_no,
            conn_no,
            nonce_s,
            payload_max_bytes,
            last,
        ) = fields;
        if version_min > version_max || key_gen >> 15 != 0 {
            return Err(MessageError::Value);
        }
        let mut hello = Self {
            version_min,
            version_max,
            station_id: StationId(id),
            key_id,
            key_gen,
            boot_no,
            conn_no,
            nonce_s,
            payload_max_bytes,
            last_disconnect: DisconnectReason::from_wire(last),
            firmware: "",
            hardware: "",
            imei: "",
            iccid: "",
            capabilities: Capabilities::default(),
            slots: None,
        };
        tlv::each(rest, |tag, value| {
            match tag {
                hello_tag::FIRMWARE => hello.firmware = text(tag, MODEL_TEXT_MAX_BYTES, value)?,
                hello_tag::HARDWARE => hello.hardware = text(tag, MODEL_TEXT_MAX_BYTES, value)?,
                hello_tag::IMEI => hello.imei = text(tag, IMEI_MAX_BYTES, value)?,
                hello_tag::CAPABILITIES => hello.capabilities = capabilities(tag, value)?,
                hello_tag::SLOTS => hello.slots = Some(slots(tag, value)?),
                hello_tag::ICCID => hello.iccid = text(tag, ICCID_MAX_BYTES, value)?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(hello)
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.version_min > self.version_max {
            return Err(EncodeError::OutOfRange("versions"));
        }
        if self.key_gen >> 15 != 0 {
            return Err(EncodeError::OutOfRange("key_gen"));
        }
        writer.u8(self.version_min)?;
        writer.u8(self.version_max)?;
        writer.bytes(&self.station_id.0)?;
        writer.u16(self.key_id)?;
        writer.u16(self.key_gen)?;
        writer.u24(self.boot_no)?;
        writer.u24(self.conn_no)?;
        writer.bytes(&self.nonce_s)?;
        writer.u16(self.payload_max_bytes)?;
        writer.u8(self.last_disconnect.to_wire())?;
        writer.text_tlv(hello_tag::FIRMWARE, self.firmware, MODEL_TEXT_MAX_BYTES, "firmware")?;
        writer.text_tlv(hello_tag::HARDWARE, self.hardware, MODEL_TEXT_MAX_BYTES, "hardware")?;
        writer.text_tlv(hello_tag::IMEI, self.imei, IMEI_MAX_BYTES, "imei")?;
        if self.capabilities != Capabilities::default() {
            writer.tlv(hello_tag::CAPABILITIES, |value| value.u32(self.capabilities.0))?;
        }
        if let Some(slots) = self.slots {
            if !(1..=SLOTS_MAX).contains(&slots) {
                return Err(EncodeError::OutOfRange("slots"));
            }
            writer.tlv(hello_tag::SLOTS, |value| value.u8(slots))?;
        }
        writer.text_tlv(hello_tag::ICCID, self.iccid, ICCID_MAX_BYTES, "iccid")
    }
}

/// Absence says "none", so a present value is not zero.
fn capabilities(tag: u8, value: &[u8]) -> Result<Capabilities, MessageError> {
    match whole(tag, be_u32, value)? {
        0 => Err(MessageError::Value),
        bits => Ok(Capabilities(bits)),
    }
}

fn slots(tag: u8, value: &[u8]) -> Result<u8, MessageError> {
    let slots = whole(tag, be_u8, value)?;
    if (1..=SLOTS_MAX).contains(&slots) { Ok(slots) } else { Err(MessageError::Value) }
}

/// CHALLENGE: the gateway proves itself first.
///
/// ```text
/// fixed: version(1) nonce_g(16) gateway_time_ms(8)
/// tlv:   FE proof(32), critical, required, last
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The message set of this session, within what HELLO offers.
    pub version: u8,
    /// Fresh random bytes.
    pub nonce_g: Nonce,
    /// The gateway's clock, Unix milliseconds.
    pub gateway_time_ms: u64,
    /// HMAC(K, "gw" | transcript).
    pub proof: crypto::Proof,
}

const PROOF_TAG: u8 = 0xFE;
/// Bytes of the `proof` TLV, tag and length included.
const PROOF_TLV_BYTES: usize = 34;

impl Challenge {
    /// The fixed part: what the transcript covers of a CHALLENGE before its proof can be made.
    pub fn head(version: u8, nonce_g: &Nonce, gateway_time_ms: u64) -> [u8; 25] {
        let mut head = [0; 25];
        head[0] = version;
        head[1..17].copy_from_slice(nonce_g);
        head[17..].copy_from_slice(&gateway_time_ms.to_be_bytes());
        head
    }

    /// What the transcript covers of a CHALLENGE payload as it travelled: all before the `proof` TLV.
    pub fn head_of(payload: &[u8]) -> &[u8] {
        &payload[..payload.len().saturating_sub(PROOF_TLV_BYTES)]
    }
}

impl<'a> Body<'a> for Challenge {
    const KIND: MessageType = MessageType::CHALLENGE;

    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (version, nonce_g, gateway_time_ms)) = fixed::<25, _>((be_u8, array, be_u64), payload)?;
        let proof = proof(rest)?;
        Ok(Self { version, nonce_g, gateway_time_ms, proof })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(&Self::head(self.version, &self.nonce_g, self.gateway_time_ms))?;
        writer.tlv(PROOF_TAG, |value| value.bytes(&self.proof))
    }
}

/// PROOF: the station proves that it holds its key.
///
/// ```text
/// fixed: –
/// tlv:   FE proof(32), critical, required, last
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// HMAC(K, "st" | transcript).
    pub proof: crypto::Proof,
}

impl<'a> Body<'a> for Proof {
    const KIND: MessageType = MessageType::PROOF;

    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        proof(payload).map(|proof| Self { proof })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.tlv(PROOF_TAG, |value| value.bytes(&self.proof))
    }
}

fn proof(payload: &[u8]) -> Result<crypto::Proof, MessageError> {
    let mut proof = None;
    tlv::each(payload, |tag, value| match tag {
        PROOF_TAG => {
            proof = Some(whole(tag, array, value)?);
            Ok(Tag::Known)
        }
        _ => Ok(Tag::Unknown),
    })?;
    proof.ok_or(MessageError::MissingTag(PROOF_TAG))
}

/// WELCOME: the session is open, on these terms. It holds only what the gateway itself knows.
///
/// ```text
/// fixed: epoch(8) wall_ms(8) keepalive_s(2) payload_max(2) ack_delay_ms(2)
///        event_window(6) sample_window(6) reconnect_min_ms(4) reconnect_max_ms(4) reconnect_spread_ms(4)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The session's epoch, as both ends computed it from HELLO.
    pub epoch: Epoch,
    /// The gateway's clock, Unix milliseconds: the first one of a boot is its anchor.
    pub wall_ms: u64,
    /// The longest time without a frame, 30–900 s.
    pub keepalive_s: u16,
    /// The longest payload in either direction from now on.
    pub payload_max_bytes: u16,
    /// How long either end may wait to acknowledge several frames at once.
    pub ack_delay_ms: u16,
    /// What may be in flight in the event lane.
    pub event_window: Window,
    /// What may be in flight in the sample lane.
    pub sample_window: Window,
    /// How to come back after the connection ends without a word.
    pub reconnect: Reconnect,
}

/// Back-off after a connection that ended without a word, sized to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reconnect {
    /// The first wait.
    pub min_ms: u32,
    /// The longest wait; each failure doubles.
    pub max_ms: u32,
    /// A random time up to this is added to the first wait: the whole fleet may be coming.
    pub spread_ms: u32,
}

impl<'a> Body<'a> for Welcome {
    const KIND: MessageType = MessageType::WELCOME;

    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let reconnect = (be_u32, be_u32, be_u32).map(|(min_ms, max_ms, spread_ms)| Reconnect {
            min_ms,
            max_ms,
            spread_ms,
        });
        let (rest, fields) = fixed::<46, _>(
            (be_u64, be_u64, be_u16, be_u16, be_u16, Window::parse, Window::parse, reconnect),
            payload,
        )?;
        tlv::skip_all(rest)?;
        let (
            epoch,
            wall_ms,
            keepalive_s,
            payload_max_bytes,
            ack_delay_ms,
            event_window,
            sample_window,
            reconnect,
        ) = fields;
        Ok(Self {
            epoch: Epoch(epoch),
            wall_ms,
            keepalive_s,
            payload_max_bytes,
            ack_delay_ms,
            event_window,
            sample_window,
            reconnect,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u64(self.epoch.0)?;
        writer.u64(self.wall_ms)?;
        writer.u16(self.keepalive_s)?;
        writer.u16(self.payload_max_bytes)?;
        writer.u16(self.ack_delay_ms)?;
        self.event_window.encode(writer)?;
        self.sample_window.encode(writer)?;
        writer.u32(self.reconnect.min_ms)?;
        writer.u32(self.reconnect.max_ms)?;
        writer.u32(self.reconnect.spread_ms)
    }
}

/// RETRY: no session now. Before PROOF it carries no MAC and its alternatives are not believed.
///
/// ```text
/// fixed: retry_after_ms(4) reason(1)
/// tlv:   01 alternatives
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry<'a> {
    /// How long to wait.
    pub retry_after_ms: u32,
    /// Why.
    pub reason: RetryReason,
    /// Where to try instead.
    pub alternatives: Alternatives<'a>,
}

impl<'a> Body<'a> for Retry<'a> {
    const KIND: MessageType = MessageType::RETRY;

    fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (rest, (retry_after_ms, reason)) = fixed::<5, _>((be_u32, be_u8), payload)?;
        let alternatives = Alternatives::only_tlv(rest)?;
        Ok(Self { retry_after_ms, reason: RetryReason::from_wire(reason), alternatives })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u32(self.retry_after_ms)?;
        writer.u8(self.reason.to_wire())?;
        self.alternatives.encode(writer)
    }
}

/// Addresses `host:port`, best first: on the wire `length(1) text` for each, at most four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Alternatives<'a> {
    /// Checked when made.
    encoded: &'a [u8],
}

const ALTERNATIVES_TAG: u8 = 0x01;

impl<'a> Alternatives<'a> {
    /// No address.
    pub const NONE: Self = Self { encoded: &[] };
    /// The longest list, encoded.
    pub const ENCODED_MAX_BYTES: usize = ALTERNATIVES_MAX * (1 + ADDRESS_MAX_BYTES);

    /// Encodes `addresses` into `buffer`, which lends itself to the list.
    pub fn from_addresses(addresses: &[&str], buffer: &'a mut [u8]) -> Result<Self, EncodeError> {
        let mut writer = Writer::new(buffer);
        for address in addresses {
            writer.u8(u8::try_from(address.len()).unwrap_or(u8::MAX))?;
            writer.bytes(address.as_bytes())?;
        }
        let written = writer.written();
        Self::checked(ALTERNATIVES_TAG, &buffer[..written])
            .map_err(|_| EncodeError::OutOfRange("alternatives"))
    }

    /// The addresses, best first.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.encoded;
        core::iter::from_fn(move || {
            let (after, address) = address(rest).ok()?;
            rest = after;
            Some(address)
        })
    }

    pub(super) fn only_tlv(payload: &'a [u8]) -> Result<Self, MessageError> {
        let mut alternatives = Self::NONE;
        tlv::each(payload, |tag, value| match tag {
            ALTERNATIVES_TAG if value.is_empty() => Err(MessageError::TagLength(tag)),
            ALTERNATIVES_TAG => {
                alternatives = Self::checked(tag, value)?;
                Ok(Tag::Known)
            }
            _ => Ok(Tag::Unknown),
        })?;
        Ok(alternatives)
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.encoded.is_empty() {
            return Ok(());
        }
        writer.tlv(ALTERNATIVES_TAG, |value| value.bytes(self.encoded))
    }

    fn checked(tag: u8, encoded: &'a [u8]) -> Result<Self, MessageError> {
        let mut rest = encoded;
        let mut count = 0;
        while !rest.is_empty() {
            (rest, _) = begin(address, rest)?;
            count += 1;
        }
        if count > ALTERNATIVES_MAX { Err(MessageError::TagLength(tag)) } else { Ok(Self { encoded }) }
    }
}

fn address(input: Input<'_>) -> Parsed<'_, &str> {
    let (rest, length) = be_u8(input)?;
    let Some((value, rest)) = rest.split_at_checked(usize::from(length)) else {
        return Err(nom::Err::Error(MessageError::Truncated));
    };
    let address = text(ALTERNATIVES_TAG, ADDRESS_MAX_BYTES, value).map_err(nom::Err::Error)?;
    Ok((rest, address))
}
