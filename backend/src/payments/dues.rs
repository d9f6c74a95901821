//! What follows a rental's charge: what was open is paid, exactly and once; what was charged for a lost bank is
//! turned round when the bank is back.

use chrono::{DateTime, Utc};
use entities::id::{RentalId, UserId};
use entities::money::Paisa;
use entities::transaction::TransactionType;

use crate::db::Tx;
use crate::payments::book::{self, PostError, Posted, Receipt, Refusal};
use crate::payments::holds;
use crate::payments::ledger::{Bill, Entry, Recharge, Recharged};
use crate::payments::split::{Split, points_for};
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

/// Puts the true bill in the place of the charge for a lost bank, once. What was paid beyond it goes back: money to
/// the wallet, and only what exceeds the money as points. What is missing comes from the wallet; the rest is due.
pub async fn recharge(tx: &Tx, now: DateTime<Utc>, change: &Recharge<'_>) -> Result<Recharged, PostError> {
    let total = change.after.total()?;
    let wallet = if total > change.paid { book::lock_wallet(tx, change.user).await? } else { Paisa::ZERO };
    let (entry, recharged) = Entry::lost_bank_found(change, wallet)?;
    let Some(entry) = entry else { return Ok(recharged) };
    let receipt = |transaction_type, amount: Paisa, payment_method_type| Receipt {
        transaction_type,
        amount,
        payment_method_type,
        payment_method_id: None,
        gateway_reference: None,
        related_rental: Some(change.rental),
        gateway_response: serde_json::json!({}),
    };
    let back = Paisa(recharged.back_to_wallet.0 + recharged.back_as_points.0);
    let receipt = if back.is_positive() {
        let means = holds::paid_by(recharged.back_to_wallet, recharged.back_as_points);
        Some(receipt(TransactionType::Refund, back, means))
    } else {
        let taken = recharged.from_wallet;
        let means = holds::paid_by(taken, Paisa::ZERO);
        taken.is_positive().then(|| receipt(TransactionType::Fine, taken, means))
    };
    book::post(tx, now, &entry, receipt).await?;
    let key = format!("{}:found", change.rental);
    let points = points_for(recharged.back_as_points);
    points::give_back(tx, now, change.user, points, change.rental, &key).await?;
    Ok(recharged)
}
