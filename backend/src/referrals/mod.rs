//! Referrals: who brought whom, and what both get once the newcomer has paid for a rental.
//!
//! [`rules`] says what is rewarded, pure. A referral is written when a rider signs up with a code ([`on_identity`]) or
//! enters one soon after ([`claim`]); [`on_rentals`] rewards it, and [`expiry`] ends what nobody earned in time.

pub mod rules;

pub mod claim;
pub mod mine;
pub mod my_code;
pub mod validate;

pub mod expiry;
pub mod on_identity;
pub mod on_rentals;

pub mod staff;

mod people;

use crate::app::App;
use crate::clock::Clock;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::rate::Rate;
use crate::{limits, news};
use chrono::{DateTime, Utc};
use entities::id::{ReferralId, UserId};
use entities::referral::{self, ReferralStatus};
use governor::Quota;
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(my_code::show))
        .routes(routes!(mine::list))
        .routes(routes!(validate::validate))
        .routes(routes!(claim::claim))
        .routes(routes!(staff::list))
}

/// What others may want to know of referrals. Riders are told by the points that they get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// Both sides of a referral were rewarded.
    Rewarded {
        /// Which; once for each.
        referral: ReferralId,
        /// Who brought somebody.
        referrer: UserId,
        /// Whom.
        referred: UserId,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "referrals";
}

crate::refusals! {
    /// Why a code cannot be entered.
    pub enum Refusal {
        ReferralCodeNotFound = 404 "referral_code_not_found" "Nobody has this code.",
        OwnReferralCode = 409 "own_referral_code" "Nobody can invite themselves.",
        AlreadyReferred = 409 "already_referred" "You have come by an invitation already.",
        ReferralTooLate = 409 "referral_too_late" "A code can be entered in the first days and before the first paid rental.",
        SamePerson = 409 "referral_same_person" "The code belongs to a telephone or a person that you share.",
    }
}

/// How often a rider may look codes up: enough for typing errors, too little to collect codes.
pub(crate) fn lookups(clock: Clock) -> Result<Rate<UserId>> {
    let quota = Quota::with_period(limits::REFERRAL_LOOKUP_EVERY)
        .ok_or_else(|| Error::internal("the pause between lookups is zero"))?;
    Ok(Rate::new(quota.allow_burst(limits::REFERRAL_LOOKUPS_BURST), clock))
}

/// Writes down that `referrer` brought `referred`, who signed up at `signed_up_at`. A rider is brought once.
async fn open(tx: &Tx, referrer: UserId, referred: UserId, signed_up_at: DateTime<Utc>) -> Result<bool> {
    let row = referral::ActiveModel {
        id: Set(tx.new_uuid().into()),
        referrer_id: Set(referrer),
        referred_user_id: Set(referred),
        status: Set(ReferralStatus::Pending),
        referrer_points_awarded: Set(0),
        referred_points_awarded: Set(0),
        signed_up_at: Set(signed_up_at),
        first_rental_at: Set(None),
        points_awarded_at: Set(None),
        triggering_rental: Set(None),
        end_reason: Set(None),
        created_at: Set(tx.now()),
    };
    let written = referral::Entity::insert(row)
        .on_conflict(OnConflict::column(referral::Column::ReferredUserId).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(written == 1)
}
