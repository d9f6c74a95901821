//! Who carries texts to telephones: one-time codes first of all.

use crate::clock::Clock;
use crate::limits;
use crate::outside::Standing;
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Carries a text to a telephone number.
#[async_trait::async_trait]
pub trait Sms: Send + Sync + 'static {
    /// Hands the text over. An error means that it was not accepted; silence proves nothing.
    async fn send(&self, to: &str, text: &str) -> Result<(), SmsError>;

    /// Whether calls go out, for each provider that is asked; none where nothing leaves this process.
    fn circuits(&self) -> Vec<Standing> {
        Vec::new()
    }
}

/// Why a carrier did not take a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmsError {
    /// None is configured.
    #[error("no carrier is configured")]
    NoCarrier,
    /// It will never take a text for this number.
    #[error("the number was refused: {0}")]
    Refused(String),
    /// It did not take the text: it cannot be reached or has no credit left.
    #[error("the carrier is away: {0}")]
    Unavailable(String),
    /// Its answer was lost: the text may arrive.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// No carrier: every text is refused.
pub struct NoCarrier;

#[async_trait::async_trait]
impl Sms for NoCarrier {
    async fn send(&self, _to: &str, _text: &str) -> Result<(), SmsError> {
        Err(SmsError::NoCarrier)
    }
}

/// Carries nothing anywhere: the console page shows the newest texts. For demonstrations and development.
pub struct ConsoleSms {
    outbox: OtpOutbox,
    clock: Clock,
}

impl ConsoleSms {
    /// Texts go to `outbox`.
    pub fn new(outbox: OtpOutbox, clock: Clock) -> Self {
        Self { outbox, clock }
    }
}

#[async_trait::async_trait]
impl Sms for ConsoleSms {
    async fn send(&self, to: &str, text: &str) -> Result<(), SmsError> {
        tracing::info!(to, text, "a text for the console");
        self.outbox.push(SentText { to: to.to_owned(), text: text.to_owned(), at: self.clock.now() });
        Ok(())
    }
}

/// The newest texts of [`ConsoleSms`] and [`ConsoleMail`](super::mail::ConsoleMail), in memory only.
#[derive(Clone, Default)]
pub struct OtpOutbox(Arc<Mutex<VecDeque<SentText>>>);

/// A text that would have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentText {
    /// To whom.
    pub to: String,
    /// What.
    pub text: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl OtpOutbox {
    /// The texts, newest first.
    pub fn newest(&self) -> Vec<SentText> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// The newest code that was sent to this number or address.
    pub fn newest_code_for(&self, to: &str) -> Option<String> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = texts.iter().rev().find(|sent| sent.to == to)?;
        let is_code = |word: &&str| {
            word.len() == super::otp_request::CODE_DIGITS && word.bytes().all(|byte| byte.is_ascii_digit())
        };
        text.text.split(|letter: char| !letter.is_ascii_digit()).find(is_code).map(str::to_owned)
    }

    /// Adds a text; the oldest makes room.
    pub(super) fn push(&self, text: SentText) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() >= limits::OTP_OUTBOX_MAX {
            texts.pop_front();
        }
        texts.push_back(text);
    }
}
