//! The newcomer's first paid rental rewards both sides, once.

use super::rules::{self, Paid};
use super::{News, people};
use crate::app::App;
use crate::app_config;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{Job, Queue};
use crate::{identity, news, points, rentals};
use entities::id::{RentalId, UserId};
use entities::referral::{self, Column, ReferralEnd, ReferralStatus};
use entities::rental::{self, RentalStatus};
use entities::user::{self, UserStatus};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

/// Hears of rentals that ended, and of those that were paid later.
pub const QUEUE: Queue =
    Queue { name: "referrals.rentals", handler: |app, job| Box::pin(on_rentals(app, job)) };

/// What both sides get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awards {
    pub(super) inviter: i32,
    pub(super) invitee: i32,
}

/// What staff have set, else the usual.
pub(super) async fn awards(db: &impl ConnectionTrait) -> Result<Awards> {
    const KEYS: [&str; 2] = ["POINTS_REFERRAL_INVITER", "POINTS_REFERRAL_INVITEE"];
    let rows = entities::app_config::Entity::find()
        .filter(entities::app_config::Column::ConfigKey.is_in(KEYS))
        .filter(entities::app_config::Column::IsActive.eq(true))
        .all(db)
        .await?;
    let value = |name: &str| {
        let key = app_config::key(name).ok_or_else(|| Error::internal(format!("{name} is no setting")))?;
        let set = rows.iter().find(|row| row.config_key == name).and_then(|row| key.parse(&row.config_value));
        let points = set.or_else(|| key.parse(key.default)).and_then(|points| points.as_i64()).unwrap_or(0);
        i32::try_from(points).map_err(Error::internal)
    };
    Ok(Awards { inviter: value(KEYS[0])?, invitee: value(KEYS[1])? })
}

/// Whether the rider has paid for a rental.
pub(super) async fn has_paid(db: &impl ConnectionTrait, user: UserId) -> Result<bool> {
    let paid = rental::Entity::find()
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::Status.eq(RentalStatus::Completed))
        .filter(rental::Column::DuePaisa.eq(0))
        .filter(Expr::col(rental::Column::AmountPaidPaisa).gt(Expr::col(rental::Column::PointsPaidPaisa)));
    Ok(paid.one(db).await?.is_some())
}

async fn on_rentals(app: App, job: Job) -> Result<()> {
    let (rentals::News::Completed { rental, user, .. } | rentals::News::DuePaid { rental, user, .. }) =
        job.payload()?
    else {
        return Ok(());
    };
    let key = app.secrets.otp_key;
    let rewarded = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            reward(tx, &key, rental, user).await?;
            job.finish(tx).await
        })
    });
    rewarded.await
}

async fn reward(tx: &Tx, key: &[u8; 32], id: RentalId, user: UserId) -> Result<()> {
    let pending = referral::Entity::find()
        .filter(Column::ReferredUserId.eq(user))
        .filter(Column::Status.eq(ReferralStatus::Pending))
        .one(tx)
        .await?;
    let (Some(pending), Some(rental)) = (pending, rental::Entity::find_by_id(id).one(tx).await?) else {
        return Ok(());
    };
    let (amount, by_points, due) = (rental.amount_paid_paisa, rental.points_paid_paisa, rental.due_paisa);
    let counts = rental.status == RentalStatus::Completed && Paid { amount, by_points, due }.counts();
    let in_time = rental.started_at.is_some_and(|at| at < rules::ends_at(pending.signed_up_at));
    if !counts || !in_time {
        return Ok(());
    }
    let end = refused(tx, key, &pending).await?;
    let awards = if end.is_none() { awards(tx).await? } else { Awards { inviter: 0, invitee: 0 } };
    let change = referral::ActiveModel {
        status: Set(if end.is_none() { ReferralStatus::Completed } else { ReferralStatus::Expired }),
        end_reason: Set(end),
        referrer_points_awarded: Set(awards.inviter),
        referred_points_awarded: Set(awards.invitee),
        first_rental_at: Set(rental.started_at),
        points_awarded_at: Set(end.is_none().then(|| tx.now())),
        triggering_rental: Set(Some(id)),
        ..Default::default()
    };
    let changed = referral::Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(pending.id))
        .filter(Column::Status.eq(ReferralStatus::Pending))
        .exec(tx)
        .await?;
    if changed.rows_affected == 0 || end.is_some() {
        return Ok(());
    }
    let (key, now) = (pending.id.to_string(), tx.now());
    let (referrer, referred) = (pending.referrer_id, pending.referred_user_id);
    points::award(tx, now, referrer, awards.inviter, points::Source::ReferralInviter, &key).await?;
    points::award(tx, now, referred, awards.invitee, points::Source::ReferralInvitee, &key).await?;
    news::publish(tx, &News::Rewarded { referral: pending.id, referrer, referred }).await
}

/// Why nobody is rewarded although the newcomer rides, if so.
async fn refused(tx: &Tx, key: &[u8; 32], pending: &referral::Model) -> Result<Option<ReferralEnd>> {
    let referrer = user::Entity::find_by_id(pending.referrer_id).one(tx).await?;
    let newcomer = user::Entity::find_by_id(pending.referred_user_id).one(tx).await?;
    let (Some(referrer), Some(newcomer)) = (referrer, newcomer) else {
        return Err(Error::internal(format!("referral {} has no people", pending.id)));
    };
    if referrer.status != UserStatus::Active || referrer.deleted_at.is_some() {
        return Ok(Some(ReferralEnd::AccountClosed));
    }
    // Who deleted an account and comes back is no newcomer.
    let came_back = identity::former::forgotten_at(tx, key, newcomer.id).await?.is_some();
    let is_one = came_back || people::are_one(tx, &referrer, &newcomer).await?;
    Ok(is_one.then_some(ReferralEnd::SamePerson))
}
