//! Money on the API: `{"amount":"150.00","currency":"NPR"}`. Inside it is always [`Paisa`].

use crate::error::Problem;
pub use entities::money::Paisa;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// An amount of Nepalese rupees as the API shows and takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Rupees with two decimals.
    #[schema(value_type = String, example = "150.00", pattern = r"^-?\d{1,13}\.\d{2}$")]
    pub amount: Amount,
    /// Always NPR.
    pub currency: Currency,
}

/// The only currency of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Currency {
    /// Nepalese rupee.
    #[serde(rename = "NPR")]
    Npr,
}

/// Paisa whose text form is rupees with two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Paisa);

impl From<Paisa> for Money {
    fn from(paisa: Paisa) -> Self {
        Self { amount: Amount(paisa), currency: Currency::Npr }
    }
}

impl From<Money> for Paisa {
    fn from(money: Money) -> Self {
        money.amount.0
    }
}

impl Money {
    /// The amount, if it is more than nothing.
    pub fn positive(self, pointer: &str) -> Result<Paisa, Problem> {
        if self.amount.0.is_positive() {
            Ok(self.amount.0)
        } else {
            Err(Problem::invalid(pointer, "must be more than 0.00"))
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Paisa::parse(&text).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_text_with_its_currency() {
        let json = serde_json::json!({ "amount": "150.00", "currency": "NPR" });
        let money = Money::from(Paisa(15_000));
        assert_eq!(serde_json::to_value(money).unwrap(), json);
        assert_eq!(serde_json::from_value::<Money>(json).unwrap(), money);
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for json in [
            serde_json::json!({ "amount": 150, "currency": "NPR" }),
            serde_json::json!({ "amount": "1.005", "currency": "NPR" }),
            serde_json::json!({ "amount": "1.00", "currency": "USD" }),
            serde_json::json!({ "amount": "1.00" }),
        ] {
            assert!(serde_json::from_value::<Money>(json.clone()).is_err(), "{json}");
        }
    }
}
