//! Khalti's web checkout, KPG-2. Amounts are paisa. Its lookup is the only truth: the way back is
//! unsigned, it never calls us, and it has no idempotency keys.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::config::KhaltiSettings;
use crate::limits::KHALTI_LINK_LIFE;
use crate::money::Paisa;
use crate::outside::breaker;
use crate::payments::book::CURRENCY;
use crate::payments::outside::{Answer, Outside, refusal, unavailable};
use crate::payments::provider::{
    Capabilities, GivenBack, HostedPage, Opened, Order, PaymentProvider, PlacedOrder, ProviderError,
    ProviderPayment, ProviderStatus, RefundAnswer, RefundOrder, RefundOutcome, WebhookAbout, WebhookCall,
    WebhookError, WebhookNotice,
};

/// The word in `payment_methods.gateway`.
pub const NAME: &str = "khalti";

/// Khalti's answers name no merchant: the key that we ask with decides whose payments we see.
const MERCHANT: &str = "the merchant of the key";

/// The provider, as the rest of the backend sees it.
#[derive(Clone)]
pub struct Khalti {
    settings: KhaltiSettings,
    website_url: String,
    outside: Outside,
}

impl Khalti {
    /// `website_url` is how riders reach this program; Khalti only shows it.
    pub fn new(settings: KhaltiSettings, website_url: &str, outside: Outside) -> Self {
        Self { settings, website_url: website_url.to_owned(), outside }
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.settings.base_url());
        let key = format!("Key {}", self.settings.secret_key.expose());
        self.outside.http().post(url).header(AUTHORIZATION, key)
    }

    async fn look_up(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
        let request =
            self.post("/api/v2/epayment/lookup/").json(&json!({ "pidx": order.provider_reference }));
        self.outside.call("lookup", request, |answer| read_lookup(&answer, order)).await
    }
}

impl fmt::Debug for Khalti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Khalti({})", self.settings.base_url())
    }
}

#[async_trait]
impl PaymentProvider for Khalti {
    fn name(&self) -> &'static str {
        NAME
    }

    fn circuit(&self) -> Option<breaker::State> {
        Some(self.outside.circuit())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { sends_webhooks: false, refunds: true, link_life: KHALTI_LINK_LIFE }
    }

    fn merchant(&self) -> &str {
        MERCHANT
    }

    /// Called again for the same order, Khalti opens another page. A page whose answer was lost was
    /// shown to nobody, so that is harmless.
    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError> {
        if order.currency != CURRENCY {
            return Err(ProviderError::Refused { reason: format!("Khalti takes no {}", order.currency) });
        }
        let body = json!({
            "return_url": order.return_url,
            "website_url": self.website_url,
            "amount": order.amount.0,
            "purchase_order_id": order.our_reference,
            "purchase_order_name": order.description,
        });
        let request = self.post("/api/v2/epayment/initiate/").json(&body);
        self.outside.call("initiate", request, |answer| read_opened(&answer)).await
    }

    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
        self.look_up(order).await
    }

    /// Khalti documents no calls of its own. Should it ever call, what it says is a hint to ask.
    fn read_webhook(&self, call: &WebhookCall<'_>) -> Result<WebhookNotice, WebhookError> {
        read_hint(call.body)
    }

    /// Asks first: a payment that is given back already is not given back again, and the name of
    /// the movement, which a refund needs, is in the answer.
    async fn refund(&self, refund: &RefundOrder) -> Result<RefundAnswer, ProviderError> {
        let found = self.look_up(&refund.payment).await?;
        match (&found.status, found.given_back) {
            (ProviderStatus::Paid, GivenBack::Everything) => {
                return Err(ProviderError::Refused { reason: "it was given back before".to_owned() });
            }
            (ProviderStatus::Paid, GivenBack::Nothing | GivenBack::Part(_) | GivenBack::UnknownPart) => {}
            (status, _) => {
                return Err(ProviderError::Refused { reason: format!("the payment is {status:?}") });
            }
        }
        let transaction_id = found.transaction_id.or_else(|| refund.transaction_id.clone());
        let transaction_id = transaction_id.filter(|id| is_short_id(id));
        let transaction_id = transaction_id.ok_or_else(|| unavailable("a paid order has no transaction"))?;
        let mut body = serde_json::Map::new();
        if refund.amount != found.amount {
            body.insert("amount".to_owned(), refund.amount.0.into());
        }
        if let Some(mobile) = &refund.payer_mobile {
            body.insert("mobile".to_owned(), mobile.as_str().into());
        }
        // This address has no /v2; the documentation has it so.
        let mut request = self.post(&format!("/api/merchant-transaction/{transaction_id}/refund/"));
        if !body.is_empty() {
            request = request.json(&body);
        }
        self.outside.call("refund", request, |answer| read_refund(&answer)).await
    }
}

/// "Khalti KPG-2, initiate".
#[derive(Deserialize)]
struct Initiated {
    pidx: String,
    payment_url: String,
    expires_at: DateTime<Utc>,
}

fn read_opened(answer: &Answer) -> Result<Opened, ProviderError> {
    if !answer.status.is_success() {
        return Err(refusal(answer));
    }
    let opened: Initiated = answer.read()?;
    // Riders are sent there, and the name becomes a part of other calls.
    let is_page = ["https://", "http://"].iter().any(|scheme| opened.payment_url.starts_with(scheme));
    if !is_page || !is_short_id(&opened.pidx) {
        return Err(unavailable("the page of a new order has no usable address"));
    }
    Ok(Opened {
        provider_reference: opened.pidx,
        page: HostedPage::Redirect { url: opened.payment_url },
        expires_at: opened.expires_at,
    })
}

/// "Khalti KPG-2, lookup".
#[derive(Deserialize)]
struct LookedUp {
    pidx: String,
    total_amount: i64,
    status: String,
    transaction_id: Option<String>,
    #[serde(default)]
    fee: Option<i64>,
    #[serde(default)]
    refunded: bool,
}

/// A 400 may carry a normal answer (`Expired`, `User canceled`): the body decides, not the code.
fn read_lookup(answer: &Answer, asked: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
    let raw = answer.raw();
    if raw.get("status").is_none_or(|status| !status.is_string()) {
        let unknown = raw.get("detail").and_then(|detail| detail.as_str()) == Some("Not found.");
        return Err(match answer.status {
            StatusCode::NOT_FOUND => ProviderError::NotFound,
            _ if unknown => ProviderError::NotFound,
            status if status.is_success() => unavailable("the answer has no status"),
            _ => refusal(answer),
        });
    }
    let found: LookedUp = answer.read()?;
    let (status, given_back) = read_status(&found.status, found.refunded);
    // Khalti does not repeat our name for the order: that it is ours is known by its own name.
    let our_reference = match found.pidx == asked.provider_reference {
        true => asked.our_reference.clone(),
        false => format!("the order of {}", found.pidx),
    };
    Ok(ProviderPayment {
        fee: found.fee.filter(|_| status == ProviderStatus::Paid).map(Paisa),
        status,
        amount: Paisa(found.total_amount),
        currency: CURRENCY.to_owned(),
        our_reference,
        merchant: MERCHANT.to_owned(),
        transaction_id: found.transaction_id.filter(|id| !id.is_empty()),
        given_back,
        raw,
    })
}

/// Khalti spells some words in two ways, and one of them with another case.
fn read_status(word: &str, refunded: bool) -> (ProviderStatus, GivenBack) {
    let nothing = GivenBack::Nothing;
    match word.trim().to_ascii_lowercase().as_str() {
        // It says both; how much went back, nobody said.
        "completed" if refunded => (ProviderStatus::Paid, GivenBack::UnknownPart),
        "completed" => (ProviderStatus::Paid, nothing),
        "refunded" => (ProviderStatus::Paid, GivenBack::Everything),
        "partially refunded" => (ProviderStatus::Paid, GivenBack::UnknownPart),
        "pending" | "initiated" => (ProviderStatus::Pending, nothing),
        "expired" => (ProviderStatus::Expired, nothing),
        "user canceled" | "user cancelled" | "canceled" | "cancelled" => (ProviderStatus::Cancelled, nothing),
        "failed" => (ProviderStatus::Failed, nothing),
        _ => (ProviderStatus::Other(word.to_owned()), nothing),
    }
}

fn read_refund(answer: &Answer) -> Result<RefundAnswer, ProviderError> {
    match answer.status {
        status if status.is_success() => Ok(RefundAnswer {
            outcome: RefundOutcome::Succeeded,
            provider_reference: None,
            raw: answer.raw(),
        }),
        StatusCode::NOT_FOUND => Err(ProviderError::NotFound),
        _ => Err(refusal(answer)),
    }
}

/// The words of the way back, as a JSON object.
fn read_hint(body: &[u8]) -> Result<WebhookNotice, WebhookError> {
    let malformed = || WebhookError::Malformed("it names no order".to_owned());
    let words: BTreeMap<String, serde_json::Value> = serde_json::from_slice(body).map_err(|_| malformed())?;
    let word = |name: &str| words.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    let pidx = word("pidx");
    if !is_short_id(pidx) {
        return Err(malformed());
    }
    let transaction_id = Some(word("transaction_id")).filter(|id| is_short_id(id)).unwrap_or_default();
    // Anybody can write here: only words that Khalti uses are kept.
    let event_type = match read_status(word("status"), false).0 {
        ProviderStatus::Other(_) => "unknown".to_owned(),
        _ => word("status").to_ascii_lowercase(),
    };
    Ok(WebhookNotice {
        signed: false,
        event_key: format!("{pidx}:{event_type}:{transaction_id}"),
        payload: json!({ "pidx": pidx, "status": event_type, "transaction_id": transaction_id }),
        event_type,
        about: Some(WebhookAbout::ProviderReference(pidx.to_owned())),
    })
}

/// Khalti's names are 22 letters and digits today; anything longer or stranger is no name.
fn is_short_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_word_is_understood_in_any_case() {
        use GivenBack::*;
        use ProviderStatus::*;
        for (word, refunded, status, given_back) in [
            ("Completed", false, Paid, Nothing),
            ("completed", false, Paid, Nothing),
            ("Completed", true, Paid, UnknownPart),
            ("Pending", false, Pending, Nothing),
            ("Initiated", false, Pending, Nothing),
            ("Refunded", true, Paid, Everything),
            ("Partially Refunded", true, Paid, UnknownPart),
            ("Partially refunded", true, Paid, UnknownPart),
            ("Expired", false, Expired, Nothing),
            ("User canceled", false, Cancelled, Nothing),
            ("USER CANCELED", false, Cancelled, Nothing),
            ("Canceled", false, Cancelled, Nothing),
            ("Failed", false, Failed, Nothing),
            ("Hold", false, Other("Hold".to_owned()), Nothing),
            ("", false, Other(String::new()), Nothing),
        ] {
            assert_eq!(read_status(word, refunded), (status, given_back), "{word:?}");
        }
    }

    #[test]
    fn a_hint_names_an_order_and_nothing_else_of_it_is_kept() {
        let hint = br#"{"pidx":"bZQLD9wRVWo4CdESSfuSsB","status":"Completed","transaction_id":"4H7AhoXDJWg5WjrcPT9ixW","mobile":"9800000000"}"#;
        let notice = read_hint(hint).unwrap();
        assert_eq!(notice.about, Some(WebhookAbout::ProviderReference("bZQLD9wRVWo4CdESSfuSsB".into())));
        assert!(!notice.payload.to_string().contains("9800000000"));
        for body in [&b"{}"[..], b"", b"[]", br#"{"pidx":"../../refund"}"#, br#"{"pidx":7}"#, b"pidx=abc"] {
            assert!(read_hint(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
