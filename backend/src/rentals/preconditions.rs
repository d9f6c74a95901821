//! What must hold before a rental starts.

use super::Refusal;
use super::settings::{self, Settings};
use crate::app::App;
use crate::db::Tx;
use crate::error::{RequestRefusal, Result};
use crate::identity::profile;
use crate::limits;
use entities::id::UserId;
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::user::UserStatus;
use entities::user_kyc::{self, KycStatus};
use entities::{station, user};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};

/// What staff may want of a rider before a rental.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prerequisite {
    /// A complete profile.
    Profile,
    /// An approved proof of identity.
    Kyc,
}

impl Prerequisite {
    /// Its place in `auth/me`.
    pub(crate) const fn pointer(self) -> &'static str {
        match self {
            Self::Profile => "/profile",
            Self::Kyc => "/kyc",
        }
    }

    /// What the rider has to do.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Profile => "Complete the profile first.",
            Self::Kyc => "The proof of identity must be approved first.",
        }
    }
}

/// What staff want of this rider and is not there, as the settings are now.
pub(crate) async fn missing_now(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Prerequisite>> {
    missing(db, user, &settings::read(db).await?).await
}

async fn missing(db: &impl ConnectionTrait, user: UserId, settings: &Settings) -> Result<Vec<Prerequisite>> {
    let mut missing = Vec::new();
    if settings.is_on("NEED_RENTALS_PROFILE_COMPLETE") && !profile::is_complete(db, user).await? {
        missing.push(Prerequisite::Profile);
    }
    if settings.is_on("NEED_RENTALS_KYC_VERIFIED") {
        let approved = user_kyc::Entity::find()
            .filter(user_kyc::Column::UserId.eq(user))
            .filter(user_kyc::Column::Status.eq(KycStatus::Approved));
        if approved.one(db).await?.is_none() {
            missing.push(Prerequisite::Kyc);
        }
    }
    Ok(missing)
}

/// The profile and the identity, where staff want them; the refusal names each that is missing.
pub(super) async fn meets_prerequisites(tx: &Tx, user: UserId, settings: &Settings) -> Result<()> {
    let missing = missing(tx, user, settings).await?;
    let Some(first) = missing.first() else { return Ok(()) };
    let refused = Refusal::PrerequisitesNotMet.problem().detail(first.words());
    Err(missing.iter().fold(refused, |problem, each| problem.field(each.pointer(), each.words())).into())
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
