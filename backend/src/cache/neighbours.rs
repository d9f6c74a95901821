//! Processes that share a database tell each other through Redis which answers a write has made stale.
//!
//! Answers stay in each process's own memory, so a read never waits for Redis. A notice that is lost, because
//! Redis or this process was away, costs others the rest of [`limits::CACHE_LIFE`] and nothing else; whoever
//! connects again forgets everything first, because it may have missed some.
//!
//! A notice is a message on one channel: the sender's instance, a space, and its sections with commas between,
//! as in `0197… faqs,pages`. Sections that a process does not know are another version's and mean nothing to it.

use super::{Cache, Section};
use crate::app::App;
use crate::error::Result;
use crate::limits;
use futures::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult};
use serde::Serialize;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Before the number of the database that the URL names: installations may share a Redis by number, and Redis
/// itself has one name space of channels for all of them.
const CHANNEL_START: &str = "chautari:stale:";

/// Whether other processes' writes are heard at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearing {
    /// No Redis is set.
    Off,
    /// They are.
    Ok,
    /// Redis is away.
    Away,
}

/// The other processes, as far as Redis reaches them.
pub(super) struct Neighbours {
    client: Client,
    sender: ConnectionManager,
    channel: String,
    instance_id: Uuid,
    is_listening: AtomicBool,
}

impl Neighbours {
    /// Connects when it is first needed.
    pub(super) fn at(redis_url: &str, instance_id: Uuid) -> Result<Self> {
        let client = Client::open(redis_url).map_err(anyhow::Error::from)?;
        let channel = format!("{CHANNEL_START}{}", client.get_connection_info().redis_settings().db());
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(limits::CACHE_NOTICE_TIMEOUT))
            .set_response_timeout(Some(limits::CACHE_NOTICE_TIMEOUT));
        let sender =
            ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(anyhow::Error::from)?;
        Ok(Self { client, sender, channel, instance_id, is_listening: AtomicBool::new(false) })
    }

    /// Returns when Redis has passed the notice on, or is given up.
    pub(super) async fn tell(&self, sections: &[Section]) {
        let words: Vec<&str> = sections.iter().map(|section| section.as_str()).collect();
        let notice = format!("{} {}", self.instance_id, words.join(","));
        let publish = || async {
            let mut sender = self.sender.clone();
            redis::cmd("PUBLISH").arg(&self.channel).arg(&notice).query_async::<u64>(&mut sender).await
        };
        let told = timeout(limits::CACHE_NOTICE_TIMEOUT, async {
            match publish().await {
                // The first command after a loss finds out that the connection is gone.
                Err(error) if error.is_connection_dropped() => publish().await,
                told => told,
            }
        });
        let told = told.await.unwrap_or_else(|_| Err(silence()));
        if let Err(error) = &told {
            tracing::warn!(%error, sections = words.join(","), "other processes are not told of a change: Redis");
        }
        count(if told.is_ok() { "sent" } else { "lost" });
    }

    pub(super) fn hearing(&self) -> Hearing {
        if self.is_listening.load(Ordering::Relaxed) { Hearing::Ok } else { Hearing::Away }
    }

    /// Forgets in `cache` what notices name, until the connection ends.
    async fn listen(&self, cache: &Cache) -> RedisResult<Infallible> {
        let subscribed = timeout(limits::CACHE_REDIS_TIMEOUT, async {
            let mut connection = self.client.get_async_pubsub().await?;
            connection.subscribe(&self.channel).await?;
            Ok::<_, RedisError>(connection.split())
        });
        let (mut sink, mut notices) = subscribed.await.unwrap_or_else(|_| Err(silence()))?;
        // Nobody listened until now.
        cache.forget_here(Section::ALL);
        self.set_listening(true);
        tracing::info!("other processes' changes are heard through Redis");
        loop {
            match timeout(limits::CACHE_REDIS_SILENCE, notices.next()).await {
                Ok(Some(notice)) => self.heed(&notice.get_payload::<String>()?, cache),
                Ok(None) => return Err(ended()),
                Err(_) => timeout(limits::CACHE_REDIS_TIMEOUT, sink.ping::<redis::Value>())
                    .await
                    .unwrap_or_else(|_| Err(silence()))
                    .map(drop)?,
            }
        }
    }

    fn heed(&self, notice: &str, cache: &Cache) {
        if let Some(sections) = sections_of(notice, self.instance_id) {
            cache.forget_here(&sections);
            count("heard");
        }
    }

    fn set_listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::Relaxed);
        metrics::gauge!("chautari_cache_hears_neighbours").set(f64::from(u8::from(is_listening)));
    }
}

/// Hears what other processes write until `stop`; returns at once without Redis.
pub async fn listen(app: App, stop: CancellationToken) {
    let Some(neighbours) = &app.cache.neighbours else { return };
    let mut pause = limits::CACHE_REDIS_PAUSE;
    let mut is_known = false;
    loop {
        let Err(error) = tokio::select! {
            () = stop.cancelled() => return,
            ended = neighbours.listen(&app.cache) => ended,
        };
        if neighbours.hearing() == Hearing::Ok {
            (pause, is_known) = (limits::CACHE_REDIS_PAUSE, false);
        }
        neighbours.set_listening(false);
        if !std::mem::replace(&mut is_known, true) {
            tracing::warn!(%error, "other processes' changes are heard half a minute late: Redis is away");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(limits::CACHE_REDIS_PAUSE_MAX);
    }
}

/// What a notice of somebody else says.
fn sections_of(notice: &str, own_id: Uuid) -> Option<Vec<Section>> {
    let (sender, words) = notice.split_once(' ')?;
    if sender.parse() == Ok(own_id) {
        return None;
    }
    let known = |word: &str| Section::ALL.iter().find(|section| section.as_str() == word).copied();
    Some(words.split(',').filter_map(known).collect())
}

fn count(outcome: &'static str) {
    metrics::counter!("chautari_cache_notices_total", "outcome" => outcome).increment(1);
}

fn silence() -> RedisError {
    std::io::Error::new(ErrorKind::TimedOut, "no answer in time").into()
}

fn ended() -> RedisError {
    std::io::Error::new(ErrorKind::UnexpectedEof, "the connection ended").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_of_others_name_what_is_stale_and_ones_own_nothing() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for (notice, stale) in [
            (format!("{other} faqs,pages"), Some(vec![Section::Faqs, Section::Pages])),
            (format!("{other} later-version,banners"), Some(vec![Section::Banners])),
            (format!("{other} "), Some(vec![])),
            (format!("{own} faqs"), None),
            ("faqs".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(sections_of(&notice, own), stale, "{notice}");
        }
    }
}
