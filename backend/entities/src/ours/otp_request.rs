//! A code that was sent to prove a telephone number or an e-mail address.

use crate::id::OtpRequestId;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `otp_requests`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "otp_requests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OtpRequestId,
    /// E.164 number or lower-case e-mail address.
    pub identifier: String,
    pub purpose: OtpPurpose,
    /// HMAC; the code itself is nowhere.
    pub code_hash: String,
    pub attempts: i32,
    pub expires_at: DateTimeUtc,
    pub consumed_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// What the code will do.
    pub enum OtpPurpose {
        Login = "login",
        Register = "register",
    }
}

/// Refers to no other table.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
