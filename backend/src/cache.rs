//! Answers that everybody gets alike, kept in this process: bounded, and forgotten when staff write.
//!
//! A write in this process forgets its sections at once. Other processes are told through Redis, where one is
//! set (`cache/neighbours.rs`), and learn of it by the end of [`limits::CACHE_LIFE`] in any case. What was being
//! loaded while a write happened is answered and not kept, so a reader after the write never gets what was
//! before it.
//!
//! HTTP caches get the same answers with an `ETag`: who has it already is told so (304) in a few bytes.

mod neighbours;

pub use neighbours::{Hearing, listen};

use crate::clock::Clock;
use crate::config::CacheSettings;
use crate::error::Result;
use crate::limits;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use neighbours::Neighbours;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// What is kept and forgotten together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Section { $($(#[$doc])* $name,)+ }

        impl Section {
            const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its metric label, and its name among processes.
            fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

sections! {
    /// Pages of text.
    Pages = "pages",
    /// Questions and answers.
    Faqs = "faqs",
    /// How riders reach us.
    Contacts = "contacts",
    /// Published versions of the app.
    Versions = "versions",
    /// What is new.
    Updates = "updates",
    /// Pictures on the first page.
    Banners = "banners",
    /// Countries.
    Countries = "countries",
    /// What staff may set.
    Settings = "settings",
    /// Words that the program itself knows.
    Words = "words",
    /// The best riders.
    Leaderboard = "leaderboard",
    /// Coupons that everybody may know.
    Coupons = "coupons",
    /// Whether the parts answer.
    Health = "health",
}

/// A value with the moment from which it is wrong, if it knows one.
pub struct Fresh<T> {
    /// The value.
    pub value: T,
    /// When to load it again at the latest.
    pub until: Option<DateTime<Utc>>,
}

impl<T> From<T> for Fresh<T> {
    fn from(value: T) -> Self {
        Self { value, until: None }
    }
}

/// The cache of one process.
pub struct Cache {
    clock: Clock,
    shelves: Vec<Mutex<Shelf>>,
    hits: AtomicU64,
    misses: AtomicU64,
    neighbours: Option<Neighbours>,
}

#[derive(Default)]
struct Shelf {
    /// Grows with every write: what was loaded under an older number is not kept.
    generation: u64,
    kept: HashMap<String, Kept>,
}

#[derive(Clone)]
struct Kept {
    value: Arc<dyn Any + Send + Sync>,
    until: DateTime<Utc>,
}

impl Cache {
    /// An empty one of a process that is alone.
    pub fn new(clock: Clock) -> Self {
        let shelves = Section::ALL.iter().map(|_| Mutex::default()).collect();
        Self { clock, shelves, hits: AtomicU64::new(0), misses: AtomicU64::new(0), neighbours: None }
    }

    /// An empty one that tells other processes of writes and hears of theirs, if Redis is set. Nothing is
    /// connected yet.
    pub fn from_settings(settings: &CacheSettings, clock: Clock, instance_id: Uuid) -> Result<Self> {
        let neighbours = match settings.redis_url.is_empty() {
            true => None,
            false => Some(Neighbours::at(settings.redis_url.expose(), instance_id)?),
        };
        Ok(Self { neighbours, ..Self::new(clock) })
    }

    /// The value under `key`, loaded if it is not here or no longer fresh. A key always has the same type.
    pub async fn get<T, L>(&self, section: Section, key: &str, load: L) -> Result<Arc<T>>
    where
        T: Send + Sync + 'static,
        L: Future<Output = Result<Fresh<T>>>,
    {
        let now = self.clock.now();
        let generation = {
            let shelf = self.shelf(section);
            let kept = shelf.kept.get(key).filter(|kept| now < kept.until);
            if let Some(value) = kept.and_then(|kept| kept.value.clone().downcast::<T>().ok()) {
                self.count(section, &self.hits, "hit");
                return Ok(value);
            }
            shelf.generation
        };
        self.count(section, &self.misses, "miss");
        let fresh = load.await?;
        let value = Arc::new(fresh.value);
        let life_ends = now + limits::CACHE_LIFE;
        let until = fresh.until.map_or(life_ends, |until| until.min(life_ends));
        let mut shelf = self.shelf(section);
        if shelf.generation == generation {
            make_room(&mut shelf.kept, now);
            shelf.kept.insert(key.to_owned(), Kept { value: value.clone(), until });
        }
        Ok(value)
    }

    /// Forgets all of these sections, here and at other processes: called after a write is durable. Redis
    /// delays this by [`limits::CACHE_NOTICE_TIMEOUT`] at most and never makes it fail.
    pub async fn forget(&self, sections: &[Section]) {
        self.forget_here(sections);
        if let Some(neighbours) = self.neighbours.as_ref().filter(|_| !sections.is_empty()) {
            neighbours.tell(sections).await;
        }
    }

    fn forget_here(&self, sections: &[Section]) {
        for section in sections {
            let mut shelf = self.shelf(*section);
            shelf.generation += 1;
            shelf.kept.clear();
        }
    }

    /// Whether this process hears of other processes' writes at once.
    pub fn hearing(&self) -> Hearing {
        self.neighbours.as_ref().map_or(Hearing::Off, Neighbours::hearing)
    }

    /// How many reads were answered from memory, and how many were not, since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    fn shelf(&self, section: Section) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelves[section as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, section: Section, counter: &AtomicU64, outcome: &'static str) {
        counter.fetch_add(1, Ordering::Relaxed);
        let labels = [("section", section.as_str()), ("outcome", outcome)];
        metrics::counter!("chautari_cache_reads_total", &labels).increment(1);
    }
}

/// Callers choose some keys, so there is a bound: the stale go first, then the one that ends soonest.
fn make_room(kept: &mut HashMap<String, Kept>, now: DateTime<Utc>) {
    if kept.len() < limits::CACHE_ENTRIES_MAX {
        return;
    }
    kept.retain(|_, kept| now < kept.until);
    if kept.len() >= limits::CACHE_ENTRIES_MAX
        && let Some(soonest) = kept.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone())
    {
        kept.remove(&soonest);
    }
}

/// A JSON answer that is the same for everybody, with its `ETag`.
#[derive(Clone)]
pub struct Shared {
    body: Bytes,
    etag: HeaderValue,
}

impl Shared {
    /// The answer's text and its name.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value)?;
        let name = hex::encode(&Sha256::digest(&body)[..12]);
        // Weak, because a compressed answer has other bytes and the same meaning.
        let etag = HeaderValue::from_str(&format!("W/\"{name}\"")).map_err(anyhow::Error::from)?;
        Ok(Self { body: body.into(), etag })
    }

    /// The answer, or that the caller has it already.
    pub fn response(&self, request: &HeaderMap) -> Response {
        let headers = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static(limits::SHARED_CACHE_CONTROL)),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        if has_already(request, &self.etag) {
            let mut response = (StatusCode::NOT_MODIFIED, headers).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            return response;
        }
        (headers, Body::from(self.body.clone())).into_response()
    }
}

/// `If-None-Match` compares weakly (RFC 9110, 13.1.2).
fn has_already(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let ours = opaque(etag.to_str().unwrap_or_default());
    let named = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::clock::ManualClock;

    fn cache() -> (Cache, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_768_450_500_000));
        (Cache::new(Clock::new(clock.clone())), clock)
    }

    async fn read(cache: &Cache, key: &str, value: u32) -> u32 {
        *cache.get(Section::Faqs, key, async { Ok(Fresh::from(value)) }).await.unwrap()
    }

    #[tokio::test]
    async fn a_value_is_kept_until_a_write_or_the_end_of_its_life() {
        let (cache, clock) = cache();
        assert_eq!((read(&cache, "a", 1).await, read(&cache, "a", 2).await), (1, 1));
        cache.forget(&[Section::Banners]).await;
        assert_eq!(read(&cache, "a", 3).await, 1, "another section's write");
        cache.forget(&[Section::Faqs]).await;
        assert_eq!(read(&cache, "a", 4).await, 4);
        clock.advance_ms(limits::CACHE_LIFE.num_milliseconds().unsigned_abs());
        assert_eq!(read(&cache, "a", 5).await, 5, "another process may have written");
        assert_eq!(cache.counts(), (2, 3));
    }

    #[tokio::test]
    async fn what_was_loaded_before_a_write_is_not_kept_after_it() {
        let (cache, _) = cache();
        let overtaken = cache.get(Section::Faqs, "a", async {
            cache.forget(&[Section::Faqs]).await;
            Ok(Fresh::from(1_u32))
        });
        assert_eq!(*overtaken.await.unwrap(), 1);
        assert_eq!(read(&cache, "a", 2).await, 2);
    }

    #[tokio::test]
    async fn callers_who_invent_keys_fill_no_memory() {
        let (cache, _) = cache();
        for key in 0..10 * limits::CACHE_ENTRIES_MAX {
            read(&cache, &key.to_string(), 0).await;
        }
        assert_eq!(cache.shelf(Section::Faqs).kept.len(), limits::CACHE_ENTRIES_MAX);
    }

    #[test]
    fn who_has_the_answer_already_is_told_so() {
        let answer = Shared::json(&serde_json::json!({ "a": 1 })).unwrap();
        let etag = answer.etag.to_str().unwrap().to_owned();
        for (sent, status) in [
            (None, 200),
            (Some(etag.clone()), 304),
            (Some(etag.trim_start_matches("W/").to_owned()), 304),
            (Some(format!("\"other\", {etag}")), 304),
            (Some("*".to_owned()), 304),
            (Some("\"other\"".to_owned()), 200),
        ] {
            let mut request = HeaderMap::new();
            if let Some(sent) = &sent {
                request.insert(header::IF_NONE_MATCH, sent.parse().unwrap());
            }
            assert_eq!(answer.response(&request).status(), status, "{sent:?}");
        }
    }
}
