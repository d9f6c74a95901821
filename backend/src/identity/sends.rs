//! How often strangers may ask for codes and guess them, as far as one process can tell. What must hold over all
//! processes is counted in the book: [`super::send_counts`].

use crate::clock::Clock;
use crate::error::{Error, Problem, Result};
use crate::limits;
use crate::rate::{AddressBlock, Rate, Tries};
use governor::Quota;

/// The buckets of codes, beside the limits of each number and address in the book.
pub struct CodeSends {
    by_address: Rate<AddressBlock>,
    all: Rate<()>,
    guesses: Tries<AddressBlock>,
}

/// A code that is looked at: it counts as a wrong guess until [`Guess::was_right`].
pub(super) struct Guess<'a> {
    guesses: &'a Tries<AddressBlock>,
    caller: Option<AddressBlock>,
}

impl CodeSends {
    /// Full buckets.
    pub fn new(clock: Clock) -> Result<Self> {
        let quota = Quota::with_period(limits::OTP_SENDS_EVERY_PER_IP)
            .ok_or_else(|| Error::internal("the pause between codes is zero"))?;
        let (burst, every) = (limits::OTP_GUESSES_BURST_PER_IP, limits::OTP_GUESSES_EVERY_PER_IP);
        Ok(Self {
            by_address: Rate::new(quota.allow_burst(limits::OTP_SENDS_BURST_PER_IP), clock.clone()),
            all: Rate::new(Quota::per_second(limits::OTP_SENDS_PER_SECOND), clock.clone()),
            guesses: Tries::new(burst, every, clock),
        })
    }

    /// Takes one for `caller`, if that is known and limited, or says when to come back.
    pub(super) fn check(&self, caller: Option<AddressBlock>) -> Result<(), Problem> {
        if let Some(caller) = caller {
            self.by_address.check(&caller)?;
        }
        self.all.check(&())
    }

    /// Each code has few tries; this bounds who tries the codes of many numbers.
    pub(super) fn begin_guess(&self, caller: Option<AddressBlock>) -> Result<Guess<'_>, Problem> {
        if let Some(caller) = &caller {
            self.guesses.take(caller)?;
        }
        Ok(Guess { guesses: &self.guesses, caller })
    }
}

impl Guess<'_> {
    /// It was no guess.
    pub(super) fn was_right(self) {
        if let Some(caller) = &self.caller {
            self.guesses.give_back(caller);
        }
    }
}
