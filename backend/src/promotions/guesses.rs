//! How often somebody may try codes, so that nobody finds one by trying. Only unknown codes count.

use crate::clock::Clock;
use crate::error::Result;
use crate::limits;
use crate::rate::{AddressBlock, Tries};
use entities::id::UserId;

/// The buckets.
pub struct CouponGuesses {
    by_rider: Tries<UserId>,
    by_origin: Tries<AddressBlock>,
}

/// A try that has begun: it counts as a guess until [`Guess::was_right`].
pub(super) struct Guess<'a> {
    guesses: &'a CouponGuesses,
    rider: UserId,
    origin: Option<AddressBlock>,
}

impl CouponGuesses {
    /// Full buckets.
    pub fn new(clock: &Clock) -> Self {
        let (burst, every) = (limits::COUPON_GUESSES_BURST, limits::COUPON_GUESS_EVERY);
        let by_rider = Tries::new(burst, every, clock.clone());
        let (burst, every) = (limits::COUPON_GUESSES_BURST_PER_IP, limits::COUPON_GUESS_EVERY_PER_IP);
        Self { by_rider, by_origin: Tries::new(burst, every, clock.clone()) }
    }

    /// Begins a try, or says when to come back. It is taken before the code is looked up: many tries at once must
    /// not all pass.
    pub(super) fn begin(&self, rider: UserId, origin: Option<AddressBlock>) -> Result<Guess<'_>> {
        self.by_rider.take(&rider)?;
        if let Some(origin) = &origin
            && let Err(refused) = self.by_origin.take(origin)
        {
            self.by_rider.give_back(&rider);
            return Err(refused.into());
        }
        Ok(Guess { guesses: self, rider, origin })
    }
}

impl Guess<'_> {
    /// There is such a coupon: no guess.
    pub(super) fn was_right(self) {
        self.guesses.by_rider.give_back(&self.rider);
        if let Some(origin) = &self.origin {
            self.guesses.by_origin.give_back(origin);
        }
    }
}
