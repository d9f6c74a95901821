//! `GET admin/referrals`: who brought whom.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::{ReferralId, RentalId, UserId};
use entities::referral::{self, Column, ReferralEnd, ReferralStatus};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which referrals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only in this state.
    status: Option<ReferralStatus>,
    /// Only those in which this rider has a part.
    user: Option<UserId>,
}

/// A referral as staff see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReferralView {
    id: ReferralId,
    referrer_id: UserId,
    referred_user_id: UserId,
    status: ReferralStatus,
    /// Why it came to nothing.
    end_reason: Option<ReferralEnd>,
    #[schema(example = 100)]
    referrer_points_awarded: i32,
    #[schema(example = 50)]
    referred_points_awarded: i32,
    signed_up_at: DateTime<Utc>,
    first_rental_at: Option<DateTime<Utc>>,
    points_awarded_at: Option<DateTime<Utc>>,
    triggering_rental: Option<RentalId>,
    created_at: DateTime<Utc>,
}

/// Referrals, newest first.
#[utoipa::path(get, path = "/admin/referrals", tag = "staff", extensions(("x-permission" = json!(Permission::RewardsRead))), params(Which, PageQuery), security(("staff" = [])),
    responses((status = 200, body = Page<ReferralView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ReferralView>>> {
    let mut query = referral::Entity::find();
    if let Some(status) = which.status {
        query = query.filter(Column::Status.eq(status));
    }
    if let Some(user) = which.user {
        let part = Condition::any().add(Column::ReferrerId.eq(user)).add(Column::ReferredUserId.eq(user));
        query = query.filter(part);
    }
    let rows = page.apply_by_id(query, Column::Id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor::of_id(row.id.into()), ReferralView::from)?))
}

impl From<referral::Model> for ReferralView {
    fn from(row: referral::Model) -> Self {
        Self {
            id: row.id,
            referrer_id: row.referrer_id,
            referred_user_id: row.referred_user_id,
            status: row.status,
            end_reason: row.end_reason,
            referrer_points_awarded: row.referrer_points_awarded,
            referred_points_awarded: row.referred_points_awarded,
            signed_up_at: row.signed_up_at,
            first_rental_at: row.first_rental_at,
            points_awarded_at: row.points_awarded_at,
            triggering_rental: row.triggering_rental,
            created_at: row.created_at,
        }
    }
}
