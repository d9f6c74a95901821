//! Sparrow SMS, version 2: <https://docs.sparrowsms.com>. It queues a text and gives it no name; that it was
//! delivered is never said. The answer's `response_code` decides, not the status of HTTP.

use serde::Deserialize;

use super::ten_digits;
use crate::config::SparrowSettings;
use crate::identity::sms::{Sms, SmsError};
use crate::outside::{Answer, Outside, Standing};

/// Its name in settings and metrics.
pub const NAME: &str = "sparrow";

/// Where it is.
const BASE_URL: &str = "https://api.sparrowsms.com/v2";

/// The way to Sparrow.
pub struct Sparrow {
    settings: SparrowSettings,
    outside: Outside,
}

impl Sparrow {
    /// With the token and the sender's identity of the contract.
    pub fn new(settings: SparrowSettings, outside: Outside) -> Self {
        Self { settings, outside }
    }
}

#[derive(Deserialize)]
struct Said {
    response_code: u32,
    #[serde(default)]
    response: String,
}

#[async_trait::async_trait]
impl Sms for Sparrow {
    fn circuits(&self) -> Vec<Standing> {
        vec![self.outside.standing()]
    }

    async fn send(&self, to: &str, text: &str) -> Result<(), SmsError> {
        let base_url = match self.settings.base_url.trim_end_matches('/') {
            "" => BASE_URL,
            set => set,
        };
        // Always POST: a token in the query would stand in logs on the way.
        let form = [
            ("token", self.settings.token.expose()),
            ("from", self.settings.from.as_str()),
            ("to", ten_digits(to)?),
            ("text", text),
        ];
        let request = self.outside.http().post(format!("{base_url}/sms/")).form(&form);
        self.outside.call("send", request, |answer| read(&answer)).await
    }
}

fn read(answer: &Answer) -> Result<(), SmsError> {
    let Said { response_code, response } = answer.read()?;
    let said = format!("{response_code}: {response}");
    match response_code {
        200 => Ok(()),
        // Invalid receiver, no valid receiver.
        1007 | 1011 => Err(SmsError::Refused(said)),
        // Our address, token, sender or account is not in order, or there is no credit left.
        1001..=1006 | 1008 | 1012 | 1013 => {
            tracing::error!(said, "Sparrow needs the operator");
            Err(SmsError::Unavailable(said))
        }
        _ => Err(SmsError::Unavailable(said)),
    }
}
