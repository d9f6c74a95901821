//! Whether a rider may rent now, and what stands in the way: what `rentals/start` would say of the rider, whatever
//! the station.

use crate::error::Result;
use crate::identity::profile::ProfileView;
use crate::limits;
use crate::rentals::Refusal;
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::user_kyc::{self, KycStatus};
use entities::{app_config, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a rider may rent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Eligibility {
    /// Nothing stands in the way.
    can_rent: bool,
    /// What stands in the way, the first first.
    reasons: Vec<Reason>,
}

/// What stands in the way of a rental.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reason {
    /// The code that `rentals/start` would answer.
    #[schema(example = "unpaid_rental_exists")]
    code: &'static str,
    /// What it means, for people.
    #[schema(example = "An earlier rental is not paid.")]
    detail: String,
}

/// Looks at the rider alone.
pub(crate) async fn of(db: &impl ConnectionTrait, user: &user::Model) -> Result<Eligibility> {
    let mut reasons = Vec::new();
    let mut add = |refusal: Refusal, detail: Option<&str>| {
        let kind = refusal.problem().kind;
        reasons.push(Reason { code: kind.code, detail: detail.unwrap_or(kind.title).to_owned() });
    };
    let wanted = wanted(db).await?;
    if wanted.profile && !ProfileView::of(db, user.id).await?.is_complete() {
        add(Refusal::PrerequisitesNotMet, Some("Complete the profile first."));
    }
    if wanted.kyc && !is_verified(db, user).await? {
        add(Refusal::PrerequisitesNotMet, Some("The proof of identity must be approved first."));
    }
    if user.open_rentals >= limits::OPEN_RENTALS_MAX {
        let is_overdue = has(db, user, rental::Column::Status.eq(RentalStatus::Overdue)).await?;
        add(if is_overdue { Refusal::OverdueRentalExists } else { Refusal::ActiveRentalExists }, None);
    }
    if has(db, user, rental::Column::DuePaisa.gt(Paisa::ZERO)).await? {
        add(Refusal::UnpaidRentalExists, None);
    }
    Ok(Eligibility { can_rent: reasons.is_empty(), reasons })
}

struct Wanted {
    profile: bool,
    kyc: bool,
}

/// What staff want of riders before a rental.
async fn wanted(db: &impl ConnectionTrait) -> Result<Wanted> {
    const PROFILE: &str = "NEED_RENTALS_PROFILE_COMPLETE";
    const KYC: &str = "NEED_RENTALS_KYC_VERIFIED";
    let rows = app_config::Entity::find()
        .filter(app_config::Column::ConfigKey.is_in([PROFILE, KYC]))
        .filter(app_config::Column::IsActive.eq(true))
        .all(db)
        .await?;
    let is_on = |key: &str| rows.iter().any(|row| row.config_key == key && row.config_value == "true");
    Ok(Wanted { profile: is_on(PROFILE), kyc: is_on(KYC) })
}

async fn is_verified(db: &impl ConnectionTrait, user: &user::Model) -> Result<bool> {
    let approved = user_kyc::Entity::find()
        .filter(user_kyc::Column::UserId.eq(user.id))
        .filter(user_kyc::Column::Status.eq(KycStatus::Approved));
    Ok(approved.one(db).await?.is_some())
}

async fn has(
    db: &impl ConnectionTrait,
    user: &user::Model,
    which: sea_orm::sea_query::SimpleExpr,
) -> Result<bool> {
    let found =
        rental::Entity::find().filter(rental::Column::UserId.eq(user.id)).filter(which).one(db).await?;
    Ok(found.is_some())
}
