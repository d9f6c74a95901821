//! What a payment provider is to us: a page that takes money, and a book that can be asked.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use entities::money::Paisa;

/// A provider. Implementations speak to the outside: never call one inside a transaction.
#[async_trait]
pub trait PaymentProvider: Send + Sync + fmt::Debug {
    /// The word in `payment_methods.gateway` and in the ledger's clearing account.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The account that money must arrive at; compared with [`ProviderPayment::merchant`].
    fn merchant(&self) -> &str;

    /// Opens an order. Where the provider has idempotency keys, `order.our_reference` is the key.
    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError>;

    /// The reference in the query that the browser brings back, if there is one.
    fn reference_in(&self, query: &BTreeMap<String, String>) -> Option<String>;

    /// The only truth about an order: the provider's own book.
    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError>;
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
    /// Where the rider's browser goes afterwards; what arrives there is only a hint.
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
    /// The answer as it came, for staff.
    pub raw: serde_json::Value,
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
