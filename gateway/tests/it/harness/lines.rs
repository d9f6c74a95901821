//! The gateway's streams, line by line.

use super::World;
use protocol::control::{PresenceLine, TraceLine};
use protocol::types::StationId;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::time::Duration;

/// A reader of a stream of JSON lines.
pub(crate) struct Lines<L> {
    response: reqwest::Response,
    text: Vec<u8>,
    line: PhantomData<L>,
}

/// A follower of the presence stream.
pub(crate) type PresenceLines = Lines<PresenceLine>;
/// A reader of the trace of a station.
pub(crate) type TraceLines = Lines<TraceLine>;

impl<L: DeserializeOwned> Lines<L> {
    pub(crate) async fn read(world: &World, path: &str) -> Self {
        let response = world.request(reqwest::Method::GET, path).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self { response, text: Vec::new(), line: PhantomData }
    }

    pub(crate) async fn next(&mut self) -> L {
        self.next_or_end().await.expect("the stream goes on")
    }

    pub(crate) async fn next_or_end(&mut self) -> Option<L> {
        serde_json::from_str(&self.next_text().await?).unwrap()
    }

    /// The next line as it came.
    pub(crate) async fn next_text(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            let chunk = tokio::time::timeout(Duration::from_secs(8), self.response.chunk()).await;
            self.text.extend_from_slice(&chunk.expect("a line within 8 s").unwrap()?);
        }
    }
}

impl PresenceLines {
    pub(crate) async fn follow(world: &World) -> Self {
        Self::read(world, "presence").await
    }

    /// Skips lines until one of this kind comes.
    pub(crate) async fn next_that<T>(&mut self, mut wanted: impl FnMut(&PresenceLine) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.next().await) {
                return found;
            }
        }
    }
}

impl TraceLines {
    /// Asks for a trace; it has begun when this returns.
    pub(crate) async fn of(world: &World, station_id: StationId) -> Self {
        let mut lines = Self::read(world, &format!("stations/{station_id}/trace?seconds=60")).await;
        let TraceLine::Begin { station_id: traced, .. } = lines.next().await else { panic!("the begin") };
        assert_eq!(traced, station_id);
        lines
    }
}
