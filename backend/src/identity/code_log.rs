//! A line of the delivery log for each one-time code: that one went, and never which.

use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::account;
use crate::identity::identifier::Identifier;
use crate::limits::DELIVERY_RESPONSE_MAX;
use entities::id::SmsFcmLogId;
use entities::sms_fcm_log::{self, MessageStatus, MessageType};
use sea_orm::{EntityTrait, Set};

/// What became of a code that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// The carrier took it.
    Taken,
    /// The carrier's answer was lost: it may arrive.
    Unknown(String),
}

/// Notes it. A log that cannot be written keeps nobody from signing in.
pub(super) async fn note(app: &App, to: &Identifier, carried: Result<&Carried, &Error>) {
    let way = match to {
        Identifier::Phone(_) => MessageType::Sms,
        Identifier::Email(_) => MessageType::Email,
    };
    let (status, response) = match carried {
        Ok(Carried::Taken) => (MessageStatus::Sent, "taken by the carrier".to_owned()),
        Ok(Carried::Unknown(why)) => (MessageStatus::Failed, format!("may have arrived: {why}")),
        Err(error) => (MessageStatus::Failed, error.to_string()),
    };
    let response: String = response.chars().take(DELIVERY_RESPONSE_MAX).collect();
    let to = to.clone();
    let noted = app.db.write(move |tx| {
        let (to, response) = (to.clone(), response.clone());
        Box::pin(async move {
            // With the person's name on it, the line goes when the account goes.
            let user = account::find(tx, &to).await?;
            let row = sms_fcm_log::ActiveModel {
                id: Set(SmsFcmLogId(tx.new_uuid())),
                user_id: Set(user.map(|user| user.id)),
                notification_id: Set(None),
                title: Set("One-time code".to_owned()),
                message: Set(String::new()),
                log_type: Set(way),
                recipient: Set(to.to_string()),
                status: Set(status),
                response: Set(Some(response)),
                attempts: Set(1),
                created_at: Set(tx.now()),
                sent_at: Set((status == MessageStatus::Sent).then(|| tx.now())),
            };
            sms_fcm_log::Entity::insert(row).exec_without_returning(tx).await?;
            Ok(())
        })
    });
    if let Err(error) = noted.await {
        tracing::warn!(%error, "a one-time code is not in the log of deliveries");
    }
}
