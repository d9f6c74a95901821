//! What is open after a rental was charged, paid exactly and once.

use chrono::{DateTime, Utc};
use entities::id::{RentalId, UserId};
use entities::money::Paisa;
use entities::transaction::TransactionType;

use crate::db::Tx;
use crate::payments::book::{self, PostError, Posted, Receipt, Refusal};
use crate::payments::holds;
use crate::payments::ledger::{Bill, Entry};
use crate::payments::split::Split;
use crate::points;

/// Something open of a bill.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// Whose.
    pub user: UserId,
    /// Which rental; its row is locked by the caller.
    pub rental: RentalId,
    /// Its whole bill.
    pub bill: &'a Bill,
    /// What is paid of it already.
    pub paid_before: Paisa,
}

/// Pays what is open. The receipt says `rental_due`, or `fine` when nothing of the time agreed is
/// open any more: then only a late fee or a lost bank is paid.
///
/// Refuses with [`Refusal::InsufficientFunds`] or [`Refusal::InsufficientPoints`]; the transaction
/// is then as it was before.
pub async fn pay(tx: &Tx, now: DateTime<Utc>, due: Due<'_>, payment: &Split) -> Result<Posted, PostError> {
    let entry = Entry::rental_due(due.rental, due.user, payment, due.bill, due.paid_before)?;
    // The wallet before the points, as everywhere.
    if book::lock_wallet(tx, due.user).await? < payment.wallet {
        return Err(Refusal::InsufficientFunds.into());
    }
    let key = format!("{}:due", due.rental);
    if !points::spend(tx, now, due.user, payment.points, due.rental, &key).await? {
        return Err(Refusal::InsufficientPoints.into());
    }
    let is_fine = due.paid_before >= due.bill.rental;
    let receipt = Receipt {
        transaction_type: if is_fine { TransactionType::Fine } else { TransactionType::RentalDue },
        amount: payment.checked_total()?,
        payment_method_type: holds::paid_by(payment.wallet, payment.points_worth),
        payment_method_id: None,
        gateway_reference: None,
        related_rental: Some(due.rental),
        gateway_response: serde_json::json!({}),
    };
    book::post(tx, now, &entry, Some(receipt)).await
}
