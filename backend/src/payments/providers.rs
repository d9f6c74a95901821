//! The providers of this installation, by the word in `payment_methods.gateway`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::outside::{self, Outside, breaker};
use crate::payments::esewa::{self, Esewa};
use crate::payments::khalti::{self, Khalti};
use crate::payments::provider::PaymentProvider;
use crate::payments::sandbox::Sandbox;
use crate::payments::stripe::{self, Stripe};

/// All providers that are set up.
#[derive(Clone, Debug, Default)]
pub struct Providers(BTreeMap<&'static str, Arc<dyn PaymentProvider>>);

impl Providers {
    /// Those that the operator set up.
    pub fn from_settings(settings: &Settings, db: &Db, clock: &Clock) -> Result<Self> {
        let (http, timeout) = (outside::client()?, Duration::from_millis(settings.payments.timeout_ms));
        let outside = |name| Outside::new(name, http.clone(), timeout, clock.clone());
        let (payments, public_url) = (&settings.payments, &settings.backend.public_url);
        let mut providers = Self::default();
        if payments.sandbox {
            providers = providers.with(Sandbox::new(db.clone(), clock.clone(), public_url));
        }
        if payments.khalti.is_set() {
            providers =
                providers.with(Khalti::new(payments.khalti.clone(), public_url, outside(khalti::NAME)));
        }
        if payments.esewa.is_set() {
            providers =
                providers.with(Esewa::new(payments.esewa.clone(), clock.clone(), outside(esewa::NAME)));
        }
        if payments.stripe.is_set() {
            providers = providers.with(Stripe::new(payments.stripe.clone(), outside(stripe::NAME)));
        }
        Ok(providers)
    }

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

    /// Whether each of them is called, for the operator.
    pub fn circuits(&self) -> impl Iterator<Item = (&'static str, Option<breaker::State>)> {
        self.0.iter().map(|(name, provider)| (*name, provider.circuit()))
    }

    /// Whether riders can be sent there.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
