//! How a member of staff signs in.

use crate::id::AdminProfileId;
use sea_orm::entity::prelude::*;

/// A row of `staff_credentials`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "staff_credentials")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub admin_id: AdminProfileId,
    /// Unique without regard to case (index `staff_credentials_email_unique`).
    pub email: String,
    /// Argon2id, PHC string.
    pub password_hash: String,
    /// The authenticator app's secret is made of it and of a key that is not in the database.
    pub totp_salt: Option<String>,
    /// Since when a code is asked for; none while the app is being set up.
    pub totp_confirmed_at: Option<DateTimeUtc>,
    /// The time step of the newest code that was used: no code counts twice.
    pub totp_step: i64,
    /// Codes tried since `totp_tries_since`; a right one sets it to zero.
    pub totp_tries: i32,
    pub totp_tries_since: Option<DateTimeUtc>,
    pub updated_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::AdminId",
        to = "crate::admin_profile::Column::Id"
    )]
    Admin,
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Admin.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
