//! eSewa's ePay v2. Opening an order is no call: the rider's browser posts a form that we signed.
//! The status, asked by product, amount and our uuid, is the only truth; the success page brings a
//! signed proof, which tells a forger from a payer. Money is given back by hand, in eSewa's portal.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::config::EsewaSettings;
use crate::limits::ESEWA_LINK_LIFE;
use crate::outside::breaker;
use crate::payments::book::CURRENCY;
use crate::payments::outside::{Answer, Outside, unavailable};
use crate::payments::provider::{
    Capabilities, GivenBack, HostedPage, Opened, Order, PaymentProvider, PlacedOrder, ProviderError,
    ProviderPayment, ProviderStatus, ReturnProof, WebhookAbout, WebhookCall, WebhookError, WebhookNotice,
};

pub mod signature;

/// The word in `payment_methods.gateway`.
pub const NAME: &str = "esewa";

/// What the form's signature covers.
const FORM_SIGNED: &str = "total_amount,transaction_uuid,product_code";

/// The provider, as the rest of the backend sees it.
#[derive(Clone)]
pub struct Esewa {
    settings: EsewaSettings,
    clock: Clock,
    outside: Outside,
}

impl Esewa {
    /// Nothing is called yet.
    pub fn new(settings: EsewaSettings, clock: Clock, outside: Outside) -> Self {
        Self { settings, clock, outside }
    }

    fn proof(&self, data: &str) -> Option<signature::Proof> {
        let keys = [&self.settings.secret_key, &self.settings.previous_secret_key];
        signature::read(&keys, data).filter(|proof| proof.product_code == self.settings.product_code)
    }
}

impl fmt::Debug for Esewa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Esewa({})", self.settings.status_base_url())
    }
}

#[async_trait]
impl PaymentProvider for Esewa {
    fn name(&self) -> &'static str {
        NAME
    }

    fn circuit(&self) -> Option<breaker::State> {
        Some(self.outside.circuit())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { sends_webhooks: false, refunds: false, link_life: ESEWA_LINK_LIFE }
    }

    fn merchant(&self) -> &str {
        &self.settings.product_code
    }

    /// The same order gives the same form; eSewa takes each uuid once.
    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError> {
        if order.currency != CURRENCY {
            return Err(ProviderError::Refused { reason: format!("eSewa takes no {}", order.currency) });
        }
        let uuid = &order.our_reference;
        if uuid.is_empty() || !uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(ProviderError::Refused {
                reason: "eSewa wants letters, digits and hyphens".to_owned(),
            });
        }
        let (amount, product) = (signature::amount_text(order.amount), &self.settings.product_code);
        let signed =
            [("total_amount", amount.as_str()), ("transaction_uuid", uuid), ("product_code", product)];
        let signature = signature::sign(&self.settings.secret_key, &signed);
        let fields = [
            ("amount", amount.as_str()),
            ("tax_amount", "0"),
            ("product_service_charge", "0"),
            ("product_delivery_charge", "0"),
            ("total_amount", &amount),
            ("transaction_uuid", uuid),
            ("product_code", product),
            ("success_url", &order.return_url),
            ("failure_url", &order.return_url),
            ("signed_field_names", FORM_SIGNED),
            ("signature", &signature),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Opened {
            provider_reference: uuid.clone(),
            page: HostedPage::Form {
                url: format!("{}/api/epay/main/v2/form", self.settings.form_base_url()),
                fields: fields.to_vec(),
            },
            expires_at: self.clock.now() + ESEWA_LINK_LIFE,
        })
    }

    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
        let url = format!("{}/api/epay/transaction/status/", self.settings.status_base_url());
        let amount = signature::amount_text(order.amount);
        let query = [
            ("product_code", self.settings.product_code.as_str()),
            ("total_amount", &amount),
            ("transaction_uuid", &order.provider_reference),
        ];
        let url = reqwest::Url::parse_with_params(&url, query).map_err(unavailable)?;
        let request = self.outside.http().get(url);
        self.outside.call("lookup", request, |answer| read_status(&answer)).await
    }

    fn read_return(&self, order: &PlacedOrder, query: &BTreeMap<String, String>) -> ReturnProof {
        // The failure page says nothing.
        let Some(data) = query.get("data") else { return ReturnProof::Unsigned };
        match self.proof(data) {
            None => ReturnProof::Forged,
            Some(proof) if proof.transaction_uuid != order.our_reference => ReturnProof::AnotherOrder,
            Some(proof) if proof.amount != order.amount => ReturnProof::AnotherAmount(proof.amount),
            Some(_) => ReturnProof::Signed,
        }
    }

    /// eSewa documents no calls of its own. Should it ever call with the proof of its success page,
    /// that is a hint to ask.
    fn read_webhook(&self, call: &WebhookCall<'_>) -> Result<WebhookNotice, WebhookError> {
        let malformed = || WebhookError::Malformed("it brings no proof".to_owned());
        let body: BTreeMap<String, String> = serde_json::from_slice(call.body).map_err(|_| malformed())?;
        let data = body.get("data").ok_or_else(malformed)?;
        let proof = self.proof(data).ok_or(WebhookError::BadSignature)?;
        let code = proof.transaction_code.unwrap_or_default();
        Ok(WebhookNotice {
            signed: false,
            event_key: format!("{}:{}:{code}", proof.transaction_uuid, proof.status),
            payload: json!({
                "transaction_uuid": proof.transaction_uuid, "transaction_code": code,
                "status": proof.status, "total_amount_paisa": proof.amount.0,
            }),
            event_type: proof.status,
            about: Some(WebhookAbout::OurReference(proof.transaction_uuid)),
        })
    }
}

/// "eSewa ePay v2, status check"; the second names were seen in older answers.
#[derive(Deserialize)]
struct Standing {
    #[serde(alias = "scd")]
    product_code: String,
    #[serde(alias = "pid")]
    transaction_uuid: String,
    #[serde(alias = "totalAmount")]
    total_amount: Box<RawValue>,
    status: String,
    #[serde(alias = "refId")]
    ref_id: Option<String>,
}

fn read_status(answer: &Answer) -> Result<ProviderPayment, ProviderError> {
    let raw = answer.raw();
    if raw.get("status").is_none_or(|status| !status.is_string()) {
        // `{"code":0,"error_message":"Service is currently unavailable"}`, with a code of HTTP that
        // nobody documents; and 403 was seen for guests of some clouds.
        return Err(unavailable(format!("it answered {} without a status", answer.status)));
    }
    let found: Standing = answer.read()?;
    let amount = signature::literal(&found.total_amount).as_deref().and_then(signature::amount_of);
    let amount = amount.ok_or_else(|| unavailable("the amount cannot be read"))?;
    let (status, given_back) = match found.status.as_str() {
        "COMPLETE" => (ProviderStatus::Paid, GivenBack::Nothing),
        "PENDING" => (ProviderStatus::Pending, GivenBack::Nothing),
        "FULL_REFUND" => (ProviderStatus::Paid, GivenBack::Everything),
        "PARTIAL_REFUND" => (ProviderStatus::Paid, GivenBack::UnknownPart),
        // Cancelled or reversed: if it was ever paid, the payer has it back.
        "CANCELED" => (ProviderStatus::Cancelled, GivenBack::Everything),
        // Not there yet, or not any more. Whether it is final, the page's time decides.
        "NOT_FOUND" => return Err(ProviderError::NotFound),
        // `AMBIGUOUS` among them: neither paid nor not.
        word => (ProviderStatus::Other(word.to_owned()), GivenBack::Nothing),
    };
    Ok(ProviderPayment {
        status,
        amount,
        currency: CURRENCY.to_owned(),
        our_reference: found.transaction_uuid,
        merchant: found.product_code,
        transaction_id: found.ref_id.filter(|id| !id.is_empty()),
        given_back,
        fee: None,
        raw,
    })
}
