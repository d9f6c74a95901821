//! Two processes with one database: what staff change at one is read from the other at once, through Redis, and
//! half a minute later without it. Redis itself may be cut off or fall silent; answers still come.
//!
//! `CHAUTARI_TEST_REDIS` is the URL of a server, such as `deploy/dev/redis-server start` prints.

use crate::staff::staff_token;
use crate::test_app::{Caller, TestApp};
use backend::cache::{self, Hearing};
use entities::admin_profile::AdminRole;
use entities::testing::FreshDatabase;
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

const ABOUT: &str = "/api/v1/content/about";
/// Whatever Redis does, no answer takes longer.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn what_staff_change_at_one_process_is_read_from_the_other_at_once() {
    let Some(redis) = redis() else { return };
    for (number, database) in (1..).zip(FreshDatabase::on_each_backend().await) {
        let pair = Pair::on(database, &redis, number).await;
        let staff = pair.staff().await;
        assert_eq!(pair.read_from_second().await, "About Chautari");
        for title in ["One", "Two", "Three"] {
            pair.rewrite(&staff, title).await;
            pair.wait_until_second_reads(title).await;
        }
        let (hits, misses) = pair.second.app.cache.counts();
        pair.read_from_second().await;
        assert_eq!(pair.second.app.cache.counts(), (hits + 1, misses), "from its own memory");
        // Its own notice comes back to the writer and makes it forget nothing twice.
        let (hits, misses) = pair.first.app.cache.counts();
        pair.first.anonymous().get(ABOUT).await.ok();
        sleep(Duration::from_millis(100)).await;
        pair.first.anonymous().get(ABOUT).await.ok();
        assert_eq!(pair.first.app.cache.counts(), (hits + 1, misses + 1), "{}", pair.first.backend());
    }
}

#[tokio::test]
async fn answers_come_while_redis_is_away_and_are_right_half_a_minute_later() {
    let Some(redis) = redis() else { return };
    for (number, line_state) in [(3, Line::Cut), (4, Line::Silent)] {
        let pair = Pair::on(FreshDatabase::sqlite(), &redis, number).await;
        let staff = pair.staff().await;
        // What it has read it keeps until it hears of the change.
        pair.read_from_second().await;
        pair.rewrite(&staff, "Before").await;
        pair.wait_until_second_reads("Before").await;

        pair.set_line(line_state);
        pair.rewrite(&staff, "Meanwhile").await;
        assert_eq!(title(&pair.first).await, "Meanwhile", "{line_state:?}");
        assert_eq!(pair.read_from_second().await, "Before", "{line_state:?}");
        pair.first.clock.advance_ms(30_000);
        pair.second.clock.advance_ms(30_000);
        assert_eq!(pair.read_from_second().await, "Meanwhile", "{line_state:?}");

        // Without a move of the clock: it connects, and forgets what it may have missed.
        pair.rewrite(&staff, "Missed").await;
        if line_state == Line::Cut {
            pair.wait_until_hearing(Hearing::Away).await;
            let health = pair.second.anonymous().get("/api/v1/app/health").await.ok();
            assert_eq!((&health["status"], &health["cache"]["neighbours"]), (&json!("ok"), &json!("away")));
            pair.set_line(Line::Open);
            pair.wait_until_second_reads("Missed").await;
            pair.wait_until_hearing(Hearing::Ok).await;
            pair.rewrite(&staff, "After").await;
            pair.wait_until_second_reads("After").await;
        }
    }
}

#[tokio::test]
async fn a_process_starts_and_answers_where_redis_has_never_been() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let test = TestApp::with_settings(|settings| {
        settings.cache.redis_url = backend::config::Secret::new(format!("redis://{closed}"));
    })
    .await;
    let stop = CancellationToken::new();
    let listening = tokio::spawn(cache::listen(test.app.clone(), stop.clone()));
    let health = test.anonymous().get("/api/v1/app/health").await.ok();
    assert_eq!((&health["status"], &health["cache"]["neighbours"]), (&json!("ok"), &json!("away")));
    let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
    let path = row_path(&staff).await;
    let body = json!({ "slug": "about", "title": "Alone", "content": "We are alone." });
    timeout(PATIENCE, staff.put(&path, body)).await.unwrap().ok();
    assert_eq!(title(&test).await, "Alone");
    stop.cancel();
    timeout(PATIENCE, listening).await.unwrap().unwrap();
}

/// Two processes, as far as their caches see; all their talk with Redis goes over one line.
struct Pair {
    first: TestApp,
    second: TestApp,
    line: watch::Sender<Line>,
    _stop: DropGuard,
}

/// What becomes of connections to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    /// They end, and new ones are refused.
    Cut,
    /// Nothing passes any more, and nobody says so.
    Silent,
}

impl Pair {
    /// Under a number of Redis of their own: tests run at the same time.
    async fn on(database: FreshDatabase, redis: &str, number: u8) -> Self {
        let (line, state) = watch::channel(Line::Open);
        let url = format!("redis://{}/{number}", line_to(redis.to_owned(), state).await);
        let secret = backend::config::Secret::new(url);
        let first = TestApp::wired(database, TestApp::clock(), |settings| {
            settings.cache.redis_url = secret.clone();
        })
        .await;
        // Its ids are others, because it starts a moment later.
        let clock = TestApp::clock();
        clock.advance_ms(1);
        let second = TestApp::wired(FreshDatabase::sqlite(), clock, |settings| {
            settings.database.url.clone_from(&first.app.settings.database.url);
            settings.cache.redis_url = secret;
        })
        .await;
        let stop = CancellationToken::new();
        for test in [&first, &second] {
            tokio::spawn(cache::listen(test.app.clone(), stop.clone()));
        }
        let pair = Self { first, second, line, _stop: stop.drop_guard() };
        pair.wait_until_hearing(Hearing::Ok).await;
        pair
    }

    fn set_line(&self, line: Line) {
        self.line.send(line).unwrap();
    }

    async fn staff(&self) -> Caller<'_> {
        self.first.bearer(staff_token(&self.first, AdminRole::Admin).await)
    }

    async fn rewrite(&self, staff: &Caller<'_>, title: &str) {
        let path = row_path(staff).await;
        let body = json!({ "slug": "about", "title": title, "content": "Whoever we are." });
        timeout(PATIENCE, staff.put(&path, body)).await.expect("an answer in time").ok();
    }

    async fn read_from_second(&self) -> String {
        timeout(PATIENCE, title(&self.second)).await.expect("an answer in time")
    }

    /// The clock stands still, so nothing is forgotten for its age.
    async fn wait_until_second_reads(&self, expected: &str) {
        let begun = Instant::now();
        while self.read_from_second().await != expected {
            assert!(begun.elapsed() < PATIENCE, "{expected} is not read, {}", self.second.backend());
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn wait_until_hearing(&self, expected: Hearing) {
        let begun = Instant::now();
        while [&self.first, &self.second].iter().any(|test| test.app.cache.hearing() != expected) {
            assert!(begun.elapsed() < 2 * PATIENCE, "not {expected:?}");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn title(test: &TestApp) -> String {
    test.anonymous().get(ABOUT).await.ok()["title"].as_str().unwrap().to_owned()
}

async fn row_path(staff: &Caller<'_>) -> String {
    let pages: Value = staff.get("/api/v1/admin/content-pages?limit=100").await.ok();
    let row = pages["items"].as_array().unwrap().iter().find(|row| row["slug"] == "about").unwrap();
    format!("/api/v1/admin/content-pages/{}", row["id"].as_str().unwrap())
}

/// Passes bytes to and from the server as long as its state says so.
async fn line_to(redis: String, state: watch::Receiver<Line>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut state = state.clone();
            let authority = redis.trim_start_matches("redis://").trim_end_matches('/').to_owned();
            tokio::spawn(async move {
                let is_open = *state.borrow_and_update() == Line::Open;
                if is_open {
                    let mut far = TcpStream::connect(authority).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                        _ = state.changed() => {}
                    }
                }
                while *state.borrow_and_update() == Line::Silent && state.changed().await.is_ok() {}
            });
        }
    });
    address
}

fn redis() -> Option<String> {
    let url = environment("CHAUTARI_TEST_REDIS");
    if url.is_none() {
        let is_required = environment("CHAUTARI_REQUIRE").is_some_and(|required| required == "all");
        assert!(!is_required, "CHAUTARI_REQUIRE=all, and CHAUTARI_TEST_REDIS is not set");
        static SAID: std::sync::Once = std::sync::Once::new();
        // Past the test harness, which would keep the line of a passing test for itself.
        SAID.call_once(|| {
            let _ = writeln!(std::io::stderr(), "skipped: Redis (CHAUTARI_TEST_REDIS not set)");
        });
    }
    url
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests name their servers by the environment, not by configuration"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
