//! Sessions of staff: opened by signing in, ended by signing out, by a colleague, or by time.

use crate::app::App;
use crate::auth::{Staff, new_token, token_hash};
use crate::db::Tx;
use crate::error::Result;
use crate::limits;
use chrono::{DateTime, Utc};
use entities::id::{AdminProfileId, StaffSessionId};
use entities::staff_session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, Set};

/// A token that no session has yet.
#[derive(Clone)]
pub(super) struct FreshToken {
    pub(super) token: String,
    hash: String,
}

impl FreshToken {
    pub(super) fn new(app: &App) -> Self {
        let token = new_token(&app.random);
        Self { hash: token_hash(&token), token }
    }
}

/// Opens a session and says when it ends.
pub(super) async fn open(
    tx: &Tx,
    admin_id: AdminProfileId,
    fresh: &FreshToken,
    is_limited: bool,
) -> Result<(StaffSessionId, DateTime<Utc>)> {
    let expires_at = tx.now() + limits::STAFF_SESSION_LIFE;
    let id = StaffSessionId::from(tx.new_uuid());
    let row = staff_session::ActiveModel {
        id: Set(id),
        admin_id: Set(admin_id),
        token_hash: Set(fresh.hash.clone()),
        is_limited: Set(is_limited),
        expires_at: Set(expires_at),
        revoked_at: Set(None),
        created_at: Set(tx.now()),
    };
    staff_session::Entity::insert(row).exec_without_returning(tx).await?;
    Ok((id, expires_at))
}

/// Ends one session.
pub(super) async fn end(tx: &Tx, session: StaffSessionId) -> Result<()> {
    end_where(tx, Condition::all().add(staff_session::Column::Id.eq(session))).await
}

/// Ends all sessions of somebody.
pub(super) async fn end_all(tx: &Tx, admin: AdminProfileId) -> Result<()> {
    end_where(tx, Condition::all().add(staff_session::Column::AdminId.eq(admin))).await
}

/// Ends all sessions of the caller but this one.
pub(super) async fn end_others(tx: &Tx, staff: &Staff) -> Result<()> {
    let others = Condition::all()
        .add(staff_session::Column::AdminId.eq(staff.admin_id))
        .add(staff_session::Column::Id.ne(staff.session_id));
    end_where(tx, others).await
}

/// A session that was good for setting up the second factor only is good for everything.
pub(super) async fn lift_limit(tx: &Tx, session: StaffSessionId) -> Result<()> {
    staff_session::Entity::update_many()
        .col_expr(staff_session::Column::IsLimited, Expr::value(false))
        .filter(staff_session::Column::Id.eq(session))
        .exec(tx)
        .await?;
    Ok(())
}

async fn end_where(tx: &Tx, which: Condition) -> Result<()> {
    staff_session::Entity::update_many()
        .col_expr(staff_session::Column::RevokedAt, Expr::value(Some(tx.now())))
        .filter(which)
        .filter(staff_session::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(())
}
