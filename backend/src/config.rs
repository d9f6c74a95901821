//! What an operator may set, and the secrets that the program made for itself.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// The backend's part of the configuration: `[database] [backend] [sms] [payments]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the books are.
    pub database: DatabaseSettings,
    /// How it listens and whom it knows.
    pub backend: BackendSettings,
    /// How codes reach riders.
    pub sms: SmsSettings,
    /// How money comes in.
    pub payments: PaymentsSettings,
}

/// `[database]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `sqlite://path` or `postgres://user:password@host/name`.
    pub url: String,
    /// Connections of the pool; chosen by the program if absent.
    pub connections: Option<u32>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { url: "sqlite://data/chautari.db".to_owned(), connections: None }
    }
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split("://").next().unwrap_or_default();
        write!(f, "DatabaseSettings {{ url: {scheme}://***, connections: {:?} }}", self.connections)
    }
}

/// `[backend]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendSettings {
    /// The public API, the console and the rider page.
    pub listen: SocketAddr,
    /// The address for gateways only.
    pub internal_listen: SocketAddr,
    /// How the public address looks from outside, for links: `https://chautari.example`.
    pub public_url: String,
    /// The control address of each gateway: `http://127.0.0.1:7421`.
    pub gateways: Vec<String>,
    /// Connections that may be open at the public address.
    pub connections_max: usize,
    /// Connections among them from one network (IPv4 /24, IPv6 /64); this machine's own are not counted, and
    /// none are with `trust_forwarded_for`.
    pub connections_per_block_max: usize,
    /// Requests that one address (IPv6: one /64) may make in a minute; 0 sets no limit. This machine has none,
    /// unless `trust_forwarded_for` is set.
    pub requests_per_minute_per_ip: u32,
    /// Takes the caller's address from `X-Forwarded-For`; only behind a proxy that sets it.
    pub trust_forwarded_for: bool,
    /// Shows one-time codes in the log and on the console: for demonstrations only.
    pub demo: bool,
    /// How long a station may begin to eject after the rider asked, milliseconds.
    pub eject_life_ms: u32,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            internal_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            public_url: "http://127.0.0.1:8080".to_owned(),
            gateways: vec!["http://127.0.0.1:7421".to_owned()],
            connections_max: 4_096,
            connections_per_block_max: 512,
            requests_per_minute_per_ip: 600,
            trust_forwarded_for: false,
            demo: false,
            eject_life_ms: 20_000,
        }
    }
}

/// `[sms]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsSettings {
    /// Who carries one-time codes; without one, signing in is refused.
    pub provider: Option<SmsProvider>,
}

/// Who carries one-time codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsProvider {
    /// Nobody: the console page and the log show them. For demonstrations and development.
    Console,
}

/// `[payments]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentsSettings {
    /// Offers the built-in sandbox provider, through which no real money moves.
    pub sandbox: bool,
}

/// What the program keeps in `<data-dir>/secrets/`. Never printed.
#[derive(Clone)]
pub struct Secrets {
    /// The bearer of the internal calls that we send.
    pub internal_key: String,
    /// The bearer before it, accepted during a rotation.
    pub previous_internal_key: Option<String>,
    /// Keys the hash of one-time codes.
    pub otp_key: [u8; 32],
    /// The masters that station keys are derived from, by key id.
    pub station_masters: BTreeMap<u16, [u8; 32]>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}
