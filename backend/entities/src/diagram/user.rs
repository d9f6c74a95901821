//! A person: rider, and through an admin profile also staff.

use crate::id::UserId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `users`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// Chosen by the rider; none after a sign-up by phone or e-mail code.
    pub username: Option<String>,
    /// Unique without regard to case (index `users_email_unique`).
    pub email: Option<String>,
    /// E.164, as in `+9779801234567`.
    pub phone_number: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// URL.
    pub profile_picture: Option<String>,
    /// What a rider gives to friends; made at sign-up.
    pub referral_code: String,
    /// Who invited this person.
    pub referred_by: Option<UserId>,
    pub status: UserStatus,
    pub email_verified: bool,
    pub phone_verified: bool,
    /// Ours. Rentals that are not final, kept by conditional updates: R2.
    pub open_rentals: i32,
    /// Ours. When the rider asked to be forgotten: the row stays, anonymised.
    pub deleted_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// Whether a person may use the system.
    pub enum UserStatus {
        Active = "active",
        Banned = "banned",
        Inactive = "inactive",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "Entity", from = "Column::ReferredBy", to = "Column::Id")]
    ReferredBy,
}

impl ActiveModelBehavior for ActiveModel {}
