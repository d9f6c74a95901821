//! `POST auth/refresh`: a session goes on, with new tokens.

use crate::app::App;
use crate::auth::token_hash;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::identity::Refusal;
use crate::identity::session::{self, Tokens};
use crate::identity::trail::{self, Deed, Origin, Trace};
use axum::extract::State;
use entities::user::UserStatus;
use entities::user_session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// The refresh token of the session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshRequest {
    /// As given at the sign-in or by the last `auth/refresh`.
    #[schema(max_length = 128, example = "a94c…")]
    refresh_token: String,
}

/// Exchanges a refresh token for new tokens. Each works once: a second use ends the whole session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshRequest, responses((status = 200, body = Tokens), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn refresh(
    origin: Origin,
    State(app): State<App>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<Tokens>> {
    let hash = token_hash(&request.refresh_token);
    let rotated = app
        .db
        .write(move |tx| {
            let (hash, origin) = (hash.clone(), origin.clone());
            Box::pin(async move { rotate(tx, &hash, &origin).await })
        })
        .await?;
    rotated.map(Json).ok_or_else(|| Refusal::RefreshTokenInvalid.into())
}

/// Nothing if the token is not good; ending the family of a stolen one is an effect that must last.
async fn rotate(tx: &Tx, refresh_hash: &str, origin: &Origin) -> Result<Option<Tokens>> {
    let found = user_session::Entity::find()
        .filter(user_session::Column::RefreshHash.eq(refresh_hash))
        .one(tx)
        .await?;
    let Some(seen) = found else { return Ok(None) };
    // Who ends this rider's sessions at this moment comes before or after, never between.
    let Some(user) = session::lock(tx, seen.user_id).await? else { return Ok(None) };
    let Some(old) = user_session::Entity::find_by_id(seen.id).one(tx).await? else { return Ok(None) };
    if old.refresh_expires_at <= tx.now() || user.status != UserStatus::Active {
        return Ok(None);
    }
    let revoked = user_session::Entity::update_many()
        .col_expr(user_session::Column::RevokedAt, Expr::value(Some(tx.now())))
        .filter(user_session::Column::Id.eq(old.id))
        .filter(user_session::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    if revoked.rows_affected != 1 {
        // Somebody used it before: the rider or a thief, and nobody knows who is who.
        if session::revoke_family(tx, user.id, old.family).await? > 0 {
            tracing::warn!(user = %user.id, "a refresh token was used twice; its session is ended");
            let why = json!({ "reason": "refresh_token_reused" });
            let trace = Trace { after: Some(why), ..Trace::of(user.id) };
            trail::note(tx, &origin.clone().within(old.id), Deed::Logout, trace).await?;
        }
        return Ok(None);
    }
    let (_, tokens) = session::issue(tx, user.id, old.family, old.device_id).await?;
    Ok(Some(tokens))
}
