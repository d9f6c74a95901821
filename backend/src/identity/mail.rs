//! Who carries mail to people: codes for those who sign in by e-mail address, and what staff send.

use crate::clock::Clock;
use crate::identity::sms::{OtpOutbox, SentText};
use crate::outside::Standing;

/// Carries a plain text to an e-mail address.
#[async_trait::async_trait]
pub trait Mail: Send + Sync + 'static {
    /// Hands the text over. An error means that it was not accepted; silence proves nothing.
    async fn send(&self, to: &str, subject: &str, text: &str) -> Result<(), MailError>;

    /// The same under a name of ours. A mail that goes twice under one name is shown once, where mailboxes can do
    /// that.
    async fn send_named(&self, name: &str, to: &str, subject: &str, text: &str) -> Result<(), MailError> {
        let _ = name;
        self.send(to, subject, text).await
    }

    /// Whether calls go out, for each provider that is asked; none where nothing leaves this process.
    fn circuits(&self) -> Vec<Standing> {
        Vec::new()
    }
}

/// Why a carrier did not take a mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// None is configured.
    #[error("no mail server is configured")]
    NoCarrier,
    /// It will never take this one: there is no such address, or it refuses us.
    #[error("the mail was refused: {0}")]
    Refused(String),
    /// It cannot be reached or is busy: the same mail may pass later.
    #[error("the mail server is away: {0}")]
    Unavailable(String),
}

/// No carrier: every mail is refused.
pub struct NoMail;

#[async_trait::async_trait]
impl Mail for NoMail {
    async fn send(&self, _to: &str, _subject: &str, _text: &str) -> Result<(), MailError> {
        Err(MailError::NoCarrier)
    }
}

/// Carries nothing anywhere: the console page shows the newest mails. For demonstrations and development.
pub struct ConsoleMail {
    outbox: OtpOutbox,
    clock: Clock,
}

impl ConsoleMail {
    /// Mails go to `outbox`, where the texts of telephones go, too.
    pub fn new(outbox: OtpOutbox, clock: Clock) -> Self {
        Self { outbox, clock }
    }
}

#[async_trait::async_trait]
impl Mail for ConsoleMail {
    async fn send(&self, to: &str, subject: &str, text: &str) -> Result<(), MailError> {
        tracing::info!(to, subject, text, "a mail for the console");
        self.outbox.push(SentText { to: to.to_owned(), text: text.to_owned(), at: self.clock.now() });
        Ok(())
    }
}
