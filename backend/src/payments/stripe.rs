//! Stripe, by its Checkout page. Amounts are the currency's smallest unit (paisa), currencies are lower case.
//!
//! A session is an order: its page, its status, the intent that moves the money, and that one's
//! charge with what was refunded or disputed of it. Every POST carries our reference as
//! `Idempotency-Key`. Webhooks are signed ([`signature`]) and name the order ([`event`]).

mod answer;
pub mod event;
pub mod signature;

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::config::StripeSettings;
use crate::limits::{STRIPE_LINK_LIFE, STRIPE_REFUNDS_LISTED};
use crate::outside::breaker;
use crate::payments::outside::{Answer, Outside, unavailable};
use crate::payments::provider::{
    Capabilities, HostedPage, Opened, Order, PaymentProvider, PlacedOrder, ProviderError, ProviderPayment,
    RefundAnswer, RefundOrder, WebhookCall, WebhookError, WebhookNotice,
};
use crate::payments::stripe::answer::{Dispute, List, Refund, Session};

/// The word in `payment_methods.gateway`.
pub const NAME: &str = "stripe";

/// The version of the API that this file was written for.
pub const API_VERSION: &str = "2026-06-24.dahlia";

/// Where our name of an order stands in Stripe's metadata.
const METADATA_KEY: &str = "attempt_id";
/// Where our name of a refund stands.
const REFUND_KEY: &str = "refund_id";

/// Answers name no account: the key decides whose payments we see, and the mode whether they are real.
const MERCHANT_LIVE: &str = "the account of the live key";
const MERCHANT_TEST: &str = "the account of the test key";

/// The provider, as the rest of the backend sees it.
#[derive(Clone)]
pub struct Stripe {
    settings: StripeSettings,
    outside: Outside,
}

impl Stripe {
    /// Speaks to Stripe with the operator's keys.
    pub fn new(settings: StripeSettings, outside: Outside) -> Self {
        Self { settings, outside }
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.keyed(self.outside.http().get(self.address(path)))
    }

    /// A call that happens once for `key`, however often it is sent ("Stripe, idempotency").
    fn post_once(&self, key: &str, path: &str, form: &[(&str, String)]) -> reqwest::RequestBuilder {
        self.keyed(self.outside.http().post(self.address(path)).form(form)).header("Idempotency-Key", key)
    }

    fn address(&self, path: &str) -> String {
        format!("{}/v1{path}", self.settings.base_url())
    }

    fn keyed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.bearer_auth(self.settings.secret_key.expose()).header("Stripe-Version", API_VERSION)
    }

    async fn session(&self, id: &str) -> Result<Session, ProviderError> {
        let expand = "expand%5B%5D=payment_intent.latest_charge.balance_transaction";
        let request = self.get(&format!("/checkout/sessions/{}?{expand}", name_in_path(id)?));
        self.outside.call("lookup", request, |answer| read(&answer)).await
    }

    async fn list<T: serde::de::DeserializeOwned + Send>(
        &self,
        operation: &'static str,
        path: &str,
        payment: &str,
    ) -> Result<Vec<T>, ProviderError> {
        let payment = name_in_path(payment)?;
        let request = self.get(&format!("{path}?payment_intent={payment}&limit={STRIPE_REFUNDS_LISTED}"));
        let list: List<T> = self.outside.call(operation, request, |answer| read(&answer)).await?;
        Ok(list.data)
    }

    fn merchant_of(livemode: bool) -> &'static str {
        if livemode { MERCHANT_LIVE } else { MERCHANT_TEST }
    }
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stripe({})", self.settings.base_url())
    }
}

#[async_trait]
impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn circuit(&self) -> Option<breaker::State> {
        Some(self.outside.circuit())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { sends_webhooks: true, refunds: true, link_life: STRIPE_LINK_LIFE }
    }

    fn merchant(&self) -> &str {
        Self::merchant_of(self.settings.live)
    }

    /// The form is the same to the byte whenever the same order is sent: another form under the same key
    /// would be refused.
    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError> {
        let expires_at = order.placed_at + STRIPE_LINK_LIFE;
        let form = [
            ("mode", "payment".to_owned()),
            ("client_reference_id", order.our_reference.clone()),
            ("metadata[attempt_id]", order.our_reference.clone()),
            ("payment_intent_data[metadata][attempt_id]", order.our_reference.clone()),
            ("line_items[0][quantity]", "1".to_owned()),
            ("line_items[0][price_data][currency]", order.currency.to_ascii_lowercase()),
            ("line_items[0][price_data][unit_amount]", order.amount.0.to_string()),
            ("line_items[0][price_data][product_data][name]", order.description.clone()),
            ("success_url", order.return_url.clone()),
            ("cancel_url", order.return_url.clone()),
            ("expires_at", expires_at.timestamp().to_string()),
        ];
        let request = self.post_once(&order.our_reference, "/checkout/sessions", &form);
        self.outside.call("initiate", request, |answer| read_opened(&answer)).await
    }

    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
        let session = self.session(&order.provider_reference).await?;
        let disputes: Vec<Dispute> = match session.intent_id() {
            // A charge says that it was disputed, and not how that ended.
            Some(payment) if session.is_disputed() => self.list("disputes", "/disputes", payment).await?,
            Some(_) | None => Vec::new(),
        };
        Ok(session.payment(order, &disputes, Self::merchant_of))
    }

    fn read_webhook(&self, call: &WebhookCall<'_>) -> Result<WebhookNotice, WebhookError> {
        let secrets = self.settings.webhook_secrets.iter().map(|secret| secret.expose());
        if self.settings.webhook_secrets.is_empty() {
            return Err(WebhookError::NotOffered);
        }
        let header = call.headers.get("stripe-signature").and_then(|value| value.to_str().ok());
        if !signature::holds(header.unwrap_or_default(), call.body, secrets, call.received_at) {
            return Err(WebhookError::BadSignature);
        }
        event::read(call.body, self.settings.live)
    }

    /// Its list of refunds names ours, and the Idempotency-Key keeps two that are sent at once one.
    fn remembers_refunds(&self) -> bool {
        true
    }

    /// Looks for the refund first: Stripe forgets an Idempotency-Key after a day, its books never.
    async fn refund(&self, refund: &RefundOrder) -> Result<RefundAnswer, ProviderError> {
        let payment = match &refund.transaction_id {
            Some(payment) => payment.clone(),
            None => {
                let session = self.session(&refund.payment.provider_reference).await?;
                let payment = session.intent_id().map(str::to_owned);
                payment.ok_or_else(|| ProviderError::Refused { reason: "nothing was paid".to_owned() })?
            }
        };
        let made: Vec<Refund> = self.list("refunds", "/refunds", &payment).await?;
        let ours =
            |refund_made: &&Refund| refund_made.metadata.get(REFUND_KEY) == Some(&refund.our_reference);
        if let Some(made) = made.iter().find(ours) {
            return made.answer();
        }
        let form = [
            ("payment_intent", payment),
            ("amount", refund.amount.0.to_string()),
            ("reason", "requested_by_customer".to_owned()),
            ("metadata[refund_id]", refund.our_reference.clone()),
        ];
        let request = self.post_once(&refund.our_reference, "/refunds", &form);
        self.outside.call("refund", request, |answer| read::<Refund>(&answer)?.answer()).await
    }

    async fn close(&self, order: &PlacedOrder) -> Result<(), ProviderError> {
        let path = format!("/checkout/sessions/{}/expire", name_in_path(&order.provider_reference)?);
        let request = self.keyed(self.outside.http().post(self.address(&path)));
        self.outside.call("close", request, |answer| read::<Session>(&answer).map(drop)).await
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, ProviderError> {
    if answer.status.is_success() { Ok(answer.read()?) } else { Err(answer::refused(answer)) }
}

fn read_opened(answer: &Answer) -> Result<Opened, ProviderError> {
    let session: Session = read(answer)?;
    let is_page = |url: &String| ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    let url = session.url.filter(is_page).ok_or_else(|| unavailable("a new session has no page"))?;
    let expires_at: Option<DateTime<Utc>> = DateTime::from_timestamp(session.expires_at, 0);
    Ok(Opened {
        provider_reference: session.id,
        page: HostedPage::Redirect { url },
        expires_at: expires_at.ok_or_else(|| unavailable("a new session never expires"))?,
    })
}

/// A name of Stripe's that becomes a part of an address.
fn name_in_path(id: &str) -> Result<&str, ProviderError> {
    let fits = (1..=255).contains(&id.len());
    match fits && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(id),
        false => Err(ProviderError::NotFound),
    }
}
