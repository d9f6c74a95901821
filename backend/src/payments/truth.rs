//! What a provider's answer means: paid is paid only if amount, currency, our reference and our
//! merchant account are the ones that we asked for (L10), and the payer does not have it back.

use entities::money::Paisa;
use entities::payment_attempt::{self, PaymentAttemptState};

use crate::payments::machine::Truth;
use crate::payments::provider::{
    GivenBack, PaymentProvider, PlacedOrder, ProviderError, ProviderPayment, ProviderStatus,
};

/// What we asked for, word by word as the provider must have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// How much.
    pub amount: Paisa,
    /// ISO 4217.
    pub currency: &'a str,
    /// Our name for the order.
    pub our_reference: &'a str,
    /// Our account there.
    pub merchant: &'a str,
}

impl Asked<'_> {
    /// Reads a line of the provider's book.
    pub fn truth_of(&self, payment: &ProviderPayment) -> Truth {
        let theirs = Asked {
            amount: payment.amount,
            currency: &payment.currency,
            our_reference: &payment.our_reference,
            merchant: &payment.merchant,
        };
        match payment.status {
            ProviderStatus::Paid if theirs != *self => Truth::PaidOtherwise,
            ProviderStatus::Paid => match payment.given_back {
                GivenBack::Nothing => Truth::Paid,
                GivenBack::Part(part) if part >= self.amount => Truth::GivenBack,
                GivenBack::Part(part) => Truth::PartlyGivenBack(Some(part)),
                GivenBack::UnknownPart => Truth::PartlyGivenBack(None),
                GivenBack::Everything => Truth::GivenBack,
            },
            // A word that nobody has taught us decides nothing.
            ProviderStatus::Pending | ProviderStatus::Other(_) => Truth::Pending,
            ProviderStatus::Failed => Truth::Failed,
            ProviderStatus::Expired => Truth::Expired,
            ProviderStatus::Cancelled => Truth::Cancelled,
        }
    }
}

/// Asks the provider about an attempt. A failure to answer says nothing about the money.
pub(crate) async fn ask(
    provider: &dyn PaymentProvider,
    attempt: &payment_attempt::Model,
    currency: &str,
) -> (Truth, Option<ProviderPayment>) {
    // Without the provider's reference no page was ever shown to anyone.
    if attempt.provider_reference.is_none() {
        return (Truth::NotFound, None);
    }
    let order = placed(attempt);
    match provider.lookup(&order).await {
        Ok(payment) => {
            if let ProviderStatus::Other(word) = &payment.status {
                tracing::warn!(attempt = %attempt.id, provider = provider.name(), word, "unknown payment status");
            }
            let asked = Asked {
                amount: attempt.amount_paisa,
                currency,
                our_reference: &order.our_reference,
                merchant: provider.merchant(),
            };
            let truth = match (attempt.state, asked.truth_of(&payment)) {
                // It was paid before we asked: eSewa calls an order that it reverses CANCELED.
                (PaymentAttemptState::Succeeded, Truth::Cancelled) => Truth::GivenBack,
                (_, truth) => truth,
            };
            (truth, Some(payment))
        }
        Err(ProviderError::NotFound) => (Truth::NotFound, None),
        Err(error @ (ProviderError::Refused { .. } | ProviderError::Unavailable(_))) => {
            tracing::warn!(attempt = %attempt.id, provider = provider.name(), %error, "payment lookup failed");
            (Truth::Unreachable, None)
        }
    }
}

/// How the provider finds the attempt's order.
pub(crate) fn placed(attempt: &payment_attempt::Model) -> PlacedOrder {
    PlacedOrder {
        provider_reference: attempt.provider_reference.clone().unwrap_or_default(),
        our_reference: attempt.id.to_string(),
        amount: attempt.amount_paisa,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> =
        Asked { amount: Paisa(50_000), currency: "NPR", our_reference: "attempt-1", merchant: "Chautari" };

    fn line(status: ProviderStatus) -> ProviderPayment {
        ProviderPayment {
            status,
            amount: ASKED.amount,
            currency: ASKED.currency.to_owned(),
            our_reference: ASKED.our_reference.to_owned(),
            merchant: ASKED.merchant.to_owned(),
            transaction_id: None,
            given_back: GivenBack::Nothing,
            fee: None,
            raw: serde_json::Value::Null,
        }
    }

    #[test]
    fn paid_is_paid_only_if_everything_is_as_we_asked() {
        let paid = line(ProviderStatus::Paid);
        for (payment, truth) in [
            (paid.clone(), Truth::Paid),
            (ProviderPayment { amount: Paisa(49_999), ..paid.clone() }, Truth::PaidOtherwise),
            (ProviderPayment { amount: Paisa(50_001), ..paid.clone() }, Truth::PaidOtherwise),
            (ProviderPayment { currency: "INR".into(), ..paid.clone() }, Truth::PaidOtherwise),
            (ProviderPayment { our_reference: "attempt-2".into(), ..paid.clone() }, Truth::PaidOtherwise),
            (ProviderPayment { merchant: "Somebody".into(), ..paid.clone() }, Truth::PaidOtherwise),
            (ProviderPayment { given_back: GivenBack::Everything, ..paid.clone() }, Truth::GivenBack),
            (ProviderPayment { given_back: GivenBack::Part(ASKED.amount), ..paid.clone() }, Truth::GivenBack),
            (
                ProviderPayment { given_back: GivenBack::Part(Paisa(1)), ..paid.clone() },
                Truth::PartlyGivenBack(Some(Paisa(1))),
            ),
            (
                ProviderPayment { given_back: GivenBack::UnknownPart, ..paid.clone() },
                Truth::PartlyGivenBack(None),
            ),
            (
                ProviderPayment { given_back: GivenBack::Everything, amount: Paisa(1), ..paid },
                Truth::PaidOtherwise,
            ),
            (line(ProviderStatus::Pending), Truth::Pending),
            (line(ProviderStatus::Failed), Truth::Failed),
            (line(ProviderStatus::Expired), Truth::Expired),
            (line(ProviderStatus::Cancelled), Truth::Cancelled),
            (line(ProviderStatus::Other("Partially refunded".into())), Truth::Pending),
        ] {
            assert_eq!(ASKED.truth_of(&payment), truth, "{payment:?}");
        }
    }
}
