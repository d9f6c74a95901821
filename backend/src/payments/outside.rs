//! Calls to payment providers through [`crate::outside`]. An outage is [`ProviderError::Unavailable`]:
//! it says nothing about the money.

use std::fmt;

pub use crate::outside::{Answer, Outside};

use crate::outside::{Failure, Outage};
use crate::payments::provider::ProviderError;

/// An outage, told without secrets.
pub(crate) fn unavailable(why: impl fmt::Display) -> ProviderError {
    Outage::new(why).into()
}

/// A no, in the provider's own words.
pub(crate) fn refusal(answer: &Answer) -> ProviderError {
    ProviderError::Refused { reason: answer.words() }
}

impl From<Outage> for ProviderError {
    fn from(outage: Outage) -> Self {
        Self::Unavailable(outage.into())
    }
}

impl Failure for ProviderError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Refused { .. } => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::NotFound | Self::Refused { .. } => false,
        }
    }
}

impl ProviderError {
    /// Whether nothing can have happened at the provider because the call never left.
    pub fn is_not_sent(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.downcast_ref::<Outage>().is_some_and(|outage| outage.not_sent),
            Self::NotFound | Self::Refused { .. } => false,
        }
    }
}
