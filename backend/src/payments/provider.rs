//! What a payment provider is to us: a page that takes money, and a book that can be asked.

use std::collections::BTreeMap;
use std::fmt;

use crate::outside::breaker;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use entities::money::Paisa;
use serde::{Deserialize, Serialize};

/// A provider. Implementations speak to the outside: never call one inside a transaction.
#[async_trait]
pub trait PaymentProvider: Send + Sync + fmt::Debug {
    /// The word in `payment_methods.gateway` and in the ledger's clearing account.
    fn name(&self) -> &'static str;

    /// Whether calls to it go out; none where nothing leaves this process.
    fn circuit(&self) -> Option<breaker::State> {
        None
    }

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The account that money must arrive at; compared with [`ProviderPayment::merchant`].
    fn merchant(&self) -> &str;

    /// Opens an order. Where the provider has idempotency keys, `order.our_reference` is the key.
    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError>;

    /// The only truth about an order: the provider's own book.
    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError>;

    /// Takes no more money for an order that nobody paid, where the provider can do that. What was
    /// paid before stays paid: the caller asks [`PaymentProvider::lookup`] on.
    async fn close(&self, order: &PlacedOrder) -> Result<(), ProviderError> {
        let _ = order;
        Ok(())
    }

    /// Whether what the browser brings back proves anything. It is a hint to ask in every case;
    /// this only tells a forgery from an honest visitor, for staff.
    fn read_return(&self, order: &PlacedOrder, query: &BTreeMap<String, String>) -> ReturnProof {
        let _ = (order, query);
        ReturnProof::Unsigned
    }

    /// Reads a call that the provider made by itself, from its raw bytes.
    fn read_webhook(&self, call: &WebhookCall<'_>) -> Result<WebhookNotice, WebhookError> {
        let _ = call;
        Err(WebhookError::NotOffered)
    }

    /// Whether [`PaymentProvider::refund`] with a reference that it has heard before is the same
    /// refund. Only then is a refund asked for again whose answer was lost.
    fn remembers_refunds(&self) -> bool {
        false
    }

    /// Gives money back. Called again with the same `our_reference` it must not give twice:
    /// providers without idempotency keys are asked by [`PaymentProvider::lookup`] first, and the
    /// caller never repeats a call whose answer was lost unless the provider remembers refunds.
    async fn refund(&self, refund: &RefundOrder) -> Result<RefundAnswer, ProviderError> {
        let _ = refund;
        Ok(RefundAnswer {
            outcome: RefundOutcome::ByHand,
            provider_reference: None,
            raw: serde_json::Value::Null,
        })
    }
}

/// What differs between providers and matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// It calls us by itself. Without this only the poll plan finds a rider who closed the page.
    pub sends_webhooks: bool,
    /// It can give money back through an API; otherwise a person does it in a portal.
    pub refunds: bool,
    /// How long its page takes money.
    pub link_life: TimeDelta,
}

/// What we ask for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Unique for ever: the attempt's id.
    pub our_reference: String,
    /// How much.
    pub amount: Paisa,
    /// ISO 4217.
    pub currency: String,
    /// Words on the page.
    pub description: String,
    /// When it was written down: an order that is sent again is the same to the byte.
    pub placed_at: DateTime<Utc>,
    /// Where the rider's browser goes afterwards, without a query; what arrives there is only a hint.
    pub return_url: String,
}

/// An open order.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The provider's name for it (Khalti `pidx`, Stripe session id, eSewa our uuid).
    pub provider_reference: String,
    /// How the rider gets to the page.
    pub page: HostedPage,
    /// When the page stops taking money.
    pub expires_at: DateTime<Utc>,
}

/// The provider's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostedPage {
    /// Open this address (Khalti, Stripe, sandbox).
    Redirect {
        /// Absolute.
        url: String,
    },
    /// Post these signed fields from the browser (eSewa).
    Form {
        /// Absolute.
        url: String,
        /// Names and values, in order.
        fields: Vec<(String, String)>,
    },
}

impl HostedPage {
    /// Where the rider goes in both forms.
    pub fn url(&self) -> &str {
        match self {
            Self::Redirect { url } | Self::Form { url, .. } => url,
        }
    }
}

/// How an order is found again. eSewa wants the amount and our reference, the others their own.
#[derive(Clone, Debug)]
pub struct PlacedOrder {
    /// The provider's name for it.
    pub provider_reference: String,
    /// Ours.
    pub our_reference: String,
    /// What was asked for.
    pub amount: Paisa,
}

/// A line of the provider's book.
#[derive(Clone, Debug)]
pub struct ProviderPayment {
    /// What became of it.
    pub status: ProviderStatus,
    /// What was paid or is to be paid.
    pub amount: Paisa,
    /// ISO 4217.
    pub currency: String,
    /// The reference that we gave.
    pub our_reference: String,
    /// The account that the money goes to.
    pub merchant: String,
    /// The provider's name for the movement of money, once there is one.
    pub transaction_id: Option<String>,
    /// How much of a paid order the provider gave back to the payer.
    pub given_back: GivenBack,
    /// What the provider keeps, where its book says so.
    pub fee: Option<Paisa>,
    /// The answer as it came, for staff; without secrets.
    pub raw: serde_json::Value,
}

/// How much of a paid order went back to the payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GivenBack {
    /// Nothing.
    Nothing,
    /// This much of it.
    Part(Paisa),
    /// A part, and the provider does not say how much (Khalti, eSewa).
    UnknownPart,
    /// All of it.
    Everything,
}

/// What the browser brought back from the provider's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnProof {
    /// Nothing that could be checked (Khalti, Stripe, eSewa's failure page).
    Unsigned,
    /// Signed by the provider (eSewa's success page). Still only a hint.
    Signed,
    /// It claims to be signed and is not.
    Forged,
    /// Signed by the provider, about another order: somebody shows an old receipt.
    AnotherOrder,
    /// Signed by the provider, about this order with another amount than we asked for.
    AnotherAmount(Paisa),
}

/// A call that claims to come from a provider.
#[derive(Clone, Copy, Debug)]
pub struct WebhookCall<'a> {
    /// As they came.
    pub headers: &'a axum::http::HeaderMap,
    /// As it came: signatures cover these very bytes.
    pub body: &'a [u8],
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// A webhook that was understood. Its content is a hint to ask the provider, never a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookNotice {
    /// Whether the provider has proved that it is the caller. What anybody could have sent is kept
    /// only if it names an order of ours, and once for each word.
    pub signed: bool,
    /// Unique for the provider; the same news twice is read once.
    pub event_key: String,
    /// The provider's word for what happened.
    pub event_type: String,
    /// Which order it is about, by the provider's name or by ours; none if it is about no order.
    pub about: Option<WebhookAbout>,
    /// As it came, for staff; without secrets.
    pub payload: serde_json::Value,
}

/// How a webhook names an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookAbout {
    /// By the name that [`Opened::provider_reference`] gave.
    ProviderReference(String),
    /// By the name that [`Order::our_reference`] gave.
    OurReference(String),
    /// By [`ProviderPayment::transaction_id`].
    TransactionId(String),
}

/// Why a webhook is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The provider does not call, or no webhook secret is set.
    #[error("this provider does not call")]
    NotOffered,
    /// Not signed by the provider, or signed too long ago.
    #[error("the signature does not hold")]
    BadSignature,
    /// Signed, and not what was agreed.
    #[error("the webhook cannot be read: {0}")]
    Malformed(String),
}

/// Money to give back.
#[derive(Clone, Debug)]
pub struct RefundOrder {
    /// Unique for ever: the refund's id, and the idempotency key where there is one.
    pub our_reference: String,
    /// The order that was paid.
    pub payment: PlacedOrder,
    /// [`ProviderPayment::transaction_id`] of that payment.
    pub transaction_id: Option<String>,
    /// How much, at most what was paid.
    pub amount: Paisa,
    /// For providers that want one (Khalti's bank payments): ten digits.
    pub payer_mobile: Option<String>,
}

/// What a provider said about giving money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundAnswer {
    /// What became of it.
    pub outcome: RefundOutcome,
    /// The provider's name for it, if it has one.
    pub provider_reference: Option<String>,
    /// The answer as it came, for staff.
    pub raw: serde_json::Value,
}

/// What became of a refund at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundOutcome {
    /// The payer has it.
    Succeeded,
    /// On its way; a webhook or [`PaymentProvider::lookup`] will tell.
    Pending,
    /// The provider has no way to do this; a person does it in its portal.
    ByHand,
}

/// The words of all providers, brought together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderStatus {
    /// The money has moved.
    Paid,
    /// Open.
    Pending,
    /// Refused.
    Failed,
    /// Time is over.
    Expired,
    /// The rider gave up.
    Cancelled,
    /// A word that we do not know: undecided until someone teaches us.
    Other(String),
}

/// Why a provider did not help. Only [`ProviderError::Refused`] says something about the money.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider does not know the order.
    #[error("the provider does not know the order")]
    NotFound,
    /// The provider answered no.
    #[error("the provider refused: {reason}")]
    Refused {
        /// For staff and logs.
        reason: String,
    },
    /// No answer, a broken one, or an outage: the order may exist.
    #[error("the provider cannot be reached")]
    Unavailable(#[source] anyhow::Error),
}
