//! What a person wrote and where they were, in rows that stay or were made of theirs.

use crate::db::Tx;
use crate::error::Result;
use crate::{exports, rentals};
use entities::id::{AdminProfileId, RentalId, UserId};
use entities::{
    admin_profile, batch_part, batch_run, idempotency_key, refund, rental, rental_issue, rental_location,
    staff_credential, station_issue,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Set};

/// Forgets places, free texts, answers that were kept for a repeated request, lines of files, and the address of one
/// who worked here.
pub(super) async fn and_places(tx: &Tx, id: UserId) -> Result<()> {
    let theirs = || {
        rental::Entity::find()
            .select_only()
            .column(rental::Column::Id)
            .filter(rental::Column::UserId.eq(id))
            .into_query()
    };
    rental_location::Entity::delete_many()
        .filter(rental_location::Column::RentalId.in_subquery(theirs()))
        .exec(tx)
        .await?;
    rental_issue::Entity::update_many()
        .col_expr(rental_issue::Column::Description, Expr::value(""))
        .filter(rental_issue::Column::RentalId.in_subquery(theirs()))
        .exec(tx)
        .await?;
    station_issue::Entity::update_many()
        .col_expr(station_issue::Column::Description, Expr::value(""))
        .filter(station_issue::Column::ReportedBy.eq(id))
        .exec(tx)
        .await?;
    refund::Entity::update_many()
        .col_expr(refund::Column::Reason, Expr::value(""))
        .filter(refund::Column::RequestedBy.eq(id))
        .exec(tx)
        .await?;
    // Nobody can repeat their requests any more.
    idempotency_key::Entity::delete_many().filter(idempotency_key::Column::UserId.eq(id)).exec(tx).await?;
    forget_wishes(tx, id).await?;
    leave_files(tx, id).await?;
    leave_work(tx, id).await
}

/// Why they called a rental off.
async fn forget_wishes(tx: &Tx, id: UserId) -> Result<()> {
    let rows: Vec<(RentalId, serde_json::Value)> = rental::Entity::find()
        .select_only()
        .columns([rental::Column::Id, rental::Column::RentalMetadata])
        .filter(rental::Column::UserId.eq(id))
        .into_tuple()
        .all(tx)
        .await?;
    for (rental, metadata) in rows {
        let Some(metadata) = rentals::cancel::without_reason(metadata) else { continue };
        let change = rental::ActiveModel { rental_metadata: Set(metadata), ..Default::default() };
        rental::Entity::update_many().set(change).filter(rental::Column::Id.eq(rental)).exec(tx).await?;
    }
    Ok(())
}

/// Files of riders that staff had made, and that are kept for a while: without their line.
async fn leave_files(tx: &Tx, id: UserId) -> Result<()> {
    let of_riders = batch_run::Entity::find()
        .select_only()
        .column(batch_run::Column::Id)
        .filter(batch_run::Column::Kind.eq(exports::users::KIND.name))
        .into_query();
    let parts = batch_part::Entity::find()
        .filter(batch_part::Column::RunId.in_subquery(of_riders))
        .filter(batch_part::Column::Body.contains(id.to_string()))
        .all(tx)
        .await?;
    for part in parts {
        let change = batch_part::ActiveModel {
            body: Set(exports::users::without(&part.body, id)),
            ..Default::default()
        };
        batch_part::Entity::update_many()
            .set(change)
            .filter(batch_part::Column::Id.eq(part.id))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Who was dismissed keeps a row among the staff, because of what they did; their address is not needed for it.
async fn leave_work(tx: &Tx, id: UserId) -> Result<()> {
    let worked: Vec<AdminProfileId> = admin_profile::Entity::find()
        .select_only()
        .column(admin_profile::Column::Id)
        .filter(admin_profile::Column::UserId.eq(id))
        .into_tuple()
        .all(tx)
        .await?;
    for admin in worked {
        staff_credential::Entity::update_many()
            .col_expr(staff_credential::Column::Email, Expr::value(format!("{admin}@deleted.invalid")))
            .filter(staff_credential::Column::AdminId.eq(admin))
            .exec(tx)
            .await?;
    }
    Ok(())
}
