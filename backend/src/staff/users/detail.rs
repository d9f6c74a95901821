//! `GET admin/users/{id}`: everything about a rider that staff need to answer them.

use super::Refusal;
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::identity::devices::{self, DeviceView};
use crate::identity::profile::ProfileView;
use crate::identity::view::UserView;
use crate::riders::eligibility::{self, Eligibility};
use crate::riders::me::{self, KycState, PointsState, WalletState};
use crate::riders::usage::{self, Usage};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::admin_profile::{self, AdminRole};
use entities::id::UserId;
use entities::{user, user_session};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// A rider, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserDetail {
    #[serde(flatten)]
    user: UserView,
    /// Who sent them.
    referred_by: Option<UserId>,
    /// When they asked to be forgotten.
    deleted_at: Option<DateTime<Utc>>,
    /// Their role, if they work here.
    staff_role: Option<AdminRole>,
    /// What they say of themselves.
    profile: ProfileView,
    /// Where their proof of identity stands.
    kyc: Option<KycState>,
    /// Their money.
    wallet: WalletState,
    /// Their points.
    points: PointsState,
    /// Whether they may rent now, and why not.
    rental_eligibility: Eligibility,
    /// What they have done so far.
    usage: Usage,
    /// Their telephones.
    devices: Vec<DeviceView>,
    /// Sessions that can go on.
    #[schema(example = 1)]
    open_sessions: u64,
}

/// A rider, with money, points, rentals, telephones and what stands in the way of a rental.
#[utoipa::path(get, path = "/admin/users/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::UsersRead))), params(("id" = UserId, Path)), security(("staff" = [])), responses((status = 200, body = UserDetail), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn show_user(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<UserId>,
) -> Result<Json<UserDetail>> {
    staff.may(Permission::UsersRead)?;
    let mut rider = of(app.db.read(), id, app.clock.now()).await?;
    if staff.may(Permission::UsersChange).is_err() {
        rider.devices = rider.devices.into_iter().map(DeviceView::without_its_id).collect();
    }
    Ok(Json(rider))
}

/// A rider, whole.
pub(super) async fn of(db: &impl ConnectionTrait, id: UserId, now: DateTime<Utc>) -> Result<UserDetail> {
    let user = user::Entity::find_by_id(id).one(db).await?.ok_or(Refusal::UserNotFound)?;
    let works_here = admin_profile::Entity::find()
        .filter(admin_profile::Column::UserId.eq(id))
        .filter(admin_profile::Column::IsActive.eq(true))
        .one(db)
        .await?;
    let sessions = user_session::Entity::find()
        .filter(user_session::Column::UserId.eq(id))
        .filter(user_session::Column::RevokedAt.is_null())
        .filter(user_session::Column::RefreshExpiresAt.gt(now));
    Ok(UserDetail {
        referred_by: user.referred_by,
        deleted_at: user.deleted_at,
        staff_role: works_here.map(|admin| admin.role),
        profile: ProfileView::of(db, id).await?,
        kyc: me::kyc(db, id).await?,
        wallet: me::wallet(db, id).await?,
        points: me::points_of(db, id).await?,
        rental_eligibility: eligibility::of(db, &user).await?,
        usage: usage::of(db, &user).await?,
        devices: devices::of(db, id).await?,
        open_sessions: sessions.count(db).await?,
        user: UserView::from(user),
    })
}
