//! Whether somebody has the authenticator app in their hands: a code of it, or one from paper.

use super::credential_of;
use crate::db::Tx;
use crate::error::{Problem, Result};
use crate::limits;
use crate::staff::Refusal;
use crate::staff::totp::{self, Authenticator};
use entities::id::AdminProfileId;
use entities::{staff_credential, staff_recovery_code};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};

/// What came of looking at a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Right, and used up.
    Right,
    /// Wrong, old, or used before.
    Wrong,
    /// Too many were tried; it was not looked at.
    Locked,
}

impl Proof {
    /// What the caller is told. The try itself must be committed first, or it would not count.
    pub(crate) fn accept(self) -> Result<(), Problem> {
        match self {
            Self::Right => Ok(()),
            Self::Wrong => Err(Refusal::TotpWrong.problem()),
            Self::Locked => {
                let wait_s = limits::STAFF_CODE_TRIES_FOR.num_seconds().unsigned_abs();
                Err(Refusal::TotpLocked.problem().retry_after_s(wait_s))
            }
        }
    }
}

/// Looks at a code and counts the try. A right code is used up in the caller's transaction; the caller commits also
/// after a wrong one.
pub(crate) async fn prove(tx: &Tx, key: &[u8; 32], admin: AdminProfileId, code: &str) -> Result<Proof> {
    if !take_try(tx, admin).await? {
        return Ok(Proof::Locked);
    }
    let code = totp::normalised(code);
    let is_right = if totp::is_of_app(&code) {
        use_step(tx, key, admin, &code).await?
    } else {
        use_recovery_code(tx, key, admin, &code).await?
    };
    if !is_right {
        return Ok(Proof::Wrong);
    }
    set(tx, admin, Expr::value(0), staff_credential::Column::TotpTries).await?;
    Ok(Proof::Right)
}

/// Counted before it is looked at, in the database: many at once, through many processes, must not all pass.
async fn take_try(tx: &Tx, admin: AdminProfileId) -> Result<bool> {
    let begins_anew = Condition::any()
        .add(staff_credential::Column::TotpTriesSince.is_null())
        .add(staff_credential::Column::TotpTriesSince.lte(tx.now() - limits::STAFF_CODE_TRIES_FOR));
    staff_credential::Entity::update_many()
        .col_expr(staff_credential::Column::TotpTries, Expr::value(0))
        .col_expr(staff_credential::Column::TotpTriesSince, Expr::value(tx.now()))
        .filter(staff_credential::Column::AdminId.eq(admin))
        .filter(begins_anew)
        .exec(tx)
        .await?;
    let taken = staff_credential::Entity::update_many()
        .col_expr(staff_credential::Column::TotpTries, Expr::col(staff_credential::Column::TotpTries).add(1))
        .filter(staff_credential::Column::AdminId.eq(admin))
        .filter(staff_credential::Column::TotpTries.lt(limits::STAFF_CODE_TRIES_MAX))
        .exec(tx)
        .await?;
    Ok(taken.rows_affected == 1)
}

async fn use_step(tx: &Tx, key: &[u8; 32], admin: AdminProfileId, code: &str) -> Result<bool> {
    let credential = credential_of(tx, admin).await?;
    let Some(salt) = &credential.totp_salt else { return Ok(false) };
    let app = Authenticator::of(key, admin, salt)?;
    let Some(step) = app.step_of(code, tx.now(), credential.totp_step) else { return Ok(false) };
    // Of two requests with one code, one finds the step still unused.
    let used = staff_credential::Entity::update_many()
        .col_expr(staff_credential::Column::TotpStep, Expr::value(step))
        .filter(staff_credential::Column::AdminId.eq(admin))
        .filter(staff_credential::Column::TotpStep.lt(step))
        .exec(tx)
        .await?;
    Ok(used.rows_affected == 1)
}

async fn use_recovery_code(tx: &Tx, key: &[u8; 32], admin: AdminProfileId, code: &str) -> Result<bool> {
    let hash = totp::recovery_hash(key, admin, code)?;
    let used = staff_recovery_code::Entity::update_many()
        .col_expr(staff_recovery_code::Column::UsedAt, Expr::value(Some(tx.now())))
        .filter(staff_recovery_code::Column::AdminId.eq(admin))
        .filter(staff_recovery_code::Column::CodeHash.eq(hash))
        .filter(staff_recovery_code::Column::UsedAt.is_null())
        .exec(tx)
        .await?;
    Ok(used.rows_affected == 1)
}

async fn set(tx: &Tx, admin: AdminProfileId, value: Expr, column: staff_credential::Column) -> Result<()> {
    staff_credential::Entity::update_many()
        .col_expr(column, value)
        .filter(staff_credential::Column::AdminId.eq(admin))
        .exec(tx)
        .await?;
    Ok(())
}
