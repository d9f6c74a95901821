//! Debits as the product makes them.

use crate::{Rider, Round, round};
use backend::db::Db;
use backend::payments::book;
use backend::payments::ledger::{AdjustmentReason, Entry};
use entities::id::{RentalId, UserId};
use entities::ledger_account::{self, LedgerAccountKind};
use entities::money::Paisa;
use entities::user::{self, UserStatus};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

/// More than all rounds together take.
const GIFT: Paisa = Paisa(1_000_000_000);

/// Riders with money, who have had money set aside before.
pub(super) async fn riders(db: &Db, count: usize) -> Vec<Rider> {
    let mut riders = Vec::new();
    for _ in 0..count {
        let id = db.write(|tx| {
            Box::pin(async move {
                let id = UserId(tx.new_uuid());
                user::Model {
                    id,
                    username: None,
                    email: None,
                    phone_number: None,
                    first_name: None,
                    last_name: None,
                    profile_picture: None,
                    referral_code: tx.random().text("ABCDEFGHJKLMNPQRSTUVWXYZ", 12),
                    referred_by: None,
                    status: UserStatus::Active,
                    email_verified: false,
                    phone_verified: true,
                    open_rentals: 0,
                    deleted_at: None,
                    created_at: tx.now(),
                    updated_at: tx.now(),
                }
                .into_active_model()
                .insert(tx)
                .await?;
                let gift = Entry::adjustment(&id.to_string(), id, GIFT, AdjustmentReason::Goodwill).unwrap();
                book::post(tx, tx.now(), &gift, None).await?;
                Ok(id)
            })
        });
        let id = id.await.unwrap();
        debit(db, id).await;
        riders.push(with_accounts(db, id).await);
    }
    riders
}

/// As many as go in one round.
pub(super) async fn debits(db: &Db, riders: &[Rider], callers: usize) -> Round {
    round(callers, |number| debit(db, riders[number * 7 % riders.len()].id)).await
}

async fn debit(db: &Db, rider: UserId) {
    let posted = db.write(move |tx| {
        Box::pin(async move {
            let hold = Entry::rental_hold(RentalId(tx.new_uuid()), rider, Paisa(1)).unwrap();
            Ok(book::post(tx, tx.now(), &hold, None).await?)
        })
    });
    posted.await.unwrap();
}

async fn with_accounts(db: &Db, id: UserId) -> Rider {
    let accounts = ledger_account::Entity::find().filter(ledger_account::Column::OwnerId.eq(id));
    let accounts = accounts.all(db.read()).await.unwrap();
    let of = |kind| accounts.iter().find(|account| account.kind == kind).unwrap().id.0;
    Rider {
        id,
        wallet_account: of(LedgerAccountKind::UserWallet),
        hold_account: of(LedgerAccountKind::UserHold),
    }
}
