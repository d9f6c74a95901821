//! A rendered notification on its way to one rider: a row for each way that is open, and a delivery for each
//! address behind it, all in the caller's transaction.

use entities::id::{NotificationId, NotificationTemplateId, UserId};
use entities::notification::{self, NotificationChannel};
use entities::notification_template::NotificationType;
use entities::sms_fcm_log::MessageType;
use entities::{app_config, notification_rule, user, user_device};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde_json::Value;

use crate::db::Tx;
use crate::error::Result;
use crate::limits::DEVICES_PUSHED_MAX;
use crate::notifications::channels::{self, QuietHours};
use crate::notifications::{Notified, delivery};

/// What a rider is told, in its final words.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) template: Option<NotificationTemplateId>,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) kind: NotificationType,
    pub(super) data: Value,
    /// Told once for this key.
    pub(super) dedup_key: String,
}

/// Writes it for every way that the rule opens and the rider can be reached on.
pub(super) async fn write(
    tx: &Tx,
    user: UserId,
    rule: &notification_rule::Model,
    message: &Message,
) -> Result<Notified> {
    let mut notified = Notified::SwitchedOff;
    for channel in channels::opened_by(rule) {
        let addresses = addresses(tx, user, channel).await?;
        if channel != NotificationChannel::InApp && addresses.is_empty() {
            continue;
        }
        let Some(id) = insert(tx, user, channel, message).await? else {
            notified = Notified::WrittenBefore;
            continue;
        };
        notified = Notified::Written;
        let leaves_at = match addresses.is_empty() {
            true => continue,
            false => quiet_hours(tx).await?.leaves_at(tx.now(), rule.is_critical),
        };
        for (way, recipient) in addresses {
            delivery::post(tx, user, id, message, way, recipient, leaves_at).await?;
        }
    }
    Ok(notified)
}

/// The row of one way, unless it is there.
async fn insert(
    tx: &Tx,
    user: UserId,
    channel: NotificationChannel,
    message: &Message,
) -> Result<Option<NotificationId>> {
    let id = NotificationId(tx.new_uuid());
    let dedup_key = match channel {
        NotificationChannel::InApp => message.dedup_key.clone(),
        NotificationChannel::Push | NotificationChannel::Sms | NotificationChannel::Email => {
            format!("{} by {channel}", message.dedup_key)
        }
    };
    let row = notification::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        template_id: Set(message.template),
        title: Set(message.title.clone()),
        message: Set(message.message.clone()),
        notification_type: Set(message.kind),
        data: Set(message.data.clone()),
        channel: Set(channel),
        is_read: Set(false),
        read_at: Set(None),
        dedup_key: Set(Some(dedup_key)),
        created_at: Set(tx.now()),
    };
    let written = notification::Entity::insert(row)
        .on_conflict(OnConflict::column(notification::Column::DedupKey).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok((written == 1).then_some(id))
}

/// Where the rider is reached on that way: proven addresses, telephones with the app.
async fn addresses(
    tx: &Tx,
    user: UserId,
    channel: NotificationChannel,
) -> Result<Vec<(MessageType, String)>> {
    match channel {
        NotificationChannel::InApp => Ok(Vec::new()),
        NotificationChannel::Push => {
            let devices = user_device::Entity::find()
                .filter(user_device::Column::UserId.eq(user))
                .filter(user_device::Column::IsActive.eq(true))
                .filter(user_device::Column::FcmToken.is_not_null())
                .order_by_desc(user_device::Column::LastActive)
                .limit(DEVICES_PUSHED_MAX);
            let mut tokens: Vec<_> =
                devices.all(tx).await?.into_iter().filter_map(|device| device.fcm_token).collect();
            tokens.sort_unstable();
            tokens.dedup();
            Ok(tokens.into_iter().map(|token| (MessageType::Fcm, token)).collect())
        }
        NotificationChannel::Sms => {
            let number = person(tx, user).await?.filter(|person| person.phone_verified);
            let number = number.and_then(|person| person.phone_number);
            Ok(number.map(|number| (MessageType::Sms, number)).into_iter().collect())
        }
        NotificationChannel::Email => {
            let address = person(tx, user).await?.filter(|person| person.email_verified);
            let address = address.and_then(|person| person.email);
            Ok(address.map(|address| (MessageType::Email, address)).into_iter().collect())
        }
    }
}

async fn person(tx: &Tx, user: UserId) -> Result<Option<user::Model>> {
    Ok(user::Entity::find_by_id(user).filter(user::Column::DeletedAt.is_null()).one(tx).await?)
}

/// As staff have set them.
async fn quiet_hours(tx: &Tx) -> Result<QuietHours> {
    let rows = app_config::Entity::find()
        .filter(app_config::Column::ConfigKey.is_in(["QUIET_HOURS_FROM", "QUIET_HOURS_UNTIL"]))
        .filter(app_config::Column::IsActive.eq(true))
        .all(tx)
        .await?;
    let hour = |key: &str, default| {
        let row = rows.iter().find(|row| row.config_key == key);
        let hour = row.and_then(|row| row.config_value.trim().parse().ok());
        hour.filter(|hour| (0..24).contains(hour)).unwrap_or(default)
    };
    let usual = QuietHours::default();
    Ok(QuietHours {
        from: hour("QUIET_HOURS_FROM", usual.from),
        until: hour("QUIET_HOURS_UNTIL", usual.until),
    })
}
