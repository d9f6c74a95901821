//! Notifications: what riders are told, rendered from texts that staff edit.
//!
//! [`notify`] writes one into the inbox if the class's rule says so. The listeners in
//! [`listeners`] turn the news of other domains into notifications.

pub mod template;

pub mod inbox;
pub mod mark_all_read;
pub mod one;
pub mod stats;

pub mod listeners;

mod occasions;
mod staff;

use entities::id::{NotificationId, UserId};
use entities::notification::{self, NotificationChannel};
use entities::{notification_rule, notification_template};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::resource;

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(inbox::list))
        .routes(routes!(one::show, one::mark, one::delete))
        .routes(routes!(mark_all_read::mark))
        .routes(routes!(stats::stats))
        .merge(resource::routes::<staff::NotificationTemplateFields>())
        .merge(resource::routes::<staff::NotificationRuleFields>())
}

/// What answers outside of the API's prefix.
pub(crate) fn first_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(inbox::list_at_first_address))
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// It is in the inbox.
    Written,
    /// It was there before.
    WrittenBefore,
    /// Staff switched it off: the text, or the class's inbox.
    SwitchedOff,
}

/// Writes a notification into the rider's inbox, once for `dedup_key`.
///
/// `slug` names the text in [`template`], `data` fills it and is kept for the app.
pub async fn notify(
    tx: &Tx,
    user: UserId,
    slug: &str,
    data: serde_json::Value,
    dedup_key: String,
) -> Result<Notified> {
    let text = notification_template::Entity::find()
        .filter(notification_template::Column::Slug.eq(slug))
        .one(tx)
        .await?
        .ok_or_else(|| Error::internal(format!("there is no notification text `{slug}`")))?;
    let rule = notification_rule::Entity::find()
        .filter(notification_rule::Column::NotificationType.eq(&text.rule_type))
        .one(tx)
        .await?;
    if !text.is_active || !rule.is_some_and(|rule| rule.send_in_app) {
        return Ok(Notified::SwitchedOff);
    }
    let (title, message) = template::render(&text.title_template, &text.message_template, &data)
        .map_err(|error| Error::internal(format!("notification text `{slug}`: {error}")))?;
    let row = notification::ActiveModel {
        id: Set(NotificationId(tx.new_uuid())),
        user_id: Set(user),
        template_id: Set(Some(text.id)),
        title: Set(title),
        message: Set(message),
        notification_type: Set(text.notification_type),
        data: Set(data),
        channel: Set(NotificationChannel::InApp),
        is_read: Set(false),
        read_at: Set(None),
        dedup_key: Set(Some(dedup_key)),
        created_at: Set(tx.now()),
    };
    let written = notification::Entity::insert(row)
        .on_conflict(OnConflict::column(notification::Column::DedupKey).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(if written == 1 { Notified::Written } else { Notified::WrittenBefore })
}
