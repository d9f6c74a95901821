//! How messages reach riders and staff: SMS, mail, push.

use super::Secret;
use serde::Deserialize;

/// `[sms]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsSettings {
    /// Who carries one-time codes; without one, signing in by number is refused.
    pub provider: Option<SmsProvider>,
    /// Who is asked when that one does not take a text.
    pub fallback: Option<SmsProvider>,
    /// How long a call to one of them may take, milliseconds.
    pub timeout_ms: u64,
    /// Sparrow SMS.
    pub sparrow: SparrowSettings,
    /// Aakash SMS.
    pub aakash: AakashSettings,
    /// Codes that may be sent to numbers in a day (UTC), whoever asks; 0 sets no limit. Each costs money.
    pub codes_per_day: u32,
}

impl Default for SmsSettings {
    fn default() -> Self {
        Self {
            provider: None,
            fallback: None,
            timeout_ms: 8_000,
            sparrow: SparrowSettings::default(),
            aakash: AakashSettings::default(),
            codes_per_day: 20_000,
        }
    }
}

impl SmsSettings {
    /// What is missing, in a sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        for provider in self.provider.iter().chain(&self.fallback) {
            let missing = match provider {
                SmsProvider::Console => None,
                SmsProvider::Sparrow if self.sparrow.token.is_empty() => Some("sms.sparrow.token"),
                SmsProvider::Sparrow if self.sparrow.from.is_empty() => Some("sms.sparrow.from"),
                SmsProvider::Aakash if self.aakash.auth_token.is_empty() => Some("sms.aakash.auth_token"),
                SmsProvider::Sparrow | SmsProvider::Aakash => None,
            };
            if let Some(key) = missing {
                return Err(format!("{key} is missing: the carrier's contract names it"));
            }
        }
        match (self.provider, self.fallback) {
            (None, Some(_)) => Err("sms.fallback needs sms.provider before it".to_owned()),
            (Some(first), Some(second)) if first == second => {
                Err("sms.fallback is the same carrier as sms.provider".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// `[sms.sparrow]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparrowSettings {
    /// The token of the account.
    pub token: Secret,
    /// The sender's identity that the contract names.
    pub from: String,
    /// Where its API is; empty for Sparrow's own address.
    pub base_url: String,
}

/// `[sms.aakash]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AakashSettings {
    /// The token of the account.
    pub auth_token: Secret,
    /// Where its API is; empty for Aakash's own address.
    pub base_url: String,
}

/// Who carries one-time codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsProvider {
    /// Nobody: the console page and the log show them. For demonstrations and development.
    Console,
    /// Sparrow SMS.
    Sparrow,
    /// Aakash SMS.
    Aakash,
}

/// `[mail]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// Who carries mail; without one, signing in by e-mail address is refused.
    pub provider: Option<MailProvider>,
    /// The server, as in `smtps://user:password@host`, or `smtp://…?tls=required` for STARTTLS.
    pub url: Secret,
    /// From whom mail comes, as in `Chautari <help@chautari.example>`.
    pub from: String,
    /// How long handing over one mail may take, milliseconds.
    pub timeout_ms: u64,
    /// Codes that may be sent to addresses in a day (UTC), whoever asks; 0 sets no limit.
    pub codes_per_day: u32,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            provider: None,
            url: Secret::default(),
            from: String::new(),
            timeout_ms: 15_000,
            codes_per_day: 20_000,
        }
    }
}

/// Who carries mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailProvider {
    /// Nobody: the console page and the log show it. For demonstrations and development.
    Console,
    /// A mail server.
    Smtp,
}

/// `[push]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushSettings {
    /// The JSON of a service account that may send messages of a Firebase project; without it none are sent.
    pub service_account: Secret,
    /// Where Firebase is; empty for its own address.
    pub base_url: String,
    /// How long a call may take, milliseconds.
    pub timeout_ms: u64,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self { service_account: Secret::default(), base_url: String::new(), timeout_ms: 15_000 }
    }
}
