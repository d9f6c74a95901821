//! Deletes uploads that nobody took, or that were let go.

use super::link;
use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use crate::limits;
use chrono::{DateTime, Utc};
use entities::media_upload::{self, Column};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

/// Deletes a file from the store.
pub const QUEUE: Queue = Queue { name: "media.delete", handler: |app, job| Box::pin(delete(app, job)) };

#[derive(Serialize, Deserialize)]
struct Delete {
    file_url: String,
}

/// Deletes the rows of some uploads that nobody needs and leaves the jobs that delete their files. Answers how many.
///
/// A row that a domain claims meanwhile stays: the deletion asks for the claim again.
pub async fn sweep(tx: &Tx, now: DateTime<Utc>) -> Result<u64> {
    let loose = media_upload::Entity::find()
        .filter(Column::AttachedAt.is_null())
        .filter(Column::CreatedAt.lt(now - limits::UPLOAD_KEPT_LOOSE))
        .order_by_asc(Column::CreatedAt)
        .limit(limits::SWEEP_ROWS)
        .all(tx)
        .await?;
    let mut deleted = 0;
    for upload in loose {
        let gone = media_upload::Entity::delete_many()
            .filter(Column::Id.eq(upload.id))
            .filter(Column::AttachedAt.is_null())
            .exec(tx)
            .await?;
        if gone.rows_affected == 1 {
            let key = Some(format!("upload:{}", upload.id));
            jobs::enqueue(tx, QUEUE.name, &Delete { file_url: upload.file_url }, now, key).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

async fn delete(app: App, job: Job) -> Result<()> {
    let Delete { file_url } = job.payload()?;
    if let Some(path) = link::stored_at(&file_url) {
        app.media.delete(&path).await?;
    }
    app.db
        .write(move |tx| {
            let job = job.clone();
            Box::pin(async move { job.finish(tx).await })
        })
        .await
}
