//! What a rental has left behind although something should have taken care of it. Nothing here
//! happens while the jobs do their work; `chautari audit` shows it, and this mends it by rule:
//!
//! - money that is still set aside for a rental that was called off goes back to the wallet (R3);
//! - a command that nobody delivers any more gets its job again, which finds out what became of it (R8).

use super::delivery;
use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::incidents::{self, About};
use crate::limits::{FORGOTTEN_AFTER, FORGOTTEN_ROWS, FORGOTTEN_WATCH_PAUSE};
use crate::payments::holds;
use entities::command::{self, CommandState};
use entities::hold::{self, HoldState};
use entities::id::{CommandId, RentalId};
use entities::incident::IncidentKind;
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationTrait};
use tokio_util::sync::CancellationToken;

/// Mends until `shutdown`.
pub(crate) async fn watch(app: App, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(FORGOTTEN_WATCH_PAUSE) => {}
            () = shutdown.cancelled() => return,
        }
        match mend(&app).await {
            Ok(0) => {}
            Ok(mended) => tracing::error!(mended, "rentals had left money or commands behind"),
            Err(error) => tracing::warn!(%error, "cannot see what rentals have left behind"),
        }
    }
}

/// Mends what is there now and answers how much that was.
pub async fn mend(app: &App) -> Result<usize> {
    let mut mended = 0;
    for rental in held_for_nothing(app).await? {
        app.db.write(move |tx| Box::pin(async move { give_back(tx, rental).await })).await?;
        mended += 1;
    }
    for command in delivered_by_nobody(app).await? {
        app.db.write(move |tx| Box::pin(async move { delivery::deliver_again(tx, command).await })).await?;
        mended += 1;
    }
    Ok(mended)
}

/// Rentals that were called off and still have a hold.
async fn held_for_nothing(app: &App) -> Result<Vec<RentalId>> {
    let rentals = hold::Entity::find()
        .select_only()
        .column(hold::Column::RentalId)
        .join(JoinType::InnerJoin, hold::Relation::Rental.def())
        .filter(hold::Column::State.eq(HoldState::Held))
        .filter(hold::Column::CreatedAt.lt(app.clock.now() - FORGOTTEN_AFTER))
        .filter(rental::Column::Status.eq(RentalStatus::Cancelled))
        .order_by_asc(hold::Column::Id)
        .limit(FORGOTTEN_ROWS)
        .into_tuple()
        .all(app.db.read())
        .await?;
    Ok(rentals)
}

async fn give_back(tx: &Tx, id: RentalId) -> Result<()> {
    // Read again: what was seen outside of this transaction may have been settled since.
    let rental = rental::Entity::find_by_id(id).one(tx).await?;
    if rental.is_none_or(|rental| rental.status != RentalStatus::Cancelled) {
        return Ok(());
    }
    holds::void(tx, tx.now(), id, "the rental was called off and its money forgotten").await?;
    let about = About { rental: Some(id), ..About::default() };
    let detail = serde_json::json!({ "rental": id, "mended": "the hold was released" });
    incidents::report(tx, IncidentKind::LedgerMismatch, format!("hold:{id}"), about, detail).await
}

/// Commands without an outcome, long after their expiry, that no job looks after.
async fn delivered_by_nobody(app: &App) -> Result<Vec<CommandId>> {
    let open = [CommandState::New, CommandState::Offered, CommandState::Received];
    let late: Vec<CommandId> = command::Entity::find()
        .select_only()
        .column(command::Column::Id)
        .filter(command::Column::State.is_in(open))
        .filter(command::Column::ExpiresAt.lt(app.clock.now() - FORGOTTEN_AFTER))
        .order_by_asc(command::Column::Id)
        .limit(FORGOTTEN_ROWS)
        .into_tuple()
        .all(app.db.read())
        .await?;
    if late.is_empty() {
        return Ok(late);
    }
    let looked_after = delivery::looked_after(app.db.read()).await?;
    Ok(late.into_iter().filter(|id| !looked_after.contains(id)).collect())
}
