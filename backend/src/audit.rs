//! What members of staff did: a row in the transaction of the deed itself.

use crate::auth::Staff;
use crate::db::Tx;
use crate::error::Result;
use entities::admin_action_log;
use entities::id::AdminActionLogId;
use sea_orm::{EntityTrait, Set};

/// Notes that `staff` did `action` to a row of `target_model`.
pub async fn note(
    tx: &Tx,
    staff: &Staff,
    action: &str,
    target_model: &'static str,
    target_id: impl ToString,
    changes: serde_json::Value,
) -> Result<()> {
    let row = admin_action_log::ActiveModel {
        id: Set(AdminActionLogId::from(tx.new_uuid())),
        admin_id: Set(staff.admin_id),
        action: Set(action.to_owned()),
        target_model: Set(target_model.to_owned()),
        target_id: Set(target_id.to_string()),
        changes: Set(changes),
        ip_address: Set(staff.ip_address.clone()),
        user_agent: Set(staff.user_agent.clone()),
        created_at: Set(tx.now()),
    };
    admin_action_log::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}
