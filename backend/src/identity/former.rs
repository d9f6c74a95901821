//! Riders who were forgotten and come back: whoever deletes an account and makes another one is not rewarded twice for
//! becoming a rider.
//!
//! What is kept is an HMAC of number, address and paper under the server's key. It leads to nobody, and tells only
//! whether somebody who shows the same again was here before.

use crate::db::Tx;
use crate::error::Result;
use chrono::{DateTime, Utc};
use entities::former_rider::{self, Column};
use entities::id::UserId;
use entities::{user, user_kyc};
use hmac::{Hmac, KeyInit, Mac};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};
use sha2::Sha256;

/// Keeps the hashes of a rider who is about to be forgotten.
pub(crate) async fn remember(tx: &Tx, key: &[u8; 32], id: UserId) -> Result<()> {
    for identity_hash in hashes(tx, key, id).await? {
        let row =
            former_rider::ActiveModel { identity_hash: Set(identity_hash), forgotten_at: Set(tx.now()) };
        let again = OnConflict::column(Column::IdentityHash).update_column(Column::ForgottenAt).to_owned();
        former_rider::Entity::insert(row).on_conflict(again).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// When somebody with the number, the address or the paper of this rider was forgotten, if ever.
pub(crate) async fn forgotten_at(
    db: &impl ConnectionTrait,
    key: &[u8; 32],
    id: UserId,
) -> Result<Option<DateTime<Utc>>> {
    let hashes = hashes(db, key, id).await?;
    let rows = former_rider::Entity::find().filter(Column::IdentityHash.is_in(hashes)).all(db).await?;
    Ok(rows.into_iter().map(|row| row.forgotten_at).max())
}

async fn hashes(db: &impl ConnectionTrait, key: &[u8; 32], id: UserId) -> Result<Vec<String>> {
    let user = user::Entity::find_by_id(id).one(db).await?;
    let (phone, email) = user.map(|user| (user.phone_number, user.email)).unwrap_or_default();
    let paper = user_kyc::Entity::find().filter(user_kyc::Column::UserId.eq(id)).one(db).await?;
    let identities = [
        ("phone", phone),
        ("email", email.map(|address| address.to_ascii_lowercase())),
        ("paper", paper.map(|paper| paper.citizenship_number)),
    ];
    let known = identities.into_iter().filter_map(|(kind, identity)| Some((kind, identity?)));
    known.map(|(kind, identity)| hash(key, kind, &identity)).collect()
}

fn hash(key: &[u8; 32], kind: &str, identity: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(anyhow::Error::from)?;
    for part in ["former rider", kind, identity] {
        mac.update(part.as_bytes());
        mac.update(b"\0");
    }
    Ok(hex::encode(mac.finalize().into_bytes()))
}
