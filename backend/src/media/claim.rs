//! How the other domains take uploads into their books, and let them go.

use super::link;
use crate::db::Tx;
use crate::error::{Problem, Result};
use entities::id::{MediaUploadId, UserId};
use entities::media_upload::{self, Column, MediaPurpose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// Takes an upload of `owner`, or of anybody for what staff bring, into the caller's books: from now on it stays.
/// `pointer` names the field that named it.
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
    Ok(row.ok_or_else(|| refused(purpose, pointer))?)
}

/// The same for an upload that is named by its `file_url`.
pub async fn claim_at(
    tx: &Tx,
    owner: UserId,
    purpose: MediaPurpose,
    file_url: &str,
    pointer: &str,
) -> Result<()> {
    let id = link::upload_of(file_url).ok_or_else(|| refused(purpose, pointer))?;
    let row = claim(tx, Some(owner), purpose, id, pointer).await?;
    if row.file_url == file_url { Ok(()) } else { Err(refused(purpose, pointer).into()) }
}

fn refused(purpose: MediaPurpose, pointer: &str) -> Problem {
    Problem::invalid(pointer, format!("is no picture that you uploaded as {purpose}"))
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
