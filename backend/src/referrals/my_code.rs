//! `GET referrals/my-code`

use super::on_rentals::awards;
use crate::app::App;
use crate::auth::Rider;
use crate::error::{Error, ProblemBody, Result};
use crate::extract::Json;
use axum::extract::State;
use entities::referral::{self, Column, ReferralStatus};
use entities::user;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// What a rider can give to friends, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyCode {
    #[schema(example = "REF7K2MQ4XZ")]
    code: String,
    /// Points for the rider when a friend has paid for a first rental.
    #[schema(example = 100)]
    points_inviter: i32,
    /// Points for the friend.
    #[schema(example = 50)]
    points_invitee: i32,
    /// Friends who signed up with the code.
    #[schema(example = 4)]
    invited: i64,
    /// Of them, those who have not rented yet and still may.
    #[schema(example = 1)]
    pending: i64,
    /// Of them, those who were rewarded.
    #[schema(example = 3)]
    completed: i64,
    /// What the rider got for them.
    #[schema(example = 300)]
    points_earned: i64,
}

/// The rider's own referral code, and what came of it.
#[utoipa::path(get, path = "/referrals/my-code", tag = "points", security(("rider" = [])), responses((status = 200, body = MyCode), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn show(State(app): State<App>, rider: Rider) -> Result<Json<MyCode>> {
    let db = app.db.read();
    let person = user::Entity::find_by_id(rider.user_id).one(db).await?;
    let person = person.ok_or_else(|| Error::internal(format!("users {} is not there", rider.user_id)))?;
    let counted: Vec<(ReferralStatus, i64, Option<i64>)> = referral::Entity::find()
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "friends")
        .column_as(Expr::col(Column::ReferrerPointsAwarded).sum().cast_as("bigint"), "points")
        .filter(Column::ReferrerId.eq(rider.user_id))
        .group_by(Column::Status)
        .into_tuple()
        .all(db)
        .await?;
    let of = |status| counted.iter().find(|(of, ..)| *of == status).map_or(0, |(_, friends, _)| *friends);
    let awards = awards(db).await?;
    Ok(Json(MyCode {
        code: person.referral_code,
        points_inviter: awards.inviter,
        points_invitee: awards.invitee,
        invited: counted.iter().map(|(_, friends, _)| friends).sum(),
        pending: of(ReferralStatus::Pending),
        completed: of(ReferralStatus::Completed),
        points_earned: counted.iter().filter_map(|(.., points)| *points).sum(),
    }))
}
