//! How riders reach us.

use crate::id::{AdminProfileId, ContactInfoId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `contact_infos`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_infos")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ContactInfoId,
    pub contact_type: ContactType,
    pub value: String,
    pub description: Option<String>,
    pub is_active: bool,
    /// None for what a new installation starts with.
    pub updated_by: Option<AdminProfileId>,
    pub updated_at: DateTimeUtc,
}

text_enum! {
    /// The kind of contact.
    pub enum ContactType {
        Phone = "phone",
        Email = "email",
        Address = "address",
        SupportHours = "support_hours",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::admin_profile::Entity",
        from = "Column::UpdatedBy",
        to = "crate::admin_profile::Column::Id"
    )]
    UpdatedBy,
}

impl Related<crate::admin_profile::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::UpdatedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
