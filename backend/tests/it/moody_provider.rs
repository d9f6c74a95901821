//! A provider that can be away, break off in the middle, or refuse, and whose book can be made to differ
//! from ours; otherwise its book is the sandbox's.

use async_trait::async_trait;
use backend::payments::provider::{
    Capabilities, GivenBack, Opened, Order, PaymentProvider, PlacedOrder, ProviderError, ProviderPayment,
    ProviderStatus, RefundAnswer, RefundOrder, RefundOutcome,
};
use backend::payments::sandbox::Sandbox;
use entities::money::Paisa;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How it behaves now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    Good,
    /// Does what it is asked, and the answer is lost.
    LosesAnswers,
    /// Does not even hear.
    Away,
    /// Says no.
    Refuses,
}

/// What its book says of one order instead of the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// It knows no such order.
    Forgotten,
    /// Another amount was paid.
    Amount(Paisa),
    /// Another word.
    Status(ProviderStatus),
    /// It gave money back.
    GaveBack(GivenBack),
    /// Another name for the movement of money.
    TransactionId(String),
    /// No answer, whatever its mood is.
    Silence,
}

/// Takes the sandbox's name and place.
#[derive(Clone, Debug)]
pub(crate) struct MoodyProvider {
    sandbox: Sandbox,
    mood: Arc<Mutex<Mood>>,
    planted: Arc<Mutex<HashMap<String, Planted>>>,
    refunding: Arc<Mutex<Refunding>>,
    refund_calls: Arc<AtomicUsize>,
    lookup_calls: Arc<AtomicUsize>,
}

/// How it gives money back, when it is asked to; its book answers all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refunding {
    /// What becomes of the call.
    pub(crate) call: RefundCall,
    /// A repeated reference is another refund: nothing like an idempotency key.
    pub(crate) forgets: bool,
    /// The book says that a part is back and not how much.
    pub(crate) hides_parts: bool,
}

/// What becomes of a call that asks for a refund.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RefundCall {
    /// It is done and said.
    #[default]
    Answered,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It never arrives.
    CallLost,
    /// No.
    Refused,
    /// It will be done later.
    Pending,
    /// There is no such call.
    ByHand,
    /// It is done, and whoever asked dies before the answer.
    AskerDies,
    /// Whoever asks dies before it arrives.
    AskerDiesFirst,
}

impl MoodyProvider {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            mood: Arc::new(Mutex::new(Mood::Good)),
            refunding: Arc::default(),
            planted: Arc::default(),
            refund_calls: Arc::default(),
            lookup_calls: Arc::default(),
        }
    }

    pub(crate) fn refunds(&self, refunding: Refunding) {
        *self.refunding.lock().unwrap() = refunding;
    }

    /// How often it was asked to give money back.
    pub(crate) fn refund_calls(&self) -> usize {
        self.refund_calls.load(Ordering::SeqCst)
    }

    /// How often it was asked what became of an order.
    pub(crate) fn lookup_calls(&self) -> usize {
        self.lookup_calls.load(Ordering::SeqCst)
    }

    fn refunding(&self) -> Refunding {
        *self.refunding.lock().unwrap()
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Makes its book differ for the order that we know by that name.
    pub(crate) fn plant(&self, our_reference: &str, planted: Planted) {
        self.planted.lock().unwrap().insert(our_reference.to_owned(), planted);
    }

    /// Its book says the truth about that order again.
    pub(crate) fn weed(&self, our_reference: &str) {
        self.planted.lock().unwrap().remove(our_reference);
    }

    fn answer<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        match *self.mood.lock().unwrap() {
            Mood::Good => answer,
            Mood::LosesAnswers | Mood::Away => Err(ProviderError::Unavailable(anyhow::anyhow!("on purpose"))),
            Mood::Refuses => Err(ProviderError::Refused { reason: "on purpose".to_owned() }),
        }
    }

    fn hears(&self) -> bool {
        matches!(*self.mood.lock().unwrap(), Mood::Good | Mood::LosesAnswers)
    }
}

#[async_trait]
impl PaymentProvider for MoodyProvider {
    fn name(&self) -> &'static str {
        self.sandbox.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.sandbox.capabilities()
    }

    fn merchant(&self) -> &str {
        self.sandbox.merchant()
    }

    async fn initiate(&self, order: &Order) -> Result<Opened, ProviderError> {
        if !self.hears() {
            return self.answer(Err(ProviderError::NotFound));
        }
        self.answer(self.sandbox.initiate(order).await)
    }

    async fn lookup(&self, order: &PlacedOrder) -> Result<ProviderPayment, ProviderError> {
        self.lookup_calls.fetch_add(1, Ordering::SeqCst);
        let mut payment = self.answer(self.sandbox.lookup(order).await)?;
        if self.refunding().hides_parts && matches!(payment.given_back, GivenBack::Part(_)) {
            payment.given_back = GivenBack::UnknownPart;
        }
        let planted = self.planted.lock().unwrap().get(&order.our_reference).cloned();
        match planted {
            None => {}
            Some(Planted::Forgotten) => return Err(ProviderError::NotFound),
            Some(Planted::Silence) => return Err(ProviderError::Unavailable(anyhow::anyhow!("silent"))),
            Some(Planted::Amount(amount)) => payment.amount = amount,
            Some(Planted::Status(status)) => payment.status = status,
            Some(Planted::GaveBack(given_back)) => payment.given_back = given_back,
            Some(Planted::TransactionId(name)) => payment.transaction_id = Some(name),
        }
        Ok(payment)
    }

    fn remembers_refunds(&self) -> bool {
        !self.refunding().forgets
    }

    async fn refund(&self, refund: &RefundOrder) -> Result<RefundAnswer, ProviderError> {
        let call = self.refund_calls.fetch_add(1, Ordering::SeqCst);
        let mut asked = refund.clone();
        if self.refunding().forgets {
            asked.our_reference = format!("call {call}");
        }
        let lost = || Err(ProviderError::Unavailable(anyhow::anyhow!("on purpose")));
        let said =
            |outcome| Ok(RefundAnswer { outcome, provider_reference: None, raw: serde_json::Value::Null });
        match self.refunding().call {
            RefundCall::Answered => self.sandbox.refund(&asked).await,
            RefundCall::AnswerLost => {
                self.sandbox.refund(&asked).await?;
                lost()
            }
            RefundCall::CallLost => lost(),
            RefundCall::Refused => Err(ProviderError::Refused { reason: "on purpose".to_owned() }),
            RefundCall::Pending => said(RefundOutcome::Pending),
            RefundCall::ByHand => said(RefundOutcome::ByHand),
            RefundCall::AskerDies => {
                self.sandbox.refund(&asked).await?;
                std::future::pending().await
            }
            RefundCall::AskerDiesFirst => std::future::pending().await,
        }
    }
}
