//! `GET auth/me`: who is signed in, with everything that the app's first page shows.

use crate::app::App;
use crate::auth::Rider;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use crate::identity::profile::ProfileView;
use crate::identity::view::UserView;
use crate::money::Money;
use crate::payments::book;
use crate::points;
use crate::riders::eligibility::{self, Eligibility};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::user;
use entities::user_kyc::{self, KycStatus};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// A rider, and what the app's first page shows of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RiderAccount)]
pub(super) struct Me {
    #[serde(flatten)]
    user: UserView,
    /// What they say of themselves, and what is missing.
    profile: ProfileView,
    /// Where their proof of identity stands; null if they never sent one.
    kyc: Option<KycState>,
    /// Their money.
    wallet: WalletState,
    /// Their points.
    points: PointsState,
    /// Whether they may rent now.
    rental_eligibility: Eligibility,
}

/// Where a rider's proof of identity stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KycState {
    /// Where the review stands.
    status: KycStatus,
    /// Why it was not taken.
    #[schema(example = "The picture is blurred.")]
    rejection_reason: Option<String>,
    /// When it was sent.
    submitted_at: DateTime<Utc>,
    /// When it was approved.
    verified_at: Option<DateTime<Utc>>,
}

/// A rider's money, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WalletState {
    /// Can be spent.
    balance: Money,
    /// Set aside for running rentals.
    held: Money,
}

/// A rider's points, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PointsState {
    /// Can be spent.
    #[schema(example = 120)]
    current: i32,
    /// Ever earned.
    #[schema(example = 340)]
    total: i32,
}

/// Who is signed in: profile, identity, money, points, and whether they may rent.
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("rider" = [])), responses((status = 200, body = Me), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn me(rider: Rider, State(app): State<App>) -> Result<Json<Me>> {
    let db = app.db.read();
    let id = rider.user_id;
    let user = user::Entity::find_by_id(id).one(db).await?;
    let user = user.ok_or_else(|| Error::internal(format!("users {id} is signed in and not there")))?;
    let rental_eligibility = eligibility::of(db, &user).await?;
    Ok(Json(Me {
        user: UserView::from(user),
        profile: ProfileView::of(db, id).await?,
        kyc: kyc(db, id).await?,
        wallet: wallet(db, id).await?,
        points: points_of(db, id).await?,
        rental_eligibility,
    }))
}

/// Where a rider's proof of identity stands.
pub(crate) async fn kyc(db: &impl ConnectionTrait, user: UserId) -> Result<Option<KycState>> {
    let row = user_kyc::Entity::find().filter(user_kyc::Column::UserId.eq(user)).one(db).await?;
    Ok(row.map(|row| KycState {
        status: row.status,
        rejection_reason: row.rejection_reason,
        submitted_at: row.submitted_at,
        verified_at: row.verified_at,
    }))
}

/// A rider's money.
pub(crate) async fn wallet(db: &impl ConnectionTrait, user: UserId) -> Result<WalletState> {
    let balances = book::balances(db, user).await?;
    Ok(WalletState { balance: balances.wallet.into(), held: balances.held.into() })
}

/// A rider's points.
pub(crate) async fn points_of(db: &impl ConnectionTrait, user: UserId) -> Result<PointsState> {
    let points = points::balance(db, user).await?;
    Ok(PointsState { current: points.current, total: points.total })
}
