//! How many one-time codes leave this installation: each costs money, and strangers can ask for them.

use crate::clock::Clock;
use crate::error::{Error, Problem, Result};
use crate::limits;
use crate::rate::{ClientAddress, Rate};
use governor::Quota;
use std::net::IpAddr;

/// The buckets of codes, beside the limits of each number and address in the book.
pub struct CodeSends {
    by_address: Rate<IpAddr>,
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

    /// Takes one, or says when to come back. This machine has no limit of its own.
    pub(super) fn check(&self, ClientAddress(address): ClientAddress) -> Result<(), Problem> {
        if let Some(address) = address.filter(|address| !address.is_loopback()) {
            self.by_address.check(&address)?;
        }
        self.all.check(&())
    }
}
