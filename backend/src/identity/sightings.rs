//! Which accounts have used the same installation of the app: who refers themselves does.

use crate::db::Tx;
use crate::error::Result;
use entities::device_sighting;
use entities::id::UserId;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Set};
use sha2::{Digest, Sha256};

/// Whether two accounts have ever been on the same installation.
pub async fn have_shared_a_device(db: &impl ConnectionTrait, one: UserId, other: UserId) -> Result<bool> {
    let of_one = device_sighting::Entity::find()
        .select_only()
        .column(device_sighting::Column::DeviceHash)
        .filter(device_sighting::Column::UserId.eq(one));
    let shared = device_sighting::Entity::find()
        .filter(device_sighting::Column::UserId.eq(other))
        .filter(device_sighting::Column::DeviceHash.in_subquery(of_one.into_query()))
        .one(db)
        .await?;
    Ok(shared.is_some())
}

/// Remembers that `user` was seen on an installation.
pub(super) async fn note(tx: &Tx, user: UserId, device_id: &str) -> Result<()> {
    let row = device_sighting::ActiveModel {
        device_hash: Set(hex::encode(Sha256::digest(device_id))),
        user_id: Set(user),
        first_seen_at: Set(tx.now()),
    };
    let once = [device_sighting::Column::DeviceHash, device_sighting::Column::UserId];
    device_sighting::Entity::insert(row)
        .on_conflict(OnConflict::columns(once).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
