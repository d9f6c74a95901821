//! Whether a rider may rent now, and what stands in the way: what `rentals/start` would say of the rider, whatever
//! the station.

use crate::error::Result;
use crate::limits;
use crate::rentals::{Refusal, preconditions};
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::user;
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
    /// What of `auth/me` is to be mended, as `rentals/start` points at it in its `errors`.
    #[schema(example = "/kyc")]
    pointer: Option<&'static str>,
}

/// Looks at the rider alone.
pub(crate) async fn of(db: &impl ConnectionTrait, user: &user::Model) -> Result<Eligibility> {
    let mut reasons = Vec::new();
    for missing in preconditions::missing_now(db, user.id).await? {
        let code = Refusal::PrerequisitesNotMet.problem().kind.code;
        reasons.push(Reason { code, detail: missing.words().to_owned(), pointer: Some(missing.pointer()) });
    }
    let mut add = |refusal: Refusal| {
        let kind = refusal.problem().kind;
        reasons.push(Reason { code: kind.code, detail: kind.title.to_owned(), pointer: None });
    };
    if user.open_rentals >= limits::OPEN_RENTALS_MAX {
        let is_overdue = has(db, user, rental::Column::Status.eq(RentalStatus::Overdue)).await?;
        add(if is_overdue { Refusal::OverdueRentalExists } else { Refusal::ActiveRentalExists });
    }
    if has(db, user, rental::Column::DuePaisa.gt(Paisa::ZERO)).await? {
        add(Refusal::UnpaidRentalExists);
    }
    Ok(Eligibility { can_rent: reasons.is_empty(), reasons })
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
