//! A gateway's stream of JSON lines, in whatever pieces they arrive.

use crate::limits;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Reads one line after the other; each must come soon after the one before.
pub(super) struct GatewayLines {
    response: reqwest::Response,
    pending: Vec<u8>,
}

impl GatewayLines {
    /// The lines of an answer.
    pub(super) const fn of(response: reqwest::Response) -> Self {
        Self { response, pending: Vec::new() }
    }

    /// The next line, `None` at the end of the stream.
    pub(super) async fn next<L: DeserializeOwned>(&mut self) -> anyhow::Result<Option<L>> {
        let silence = Duration::from_millis(limits::PRESENCE_SILENCE_MS);
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            // A chunk may hold many lines; only one that does not end is too long.
            anyhow::ensure!(self.pending.len() <= limits::PRESENCE_LINE_MAX_BYTES, "a line without an end");
            let Some(chunk) = tokio::time::timeout(silence, self.response.chunk()).await?? else {
                return Ok(None);
            };
            self.pending.extend_from_slice(&chunk);
        }
    }
}
