//! Aakash SMS, version 3: `POST /sms/v3/send`. It says for each number whether it is valid and queues the text
//! for those that are. A failure has an empty list where a success has an object.

use serde::Deserialize;
use serde_json::Value;

use super::ten_digits;
use crate::config::AakashSettings;
use crate::identity::sms::{Sms, SmsError};
use crate::outside::{Answer, Outside, Standing};

/// Its name in settings and metrics.
pub const NAME: &str = "aakash";

/// Where it is.
const BASE_URL: &str = "https://sms.aakashsms.com";

/// The way to Aakash.
pub struct Aakash {
    settings: AakashSettings,
    outside: Outside,
}

impl Aakash {
    /// With the token of the account.
    pub fn new(settings: AakashSettings, outside: Outside) -> Self {
        Self { settings, outside }
    }
}

#[derive(Deserialize)]
struct Said {
    error: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

#[async_trait::async_trait]
impl Sms for Aakash {
    fn circuits(&self) -> Vec<Standing> {
        vec![self.outside.standing()]
    }

    async fn send(&self, to: &str, text: &str) -> Result<(), SmsError> {
        let base_url = match self.settings.base_url.trim_end_matches('/') {
            "" => BASE_URL,
            set => set,
        };
        let form =
            [("auth_token", self.settings.auth_token.expose()), ("to", ten_digits(to)?), ("text", text)];
        let request = self.outside.http().post(format!("{base_url}/sms/v3/send")).form(&form);
        self.outside.call("send", request, |answer| read(&answer)).await
    }
}

fn read(answer: &Answer) -> Result<(), SmsError> {
    let Said { error, message, data } = answer.read()?;
    let named = |list: &str| data[list].as_array().is_some_and(|numbers| !numbers.is_empty());
    if !error && named("valid") {
        return Ok(());
    }
    let said = format!("{}: {message}", answer.status.as_u16());
    if !error && named("invalid") {
        return Err(SmsError::Refused(said));
    }
    // The token is wrong, the balance is used up, or a field is missing: nothing that this number can help.
    tracing::error!(said, "Aakash needs the operator");
    Err(SmsError::Unavailable(said))
}
