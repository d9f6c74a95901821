//! The presence stream, line by line.

use super::World;
use protocol::control::PresenceLine;
use std::time::Duration;

/// A follower of the presence stream.
pub(crate) struct PresenceLines {
    response: reqwest::Response,
    text: Vec<u8>,
}

impl PresenceLines {
    pub(crate) async fn follow(world: &World) -> Self {
        let response = world.request(reqwest::Method::GET, "presence").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self { response, text: Vec::new() }
    }

    pub(crate) async fn next(&mut self) -> PresenceLine {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return serde_json::from_slice(&line).unwrap();
            }
            let chunk = tokio::time::timeout(Duration::from_secs(8), self.response.chunk()).await;
            self.text
                .extend_from_slice(&chunk.expect("a line within 8 s").unwrap().expect("the stream goes on"));
        }
    }
}
