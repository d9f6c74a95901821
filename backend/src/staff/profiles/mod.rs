//! Colleagues: who works here, in which role, and who made them staff.

pub(super) mod change;
pub(super) mod create;
pub(super) mod reset;

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::staff::Refusal;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::admin_profile::{self, AdminRole};
use entities::id::{AdminProfileId, UserId};
use entities::staff_credential;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Which colleagues.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only of this role; all if absent.
    role: Option<AdminRole>,
    /// Only those who may sign in, or may not; all if absent.
    is_active: Option<bool>,
}

/// A colleague.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Colleague {
    /// As staff.
    id: AdminProfileId,
    /// As a person.
    user_id: UserId,
    /// With which they sign in.
    #[schema(example = "ram@chautari.example")]
    email: String,
    /// What they are.
    role: AdminRole,
    /// Whether they may sign in.
    #[schema(example = true)]
    is_active: bool,
    /// Whether signing in asks for a code of an authenticator app.
    #[schema(example = true)]
    has_second_factor: bool,
    /// Who made them staff; absent for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<AdminProfileId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// All colleagues, newest first.
#[utoipa::path(get, path = "/admin/profiles", tag = "staff", extensions(("x-permission" = json!(Permission::StaffRead))), params(Which, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<Colleague>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list_colleagues(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Colleague>>> {
    let mut query = admin_profile::Entity::find();
    if let Some(role) = which.role {
        query = query.filter(admin_profile::Column::Role.eq(role));
    }
    if let Some(is_active) = which.is_active {
        query = query.filter(admin_profile::Column::IsActive.eq(is_active));
    }
    let rows = page.apply_by_id(query, admin_profile::Column::Id)?.all(app.db.read()).await?;
    let mut credentials = credentials_of(app.db.read(), rows.iter().map(|row| row.id).collect()).await?;
    let rows = rows.into_iter().map(|row| (credentials.remove(&row.id), row)).collect();
    let cursor = |(_, row): &(_, admin_profile::Model)| Cursor::of_id(row.id.0);
    let page = page.page(rows, cursor, |(credential, row)| Colleague::of(row, credential))?;
    Ok(Json(Page { items: page.items.into_iter().collect::<Result<_>>()?, next_cursor: page.next_cursor }))
}

/// One colleague.
#[utoipa::path(get, path = "/admin/profiles/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::StaffRead))), params(("id" = AdminProfileId, Path)), security(("staff" = [])),
    responses((status = 200, body = Colleague), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn show_colleague(
    _: Staff,
    State(app): State<App>,
    Path(id): Path<AdminProfileId>,
) -> Result<Json<Colleague>> {
    find(app.db.read(), id).await.map(Json)
}

/// One colleague, as staff see them.
pub(super) async fn find(db: &impl ConnectionTrait, id: AdminProfileId) -> Result<Colleague> {
    let row = admin_profile::Entity::find_by_id(id).one(db).await?.ok_or(Refusal::ColleagueNotFound)?;
    let mut credentials = credentials_of(db, vec![id]).await?;
    Colleague::of(row, credentials.remove(&id))
}

/// Fails if nobody would be left who may make staff. Locks all who may, so that two cannot dismiss each other.
pub(super) async fn keep_a_super_admin(tx: &Tx, without: AdminProfileId) -> Result<()> {
    use sea_orm::{QueryOrder, QuerySelect};
    let left = admin_profile::Entity::find()
        .filter(admin_profile::Column::Role.eq(AdminRole::SuperAdmin))
        .filter(admin_profile::Column::IsActive.eq(true))
        .order_by_asc(admin_profile::Column::Id)
        .lock_exclusive()
        .all(tx)
        .await?;
    let others = left.iter().filter(|row| row.id != without).count();
    if others == 0 { Err(Refusal::LastSuperAdmin.into()) } else { Ok(()) }
}

async fn credentials_of(
    db: &impl ConnectionTrait,
    ids: Vec<AdminProfileId>,
) -> Result<HashMap<AdminProfileId, staff_credential::Model>> {
    let rows =
        staff_credential::Entity::find().filter(staff_credential::Column::AdminId.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.admin_id, row)).collect())
}

impl Colleague {
    fn of(row: admin_profile::Model, credential: Option<staff_credential::Model>) -> Result<Self> {
        let credential = credential
            .ok_or_else(|| Error::internal(format!("admin_profiles {}: no credentials", row.id)))?;
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            email: credential.email,
            role: row.role,
            is_active: row.is_active,
            has_second_factor: credential.totp_confirmed_at.is_some(),
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
