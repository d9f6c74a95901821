//! The bodies of the fuzz targets. `cargo test` runs them as well, see `protocol/tests/it/fuzz_smoke.rs`.

mod gateway_side;
mod script;
mod station_side;

pub use script::session_bytes;

use protocol::frame::{self, Decoded, Frame, Writer};
use protocol::limits::{FRAME_OVERHEAD_BYTES, PAYLOAD_DEFAULT_MAX_BYTES};
use protocol::message::Message;

/// Reads a stream of frames and their messages: nothing panics, and what is read is written back the same.
pub fn frame_decode(stream: &[u8]) {
    let mut rest = stream;
    loop {
        match frame::decode(rest, PAYLOAD_DEFAULT_MAX_BYTES) {
            Ok(Decoded::Complete { frame, consumed }) => {
                assert!(consumed <= rest.len());
                frame_is_written_back(&frame, &rest[..consumed]);
                message_is_written_back(&frame);
                rest = &rest[consumed..];
            }
            Ok(Decoded::Incomplete { needed }) => {
                assert!(needed > rest.len());
                assert!(needed <= usize::from(PAYLOAD_DEFAULT_MAX_BYTES) + FRAME_OVERHEAD_BYTES);
                return;
            }
            Err(_) => return,
        }
    }
}

fn frame_is_written_back(frame: &Frame<'_>, bytes: &[u8]) {
    let mut out = [0; PAYLOAD_DEFAULT_MAX_BYTES as usize + FRAME_OVERHEAD_BYTES];
    let length = frame::encode(&frame.header, None, &mut out, |writer| writer.bytes(frame.payload))
        .expect("a frame that was read fits");
    // Under the fuzzer the check is not looked at, so it may be any.
    let compared = if cfg!(fuzzing) { length - 4 } else { length };
    assert_eq!(&out[..compared], &bytes[..compared]);
}

fn message_is_written_back(frame: &Frame<'_>) {
    let payload = frame.split_mac().map_or(frame.payload, |(payload, _)| payload);
    for payload in [frame.payload, payload] {
        let Ok(message) = Message::decode(frame.header.kind, payload) else { continue };
        let mut out = [0; PAYLOAD_DEFAULT_MAX_BYTES as usize];
        let mut writer = Writer::new(&mut out);
        message.encode(&mut writer).expect("a message that was read can be written");
        let written = writer.written();
        // Only TLVs that were skipped may be missing.
        assert!(written <= payload.len());
        if written == payload.len() {
            assert_eq!(&out[..written], payload);
        }
        assert_eq!(Message::decode(frame.header.kind, &out[..written]), Ok(message));
        if let Message::Telemetry(batch) = message {
            let mut samples = batch.samples();
            let mut count = 0;
            while let Some(sample) = samples.next() {
                assert_eq!(sample.sample_no, batch.first_sample_no + count);
                assert_eq!(sample.slots.len(), usize::from(batch.records.slot_count()));
                count += 1;
            }
            assert_eq!(count, u32::from(batch.records.record_count()));
        }
    }
}
