//! `GET auth/me`: who is signed in.

use crate::app::App;
use crate::auth::Rider;
use crate::error::{ProblemBody, RequestRefusal, Result};
use crate::extract::Json;
use crate::identity::view::UserView;
use axum::extract::State;
use entities::user;
use sea_orm::EntityTrait;

/// Who is signed in.
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("rider" = [])), responses((status = 200, body = UserView), (status = 401, body = ProblemBody)))]
pub(super) async fn me(rider: Rider, State(app): State<App>) -> Result<Json<UserView>> {
    let user = user::Entity::find_by_id(rider.user_id).one(app.db.read()).await?;
    Ok(Json(user.ok_or(RequestRefusal::Unauthenticated)?.into()))
}
