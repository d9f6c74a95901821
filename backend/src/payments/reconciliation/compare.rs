//! How two books agree on one payment. Pure.

use entities::money::Paisa;
use entities::payment_attempt::PaymentAttemptState as AttemptState;
use entities::reconciliation_line::ReconciliationClass as Class;

use crate::payments::machine::Truth;
use crate::payments::provider::{GivenBack, ProviderPayment};

/// What our book says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Where the attempt stands.
    pub state: AttemptState,
    /// What was asked for.
    pub amount: Paisa,
    /// Another attempt of the same intent was paid before this one.
    pub is_second: bool,
    /// What we gave back, or are giving back, through the provider.
    pub given_back: Paisa,
}

/// How the books agree. `theirs` is the amount in the provider's book, if it knows the order.
pub fn class(ours: Ours, truth: Truth, theirs: Option<Paisa>) -> Class {
    use AttemptState as A;
    match (ours.state, truth) {
        (_, Truth::Unreachable) => Class::Unanswered,
        (A::Succeeded | A::Mismatch, Truth::NotFound) => Class::MissingAtProvider,
        (_, Truth::PaidOtherwise) if theirs != Some(ours.amount) => Class::AmountDiffers,
        (_, Truth::PaidOtherwise) => Class::StatusDiffers,

        (A::Succeeded, Truth::GivenBack | Truth::PartlyGivenBack(_)) if !is_explained(ours, truth) => {
            Class::UnexpectedRefund
        }
        (A::Succeeded, Truth::GivenBack | Truth::PartlyGivenBack(_)) => Class::Matched,
        (A::Succeeded, Truth::Paid) if ours.is_second => Class::DuplicatePayment,
        (A::Succeeded, Truth::Paid) => Class::Matched,
        (A::Succeeded, Truth::Pending | Truth::Failed | Truth::Expired | Truth::Cancelled) => {
            Class::StatusDiffers
        }
        (A::GivenBack, Truth::GivenBack) => Class::Matched,
        (A::Mismatch | A::GivenBack, _) => Class::StatusDiffers,

        // We think that nothing was paid.
        (_, Truth::Paid) if ours.is_second => Class::DuplicatePayment,
        (_, Truth::Paid | Truth::PartlyGivenBack(_)) => Class::MissingAtUs,
        (
            _,
            Truth::GivenBack
            | Truth::NotFound
            | Truth::Pending
            | Truth::Failed
            | Truth::Expired
            | Truth::Cancelled,
        ) => Class::Matched,
    }
}

/// What the provider says that it gave back; all of it where it does not say how much.
pub fn given_back(payment: &ProviderPayment) -> Paisa {
    match payment.given_back {
        GivenBack::Nothing => Paisa(0),
        GivenBack::Part(part) => part,
        GivenBack::UnknownPart | GivenBack::Everything => payment.amount,
    }
}

/// Whether a refund of ours is as large as what the provider gave back.
fn is_explained(ours: Ours, truth: Truth) -> bool {
    match truth.given_back(ours.amount) {
        Some(given_back) => given_back <= ours.given_back,
        None => ours.given_back.is_positive(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_books_has_its_class() {
        let ours = |state| Ours { state, amount: Paisa(500), is_second: false, given_back: Paisa(0) };
        let good = ours(AttemptState::Succeeded);
        let expired = ours(AttemptState::Expired);
        let mismatch = ours(AttemptState::Mismatch);
        let reversed = ours(AttemptState::GivenBack);
        let gave = |paisa| Ours { given_back: Paisa(paisa), ..good };
        let part = |paisa| Truth::PartlyGivenBack(Some(Paisa(paisa)));
        for (ours, truth, theirs, expected) in [
            (good, Truth::Paid, 500, Class::Matched),
            (good, Truth::NotFound, 0, Class::MissingAtProvider),
            (good, Truth::Unreachable, 0, Class::Unanswered),
            (good, Truth::PaidOtherwise, 499, Class::AmountDiffers),
            (good, Truth::PaidOtherwise, 500, Class::StatusDiffers),
            (good, Truth::Pending, 500, Class::StatusDiffers),
            (good, Truth::GivenBack, 500, Class::UnexpectedRefund),
            (good, part(1), 500, Class::UnexpectedRefund),
            (good, Truth::PartlyGivenBack(None), 500, Class::UnexpectedRefund),
            (gave(500), Truth::GivenBack, 500, Class::Matched),
            (gave(499), Truth::GivenBack, 500, Class::UnexpectedRefund),
            (gave(200), part(200), 500, Class::Matched),
            (gave(200), Truth::PartlyGivenBack(None), 500, Class::Matched),
            (gave(500), Truth::Paid, 500, Class::Matched),
            (Ours { is_second: true, ..good }, Truth::Paid, 500, Class::DuplicatePayment),
            (Ours { is_second: true, ..expired }, Truth::Paid, 500, Class::DuplicatePayment),
            (expired, Truth::Paid, 500, Class::MissingAtUs),
            (expired, part(1), 500, Class::MissingAtUs),
            (expired, Truth::GivenBack, 500, Class::Matched),
            (expired, Truth::PaidOtherwise, 499, Class::AmountDiffers),
            (expired, Truth::Pending, 500, Class::Matched),
            (expired, Truth::NotFound, 0, Class::Matched),
            (expired, Truth::Unreachable, 0, Class::Unanswered),
            (mismatch, Truth::PaidOtherwise, 499, Class::AmountDiffers),
            (mismatch, Truth::Paid, 500, Class::StatusDiffers),
            (mismatch, Truth::NotFound, 0, Class::MissingAtProvider),
            (reversed, Truth::GivenBack, 500, Class::Matched),
            (reversed, Truth::Paid, 500, Class::StatusDiffers),
        ] {
            assert_eq!(class(ours, truth, Some(Paisa(theirs))), expected, "{ours:?} {truth:?} {theirs}");
        }
    }
}
