//! A stored file and who brought it.

use crate::id::{MediaUploadId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `media_uploads`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "media_uploads")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MediaUploadId,
    pub uploaded_by: Option<UserId>,
    pub file_url: String,
    pub file_type: MediaFileType,
    pub purpose: MediaPurpose,
    pub original_name: String,
    /// Bytes.
    pub file_size: i64,
    /// When the file was there; none while it is on its way.
    pub stored_at: Option<DateTimeUtc>,
    /// When something took it into its books; what nothing takes is deleted.
    pub attached_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// What kind of file it is.
    pub enum MediaFileType {
        Image = "image",
        Video = "video",
        Document = "document",
    }
}

text_enum! {
    /// What it was brought for, which decides who may see it.
    pub enum MediaPurpose {
        Profile = "profile",
        Issue = "issue",
        Kyc = "kyc",
        Station = "station",
        Content = "content",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::UploadedBy",
        to = "crate::user::Column::Id"
    )]
    UploadedBy,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::UploadedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
