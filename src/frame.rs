//! `chautari frame decode`: protocol bytes, explained.

use std::fmt::Write;

use anyhow::{Context, bail};
use protocol::frame::{self, Decoded, Frame};
use protocol::limits::PAYLOAD_HARD_MAX_BYTES;
use protocol::message::Message;

/// Explains every frame in the text; an error names the byte at which understanding ends.
pub(crate) fn explain(text: &str) -> anyhow::Result<String> {
    let digits: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let bytes = hex::decode(&digits).context("frames are given as hexadecimal digits")?;
    if bytes.is_empty() {
        bail!("no bytes: give the frame as hexadecimal digits");
    }
    let mut explained = String::new();
    let mut at = 0;
    while at < bytes.len() {
        match frame::decode(&bytes[at..], PAYLOAD_HARD_MAX_BYTES) {
            Ok(Decoded::Complete { frame, consumed }) => {
                explain_frame(&mut explained, at, &frame)?;
                at += consumed;
            }
            Ok(Decoded::Incomplete { needed }) => {
                bail!(
                    "{explained}at byte {at}: a frame of at least {needed} bytes begins, {} are there",
                    bytes.len() - at
                )
            }
            Err(error) => bail!("{explained}at byte {at}: {error}"),
        }
    }
    Ok(explained)
}

fn explain_frame(out: &mut String, at: usize, frame: &Frame<'_>) -> std::fmt::Result {
    let header = &frame.header;
    writeln!(
        out,
        "at byte {at}: {:?} seq {} ack {} flags {:#06x} payload {} bytes",
        header.kind,
        header.seq,
        header.ack,
        header.flags.0,
        frame.payload.len()
    )?;
    let payload = match frame.split_mac() {
        Some((payload, mac)) => {
            writeln!(out, "  mac {} (not checked: that needs the session's key)", hex::encode(mac))?;
            payload
        }
        None => frame.payload,
    };
    match Message::decode(header.kind, payload) {
        Ok(message) => {
            for line in format!("{message:#?}").lines() {
                writeln!(out, "  {line}")?;
            }
        }
        Err(error) => writeln!(out, "  payload {}: {error}", hex::encode(payload))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Vec<u8> {
        let message = Message::Heartbeat;
        let mut out = [0; 64];
        let length =
            frame::encode(&message.header(7, 3), None, &mut out, |writer| message.encode(writer)).unwrap();
        out[..length].to_vec()
    }

    #[test]
    fn two_frames_are_explained_one_after_the_other() {
        let text = hex::encode(heartbeat().repeat(2));
        let explained = explain(&text).unwrap();
        assert_eq!(explained.matches("seq 7 ack 3").count(), 2, "{explained}");
    }

    #[test]
    fn a_damaged_frame_is_located() {
        let mut bytes = heartbeat();
        let second = bytes.len();
        bytes.extend(heartbeat());
        *bytes.last_mut().unwrap() ^= 1;
        let error = explain(&hex::encode(bytes)).unwrap_err().to_string();
        assert!(error.contains(&format!("at byte {second}")), "{error}");
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused() {
        assert!(explain("hello").is_err());
        assert!(explain("").is_err());
    }
}
