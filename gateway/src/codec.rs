//! CSP frames for tokio: the protocol's framer behind tokio-util's two traits.
//!
//! [`FrameCodec`] works in a `Framed`, for tools, tests and sealed links. A station's
//! connection calls [`FrameCodec::next_frame`] on its worker's buffer instead and copies nothing.

use bytes::{Bytes, BytesMut};
use protocol::frame::{self, Decoded, Frame, FrameError};
use protocol::limits::PAYLOAD_HARD_MAX_BYTES;
use tokio_util::codec::{Decoder, Encoder};

/// Finds frames in a stream of bytes.
#[derive(Clone, Copy, Debug)]
pub struct FrameCodec {
    payload_max_bytes: u16,
}

/// The bytes of one whole frame whose check was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameBytes(Bytes);

/// Why a stream of frames ends.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The bytes are not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl FrameCodec {
    /// A codec that refuses longer payloads.
    pub const fn new(payload_max_bytes: u16) -> Self {
        Self { payload_max_bytes }
    }

    /// The frame with which `buffer` begins and its length, or how many bytes it needs at least.
    #[inline]
    pub fn next_frame<'b>(&self, buffer: &'b [u8]) -> Result<Decoded<'b>, FrameError> {
        frame::decode(buffer, self.payload_max_bytes)
    }
}

impl Decoder for FrameCodec {
    type Item = FrameBytes;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<FrameBytes>, CodecError> {
        match self.next_frame(buffer)? {
            Decoded::Complete { consumed, .. } => Ok(Some(FrameBytes(buffer.split_to(consumed).freeze()))),
            Decoded::Incomplete { needed } => {
                buffer.reserve(needed.saturating_sub(buffer.len()));
                Ok(None)
            }
        }
    }
}

impl Encoder<FrameBytes> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: FrameBytes, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.extend_from_slice(&frame.0);
        Ok(())
    }
}

impl FrameBytes {
    /// Takes bytes that are exactly one frame.
    ///
    /// # Errors
    /// They are none.
    pub fn new(bytes: Bytes) -> Result<Self, FrameError> {
        match frame::decode(&bytes, PAYLOAD_HARD_MAX_BYTES)? {
            Decoded::Complete { consumed, .. } if consumed == bytes.len() => Ok(Self(bytes)),
            Decoded::Complete { .. } | Decoded::Incomplete { .. } => Err(FrameError::BadCheck),
        }
    }

    /// The frame in them.
    pub fn frame(&self) -> Option<Frame<'_>> {
        match frame::decode(&self.0, PAYLOAD_HARD_MAX_BYTES) {
            Ok(Decoded::Complete { frame, .. }) => Some(frame),
            Ok(Decoded::Incomplete { .. }) | Err(_) => None,
        }
    }

    /// As they travel.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::Message;

    fn heartbeat(seq: u32) -> Bytes {
        let mut bytes = [0; 64];
        let message = Message::Heartbeat;
        let length =
            frame::encode(&message.header(seq, 0), None, &mut bytes, |writer| message.encode(writer))
                .unwrap();
        Bytes::copy_from_slice(&bytes[..length])
    }

    #[test]
    fn frames_are_found_at_any_cut_of_the_stream() {
        let stream: Vec<u8> = (1..=5).flat_map(heartbeat).collect();
        for cut in 1..=stream.len() {
            let mut codec = FrameCodec::new(512);
            let mut buffer = BytesMut::new();
            let mut seqs = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                    seqs.push(frame.frame().unwrap().header.seq);
                }
            }
            assert_eq!(seqs, [1, 2, 3, 4, 5], "cut at {cut}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut codec = FrameCodec::new(512);
        let mut buffer = BytesMut::new();
        let frame = FrameBytes::new(heartbeat(7)).unwrap();
        codec.encode(frame.clone(), &mut buffer).unwrap();
        assert_eq!(codec.decode(&mut buffer).unwrap(), Some(frame));
        assert!(FrameBytes::new(heartbeat(7).slice(1..)).is_err());
    }

    #[test]
    fn garbage_ends_the_stream() {
        let mut buffer = BytesMut::from(&b"GET / HTTP/1.1"[..]);
        assert!(matches!(
            FrameCodec::new(512).decode(&mut buffer),
            Err(CodecError::Frame(FrameError::BadMagic))
        ));
    }
}
