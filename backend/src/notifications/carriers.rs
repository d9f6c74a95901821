//! Who carries messages out of the house, as the operator set it: text messages through [`sparrow`] and [`aakash`],
//! mail through [`smtp`], push messages through [`fcm`].
//!
//! Of two carriers of texts one is asked first; where it does not take a text, the other is asked.

pub mod aakash;
pub mod sparrow;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use crate::clock::Clock;
use crate::config::{MailProvider, Settings, SmsProvider};
use crate::error::{Error, Result as AppResult};
use crate::identity::mail::{ConsoleMail, Mail, NoMail};
use crate::identity::sms::{ConsoleSms, NoCarrier, OtpOutbox, Sms, SmsError};
use crate::notifications::fcm::{self, Fcm};
use crate::notifications::push::{NoPush, Push};
use crate::notifications::smtp::{self, Smtp};
use crate::outside::{self, Failure, Outage, Outside, Standing};
use aakash::Aakash;
use sparrow::Sparrow;

/// Who carries text messages.
pub(crate) fn sms(settings: &Settings, clock: &Clock, console: &OtpOutbox) -> AppResult<Arc<dyn Sms>> {
    settings.sms.check().map_err(Error::internal)?;
    let (http, timeout) = (outside::client()?, Duration::from_millis(settings.sms.timeout_ms));
    let outside = |name| Outside::new(name, http.clone(), timeout, clock.clone());
    let named = |provider: SmsProvider| -> Arc<dyn Sms> {
        match provider {
            SmsProvider::Console => Arc::new(ConsoleSms::new(console.clone(), clock.clone())),
            SmsProvider::Sparrow => {
                Arc::new(Sparrow::new(settings.sms.sparrow.clone(), outside(sparrow::NAME)))
            }
            SmsProvider::Aakash => Arc::new(Aakash::new(settings.sms.aakash.clone(), outside(aakash::NAME))),
        }
    };
    Ok(match (settings.sms.provider, settings.sms.fallback) {
        (None, _) => Arc::new(NoCarrier),
        (Some(only), None) => named(only),
        (Some(first), Some(second)) => Arc::new(Carriers(vec![named(first), named(second)])),
    })
}

/// Who carries mail.
pub(crate) fn mail(settings: &Settings, clock: &Clock, console: &OtpOutbox) -> AppResult<Arc<dyn Mail>> {
    Ok(match settings.mail.provider {
        None => Arc::new(NoMail),
        Some(MailProvider::Console) => Arc::new(ConsoleMail::new(console.clone(), clock.clone())),
        Some(MailProvider::Smtp) => {
            let timeout = Duration::from_millis(settings.mail.timeout_ms);
            let outside = Outside::new(smtp::NAME, outside::client()?, timeout, clock.clone());
            Arc::new(Smtp::new(&settings.mail, outside).map_err(Error::internal)?)
        }
    })
}

/// Who carries push messages.
pub(crate) fn push(settings: &Settings, clock: &Clock) -> AppResult<Arc<dyn Push>> {
    if settings.push.service_account.is_empty() {
        return Ok(Arc::new(NoPush));
    }
    let timeout = Duration::from_millis(settings.push.timeout_ms);
    let outside = Outside::new(fcm::NAME, outside::client()?, timeout, clock.clone());
    Ok(Arc::new(Fcm::new(&settings.push, clock.clone(), outside).map_err(Error::internal)?))
}

/// Carriers in the order in which they are asked.
struct Carriers(Vec<Arc<dyn Sms>>);

#[async_trait::async_trait]
impl Sms for Carriers {
    fn circuits(&self) -> Vec<Standing> {
        self.0.iter().flat_map(|carrier| carrier.circuits()).collect()
    }

    /// The next carrier is asked unless the number itself is at fault. Where an answer was lost a text may arrive
    /// twice; a code that does not arrive is worse.
    async fn send(&self, to: &str, text: &str) -> Result<(), SmsError> {
        let mut last = SmsError::NoCarrier;
        for carrier in &self.0 {
            match carrier.send(to, text).await {
                Ok(()) => return Ok(()),
                Err(error @ SmsError::Refused(_)) => return Err(error),
                Err(error @ (SmsError::NoCarrier | SmsError::Unavailable(_) | SmsError::Unknown(_))) => {
                    tracing::warn!(%error, "a carrier did not take a text");
                    last = worse(last, error);
                }
            }
        }
        Err(last)
    }
}

/// What is told when nobody took it: that it may have arrived, if that is so.
fn worse(before: SmsError, now: SmsError) -> SmsError {
    match before {
        SmsError::Unknown(_) => before,
        SmsError::NoCarrier | SmsError::Unavailable(_) | SmsError::Refused(_) => now,
    }
}

/// The ten digits of a number of Nepal, as carriers want it.
fn ten_digits(number: &str) -> Result<&str, SmsError> {
    let digits = number.strip_prefix("+977").filter(|digits| digits.len() == 10);
    digits.ok_or_else(|| SmsError::Refused("not a mobile number of Nepal".to_owned()))
}

impl From<Outage> for SmsError {
    fn from(outage: Outage) -> Self {
        let is_safe = outage.not_sent || outage.status == Some(StatusCode::TOO_MANY_REQUESTS);
        match is_safe {
            true => Self::Unavailable(outage.to_string()),
            false => Self::Unknown(outage.to_string()),
        }
    }
}

/// A carrier without credit is left alone for some seconds, as one that is silent.
impl Failure for SmsError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NoCarrier | Self::Refused(_) => "refused",
            Self::Unavailable(_) | Self::Unknown(_) => "unavailable",
        }
    }

    fn is_outage(&self) -> bool {
        match self {
            Self::NoCarrier | Self::Refused(_) => false,
            Self::Unavailable(_) | Self::Unknown(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_get_ten_digits() {
        assert_eq!(ten_digits("+9779801234567"), Ok("9801234567"));
        for number in ["9801234567", "+977980123456", "+14155550100", ""] {
            assert!(matches!(ten_digits(number), Err(SmsError::Refused(_))), "{number}");
        }
    }
}
