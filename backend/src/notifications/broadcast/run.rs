//! Tells the riders of a broadcast, some at a time. Each step and its place in the list are one transaction: a
//! process that dies in between goes on where it was, and nobody is told twice.

use chrono::{DateTime, Utc};
use entities::broadcast::{self, BroadcastState, Segment};
use entities::id::{BroadcastId, UserId};
use entities::notification_template::NotificationType;
use entities::user::{self, UserStatus};
use entities::{notification_rule, rental};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    Select, Set,
};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{Job, Queue};
use crate::limits::{BROADCAST_ACTIVE_WITHIN, BROADCAST_AT_ONCE, BROADCAST_NEW_WITHIN};
use crate::notifications::message::{self, Message};
use crate::notifications::{Notified, notice};

/// Tells riders.
pub const QUEUE: Queue =
    Queue { name: "notifications.broadcast", handler: |app, job| Box::pin(run(app, job)) };

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) broadcast: BroadcastId,
}

/// Those whom a segment means at a moment.
pub(super) fn riders(segment: Segment, at: DateTime<Utc>) -> Select<user::Entity> {
    let riders = user::Entity::find()
        .filter(user::Column::Status.eq(UserStatus::Active))
        .filter(user::Column::DeletedAt.is_null())
        .filter(user::Column::CreatedAt.lte(at));
    let is_new = user::Column::CreatedAt.gt(at - BROADCAST_NEW_WITHIN);
    match segment {
        Segment::All => riders,
        Segment::New => riders.filter(is_new),
        Segment::Active => riders.filter(Expr::exists(rentals_since(at - BROADCAST_ACTIVE_WITHIN))),
        Segment::Inactive => riders
            .filter(is_new.not())
            .filter(Expr::exists(rentals_since(at - BROADCAST_ACTIVE_WITHIN)).not()),
    }
}

fn rentals_since(since: DateTime<Utc>) -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(rental::Entity)
        .and_where(
            Expr::col((rental::Entity, rental::Column::UserId)).equals((user::Entity, user::Column::Id)),
        )
        .and_where(Expr::col((rental::Entity, rental::Column::CreatedAt)).gt(since))
        .to_owned()
}

async fn run(app: App, job: Job) -> Result<()> {
    let Run { broadcast } = job.payload()?;
    let step = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            match step(tx, broadcast).await? {
                true => job.again_at(tx, tx.now()).await,
                false => job.finish(tx).await,
            }
        })
    });
    step.await
}

/// Tells the next riders. Answers whether there may be more.
async fn step(tx: &Tx, id: BroadcastId) -> Result<bool> {
    let row = broadcast::Entity::find_by_id(id).one(tx).await?;
    let row = row.ok_or_else(|| Error::internal(format!("broadcasts {id} is not there")))?;
    if row.state != BroadcastState::Running {
        return Ok(false);
    }
    let mut next = riders(row.segment, row.created_at)
        .select_only()
        .column(user::Column::Id)
        .order_by_asc(user::Column::Id)
        .limit(BROADCAST_AT_ONCE);
    if let Some(after) = row.after_user {
        next = next.filter(user::Column::Id.gt(after));
    }
    let users: Vec<UserId> = next.into_tuple().all(tx).await?;
    let rule = notice::rule(tx).await?;
    let mut told = 0;
    for user in &users {
        if tell(tx, *user, rule.as_ref(), &row).await? == Notified::Written {
            told += 1;
        }
    }
    let (done, told) = (row.done + i64::try_from(users.len()).unwrap_or(i64::MAX), row.told + told);
    let is_over = (users.len() as u64) < BROADCAST_AT_ONCE;
    let mut change = row.into_active_model();
    change.done = Set(done);
    change.told = Set(told);
    if let Some(last) = users.last() {
        change.after_user = Set(Some(*last));
    }
    if is_over {
        change.state = Set(BroadcastState::Done);
        change.finished_at = Set(Some(tx.now()));
    }
    change.update(tx).await?;
    Ok(!is_over)
}

async fn tell(
    tx: &Tx,
    user: UserId,
    rule: Option<&notification_rule::Model>,
    row: &broadcast::Model,
) -> Result<Notified> {
    let Some(rule) = rule else { return Ok(Notified::SwitchedOff) };
    let message = Message {
        template: None,
        title: row.title.clone(),
        message: row.message.clone(),
        kind: NotificationType::System,
        data: serde_json::json!({ "broadcast": row.id }),
        dedup_key: format!("broadcast:{}:{user}", row.id),
    };
    message::write(tx, user, rule, &message).await
}
