//! Rate limits: a bucket for each key, on the program's own clock.

use crate::clock::Clock;
use crate::error::{Problem, RequestRefusal};
use crate::limits;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::convert::Infallible;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::app::App;

/// A bucket for each key.
pub struct Rate<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, LimiterClock, NoOpMiddleware<Duration>>,
    clock: LimiterClock,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// Each key may do what `quota` says.
    pub fn new(quota: Quota, clock: Clock) -> Self {
        let clock = LimiterClock(clock);
        Self { limiter: RateLimiter::new(quota, DashMapStateStore::default(), clock.clone()), clock }
    }

    /// Takes one from the key's bucket, or says when to come back.
    pub fn check(&self, key: &K) -> Result<(), Problem> {
        if self.limiter.len() > limits::RATE_LIMIT_KEYS_MAX {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            RequestRefusal::RateLimited.problem().retry_after_s(wait.as_secs() + 1)
        })
    }
}

/// The program's clock, as the rate limiter wants it.
#[derive(Clone)]
struct LimiterClock(Clock);

impl governor::clock::Clock for LimiterClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.monotonic_ms())
    }
}

/// Where a request comes from, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The address of the socket, or what our own proxy says of it.
    pub fn of(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Self {
        if app.settings.backend.trust_forwarded_for {
            let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
            // The last entry is the one that our own proxy wrote.
            if let Some(address) = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()) {
                return Self(Some(address));
            }
        }
        Self(extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip()))
    }
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(app, &parts.headers, &parts.extensions))
    }
}
