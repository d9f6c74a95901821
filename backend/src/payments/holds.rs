//! Money set aside for a rental: held once, then captured or voided exactly once (L8, R3).
//!
//! For the domain of rentals. All three take the caller's transaction, are keyed by the rental,
//! and may be called again: the second call changes nothing and answers as the first did.
//! After a [`Refusal`] the transaction is as it was before.

use chrono::{DateTime, Utc};
use entities::hold::{self, HoldState};
use entities::id::{HoldId, RentalExtensionId, RentalId, UserId};
use entities::money::Paisa;
use entities::transaction::{PaymentMethodType, TransactionType};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::payments::book::{self, PostError, Receipt, Refusal};
use crate::payments::ledger::{Account, Bill, Captured, Entry, EntryKind};
use crate::payments::split::{Split, points_for};
use crate::points;

/// Sets `amount` aside for a rental whose row exists, from the wallet ([`Paisa`]) or also from
/// points ([`Split`]). Zero is allowed: a rental may be free.
///
/// Refuses with [`Refusal::InsufficientFunds`] or [`Refusal::InsufficientPoints`].
pub async fn hold(
    tx: &Tx,
    now: DateTime<Utc>,
    user_id: UserId,
    rental_id: RentalId,
    amount: impl Into<Split>,
) -> Result<HoldId, PostError> {
    let held = amount.into();
    let amount = held.checked_total()?;
    let id = HoldId(tx.new_uuid());
    let row = hold::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        rental_id: Set(rental_id),
        amount_paisa: Set(amount),
        points: Set(held.points),
        points_paisa: Set(held.points_worth),
        state: Set(HoldState::Held),
        captured_paisa: Set(Paisa(0)),
        created_at: Set(now),
        resolved_at: Set(None),
    };
    let inserted = hold::Entity::insert(row)
        .on_conflict(OnConflict::column(hold::Column::RentalId).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    if inserted == 0 {
        let there = existing(tx, rental_id).await?;
        let same = there.user_id == user_id && there.amount_paisa == amount && there.points == held.points;
        return if same { Ok(there.id) } else { Err(Refusal::SameKeyOtherAmount.into()) };
    }
    if amount.0 == 0 {
        return Ok(id);
    }
    let entry = Entry::rental_hold(rental_id, user_id, held)?;
    let taken = take(tx, now, user_id, rental_id, held, &entry).await;
    if let Err(PostError::Refused(_)) = taken {
        hold::Entity::delete_by_id(id).exec(tx).await?;
    }
    taken.map(|()| id)
}

/// Sets more aside for a rental whose hold is open and whose row the caller has locked: it goes on for longer.
///
/// Refuses as [`hold()`] does, and with [`Refusal::HoldResolvedOtherwise`] if the hold is not open any more.
pub async fn add(
    tx: &Tx,
    now: DateTime<Utc>,
    rental_id: RentalId,
    extension: RentalExtensionId,
    more: Split,
) -> Result<(), PostError> {
    // Only here: its `min` and `max` would hide those of numbers.
    use sea_orm::sea_query::ExprTrait;

    let amount = more.checked_total()?;
    let held = existing(tx, rental_id).await?;
    if held.state != HoldState::Held {
        return Err(Refusal::HoldResolvedOtherwise.into());
    }
    if amount.0 == 0 {
        return Ok(());
    }
    let entry = Entry::extension_hold(extension, held.user_id, more)?;
    take(tx, now, held.user_id, rental_id, more, &entry).await?;
    let grown = hold::Entity::update_many()
        .col_expr(hold::Column::AmountPaisa, Expr::col(hold::Column::AmountPaisa).add(amount.0))
        .col_expr(hold::Column::PointsPaisa, Expr::col(hold::Column::PointsPaisa).add(more.points_worth.0))
        .col_expr(hold::Column::Points, Expr::col(hold::Column::Points).add(more.points))
        .filter(hold::Column::Id.eq(held.id))
        .filter(hold::Column::State.eq(HoldState::Held))
        .exec(tx)
        .await
        .map_err(Error::from)?;
    if grown.rows_affected == 1 {
        Ok(())
    } else {
        Err(Error::internal(format!("hold {}: resolved under its rental's lock", held.id)).into())
    }
}

async fn take(
    tx: &Tx,
    now: DateTime<Utc>,
    user: UserId,
    rental: RentalId,
    held: Split,
    entry: &Entry,
) -> Result<(), PostError> {
    if held.points > 0 {
        // Everywhere the wallet is locked before the points: nobody waits in a circle.
        if book::lock_wallet(tx, user).await? < held.wallet {
            return Err(Refusal::InsufficientFunds.into());
        }
        if !points::spend(tx, now, user, held.points, rental, entry.business_key()).await? {
            return Err(Refusal::InsufficientPoints.into());
        }
    }
    book::post(tx, now, entry, None).await.map(drop)
}

/// The rental did not happen: money goes back to the wallet, and points to the points. `reason` is kept in the log.
///
/// Refuses with [`Refusal::HoldResolvedOtherwise`] when the rental was charged.
pub async fn void(tx: &Tx, now: DateTime<Utc>, rental_id: RentalId, reason: &str) -> Result<(), PostError> {
    let held = existing(tx, rental_id).await?;
    if !resolve(tx, now, rental_id, HoldState::Voided, Paisa(0)).await? {
        return match existing(tx, rental_id).await?.state {
            HoldState::Voided => Ok(()),
            HoldState::Held | HoldState::Captured => Err(Refusal::HoldResolvedOtherwise.into()),
        };
    }
    if held.amount_paisa.0 != 0 {
        let entry = Entry::hold_void(rental_id, held.user_id, split(&held))?;
        book::post(tx, now, &entry, None).await.map_err(must_not_be_refused)?;
        give_points_back(tx, now, &held, held.points).await?;
    }
    tracing::info!(rental = %rental_id, amount_paisa = held.amount_paisa.0, reason, "hold released");
    Ok(())
}

/// Charges the bill: from the hold, then from the wallet as far as it goes; the rest is due.
/// The hold's points are used up first. What it has left goes back: money to the wallet, and
/// points as points, a begun point whole.
///
/// A hold that was voided stays so (R3): a bank that turns out to be gone after all is paid from
/// the wallet alone.
pub async fn capture(
    tx: &Tx,
    now: DateTime<Utc>,
    rental_id: RentalId,
    bill: &Bill,
) -> Result<Captured, PostError> {
    let total = bill.total()?;
    let hold = existing(tx, rental_id).await?;
    let from_hold = Paisa(total.0.min(hold.amount_paisa.0));
    let resolved = resolve(tx, now, rental_id, HoldState::Captured, from_hold).await?;
    let held = if resolved { split(&hold) } else { Split::default() };
    let amount = held.checked_total()?;
    let wallet = if total > amount { book::lock_wallet(tx, hold.user_id).await? } else { Paisa(0) };
    if amount.0 == 0
        && let Some(before) = captured_before(tx, &existing(tx, rental_id).await?, total).await?
    {
        return Ok(before);
    }
    let (entry, met) = Entry::rental_capture(rental_id, hold.user_id, held, wallet, bill)?;
    let receipt = (met.paid().0 > 0).then(|| Receipt {
        transaction_type: TransactionType::Rental,
        amount: met.paid(),
        payment_method_type: paid_by(Paisa(met.paid().0 - met.captured_points.0), met.captured_points),
        payment_method_id: None,
        gateway_reference: None,
        related_rental: Some(rental_id),
        gateway_response: serde_json::json!({}),
    });
    if let Some(entry) = entry {
        book::post(tx, now, &entry, receipt).await.map_err(must_not_be_refused)?;
        // Points that were taken in several parts may each have had a last one that was not needed whole.
        let all_back = met.released_points == hold.points_paisa;
        let points = if all_back { hold.points } else { points_for(met.released_points) };
        give_points_back(tx, now, &hold, points).await?;
    }
    Ok(met)
}

/// What a receipt says of money and points.
pub(crate) fn paid_by(money: Paisa, points_worth: Paisa) -> PaymentMethodType {
    match (money.is_positive(), points_worth.is_positive()) {
        (true, true) => PaymentMethodType::Combination,
        (false, true) => PaymentMethodType::Points,
        (true | false, false) => PaymentMethodType::Wallet,
    }
}

fn split(hold: &hold::Model) -> Split {
    let wallet = Paisa(hold.amount_paisa.0 - hold.points_paisa.0);
    Split { wallet, points: hold.points, points_worth: hold.points_paisa }
}

async fn give_points_back(tx: &Tx, now: DateTime<Utc>, hold: &hold::Model, points: i32) -> Result<()> {
    let key = format!("{}:released", hold.rental_id);
    points::give_back(tx, now, hold.user_id, points, hold.rental_id, &key).await
}

/// What was held is there and the wallet is locked: a refusal means that the books are wrong.
fn must_not_be_refused(error: PostError) -> PostError {
    match error {
        PostError::Refused(refusal) => {
            Error::internal(format!("a hold could not be resolved: {refusal:?}")).into()
        }
        PostError::Failed(error) => error.into(),
    }
}

async fn find(db: &impl ConnectionTrait, rental_id: RentalId) -> Result<Option<hold::Model>> {
    Ok(hold::Entity::find().filter(hold::Column::RentalId.eq(rental_id)).one(db).await?)
}

async fn existing(tx: &Tx, rental_id: RentalId) -> Result<hold::Model> {
    find(tx, rental_id).await?.ok_or_else(|| Error::internal(format!("rental {rental_id} has no hold")))
}

/// Moves the hold out of `held`; answers whether it was this call that did.
async fn resolve(
    tx: &Tx,
    now: DateTime<Utc>,
    rental_id: RentalId,
    to: HoldState,
    captured: Paisa,
) -> Result<bool> {
    let change = hold::ActiveModel {
        state: Set(to),
        captured_paisa: Set(captured),
        resolved_at: Set(Some(now)),
        ..Default::default()
    };
    let changed = hold::Entity::update_many()
        .set(change)
        .filter(hold::Column::RentalId.eq(rental_id))
        .filter(hold::Column::State.eq(HoldState::Held))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected == 1)
}

/// What a capture answered when it happened, read back from the ledger.
async fn captured_before(tx: &Tx, hold: &hold::Model, total: Paisa) -> Result<Option<Captured>> {
    let written = book::written(tx, EntryKind::RentalCapture, &hold.rental_id.to_string()).await?;
    let Some((_, postings)) = written else { return Ok(None) };
    let wallet = book::account_id(&Account::UserWallet(hold.user_id));
    let from_wallet = postings.get(&wallet).map_or(0, |moved| moved.0.max(0));
    let released = postings.get(&wallet).map_or(0, |moved| (-moved.0).max(0));
    let promotion = book::account_id(&Account::PromotionExpense);
    let released_points = postings.get(&promotion).map_or(0, |moved| (-moved.0).max(0));
    Ok(Some(Captured {
        captured: hold.captured_paisa,
        captured_points: hold.captured_paisa.min(hold.points_paisa),
        released_points: Paisa(released_points),
        from_wallet: Paisa(from_wallet),
        released: Paisa(released),
        due: Paisa((total.0 - hold.captured_paisa.0 - from_wallet).max(0)),
    }))
}
