//! What an operator may set, and the secrets that the program made for itself.

use crate::limits::STRIPE_WEBHOOK_SECRET_MIN;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// The backend's part of the configuration: `[database] [backend] [sms] [mail] [push] [payments] [invoices]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the books are.
    pub database: DatabaseSettings,
    /// How it listens and whom it knows.
    pub backend: BackendSettings,
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

/// `[sms]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsSettings {
    /// Who carries one-time codes; without one, signing in by number is refused.
    pub provider: Option<SmsProvider>,
    /// Who is asked when that one does not take a text.
    pub fallback: Option<SmsProvider>,
    /// How long a call to one of them may take, milliseconds.
    pub timeout_ms: u64,
    /// Sparrow SMS.
    pub sparrow: SparrowSettings,
    /// Aakash SMS.
    pub aakash: AakashSettings,
    /// Codes that may be sent to numbers in a day (UTC), whoever asks; 0 sets no limit. Each costs money.
    pub codes_per_day: u32,
}

impl Default for SmsSettings {
    fn default() -> Self {
        Self {
            provider: None,
            fallback: None,
            timeout_ms: 8_000,
            sparrow: SparrowSettings::default(),
            aakash: AakashSettings::default(),
            codes_per_day: 20_000,
        }
    }
}

impl SmsSettings {
    /// What is missing, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        for provider in self.provider.iter().chain(&self.fallback) {
            let missing = match provider {
                SmsProvider::Console => None,
                SmsProvider::Sparrow if self.sparrow.token.is_empty() => Some("sms.sparrow.token"),
                SmsProvider::Sparrow if self.sparrow.from.is_empty() => Some("sms.sparrow.from"),
                SmsProvider::Aakash if self.aakash.auth_token.is_empty() => Some("sms.aakash.auth_token"),
                SmsProvider::Sparrow | SmsProvider::Aakash => None,
            };
            if let Some(key) = missing {
                return Err(format!("{key} is missing: the carrier's contract names it"));
            }
        }
        match (self.provider, self.fallback) {
            (None, Some(_)) => Err("sms.fallback needs sms.provider before it".to_owned()),
            (Some(first), Some(second)) if first == second => {
                Err("sms.fallback is the same carrier as sms.provider".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// `[sms.sparrow]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparrowSettings {
    /// The token of the account.
    pub token: Secret,
    /// The sender's identity that the contract names.
    pub from: String,
    /// Where its API is; empty for Sparrow's own address.
    pub base_url: String,
}

/// `[sms.aakash]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AakashSettings {
    /// The token of the account.
    pub auth_token: Secret,
    /// Where its API is; empty for Aakash's own address.
    pub base_url: String,
}

/// Who carries one-time codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsProvider {
    /// Nobody: the console page and the log show them. For demonstrations and development.
    Console,
    /// Sparrow SMS.
    Sparrow,
    /// Aakash SMS.
    Aakash,
}

/// `[mail]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// Who carries mail; without one, signing in by e-mail address is refused.
    pub provider: Option<MailProvider>,
    /// The server, as in `smtps://user:password@host`, or `smtp://…?tls=required` for STARTTLS.
    pub url: Secret,
    /// From whom mail comes, as in `Chautari <help@chautari.example>`.
    pub from: String,
    /// How long handing over one mail may take, milliseconds.
    pub timeout_ms: u64,
    /// Codes that may be sent to addresses in a day (UTC), whoever asks; 0 sets no limit.
    pub codes_per_day: u32,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            provider: None,
            url: Secret::default(),
            from: String::new(),
            timeout_ms: 15_000,
            codes_per_day: 20_000,
        }
    }
}

/// Who carries mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailProvider {
    /// Nobody: the console page and the log show it. For demonstrations and development.
    Console,
    /// A mail server.
    Smtp,
}

/// `[push]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushSettings {
    /// The JSON of a service account that may send messages of a Firebase project; without it none are sent.
    pub service_account: Secret,
    /// Where Firebase is; empty for its own address.
    pub base_url: String,
    /// How long a call may take, milliseconds.
    pub timeout_ms: u64,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self { service_account: Secret::default(), base_url: String::new(), timeout_ms: 15_000 }
    }
}

/// `[media]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSettings {
    /// Where riders' and staff's pictures are kept; without it uploads are refused.
    pub directory: String,
    /// Keeps them at Cloudinary instead, once it is set.
    pub cloudinary: CloudinarySettings,
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

/// `[payments]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentsSettings {
    /// Offers the built-in sandbox provider, through which no real money moves.
    pub sandbox: bool,
    /// How long a call to a provider may take, milliseconds.
    pub timeout_ms: u64,
    /// Khalti.
    pub khalti: KhaltiSettings,
    /// eSewa.
    pub esewa: EsewaSettings,
    /// Stripe.
    pub stripe: StripeSettings,
}

impl Default for PaymentsSettings {
    fn default() -> Self {
        Self {
            sandbox: false,
            timeout_ms: 15_000,
            khalti: KhaltiSettings::default(),
            esewa: EsewaSettings::default(),
            stripe: StripeSettings::default(),
        }
    }
}

impl PaymentsSettings {
    /// What is missing or contradicts itself, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        self.khalti.check()?;
        self.esewa.check()?;
        self.stripe.check()?;
        self.keeps_play_money_out()
    }

    /// A wallet does not know where its rupees came from: play money beside real money could be
    /// spent, and asked back as real.
    fn keeps_play_money_out(&self) -> Result<(), String> {
        let offered = [
            ("payments.khalti", self.khalti.is_set(), self.khalti.live),
            ("payments.esewa", self.esewa.is_set(), self.esewa.live),
            ("payments.stripe", self.stripe.is_set(), self.stripe.live),
            ("payments.sandbox", self.sandbox, false),
        ];
        let real = offered.iter().find(|(_, is_set, live)| *is_set && *live);
        let play = offered.iter().find(|(_, is_set, live)| *is_set && !*live);
        match (real, play) {
            (Some((real, ..)), Some((play, ..))) => {
                Err(format!("{play} takes play money beside {real}, which is live; switch one of them off"))
            }
            (_, _) => Ok(()),
        }
    }
}

/// `[payments.khalti]`: offered once it has a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KhaltiSettings {
    /// Real money moves.
    pub live: bool,
    /// The `live_secret_key` of the merchant's dashboard.
    pub secret_key: Secret,
    /// Where its API is; empty for Khalti's own address.
    pub base_url: String,
}

impl KhaltiSettings {
    const SANDBOX: &str = "https://dev.khalti.com";
    const LIVE: &str = "https://khalti.com";

    /// Whether riders can be sent there.
    pub fn is_set(&self) -> bool {
        !self.secret_key.is_empty()
    }

    /// Where its API is, without a slash at the end.
    pub fn base_url(&self) -> &str {
        address(&self.base_url, self.live, Self::SANDBOX, Self::LIVE)
    }

    fn check(&self) -> Result<(), String> {
        if !self.is_set() {
            return match self.live || !self.base_url.is_empty() {
                true => Err(missing("khalti", "secret_key", "copy it from the merchant's dashboard")),
                false => Ok(()),
            };
        }
        check_address("khalti.base_url", self.base_url(), self.live, Self::SANDBOX, Self::LIVE)
    }
}

/// `[payments.esewa]`: offered once it has a product code and a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EsewaSettings {
    /// Real money moves.
    pub live: bool,
    /// The merchant's code.
    pub product_code: String,
    /// The key of the signatures.
    pub secret_key: Secret,
    /// The key before it, with which signatures still hold during a rotation.
    pub previous_secret_key: Secret,
    /// Where the browser posts the form; empty for eSewa's own address.
    pub form_base_url: String,
    /// Where the status of a payment is asked; empty for eSewa's own address.
    pub status_base_url: String,
}

impl EsewaSettings {
    /// The product code that everybody may test with.
    pub const TEST_PRODUCT: &str = "EPAYTEST";
    const SANDBOX_FORM: &str = "https://rc-epay.esewa.com.np";
    const SANDBOX_STATUS: &str = "https://rc.esewa.com.np";
    const LIVE: &str = "https://epay.esewa.com.np";

    /// Whether riders can be sent there.
    pub fn is_set(&self) -> bool {
        !self.product_code.is_empty() && !self.secret_key.is_empty()
    }

    /// Where the browser posts the form, without a slash at the end.
    pub fn form_base_url(&self) -> &str {
        address(&self.form_base_url, self.live, Self::SANDBOX_FORM, Self::LIVE)
    }

    /// Where the status of a payment is asked, without a slash at the end.
    pub fn status_base_url(&self) -> &str {
        address(&self.status_base_url, self.live, Self::SANDBOX_STATUS, Self::LIVE)
    }

    fn check(&self) -> Result<(), String> {
        let untouched = *self == Self::default();
        match (self.product_code.is_empty(), self.secret_key.is_empty()) {
            (true, true) if untouched => return Ok(()),
            (true, _) => return Err(missing("esewa", "product_code", "eSewa gives it with the contract")),
            (false, true) => return Err(missing("esewa", "secret_key", "eSewa gives it with the contract")),
            (false, false) => {}
        }
        if self.live && self.product_code == Self::TEST_PRODUCT {
            return Err(format!(
                "payments.esewa.live = true with the test product {}, whose key is public: anybody could sign a \
                 payment; set your own payments.esewa.product_code",
                Self::TEST_PRODUCT
            ));
        }
        let (form, status) = (self.form_base_url(), self.status_base_url());
        check_address("esewa.form_base_url", form, self.live, Self::SANDBOX_FORM, Self::LIVE)?;
        check_address("esewa.status_base_url", status, self.live, Self::SANDBOX_STATUS, Self::LIVE)
    }
}

/// `[payments.stripe]`: offered once it has a key and the secret of its webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StripeSettings {
    /// Real money moves.
    pub live: bool,
    /// `sk_test_…` or `sk_live_…`, or a restricted key.
    pub secret_key: Secret,
    /// `whsec_…` of the webhook endpoint; several while they are rolled.
    pub webhook_secrets: Vec<Secret>,
    /// Where its API is; empty for Stripe's own address.
    pub base_url: String,
}

impl StripeSettings {
    const REAL: &str = "https://api.stripe.com";

    /// Whether riders can be sent there.
    pub fn is_set(&self) -> bool {
        !self.secret_key.is_empty() && !self.webhook_secrets.is_empty()
    }

    /// Where its API is, without a slash at the end. Play money and real money have the same address.
    pub fn base_url(&self) -> &str {
        address(&self.base_url, self.live, Self::REAL, Self::REAL)
    }

    fn check(&self) -> Result<(), String> {
        if *self == Self::default() {
            return Ok(());
        }
        if self.secret_key.is_empty() {
            return Err(missing(
                "stripe",
                "secret_key",
                "copy it from the developers' page of the dashboard",
            ));
        }
        if self.webhook_secrets.is_empty() {
            let how = "add the endpoint <public_url>/api/v1/payments/webhooks/stripe in the dashboard, copy its \
                       signing secret";
            return Err(missing("stripe", "webhook_secrets", how));
        }
        let key = self.secret_key.expose();
        let is_live = key.starts_with("sk_live_") || key.starts_with("rk_live_");
        let is_test = key.starts_with("sk_test_") || key.starts_with("rk_test_");
        if !is_live && !is_test {
            return Err("payments.stripe.secret_key must begin with sk_ or rk_ and the mode".to_owned());
        }
        if is_live != self.live {
            return Err(format!(
                "payments.stripe.secret_key is for {} money and live = {}",
                if is_live { "real" } else { "play" },
                self.live
            ));
        }
        // The prefix is a part of the secret; without it no signature would ever hold.
        let is_secret = |secret: &Secret| match secret.expose().strip_prefix("whsec_") {
            Some(rest) => rest.len() >= if self.live { STRIPE_WEBHOOK_SECRET_MIN } else { 1 },
            None => false,
        };
        if !self.webhook_secrets.iter().all(is_secret) {
            return Err(
                "payments.stripe.webhook_secrets: each begins with whsec_ and is copied whole".to_owned()
            );
        }
        match self.live && !self.base_url().starts_with("https://") {
            true => Err(format!(
                "payments.stripe.base_url = \"{}\" would send keys in clear text; use https://",
                self.base_url
            )),
            false => Ok(()),
        }
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

fn missing(provider: &str, key: &str, how: &str) -> String {
    let environment = format!("CHAUTARI__PAYMENTS__{}__{}", provider.to_uppercase(), key.to_uppercase());
    format!("payments.{provider}.{key} is missing: {how}, and set it here or as {environment}")
}

/// Play money stays at the sandbox, real money away from it and encrypted on its way.
fn check_address(key: &str, address: &str, live: bool, sandbox: &str, real: &str) -> Result<(), String> {
    match live {
        true if address == sandbox => Err(format!(
            "payments.{key} is the provider's sandbox, and live = true says that real money moves"
        )),
        true if !address.starts_with("https://") => {
            Err(format!("payments.{key} = \"{address}\" would send keys in clear text; use https://"))
        }
        false if address == real => {
            Err(format!("payments.{key} is where real money moves; say so with live = true"))
        }
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn play_money_and_real_money_are_never_taken_together() {
        let khalti =
            |live| KhaltiSettings { live, secret_key: Secret::new("key"), ..KhaltiSettings::default() };
        for (sandbox, live, is_fine) in
            [(false, false, true), (true, false, true), (false, true, true), (true, true, false)]
        {
            let settings = PaymentsSettings { sandbox, khalti: khalti(live), ..PaymentsSettings::default() };
            assert_eq!(settings.check().is_ok(), is_fine, "{settings:?}");
        }
    }

    #[test]
    fn a_webhook_secret_is_more_than_its_prefix() {
        for (live, secret, is_fine) in [
            (false, "whsec_", false),
            (false, "whsec_test", true),
            (true, "whsec_test", false),
            (true, "whsec_0123456789abcdef", true),
            (true, "0123456789abcdef", false),
        ] {
            let secret_key = Secret::new(if live { "sk_live_1" } else { "sk_test_1" });
            let webhook_secrets = vec![Secret::new(secret)];
            let stripe = StripeSettings { live, secret_key, webhook_secrets, ..StripeSettings::default() };
            assert_eq!(stripe.check().is_ok(), is_fine, "{secret}");
        }
    }
}
