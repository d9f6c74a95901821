//! Mail through a server that speaks SMTP, over TLS outside of tests. A mail whose answer was lost may have gone;
//! sent again it has the same `Message-ID`, and mailboxes show it once.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::config::MailSettings;
use crate::identity::mail::{Mail, MailError};
use crate::outside::{Failure, Outage, Outside, Standing};

/// Its name in settings and metrics.
pub const NAME: &str = "smtp";

/// The way to the mail server.
pub struct Smtp {
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    outside: Outside,
}

impl Smtp {
    /// Reads the settings; the error names the one that is wrong.
    pub fn new(settings: &MailSettings, outside: Outside) -> Result<Self, String> {
        let from: Mailbox = settings.from.parse().map_err(|_| {
            format!("mail.from = \"{}\" is not an address as in Chautari <help@…>", settings.from)
        })?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(settings.url.expose())
            .map_err(|error| format!("mail.url is not as in smtps://user:password@host: {error}"))?
            .timeout(Some(Duration::from_millis(settings.timeout_ms)))
            .build();
        Ok(Self { from, transport, outside })
    }

    async fn post(&self, mail: Message) -> Result<(), MailError> {
        self.outside
            .guard("send", async { self.transport.send(mail).await.map(drop).map_err(MailError::from) })
            .await
    }

    fn compose(&self, name: Option<&str>, to: &str, subject: &str, text: &str) -> Result<Message, MailError> {
        let to: Mailbox = to.parse().map_err(|_| MailError::Refused("not an address".to_owned()))?;
        let host = self.from.email.domain();
        let id = name.map(|name| format!("<{name}@{host}>"));
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .message_id(id)
            .body(text.to_owned())
            .map_err(|error| MailError::Refused(error.to_string()))
    }
}

#[async_trait::async_trait]
impl Mail for Smtp {
    fn circuits(&self) -> Vec<Standing> {
        vec![self.outside.standing()]
    }

    async fn send(&self, to: &str, subject: &str, text: &str) -> Result<(), MailError> {
        self.post(self.compose(None, to, subject, text)?).await
    }

    async fn send_named(&self, name: &str, to: &str, subject: &str, text: &str) -> Result<(), MailError> {
        self.post(self.compose(Some(name), to, subject, text)?).await
    }
}

impl From<SmtpError> for MailError {
    fn from(error: SmtpError) -> Self {
        /// The server wants other words of us than those in `mail.url`.
        const OF_SIGNING_IN: [u16; 4] = [530, 534, 535, 538];
        let said = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let code = error.status().map(u16::from);
        if code.is_some_and(|code| OF_SIGNING_IN.contains(&code)) {
            tracing::error!(said, "the mail server does not let us in");
            return Self::Unavailable(said);
        }
        match error.is_permanent() {
            true => Self::Refused(said),
            false => Self::Unavailable(said),
        }
    }
}

impl From<Outage> for MailError {
    fn from(outage: Outage) -> Self {
        Self::Unavailable(outage.to_string())
    }
}

impl Failure for MailError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NoCarrier | Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn is_outage(&self) -> bool {
        match self {
            Self::NoCarrier | Self::Refused(_) => false,
            Self::Unavailable(_) => true,
        }
    }
}
