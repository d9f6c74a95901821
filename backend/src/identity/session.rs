//! A signed-in app: a short access token, and a refresh token that changes at every use.

use crate::auth::{new_token, token_hash};
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use entities::id::{UserId, UserSessionId};
use entities::user_session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What an app keeps of its session.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Tokens {
    /// For the `Authorization: Bearer` header.
    pub access_token: String,
    /// For `auth/refresh`, once.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: i64,
}

/// Opens a session of a new family.
pub(super) async fn open(tx: &Tx, user: UserId) -> Result<Tokens> {
    issue(tx, user, tx.new_uuid()).await
}

/// Issues the next tokens of a family.
pub(super) async fn issue(tx: &Tx, user: UserId, family: Uuid) -> Result<Tokens> {
    let tokens = Tokens {
        access_token: new_token(tx.random()),
        refresh_token: new_token(tx.random()),
        token_type: "Bearer",
        expires_in: limits::ACCESS_TOKEN_LIFE.num_seconds(),
    };
    let row = user_session::ActiveModel {
        id: Set(UserSessionId::from(tx.new_uuid())),
        user_id: Set(user),
        access_hash: Set(token_hash(&tokens.access_token)),
        access_expires_at: Set(tx.now() + limits::ACCESS_TOKEN_LIFE),
        refresh_hash: Set(token_hash(&tokens.refresh_token)),
        refresh_expires_at: Set(tx.now() + limits::REFRESH_TOKEN_LIFE),
        family: Set(family),
        revoked_at: Set(None),
        created_at: Set(tx.now()),
    };
    user_session::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(tokens)
}

/// Ends every session of a family.
pub(super) async fn revoke_family(tx: &Tx, family: Uuid) -> Result<()> {
    user_session::Entity::update_many()
        .col_expr(user_session::Column::RevokedAt, Expr::value(Some(tx.now())))
        .filter(user_session::Column::Family.eq(family))
        .filter(user_session::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(())
}
