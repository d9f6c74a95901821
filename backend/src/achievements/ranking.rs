//! Numbers all riders by their points, some at a time, at most every [`limits::RANKED_EVERY`] and only if
//! something was earned. Equal points share a place, and the next one is left out: 1, 2, 2, 4.

use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use crate::limits;
use chrono::{DateTime, Utc};
use entities::user::{self, UserStatus};
use entities::user_leaderboard as boards;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Numbers some riders and leaves the rest to the next job.
pub const QUEUE: Queue = Queue { name: "leaderboard.rank", handler: |app, job| Box::pin(run(app, job)) };

/// The rank of a rider whom no numbering has reached yet.
pub(super) const UNRANKED: i32 = 0;

/// How far a numbering is: it goes on after this rider, even in another process.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Progress {
    after: Option<(i32, Uuid)>,
    numbered: i32,
    rank: i32,
}

/// Asks for a numbering at the end of this quarter of an hour; asked for twice, it happens once.
pub(super) async fn ask(tx: &Tx) -> Result<()> {
    let at = quarter_end(tx.now());
    let key = at.timestamp().to_string();
    jobs::enqueue(tx, QUEUE.name, &Progress::default(), at, Some(key)).await?;
    Ok(())
}

/// Riders that take part: those whose account is in use.
pub(super) fn taking_part() -> Select<boards::Entity> {
    boards::Entity::find().inner_join(user::Entity).filter(user::Column::Status.eq(UserStatus::Active))
}

async fn run(app: App, job: Job) -> Result<()> {
    let start: Progress = job.payload()?;
    let numbered = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            if let Some(progress) = number_some(tx, start).await? {
                jobs::enqueue(tx, QUEUE.name, &progress, tx.now(), None).await?;
            }
            job.finish(tx).await
        })
    });
    numbered.await
}

/// Answers how far it is, or nothing at the end.
async fn number_some(tx: &Tx, mut progress: Progress) -> Result<Option<Progress>> {
    let points = boards::Column::TotalPointsEarned;
    let mut query =
        taking_part().order_by_desc(points).order_by_desc(boards::Column::Id).limit(limits::RANKED_AT_ONCE);
    if let Some((last, id)) = progress.after {
        let equal = Condition::all().add(points.eq(last)).add(boards::Column::Id.lt(id));
        query = query.filter(Condition::any().add(points.lt(last)).add(equal));
    }
    let rows = query.all(tx).await?;
    for row in &rows {
        progress.numbered += 1;
        if progress.after.is_none_or(|(last, _)| last != row.total_points_earned) {
            progress.rank = progress.numbered;
        }
        progress.after = Some((row.total_points_earned, row.id.0));
        if row.rank != progress.rank {
            boards::Entity::update_many()
                .col_expr(boards::Column::Rank, Expr::val(progress.rank))
                .filter(boards::Column::Id.eq(row.id))
                .exec(tx)
                .await?;
        }
    }
    Ok((rows.len() as u64 == limits::RANKED_AT_ONCE).then_some(progress))
}

fn quarter_end(now: DateTime<Utc>) -> DateTime<Utc> {
    let every_s = limits::RANKED_EVERY.num_seconds();
    let end = now.timestamp() - now.timestamp().rem_euclid(every_s) + every_s;
    DateTime::from_timestamp(end, 0).unwrap_or(now)
}
