//! `POST auth/refresh` and `POST auth/logout`: sessions go on and end.

use crate::app::App;
use crate::auth::{Rider, token_hash};
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::Json;
use crate::identity::Refusal;
use crate::identity::session::{self, Tokens};
use axum::extract::State;
use axum::http::StatusCode;
use entities::user::{self, UserStatus};
use entities::user_session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use utoipa::ToSchema;

/// The refresh token of the session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshRequest {
    /// As given by `auth/otp/verify` or the last `auth/refresh`.
    refresh_token: String,
}

/// Exchanges a refresh token for new tokens. Each works once: a second use ends the whole session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshRequest, responses((status = 200, body = Tokens), (status = 401, body = ProblemBody)))]
pub(super) async fn refresh(
    State(app): State<App>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<Tokens>> {
    let hash = token_hash(&request.refresh_token);
    let rotated = app
        .db
        .write(move |tx| {
            let hash = hash.clone();
            Box::pin(async move { rotate(tx, &hash).await })
        })
        .await?;
    rotated.map(Json).ok_or_else(|| Refusal::RefreshTokenInvalid.into())
}

/// Nothing if the token is not good; ending the family of a stolen one is an effect that must last.
async fn rotate(tx: &Tx, refresh_hash: &str) -> Result<Option<Tokens>> {
    let found = user_session::Entity::find()
        .filter(user_session::Column::RefreshHash.eq(refresh_hash))
        .find_also_related(user::Entity)
        .one(tx)
        .await?;
    let Some((old, Some(user))) = found else { return Ok(None) };
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
        session::revoke_family(tx, old.family).await?;
        return Ok(None);
    }
    session::issue(tx, user.id, old.family).await.map(Some)
}

/// Ends the session.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", security(("rider" = [])), responses((status = 204), (status = 401, body = ProblemBody)))]
pub(super) async fn logout(rider: Rider, State(app): State<App>) -> Result<StatusCode> {
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let session = user_session::Entity::find_by_id(rider.session_id).one(tx).await?;
                if let Some(session) = session {
                    session::revoke_family(tx, session.family).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
