//! Whether two accounts belong to one person, as far as the books can tell.

use super::rules;
use crate::error::Result;
use crate::identity::sightings;
use entities::user;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

/// The rider with this code, unless the account is not in use.
pub(super) async fn by_code(db: &impl ConnectionTrait, code: &str) -> Result<Option<user::Model>> {
    let found = user::Entity::find()
        .filter(user::Column::ReferralCode.eq(code))
        .filter(user::Column::Status.eq(user::UserStatus::Active))
        .filter(user::Column::DeletedAt.is_null());
    Ok(found.one(db).await?)
}

/// Whether they ever used the same telephone, or their addresses are one mailbox.
pub(super) async fn are_one(
    db: &impl ConnectionTrait,
    left: &user::Model,
    right: &user::Model,
) -> Result<bool> {
    if left.id == right.id {
        return Ok(true);
    }
    if let (Some(left), Some(right)) = (&left.email, &right.email)
        && rules::mailbox(left) == rules::mailbox(right)
    {
        return Ok(true);
    }
    sightings::have_shared_a_device(db, left.id, right.id).await
}
