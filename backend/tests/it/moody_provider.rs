//! A provider that can be away, break off in the middle, or refuse, and whose book can be made to differ
//! from ours; otherwise its book is the sandbox's.

use async_trait::async_trait;
use backend::payments::provider::{
    Capabilities, GivenBack, Opened, Order, PaymentProvider, PlacedOrder, ProviderError, ProviderPayment,
    ProviderStatus,
};
use backend::payments::sandbox::Sandbox;
use entities::money::Paisa;
use std::collections::HashMap;
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
}

impl MoodyProvider {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, mood: Arc::new(Mutex::new(Mood::Good)), planted: Arc::default() }
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
        let mut payment = self.answer(self.sandbox.lookup(order).await)?;
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
}
