//! `GET referrals/my-referrals`

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{ReferralId, UserId};
use entities::referral::{self, Column, ReferralStatus};
use entities::user;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A friend whom the rider brought.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Friend {
    id: ReferralId,
    /// The user name, the first name, or `Rider`.
    #[schema(example = "sita")]
    name: String,
    status: ReferralStatus,
    /// What the rider got.
    #[schema(example = 100)]
    points_awarded: i32,
    signed_up_at: DateTime<Utc>,
    /// When the friend began to ride, if it was in time.
    first_rental_at: Option<DateTime<Utc>>,
}

/// The friends whom the rider brought, newest first.
#[utoipa::path(get, path = "/referrals/my-referrals", tag = "points", security(("rider" = [])), params(PageQuery),
    responses((status = 200, body = Page<Friend>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Friend>>> {
    let query = referral::Entity::find().filter(Column::ReferrerId.eq(rider.user_id));
    let rows = page.apply_by_id(query, Column::Id)?.all(app.db.read()).await?;
    let ids = rows.iter().map(|row| row.referred_user_id);
    let people = user::Entity::find().filter(user::Column::Id.is_in(ids)).all(app.db.read()).await?;
    let names: HashMap<UserId, Option<String>> =
        people.into_iter().map(|person| (person.id, person.username.or(person.first_name))).collect();
    let friend = |row: referral::Model| Friend {
        id: row.id,
        name: names.get(&row.referred_user_id).cloned().flatten().unwrap_or_else(|| "Rider".to_owned()),
        status: row.status,
        points_awarded: row.referrer_points_awarded,
        signed_up_at: row.signed_up_at,
        first_rental_at: row.first_rental_at,
    };
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.into()), friend)?))
}
