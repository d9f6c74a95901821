//! Stripe's objects, as far as we read them, and what they mean.
//!
//! What is kept of an answer is made from these types alone, so nothing else can slip into our
//! books: no client secret, no name, no card.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::money::Paisa;
use crate::payments::outside::{Answer, unavailable};
use crate::payments::provider::{
    GivenBack, PlacedOrder, ProviderError, ProviderPayment, ProviderStatus, RefundAnswer, RefundOutcome,
};

/// "Stripe, Checkout Session", with the intent, its last charge and that one's fee expanded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Session {
    pub(super) id: String,
    status: Option<String>,
    payment_status: String,
    amount_total: Option<i64>,
    currency: Option<String>,
    client_reference_id: Option<String>,
    livemode: bool,
    pub(super) expires_at: i64,
    /// Where the payer goes; none once it is not open any more.
    #[serde(skip_serializing)]
    pub(super) url: Option<String>,
    #[serde(default)]
    payment_intent: Option<Expanded<Intent>>,
}

/// A field that holds an id, or the object if we asked for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Expanded<T> {
    Object(Box<T>),
    Id(String),
}

impl<T> Expanded<T> {
    fn object(&self) -> Option<&T> {
        match self {
            Self::Object(object) => Some(object),
            Self::Id(_) => None,
        }
    }
}

/// "Stripe, PaymentIntent".
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Intent {
    id: String,
    status: String,
    #[serde(default)]
    amount_received: i64,
    currency: String,
    #[serde(default)]
    latest_charge: Option<Expanded<Charge>>,
}

/// The movement of money itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Charge {
    id: String,
    #[serde(default)]
    amount_refunded: i64,
    #[serde(default)]
    disputed: bool,
    #[serde(default)]
    balance_transaction: Option<Expanded<BalanceTransaction>>,
}

/// What Stripe keeps of it, in the account's own currency.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct BalanceTransaction {
    fee: i64,
    currency: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
}

/// "Stripe, disputes".
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Dispute {
    id: String,
    status: String,
    amount: i64,
}

impl Dispute {
    /// What the payer's bank has taken from us meanwhile. Inquiries take nothing, a won dispute gave it back.
    fn withdrawn(&self) -> i64 {
        match self.status.as_str() {
            "won" | "prevented" => 0,
            inquiry if inquiry.starts_with("warning_") => 0,
            _ => self.amount,
        }
    }
}

/// "Stripe, refunds".
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Refund {
    id: String,
    status: Option<String>,
    amount: i64,
    #[serde(default)]
    failure_reason: Option<String>,
    #[serde(default, skip_serializing)]
    pub(super) metadata: std::collections::BTreeMap<String, String>,
}

impl Session {
    /// The name of the payment, once there is one.
    pub(super) fn intent_id(&self) -> Option<&str> {
        self.payment_intent.as_ref().map(|intent| match intent {
            Expanded::Object(intent) => intent.id.as_str(),
            Expanded::Id(id) => id,
        })
    }

    /// Whether a payer's bank wants the money back, or wanted it once.
    pub(super) fn is_disputed(&self) -> bool {
        self.charge().is_some_and(|charge| charge.disputed)
    }

    /// The session as a line of a provider's book. `merchant` is ours in the mode that the session was made in.
    pub(super) fn payment(
        &self,
        asked: &PlacedOrder,
        disputes: &[Dispute],
        merchant: impl FnOnce(bool) -> &'static str,
    ) -> ProviderPayment {
        let status = self.provider_status();
        let total = self.amount_total.unwrap_or_default();
        let intent = self.payment_intent.as_ref().and_then(Expanded::object);
        let currency = self.currency.clone().unwrap_or_default();
        // Both must say the same; if they do not, what arrived is not what was asked for.
        let (amount, currency) = match intent {
            Some(intent) if status == ProviderStatus::Paid => {
                let amount = if total == asked.amount.0 { intent.amount_received } else { total };
                let both = format!("{currency} and {}", intent.currency);
                (amount, if intent.currency == currency { currency } else { both })
            }
            Some(_) | None => (total, currency),
        };
        let ours = self.client_reference_id.clone().unwrap_or_default();
        ProviderPayment {
            given_back: self.given_back(disputes),
            fee: self.fee(&currency),
            status,
            amount: Paisa(amount),
            currency: currency.to_ascii_uppercase(),
            our_reference: if self.id == asked.provider_reference {
                ours
            } else {
                format!("the order of {}", self.id)
            },
            merchant: merchant(self.livemode).to_owned(),
            transaction_id: self.intent_id().map(str::to_owned),
            raw: serde_json::json!({ "session": self, "disputes": disputes }),
        }
    }

    /// "Stripe, fulfilment": paid is what `payment_status` says, not that the page was completed.
    fn provider_status(&self) -> ProviderStatus {
        let intent = self.payment_intent.as_ref().and_then(Expanded::object);
        match (self.payment_status.as_str(), self.status.as_deref()) {
            ("paid", _) => ProviderStatus::Paid,
            ("unpaid", Some("open")) => ProviderStatus::Pending,
            ("unpaid", Some("expired")) => ProviderStatus::Expired,
            // The page is done and the money comes later, or does not come at all.
            ("unpaid", Some("complete")) => match intent.map(|intent| intent.status.as_str()) {
                Some("requires_payment_method" | "canceled") => ProviderStatus::Failed,
                Some(_) | None => ProviderStatus::Pending,
            },
            (payment_status, status) => ProviderStatus::Other(format!(
                "{payment_status}, session {}",
                status.unwrap_or("without status")
            )),
        }
    }

    fn charge(&self) -> Option<&Charge> {
        self.payment_intent.as_ref()?.object()?.latest_charge.as_ref()?.object()
    }

    fn given_back(&self, disputes: &[Dispute]) -> GivenBack {
        let refunded = self.charge().map_or(0, |charge| charge.amount_refunded);
        let gone = disputes.iter().map(Dispute::withdrawn).fold(refunded, i64::saturating_add);
        match self.amount_total {
            _ if gone <= 0 => GivenBack::Nothing,
            Some(total) if gone < total => GivenBack::Part(Paisa(gone)),
            Some(_) | None => GivenBack::Everything,
        }
    }

    /// Only a fee in the payment's own currency can be booked against it.
    fn fee(&self, currency: &str) -> Option<Paisa> {
        let kept = self.charge()?.balance_transaction.as_ref()?.object()?;
        (kept.currency == currency).then_some(Paisa(kept.fee))
    }
}

impl Refund {
    /// What became of it.
    pub(super) fn answer(&self) -> Result<RefundAnswer, ProviderError> {
        let outcome = match self.status.as_deref() {
            Some("succeeded") => RefundOutcome::Succeeded,
            Some("pending" | "requires_action") => RefundOutcome::Pending,
            Some("failed" | "canceled") => {
                let why = self.failure_reason.as_deref().unwrap_or("no reason given");
                return Err(ProviderError::Refused {
                    reason: format!("the refund {} failed: {why}", self.id),
                });
            }
            // A word that nobody has taught us decides nothing.
            Some(_) | None => RefundOutcome::Pending,
        };
        Ok(RefundAnswer {
            outcome,
            provider_reference: Some(self.id.clone()),
            raw: serde_json::to_value(self).unwrap_or_default(),
        })
    }
}

/// "Stripe, errors". Only these words are told on: the rest of the object may hold a client secret.
#[derive(Debug, Deserialize)]
struct Failure {
    error: FailureWords,
}

#[derive(Debug, Deserialize)]
struct FailureWords {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// A no, told apart from what says nothing about the order.
pub(super) fn refused(answer: &Answer) -> ProviderError {
    let Ok(failure) = answer.read::<Failure>() else {
        return unavailable(format!("it answered {} in another form", answer.status));
    };
    let error = failure.error;
    let words =
        [Some(error.kind.as_str()), error.code.as_deref(), error.param.as_deref(), error.message.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    let reason: String =
        format!("{}: {}", answer.status.as_u16(), words.join(", ")).chars().take(300).collect();
    match answer.status {
        StatusCode::NOT_FOUND => ProviderError::NotFound,
        // The same key is still at work there, or another part of Stripe failed: the order may exist.
        StatusCode::CONFLICT | StatusCode::FAILED_DEPENDENCY => unavailable(reason),
        _ => ProviderError::Refused { reason },
    }
}
