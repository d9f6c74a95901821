//! Rate limits: a bucket for each key, on the program's own clock.

use crate::app::App;
use crate::clock::Clock;
use crate::error::{Problem, RequestRefusal};
use crate::limits;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use governor::clock::Clock as _;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bucket for each key.
pub struct Rate<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, LimiterClock, StateInformationMiddleware>,
    clock: LimiterClock,
    /// When buckets that are full again were looked for last: the look goes through all of them.
    swept_at_ms: AtomicU64,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// Each key may do what `quota` says.
    pub fn new(quota: Quota, clock: Clock) -> Self {
        let clock = LimiterClock(clock);
        let limiter = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { limiter, clock, swept_at_ms: AtomicU64::new(0) }
    }

    /// Takes one from the key's bucket, or says when to come back.
    pub fn check(&self, key: &K) -> Result<(), Problem> {
        self.take(key).map(|_| ())
    }

    /// Like [`Rate::check`], and says what is left.
    pub fn take(&self, key: &K) -> Result<Allowance, Problem> {
        if self.limiter.len() > limits::RATE_LIMIT_KEYS_MAX && self.may_sweep() {
            self.limiter.retain_recent();
        }
        let taken = self.limiter.check_key(key).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            let burst = u64::from(refused.quota().burst_size().get());
            RequestRefusal::RateLimited.problem().retry_after_s(wait.as_secs() + 1).limit(burst)
        })?;
        Ok(Allowance::from(taken))
    }
}

/// What a bucket holds after something was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What it holds when it is full.
    pub limit: u32,
    /// What may be taken at once.
    pub remaining: u32,
    /// Until it is full again, seconds.
    pub reset_s: u64,
}

impl From<StateSnapshot> for Allowance {
    fn from(taken: StateSnapshot) -> Self {
        let (quota, remaining) = (taken.quota(), taken.remaining_burst_capacity());
        let limit = quota.burst_size().get();
        let missing = limit.saturating_sub(remaining);
        let reset_s = (quota.replenish_interval() * missing).as_secs_f64().ceil();
        Self { limit, remaining, reset_s: reset_s as u64 }
    }
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// One caller of many, and not more often than [`limits::RATE_LIMIT_SWEEP_PAUSE`].
    fn may_sweep(&self) -> bool {
        let now_ms = self.clock.0.monotonic_ms();
        let swept_at_ms = self.swept_at_ms.load(Ordering::Relaxed);
        let pause_ms = limits::RATE_LIMIT_SWEEP_PAUSE.as_millis();
        u128::from(now_ms.saturating_sub(swept_at_ms)) >= pause_ms
            && self
                .swept_at_ms
                .compare_exchange(swept_at_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// A bucket for each key from which a try can be given back: for what only counts when it fails.
pub struct Tries<K: Hash + Eq + Clone> {
    /// When each key's bucket will be full again, on the monotonic clock, milliseconds.
    full_at_ms: Mutex<HashMap<K, u64>>,
    burst: u64,
    every_ms: u64,
    clock: Clock,
}

impl<K: Hash + Eq + Clone> Tries<K> {
    /// Each key has `burst` tries, and one more after each `every`.
    pub fn new(burst: NonZeroU32, every: Duration, clock: Clock) -> Self {
        let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Self { full_at_ms: Mutex::default(), burst: u64::from(burst.get()), every_ms, clock }
    }

    /// Takes one, or says when to come back.
    pub fn take(&self, key: &K) -> Result<(), Problem> {
        let now_ms = self.clock.monotonic_ms();
        let mut buckets = self.buckets();
        if buckets.len() > limits::RATE_LIMIT_KEYS_MAX {
            buckets.retain(|_, full_at_ms| *full_at_ms > now_ms);
        }
        let full_at_ms = buckets.get(key).copied().unwrap_or(0).max(now_ms);
        let is_in_ms = full_at_ms - now_ms;
        let spent_at_ms = (self.burst - 1) * self.every_ms;
        if is_in_ms > spent_at_ms {
            let wait_s = (is_in_ms - spent_at_ms).div_ceil(1_000);
            return Err(RequestRefusal::RateLimited.problem().retry_after_s(wait_s).limit(self.burst));
        }
        buckets.insert(key.clone(), full_at_ms + self.every_ms);
        Ok(())
    }

    /// Gives one back.
    pub fn give_back(&self, key: &K) {
        if let Some(full_at_ms) = self.buckets().get_mut(key) {
            *full_at_ms = full_at_ms.saturating_sub(self.every_ms);
        }
    }

    /// Gives all back.
    pub fn forget(&self, key: &K) {
        self.buckets().remove(key);
    }

    /// Nothing that holds this lock can panic half-way.
    fn buckets(&self) -> MutexGuard<'_, HashMap<K, u64>> {
        self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Addresses that one person can choose from, as far as a limit can tell people apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressBlock(IpAddr);

impl AddressBlock {
    /// One host: an IPv4 address, or the /64 in which an IPv6 host makes up addresses as it likes.
    pub fn host(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into())
            }
        }
    }

    /// One network: the hosts of an IPv4 /24, or an IPv6 /64.
    pub fn network(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(Ipv4Addr::from_bits(address.to_bits() & !0xFF).into()),
            IpAddr::V6(address) => Self::host(address.into()),
        }
    }
}

impl AddressBlock {
    /// What one customer of a network may have of IPv6, the hosts of a /48; nothing for IPv4.
    pub fn site(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => {
                let bits = address.to_bits() & !(u128::MAX >> 48);
                Some(Self(Ipv6Addr::from_bits(bits).into()))
            }
        }
    }
}

impl fmt::Display for AddressBlock {
    /// The first address of the block.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a request comes from, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The address of the socket, or what our own proxy says of it.
    pub fn of(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Self {
        if app.settings.backend.trust_forwarded_for {
            // The last entry of the last line is the one that our own proxy wrote; some add a line.
            let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
            let forwarded = forwarded.and_then(|value| value.to_str().ok());
            if let Some(address) = forwarded.and_then(|list| address_in(list.rsplit(',').next()?)) {
                return Self(Some(address));
            }
        }
        let socket = extensions.get::<ConnectInfo<SocketAddr>>();
        Self(socket.map(|ConnectInfo(address)| address.ip().to_canonical()))
    }

    /// Who counts as one person, if anything is known.
    pub fn host(self) -> Option<AddressBlock> {
        self.0.map(AddressBlock::host)
    }

    /// Whom to count, if anybody. Without a proxy this machine's own requests (simulated riders, operators) are
    /// free; behind one nothing is, for then this machine's address is the proxy's word like any other.
    pub fn limited(self, app: &App) -> Option<AddressBlock> {
        let is_ours = |address: &IpAddr| address.to_canonical().is_loopback();
        let free_here = !app.settings.backend.trust_forwarded_for;
        self.0.filter(|address| !(free_here && is_ours(address))).map(AddressBlock::host)
    }
}

/// An address as proxies write it: some add the port, and some write IPv6 in brackets.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(app, &parts.headers, &parts.extensions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_proxies_write_it() {
        for (text, expected) in [
            (" 203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7:51000", Some("203.0.113.7")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:51000", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(address_in(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}
