//! The providers of this installation, by the word in `payment_methods.gateway`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::payments::provider::PaymentProvider;

/// All providers that are set up.
#[derive(Clone, Debug, Default)]
pub struct Providers(BTreeMap<&'static str, Arc<dyn PaymentProvider>>);

impl Providers {
    /// Adds one.
    pub fn with(mut self, provider: impl PaymentProvider + 'static) -> Self {
        self.0.insert(provider.name(), Arc::new(provider));
        self
    }

    /// Finds one. A name that is in the books and not set up is a mistake of the operator.
    pub fn named(&self, name: &str) -> Result<&dyn PaymentProvider, Error> {
        let found = self.0.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| Error::internal(format!("the payment provider `{name}` is not set up")))
    }

    /// The names of all of them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Whether riders can be sent there.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
