//! How money comes in: one section for each provider.

use super::{Secret, address};
use crate::limits::STRIPE_WEBHOOK_SECRET_MIN;
use serde::Deserialize;

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
