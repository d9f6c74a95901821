//! A message goes to one address: a row of `sms_fcm_logs` says how far it is, a job carries it.
//!
//! A try is counted before it leaves. What becomes of it is decided in [`rules`]: sent, failed for good, or again
//! later until it is worth nothing any more. A push message and an e-mail that may have arrived go again under
//! the same name, and the telephone or the mailbox shows them once. A text message that may have arrived is not
//! sent again: nobody wants two.

pub mod rules;

pub(super) mod log;

use chrono::{DateTime, Utc};
use entities::id::{NotificationId, SmsFcmLogId, UserId};
use entities::sms_fcm_log::{self, MessageStatus, MessageType};
use entities::{notification, user, user_device};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db::Tx;
use crate::error::Result;
use crate::identity::mail::MailError;
use crate::identity::sms::SmsError;
use crate::jobs::{self, Job, Queue};
use crate::limits::DELIVERY_RESPONSE_MAX;
use crate::notifications::message::Message;
use crate::notifications::push::PushMessage;
use rules::{Next, Outcome};

/// Carries messages to addresses.
pub const QUEUE: Queue =
    Queue { name: "notifications.deliver", handler: |app, job| Box::pin(deliver(app, job)) };

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Deliver {
    log: SmsFcmLogId,
}

/// A message that is about to leave.
#[derive(Clone)]
struct Parcel {
    row: sms_fcm_log::Model,
    notification: Option<notification::Model>,
    /// The rider can still be reached there: not deleted, not signed out, not somebody else's telephone now.
    is_addressable: bool,
    /// A try before this one never ended.
    was_cut_off: bool,
}

/// Notes a message for an address and lets it leave at `leaves_at`.
pub(super) async fn post(
    tx: &Tx,
    user: UserId,
    notification: NotificationId,
    message: &Message,
    way: MessageType,
    recipient: String,
    leaves_at: DateTime<Utc>,
) -> Result<()> {
    let id = SmsFcmLogId(tx.new_uuid());
    let row = sms_fcm_log::ActiveModel {
        id: Set(id),
        user_id: Set(Some(user)),
        notification_id: Set(Some(notification)),
        title: Set(message.title.clone()),
        message: Set(message.message.clone()),
        log_type: Set(way),
        recipient: Set(recipient),
        status: Set(MessageStatus::Pending),
        response: Set(None),
        attempts: Set(0),
        created_at: Set(tx.now()),
        sent_at: Set(None),
    };
    sms_fcm_log::Entity::insert(row).exec_without_returning(tx).await?;
    jobs::enqueue(tx, QUEUE.name, &Deliver { log: id }, leaves_at, Some(id.to_string())).await?;
    Ok(())
}

async fn deliver(app: App, job: Job) -> Result<()> {
    let Deliver { log } = job.payload()?;
    let begun = app.db.write(move |tx| Box::pin(async move { begin(tx, log).await }));
    let Some(parcel) = begun.await? else { return Ok(()) };
    let outcome = match (parcel.row.log_type, &parcel) {
        (_, Parcel { is_addressable: false, .. }) => {
            Outcome::Refused("the rider is not reached there any more".to_owned())
        }
        (MessageType::Sms, Parcel { was_cut_off: true, .. }) => {
            Outcome::Unknown("this program ended while it was sent".to_owned())
        }
        (way, _) => carry(&app, way, &parcel).await,
    };
    let label = [("way", parcel.row.log_type.as_str()), ("outcome", outcome.word())];
    metrics::counter!("chautari_messages_total", &label).increment(1);
    let settled = app.db.write(move |tx| {
        let (job, parcel, outcome) = (job.clone(), parcel.clone(), outcome.clone());
        Box::pin(async move { settle(tx, &job, &parcel, outcome).await })
    });
    settled.await
}

/// Counts the try. Nothing is to be done for a message that has left, or failed, or is gone.
async fn begin(tx: &Tx, log: SmsFcmLogId) -> Result<Option<Parcel>> {
    let Some(row) = sms_fcm_log::Entity::find_by_id(log).one(tx).await? else { return Ok(None) };
    let counted = sms_fcm_log::Entity::update_many()
        .col_expr(sms_fcm_log::Column::Attempts, Expr::col(sms_fcm_log::Column::Attempts).add(1))
        .col_expr(sms_fcm_log::Column::Response, Expr::value(None::<String>))
        .filter(sms_fcm_log::Column::Id.eq(log))
        .filter(sms_fcm_log::Column::Status.eq(MessageStatus::Pending))
        .exec(tx)
        .await?;
    if counted.rows_affected == 0 {
        return Ok(None);
    }
    let notification = match row.notification_id {
        Some(id) => notification::Entity::find_by_id(id).one(tx).await?,
        None => None,
    };
    let is_addressable = is_addressable(tx, &row).await?;
    let was_cut_off = row.attempts > 0 && row.response.is_none();
    let row = sms_fcm_log::Model { attempts: row.attempts + 1, ..row };
    Ok(Some(Parcel { row, notification, is_addressable, was_cut_off }))
}

async fn is_addressable(tx: &Tx, row: &sms_fcm_log::Model) -> Result<bool> {
    let Some(user) = row.user_id else { return Ok(true) };
    let reached = match row.log_type {
        MessageType::Fcm => user_device::Entity::find()
            .filter(user_device::Column::UserId.eq(user))
            .filter(user_device::Column::FcmToken.eq(&row.recipient))
            .filter(user_device::Column::IsActive.eq(true))
            .one(tx)
            .await?
            .is_some(),
        MessageType::Sms | MessageType::Email => {
            let address = match row.log_type {
                MessageType::Sms => user::Column::PhoneNumber,
                MessageType::Fcm | MessageType::Email => user::Column::Email,
            };
            let same = user::Entity::find_by_id(user).filter(address.eq(&row.recipient));
            same.filter(user::Column::DeletedAt.is_null()).one(tx).await?.is_some()
        }
    };
    Ok(reached)
}

async fn carry(app: &App, way: MessageType, parcel: &Parcel) -> Outcome {
    let (row, to) = (&parcel.row, parcel.row.recipient.as_str());
    match way {
        MessageType::Fcm => {
            let message = PushMessage::new(row, parcel.notification.as_ref());
            app.push.send(&message).await.map_or_else(Outcome::from, Outcome::Sent)
        }
        MessageType::Sms => match app.sms.send(to, &row.message).await {
            Ok(()) => Outcome::Sent("taken by the carrier".to_owned()),
            Err(error @ (SmsError::NoCarrier | SmsError::Refused(_))) => Outcome::Refused(error.to_string()),
            Err(error @ SmsError::Unavailable(_)) => Outcome::away(error),
            Err(error @ SmsError::Unknown(_)) => Outcome::Unknown(error.to_string()),
        },
        MessageType::Email => {
            let name = row.notification_id.map_or_else(|| row.id.to_string(), |id| id.to_string());
            match app.mail.send_named(&name, to, &row.title, &row.message).await {
                Ok(()) => Outcome::Sent("taken by the mail server".to_owned()),
                Err(error @ (MailError::NoCarrier | MailError::Refused(_))) => {
                    Outcome::Refused(error.to_string())
                }
                Err(error @ MailError::Unavailable(_)) => Outcome::away(error),
            }
        }
    }
}

async fn settle(tx: &Tx, job: &Job, parcel: &Parcel, outcome: Outcome) -> Result<()> {
    let row = &parcel.row;
    let next = rules::next(row.log_type, row.attempts, row.created_at, tx.now(), outcome);
    let mut change = sms_fcm_log::ActiveModel { id: Set(row.id), ..Default::default() };
    let short = |text: String| Set(Some(text.chars().take(DELIVERY_RESPONSE_MAX).collect()));
    match next {
        Next::Sent { response } => {
            change.status = Set(MessageStatus::Sent);
            change.response = short(response);
            change.sent_at = Set(Some(tx.now()));
        }
        Next::Failed { response, address_is_dead } => {
            tracing::info!(log = %row.id, way = %row.log_type, response, "a message was not delivered");
            change.status = Set(MessageStatus::Failed);
            change.response = short(response);
            if address_is_dead {
                forget_token(tx, row.user_id, &row.recipient).await?;
            }
        }
        Next::Again { at, response } => {
            change.response = short(response);
            change.update(tx).await?;
            return job.again_at(tx, at).await;
        }
    }
    change.update(tx).await?;
    job.finish(tx).await
}

/// The app was removed from that telephone, or has another token by now: nothing is sent there again.
async fn forget_token(tx: &Tx, user: Option<UserId>, token: &str) -> Result<()> {
    user_device::Entity::update_many()
        .col_expr(user_device::Column::FcmToken, Expr::value(None::<String>))
        .filter(user_device::Column::UserId.eq(user))
        .filter(user_device::Column::FcmToken.eq(token))
        .exec(tx)
        .await?;
    Ok(())
}
