//! Ways to bring money in, as staff see them: `admin/payment-methods`. Keys of providers are settings of the
//! operator and never in a row.

use crate::auth::Permission;
use crate::cache::Section;
use crate::limits;
use crate::money::Money;
use crate::resource::{Checks, Resource, columns};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The providers that the program can speak to.
const GATEWAYS: [&str; 4] = ["khalti", "esewa", "stripe", "sandbox"];
/// Words in names of what must not be in a row.
const SECRET_WORDS: [&str; 5] = ["secret", "password", "token", "key", "credential"];

/// A way to bring money in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentMethodFields {
    /// What riders call it.
    #[schema(example = "Khalti")]
    name: String,
    /// The provider: `khalti`, `esewa`, `stripe` or `sandbox`.
    #[schema(example = "khalti")]
    gateway: String,
    /// Whether riders may choose it; it also needs the operator's keys.
    #[serde(default = "crate::resource::on")]
    is_active: bool,
    /// What the app needs to show: names and texts, never a secret.
    #[serde(default = "nothing")]
    #[schema(value_type = Object)]
    configuration: Value,
    /// The least that it takes.
    min_amount: Money,
    /// The most that it takes.
    max_amount: Money,
    /// ISO 4217 codes.
    #[schema(value_type = Vec<String>, example = json!(["NPR"]))]
    supported_currencies: Value,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

impl Resource for PaymentMethodFields {
    const NAME: &'static str = "payment_method";
    const PATH: &'static str = "/admin/payment-methods";
    const MAY_READ: Permission = Permission::SettingsRead;
    const MAY_CHANGE: Permission = Permission::SettingsChange;
    const STALE: &'static [Section] = &[];
    columns! {
        payment_method: name, gateway, is_active, configuration, min_amount = min_amount_paisa, max_amount = max_amount_paisa, supported_currencies;
        stamps: created_at, updated_at;
        off: is_active
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/name", &mut self.name, limits::NAME_MAX);
        let known = GATEWAYS.contains(&self.gateway.as_str());
        checks.require(known, "/gateway", || format!("must be one of {}", GATEWAYS.join(", ")));
        let (least, most) = (self.min_amount.amount.0, self.max_amount.amount.0);
        checks.require(least.is_positive(), "/min_amount/amount", || "must be more than 0.00".to_owned());
        checks.require(most >= least, "/max_amount/amount", || "must not be less than min_amount".to_owned());
        checks.require(are_currencies(&self.supported_currencies), "/supported_currencies", || {
            "must be a list of codes like NPR".to_owned()
        });
        checks.require(are_shown_texts(&self.configuration), "/configuration", || {
            "must be names and short texts, and no name may speak of a key or secret".to_owned()
        });
    }
}

fn are_currencies(value: &Value) -> bool {
    let is_code = |code: &Value| {
        code.as_str()
            .is_some_and(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
    };
    value.as_array().is_some_and(|codes| (1..=10).contains(&codes.len()) && codes.iter().all(is_code))
}

fn are_shown_texts(value: &Value) -> bool {
    let harmless = |(name, text): (&String, &Value)| {
        let name = name.to_ascii_lowercase();
        let short = text.as_str().is_some_and(|text| text.len() <= limits::LINK_MAX);
        short && !SECRET_WORDS.iter().any(|word| name.contains(word))
    };
    value.as_object().is_some_and(|fields| fields.len() <= 20 && fields.iter().all(harmless))
}
