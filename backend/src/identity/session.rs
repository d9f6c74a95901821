//! A signed-in app: a short access token, and a refresh token that changes at every use.

use crate::auth::{new_token, token_hash};
use crate::db::Tx;
use crate::error::Result;
use crate::identity::Refusal;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::identity::view::UserView;
use crate::limits;
use entities::id::{UserDeviceId, UserId, UserSessionId};
use entities::user::{self, UserStatus};
use entities::user_session;
use sea_orm::sea_query::{Expr, IntoCondition, LockType};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, Set};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What an app keeps of its session.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Tokens {
    /// For the `Authorization: Bearer` header.
    #[schema(example = "6f1d…")]
    pub access_token: String,
    /// For `auth/refresh`, once.
    #[schema(example = "a94c…")]
    pub refresh_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    pub expires_in: i64,
}

/// A signed-in rider.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    #[serde(flatten)]
    tokens: Tokens,
    /// Whether the account was made just now.
    is_new_user: bool,
    /// Who.
    user: UserView,
}

/// Opens a session for a person who has proven who they are.
pub(super) async fn sign_in(
    tx: &Tx,
    user: user::Model,
    is_new_user: bool,
    origin: &Origin,
) -> Result<SignedIn> {
    if user.status != UserStatus::Active {
        return Err(Refusal::AccountInactive.into());
    }
    let (session, tokens) = issue(tx, user.id, tx.new_uuid(), None).await?;
    trail::note(tx, &origin.clone().within(session), Deed::Login, Trace::of(user.id)).await?;
    Ok(SignedIn { tokens, is_new_user, user: UserView::from(user) })
}

/// Issues the next tokens of a family.
pub(super) async fn issue(
    tx: &Tx,
    user: UserId,
    family: Uuid,
    device: Option<UserDeviceId>,
) -> Result<(UserSessionId, Tokens)> {
    let tokens = Tokens {
        access_token: new_token(tx.random()),
        refresh_token: new_token(tx.random()),
        token_type: "Bearer",
        expires_in: limits::ACCESS_TOKEN_LIFE.num_seconds(),
    };
    let id = UserSessionId::from(tx.new_uuid());
    let row = user_session::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        access_hash: Set(token_hash(&tokens.access_token)),
        access_expires_at: Set(tx.now() + limits::ACCESS_TOKEN_LIFE),
        refresh_hash: Set(token_hash(&tokens.refresh_token)),
        refresh_expires_at: Set(tx.now() + limits::REFRESH_TOKEN_LIFE),
        family: Set(family),
        device_id: Set(device),
        revoked_at: Set(None),
        created_at: Set(tx.now()),
    };
    user_session::Entity::insert(row).exec_without_returning(tx).await?;
    Ok((id, tokens))
}

/// Ends every session of a rider's family, and answers how many were open.
pub(super) async fn revoke_family(tx: &Tx, user: UserId, family: Uuid) -> Result<u64> {
    revoke(tx, user, user_session::Column::Family.eq(family).into_condition()).await
}

/// Ends every session of a rider on a telephone. Others may have used it before, or say that they do.
pub(super) async fn revoke_on(tx: &Tx, user: UserId, device: UserDeviceId) -> Result<u64> {
    revoke(tx, user, user_session::Column::DeviceId.eq(device).into_condition()).await
}

/// Ends every session of a rider.
pub(crate) async fn revoke_all(tx: &Tx, user: UserId) -> Result<u64> {
    revoke(tx, user, Condition::all()).await
}

/// Waits until nobody else ends sessions of a rider or lets one go on, and keeps others waiting to the end of the
/// transaction: what is ended must not go on under tokens that are issued at this moment.
pub(super) async fn lock(tx: &Tx, user: UserId) -> Result<Option<user::Model>> {
    Ok(user::Entity::find_by_id(user).lock(LockType::NoKeyUpdate).one(tx).await?)
}

async fn revoke(tx: &Tx, user: UserId, which: Condition) -> Result<u64> {
    lock(tx, user).await?;
    let revoked = user_session::Entity::update_many()
        .col_expr(user_session::Column::RevokedAt, Expr::value(Some(tx.now())))
        .filter(user_session::Column::UserId.eq(user))
        .filter(which)
        .filter(user_session::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(revoked.rows_affected)
}
