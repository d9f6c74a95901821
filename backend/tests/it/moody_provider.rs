//! A provider that can be away, break off in the middle, or refuse; its book is the sandbox's.

use async_trait::async_trait;
use backend::payments::provider::{
    Capabilities, Opened, Order, PaymentProvider, PlacedOrder, ProviderError, ProviderPayment,
};
use backend::payments::sandbox::Sandbox;
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

/// Takes the sandbox's name and place.
#[derive(Clone, Debug)]
pub(crate) struct MoodyProvider {
    sandbox: Sandbox,
    mood: Arc<Mutex<Mood>>,
}

impl MoodyProvider {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, mood: Arc::new(Mutex::new(Mood::Good)) }
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
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
        self.answer(self.sandbox.lookup(order).await)
    }
}
