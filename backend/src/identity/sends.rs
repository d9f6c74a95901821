//! How many one-time codes leave this installation: each costs money, and strangers can ask for them.

use crate::clock::Clock;
use crate::error::{Error, Problem, Result};
use crate::limits;
use crate::rate::{AddressBlock, Rate};
use governor::Quota;

/// The buckets of codes, beside the limits of each number and address in the book.
pub struct CodeSends {
    by_address: Rate<AddressBlock>,
    all: Rate<()>,
}

impl CodeSends {
    /// Full buckets.
    pub fn new(clock: Clock) -> Result<Self> {
        let quota = Quota::with_period(limits::OTP_SENDS_EVERY_PER_IP)
            .ok_or_else(|| Error::internal("the pause between codes is zero"))?;
        Ok(Self {
            by_address: Rate::new(quota.allow_burst(limits::OTP_SENDS_BURST_PER_IP), clock.clone()),
            all: Rate::new(Quota::per_second(limits::OTP_SENDS_PER_SECOND), clock),
        })
    }

    /// Takes one for `caller`, if that is known and limited, or says when to come back.
    pub(super) fn check(&self, caller: Option<AddressBlock>) -> Result<(), Problem> {
        if let Some(caller) = caller {
            self.by_address.check(&caller)?;
        }
        self.all.check(&())
    }
}
