//! What an operator may set, and the secrets that the program made for itself.

mod messages;
mod payments;

pub use messages::{
    AakashSettings, MailProvider, MailSettings, PushSettings, SmsProvider, SmsSettings, SparrowSettings,
};
pub use payments::{EsewaSettings, KhaltiSettings, PaymentsSettings, StripeSettings};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// The backend's part of the configuration: `[database] [backend] [cache] [sms] [mail] [push] [payments] [invoices]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the books are.
    pub database: DatabaseSettings,
    /// How it listens and whom it knows.
    pub backend: BackendSettings,
    /// How processes share what they keep in memory.
    pub cache: CacheSettings,
    /// How codes reach riders.
    pub sms: SmsSettings,
    /// How mail reaches riders and staff.
    pub mail: MailSettings,
    /// How messages reach telephones.
    pub push: PushSettings,
    /// Where pictures are kept.
    pub media: MediaSettings,
    /// How money comes in.
    pub payments: PaymentsSettings,
    /// Who sells, on tax invoices.
    pub invoices: InvoiceSettings,
}

/// `[database]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `sqlite://path` or `postgres://user:password@host/name`.
    pub url: String,
    /// Connections of the pool; chosen by the program if absent.
    pub connections: Option<u32>,
    /// A copy of the books that is only read, for analytics; the books themselves if absent or empty.
    pub analytics_url: Option<String>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { url: "sqlite://data/chautari.db".to_owned(), connections: None, analytics_url: None }
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
    /// Origins whose pages may call the API from a browser, like `https://app.example`; `*` for all.
    pub cors_origins: Vec<String>,
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
            cors_origins: Vec::new(),
            demo: false,
            eject_life_ms: 20_000,
        }
    }
}

impl BackendSettings {
    /// What no browser would ever send, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        let is_origin = |text: &str| {
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
        };
        match self.cors_origins.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            Some(wrong) => Err(format!(
                "backend.cors_origins has \"{wrong}\"; an origin is a scheme and a host, like https://app.example"
            )),
            None => Ok(()),
        }
    }
}

/// `[cache]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// `redis://host:port` or `rediss://user:password@host:port` (TLS): through it processes tell each other of
    /// writes that make kept answers stale. Empty for one process.
    pub redis_url: Secret,
}

impl CacheSettings {
    /// What is no address of Redis, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.redis_url.is_empty() || redis::Client::open(self.redis_url.expose()).is_ok() {
            return Ok(());
        }
        Err("cache.redis_url is no address of Redis; one looks like redis://127.0.0.1:6379, with TLS \
             rediss://user:password@host:6380"
            .to_owned())
    }
}

/// `[media]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSettings {
    /// Where riders' and staff's pictures are kept; without it uploads are refused.
    pub directory: String,
    /// Keeps them in a bucket instead, once it is set.
    pub s3: S3Settings,
    /// Keeps them at Cloudinary instead, once it is set.
    pub cloudinary: CloudinarySettings,
}

impl MediaSettings {
    /// What is missing or too much, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        self.s3.check()?;
        self.cloudinary.check()?;
        if self.s3.is_set() && self.cloudinary.is_set() {
            return Err(
                "media.s3 and media.cloudinary are both set; pictures are kept in one place".to_owned()
            );
        }
        Ok(())
    }
}

/// `[media.s3]`: a bucket of S3 or of whatever speaks like it, used once it has a name and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// Where the store is, `https://host`, and the bucket below it; empty for Amazon's own address in the region.
    pub endpoint: String,
    /// The bucket; nobody but this program needs to read it.
    pub bucket: String,
    /// Its region, as in `ap-south-1`; other stores often take any word.
    pub region: String,
    /// The id of a key that may put, get and delete objects.
    pub access_key_id: String,
    /// The key's secret, with which calls are signed.
    pub secret_access_key: Secret,
}

impl S3Settings {
    /// Whether pictures are kept there.
    pub fn is_set(&self) -> bool {
        let needed = [&self.bucket, &self.region, &self.access_key_id];
        !needed.into_iter().any(String::is_empty) && !self.secret_access_key.is_empty()
    }

    /// What is missing, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if *self != Self::default() && !self.is_set() {
            return Err("media.s3 needs bucket, region, access_key_id and secret_access_key".to_owned());
        }
        let is_address = ["https://", "http://"].iter().any(|scheme| self.endpoint.starts_with(scheme));
        if !(self.endpoint.is_empty() || is_address) {
            return Err("media.s3.endpoint must be a URL, like https://s3.example.com".to_owned());
        }
        Ok(())
    }
}

/// `[media.cloudinary]`: used once it has a cloud name, a key and a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudinarySettings {
    /// The account's cloud name.
    pub cloud_name: String,
    /// The account's API key.
    pub api_key: String,
    /// Its secret, with which calls are signed.
    pub api_secret: Secret,
    /// Where its API is; empty for Cloudinary's own address.
    pub api_base_url: String,
    /// Where it delivers pictures; empty for Cloudinary's own address.
    pub delivery_base_url: String,
}

impl CloudinarySettings {
    const API: &str = "https://api.cloudinary.com";
    const DELIVERY: &str = "https://res.cloudinary.com";

    /// Whether pictures are kept there.
    pub fn is_set(&self) -> bool {
        !self.cloud_name.is_empty() && !self.api_key.is_empty() && !self.api_secret.is_empty()
    }

    /// Where its API is, without a slash at the end.
    pub fn api_url(&self) -> &str {
        address(&self.api_base_url, true, Self::API, Self::API)
    }

    /// Where it delivers pictures, without a slash at the end.
    pub fn delivery_url(&self) -> &str {
        address(&self.delivery_base_url, true, Self::DELIVERY, Self::DELIVERY)
    }

    /// What is missing, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.is_set() || *self == Self::default() {
            return Ok(());
        }
        Err("media.cloudinary needs cloud_name, api_key and api_secret: copy them from the dashboard"
            .to_owned())
    }
}

/// `[invoices]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InvoiceSettings {
    /// Who sells, as registered.
    pub seller_name: String,
    /// Where, as registered.
    pub seller_address: String,
    /// The seller's PAN, nine digits. Without it no tax invoices are made.
    pub seller_pan: String,
    /// Goes before the numbers where several outlets sell under one PAN.
    pub branch: String,
    /// The days of the months of years whose official calendar is newer than this program, Baisakh
    /// first: `bikram_sambat.2084 = [31, 32, …]`.
    pub bikram_sambat: BTreeMap<String, Vec<u8>>,
}

/// Who sells, as it stands on tax invoices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seller {
    /// As registered.
    pub name: String,
    /// As registered.
    pub address: String,
    /// Nine digits.
    pub pan: String,
    /// Goes before the numbers; may be empty.
    pub branch: String,
}

impl InvoiceSettings {
    /// The seller, if one is registered for VAT.
    pub fn seller(&self) -> Option<Seller> {
        (!self.seller_pan.is_empty()).then(|| Seller {
            name: self.seller_name.clone(),
            address: self.seller_address.clone(),
            pan: self.seller_pan.clone(),
            branch: self.branch.clone(),
        })
    }

    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), String> {
        let Some(seller) = self.seller() else { return Ok(()) };
        if seller.pan.len() != 9 || !seller.pan.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err("invoices.seller_pan must have nine digits".to_owned());
        }
        if seller.name.trim().is_empty() || seller.address.trim().is_empty() {
            return Err("invoices.seller_name and seller_address must be set with seller_pan".to_owned());
        }
        Ok(())
    }

    /// The added years by their number.
    pub fn added_years(&self) -> Result<BTreeMap<u16, Vec<u8>>, String> {
        let year = |(year, months): (&String, &Vec<u8>)| match year.parse() {
            Ok(year) => Ok((year, months.clone())),
            Err(_) => Err(format!("invoices.bikram_sambat.{year} is not a year")),
        };
        self.bikram_sambat.iter().map(year).collect()
    }
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

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "***" })
    }
}

/// The address in effect, without a slash at the end.
fn address<'a>(set: &'a str, live: bool, sandbox: &'a str, real: &'a str) -> &'a str {
    match (set.trim_end_matches('/'), live) {
        ("", true) => real,
        ("", false) => sandbox,
        (set, _) => set,
    }
}
