//! How the other domains take uploads into their books, and let them go.

use crate::db::Tx;
use crate::error::{Problem, Result};
use entities::id::{MediaUploadId, UserId};
use entities::media_upload::{self, Column, MediaPurpose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// Takes an upload of `owner`, or of anybody for what staff bring, into the caller's books: from now on it stays. `pointer` names the field that named it.
///
/// Somebody else's upload, one for another purpose and one that is not there are refused alike.
pub async fn claim(
    tx: &Tx,
    owner: Option<UserId>,
    purpose: MediaPurpose,
    upload: MediaUploadId,
    pointer: &str,
) -> Result<media_upload::Model> {
    let mut update = media_upload::Entity::update_many();
    if let Some(owner) = owner {
        update = update.filter(Column::UploadedBy.eq(owner));
    }
    let claimed = update
        .col_expr(Column::AttachedAt, Expr::value(Some(tx.now())))
        .filter(Column::Id.eq(upload))
        .filter(Column::Purpose.eq(purpose))
        .filter(Column::StoredAt.is_not_null())
        .exec(tx)
        .await?;
    let row = match claimed.rows_affected {
        0 => None,
        _ => media_upload::Entity::find_by_id(upload).one(tx).await?,
    };
    let refused = || Problem::invalid(pointer, format!("is no picture that you uploaded as {purpose}"));
    Ok(row.ok_or_else(refused)?)
}

/// Lets uploads go, named by their `file_url`: nobody needs them, and they are swept away. What is no upload of
/// ours is left alone.
pub async fn release(tx: &Tx, file_urls: &[&str]) -> Result<()> {
    let none: Option<chrono::DateTime<chrono::Utc>> = None;
    media_upload::Entity::update_many()
        .col_expr(Column::AttachedAt, Expr::value(none))
        .filter(Column::FileUrl.is_in(file_urls.iter().copied()))
        .exec(tx)
        .await?;
    Ok(())
}

/// Lets go of everything that a person uploaded for themselves, because they leave.
pub async fn forget_user(tx: &Tx, owner: UserId) -> Result<()> {
    let none: Option<chrono::DateTime<chrono::Utc>> = None;
    media_upload::Entity::update_many()
        .col_expr(Column::AttachedAt, Expr::value(none))
        .filter(Column::UploadedBy.eq(owner))
        .filter(Column::Purpose.is_in([MediaPurpose::Profile, MediaPurpose::Kyc]))
        .exec(tx)
        .await?;
    Ok(())
}
