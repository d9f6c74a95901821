//! The second factor of staff: an authenticator app, and codes on paper for the day it is lost.
//!
//! It is set up in two steps, so that nobody locks themselves out: [`enrol`] shows the secret, [`confirm`] proves
//! that the app has it. From then on signing in asks for a code.

pub(super) mod confirm;
pub(super) mod disable;
pub(super) mod enrol;
pub(super) mod prove;
pub(super) mod recovery;

use crate::app_config::REQUIRED_OF_SUPER_ADMINS;
use crate::db::Tx;
use crate::error::{Error, Result};
use entities::admin_profile::AdminRole;
use entities::app_config;
use entities::id::AdminProfileId;
use entities::{staff_credential, staff_recovery_code};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::Serialize;
use utoipa::ToSchema;

/// How the second factor stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecondFactor {
    /// Signing in asks for a code.
    #[schema(example = true)]
    pub(super) is_on: bool,
    /// The role may not do without.
    #[schema(example = false)]
    pub(super) is_required: bool,
    /// Recovery codes that were not used yet.
    #[schema(example = 10, minimum = 0, maximum = 10)]
    pub(super) recovery_codes_left: u64,
}

/// How it stands for one person.
pub(super) async fn state_of(
    db: &impl ConnectionTrait,
    admin: AdminProfileId,
    role: AdminRole,
) -> Result<SecondFactor> {
    let credential = credential_of(db, admin).await?;
    let unused = staff_recovery_code::Entity::find()
        .filter(staff_recovery_code::Column::AdminId.eq(admin))
        .filter(staff_recovery_code::Column::UsedAt.is_null());
    Ok(SecondFactor {
        is_on: credential.totp_confirmed_at.is_some(),
        is_required: is_required_of(db, role).await?,
        recovery_codes_left: unused.count(db).await?,
    })
}

/// Whether somebody with this role may not do without.
pub(super) async fn is_required_of(db: &impl ConnectionTrait, role: AdminRole) -> Result<bool> {
    if role != AdminRole::SuperAdmin {
        return Ok(false);
    }
    let set = app_config::Entity::find()
        .filter(app_config::Column::ConfigKey.eq(REQUIRED_OF_SUPER_ADMINS))
        .filter(app_config::Column::IsActive.eq(true))
        .one(db)
        .await?;
    Ok(set.is_some_and(|set| set.config_value == "true"))
}

/// Takes it away: whatever was scanned or printed is worth nothing afterwards.
pub(super) async fn forget(tx: &Tx, admin: AdminProfileId) -> Result<()> {
    let off = staff_credential::ActiveModel {
        totp_salt: sea_orm::Set(None),
        totp_confirmed_at: sea_orm::Set(None),
        updated_at: sea_orm::Set(tx.now()),
        ..Default::default()
    };
    staff_credential::Entity::update_many()
        .set(off)
        .filter(staff_credential::Column::AdminId.eq(admin))
        .exec(tx)
        .await?;
    recovery::forget_all(tx, admin).await
}

async fn credential_of(db: &impl ConnectionTrait, admin: AdminProfileId) -> Result<staff_credential::Model> {
    let found = staff_credential::Entity::find_by_id(admin).one(db).await?;
    found.ok_or_else(|| Error::internal(format!("admin_profiles {admin}: no credentials")))
}
