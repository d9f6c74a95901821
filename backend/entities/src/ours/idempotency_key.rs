//! What was answered to a request, so that its repetition gets the same answer: L7.

use crate::id::{IdempotencyKeyId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `idempotency_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IdempotencyKeyId,
    pub user_id: UserId,
    /// What the client sent.
    pub key: String,
    pub route: String,
    /// Hash of the request: the same key with another request is refused.
    pub fingerprint: String,
    pub state: IdempotencyState,
    pub response_status: Option<i32>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub response_body: Option<Json>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// Whether the first request has its answer.
    pub enum IdempotencyState {
        InProgress = "in_progress",
        Completed = "completed",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
