//! What must hold before a rental starts.

use super::Refusal;
use super::settings::Settings;
use crate::app::App;
use crate::db::Tx;
use crate::error::{RequestRefusal, Result};
use crate::limits;
use entities::id::UserId;
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::user::UserStatus;
use entities::user_kyc::{self, KycStatus};
use entities::{station, user, user_profile};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

/// The profile and the identity, where staff want them.
pub(super) async fn meets_prerequisites(tx: &Tx, user: UserId, settings: &Settings) -> Result<()> {
    if settings.is_on("NEED_RENTALS_PROFILE_COMPLETE") {
        let person = user::Entity::find_by_id(user).one(tx).await?;
        let profile =
            user_profile::Entity::find().filter(user_profile::Column::UserId.eq(user)).one(tx).await?;
        let is_named = person.is_some_and(|person| person.first_name.is_some() && person.last_name.is_some());
        let is_complete =
            profile.is_some_and(|profile| profile.city.is_some() && profile.date_of_birth.is_some());
        if !(is_named && is_complete) {
            return Err(Refusal::PrerequisitesNotMet.into());
        }
    }
    if settings.is_on("NEED_RENTALS_KYC_VERIFIED") {
        let kyc = user_kyc::Entity::find().filter(user_kyc::Column::UserId.eq(user)).one(tx).await?;
        if kyc.is_none_or(|kyc| kyc.status != KycStatus::Approved) {
            return Err(Refusal::PrerequisitesNotMet.into());
        }
    }
    Ok(())
}

/// R2: one statement, never a read before it.
pub(super) async fn take_seat(tx: &Tx, user: UserId) -> Result<()> {
    let taken = user::Entity::update_many()
        .col_expr(user::Column::OpenRentals, Expr::col(user::Column::OpenRentals).add(1))
        .filter(user::Column::Id.eq(user))
        .filter(user::Column::OpenRentals.lt(limits::OPEN_RENTALS_MAX))
        // Who was banned or deleted their account a moment ago begins nothing any more.
        .filter(user::Column::Status.eq(UserStatus::Active))
        .exec(tx)
        .await?;
    if taken.rows_affected == 1 {
        return Ok(());
    }
    let rider = user::Entity::find_by_id(user).one(tx).await?;
    if rider.is_none_or(|rider| rider.status != UserStatus::Active) {
        return Err(RequestRefusal::Forbidden.into());
    }
    Err(no_seat(tx, user).await?.into())
}

/// Whether [`take_seat`] would be refused now; takes nothing.
pub(super) async fn has_seat(tx: &Tx, user: UserId) -> Result<()> {
    let rider = user::Entity::find_by_id(user).one(tx).await?;
    if rider.is_some_and(|rider| rider.open_rentals >= limits::OPEN_RENTALS_MAX) {
        return Err(no_seat(tx, user).await?.into());
    }
    Ok(())
}

async fn no_seat(tx: &Tx, user: UserId) -> Result<Refusal> {
    let overdue = rental::Entity::find()
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::Status.eq(RentalStatus::Overdue))
        .count(tx)
        .await?;
    Ok(if overdue > 0 { Refusal::OverdueRentalExists } else { Refusal::ActiveRentalExists })
}

/// Nothing is open of an earlier rental.
pub(super) async fn owes_nothing(tx: &Tx, user: UserId) -> Result<()> {
    let unpaid = rental::Entity::find()
        .filter(rental::Column::UserId.eq(user))
        .filter(rental::Column::DuePaisa.gt(Paisa::ZERO))
        .one(tx)
        .await?;
    match unpaid {
        None => Ok(()),
        Some(unpaid) => {
            let detail = format!("NPR {} is due for {}.", unpaid.due_paisa, unpaid.rental_code);
            Err(Refusal::UnpaidRentalExists.problem().detail(detail).into())
        }
    }
}

/// The station is in service and connected.
pub(super) fn is_reachable(app: &App, station: &station::Model) -> Result<()> {
    if station.is_maintenance {
        return Err(Refusal::StationMaintenance.into());
    }
    match app.presence.route(station.id) {
        Some(_) => Ok(()),
        None => Err(Refusal::StationOffline.problem().retry_after_s(10).into()),
    }
}
