//! Notifications: what riders are told, rendered from texts that staff edit.
//!
//! The listeners in [`listeners`] turn the news of other domains into notifications. [`notify`] writes one for each
//! way that the rule of its class opens ([`channels`]); what leaves the app goes to its addresses as jobs
//! ([`delivery`]), through a carrier: [`fcm`] for telephones with the app, [`carriers`] for text messages, [`smtp`] for
//! mail.

pub mod channels;
pub mod template;

pub mod inbox;
pub mod mark_all_read;
pub mod one;
pub mod stats;

pub mod listeners;
pub mod profile_reminder;

pub mod broadcast;
pub mod notice;

pub mod delivery;
mod message;

pub mod carriers;
pub mod fcm;
pub mod push;
pub mod smtp;

mod occasions;
mod staff;

use entities::id::UserId;
use entities::{notification_rule, notification_template};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::notifications::message::Message;
use crate::resource;

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(inbox::list))
        .routes(routes!(one::show, one::mark, one::delete))
        .routes(routes!(mark_all_read::mark))
        .routes(routes!(stats::stats))
        .routes(routes!(notice::write_to_one))
        .routes(routes!(broadcast::write_to_many))
        .routes(routes!(broadcast::staff::list_broadcasts))
        .routes(routes!(broadcast::staff::show_broadcast))
        .routes(routes!(broadcast::staff::stop_broadcast))
        .routes(routes!(delivery::log::list_deliveries))
        .merge(resource::routes::<staff::NotificationTemplateFields>())
        .merge(resource::routes::<staff::NotificationRuleFields>())
}

/// What answers outside of the API's prefix.
pub(crate) fn first_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(inbox::list_at_first_address))
}

crate::refusals! {
    /// Why a rider is not told.
    pub enum Refusal {
        NoticesSwitchedOff = 409 "notices_switched_off" "Notices of staff are switched off on every way that reaches this rider.",
    }
}

/// Starts what this domain does every day.
pub(crate) fn start(app: &App, tracker: &TaskTracker) {
    metrics::describe_counter!(
        "chautari_messages_total",
        "Tries to hand a message to a carrier, by way and outcome: sent, refused, address_dead, away, unknown."
    );
    let app = app.clone();
    tracker.spawn(async move {
        if let Err(error) = profile_reminder::keep_going(&app).await {
            tracing::error!(%error, "riders are not reminded of their profiles");
        }
    });
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// It is in the inbox, or on another way to the rider.
    Written,
    /// It was there before.
    WrittenBefore,
    /// Staff switched it off: the text, or the class; or the rider is not reached on any way that is open.
    SwitchedOff,
}

/// Writes a notification for every way that its class's rule opens, once for `dedup_key`.
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
    let Some(rule) = rule.filter(|_| text.is_active) else { return Ok(Notified::SwitchedOff) };
    let (title, words) = template::render(&text.title_template, &text.message_template, &data)
        .map_err(|error| Error::internal(format!("notification text `{slug}`: {error}")))?;
    let template = Some(text.id);
    let data = about(slug, data);
    let message = Message { template, title, message: words, kind: text.notification_type, data, dedup_key };
    message::write(tx, user, &rule, &message).await
}

/// The data with its occasion, by which the app knows what to do.
fn about(slug: &str, mut data: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = data.as_object_mut() {
        fields.insert(OCCASION.to_owned(), slug.into());
    }
    data
}

/// Where a notification's data keeps what it was written for.
const OCCASION: &str = "occasion";
