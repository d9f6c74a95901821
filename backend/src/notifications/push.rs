//! Push messages: what goes to a telephone with the app, and who carries it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use entities::{notification, sms_fcm_log};
use serde_json::Value;

use crate::notifications::delivery::rules::Outcome;
use crate::outside::Standing;

/// Carries messages to telephones.
#[async_trait::async_trait]
pub trait Push: Send + Sync + 'static {
    /// Hands a message over and answers the carrier's name for it.
    async fn send(&self, message: &PushMessage) -> Result<String, PushError>;

    /// Whether calls go out, for each provider that is asked; none where nothing leaves this process.
    fn circuits(&self) -> Vec<Standing> {
        Vec::new()
    }
}

/// A message to one telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushMessage {
    /// The app's token.
    pub token: String,
    /// Ours; the telephone shows a second message of this name in place of the first.
    pub id: String,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub body: String,
    /// For the app; texts only.
    pub data: BTreeMap<String, String>,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// None is configured.
    #[error("no carrier of push messages is configured")]
    NoCarrier,
    /// There is no app of ours behind this token.
    #[error("the token is dead: {0}")]
    TokenDead(String),
    /// The carrier will never take it.
    #[error("refused: {0}")]
    Refused(String),
    /// The carrier did not take it this time.
    #[error("the carrier is away: {why}")]
    Away {
        /// What it said.
        why: String,
        /// When it wants to be asked again.
        retry_after: Option<TimeDelta>,
    },
    /// The carrier may have taken it.
    #[error("no answer: {0}")]
    Unknown(String),
}

impl From<PushError> for Outcome {
    fn from(error: PushError) -> Self {
        match error {
            PushError::NoCarrier => Self::Refused(error.to_string()),
            PushError::TokenDead(why) => Self::AddressDead(why),
            PushError::Refused(why) => Self::Refused(why),
            PushError::Away { why, retry_after } => Self::Away { why, retry_after },
            PushError::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl PushMessage {
    /// The message of a delivery; its notification may be gone by now.
    pub(super) fn new(row: &sms_fcm_log::Model, notification: Option<&notification::Model>) -> Self {
        let id = row.notification_id.map_or_else(|| row.id.to_string(), |id| id.to_string());
        let mut data = BTreeMap::from([("notification_id".to_owned(), id.clone())]);
        if let Some(notification) = notification {
            data.insert("notification_type".to_owned(), notification.notification_type.to_string());
            for (name, value) in notification.data.as_object().into_iter().flatten() {
                match value {
                    Value::Null => {}
                    Value::String(text) => drop(data.insert(name.clone(), text.clone())),
                    other => drop(data.insert(name.clone(), other.to_string())),
                }
            }
        }
        Self { token: row.recipient.clone(), id, title: row.title.clone(), body: row.message.clone(), data }
    }
}

/// Nobody: every message is refused, and the log says so.
pub struct NoPush;

#[async_trait::async_trait]
impl Push for NoPush {
    async fn send(&self, _: &PushMessage) -> Result<String, PushError> {
        Err(PushError::NoCarrier)
    }
}
