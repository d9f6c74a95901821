//! How often somebody may try to sign in as staff, so that a guesser is stopped and nobody is locked out by one.
//!
//! An address has a bucket of its own for all that it tries. Failures are counted for each e-mail address and
//! origin together, so that a stranger's wrong guesses say nothing about the owner's next try. Many failures from
//! many origins make every try of that e-mail address slow, and a right password still passes.

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::rate::{AddressBlock, ClientAddress, Rate, Tries};
use governor::Quota;

/// The buckets.
pub struct LoginTries {
    by_origin: Rate<AddressBlock>,
    by_email_and_origin: Tries<(String, Option<AddressBlock>)>,
    by_email: Tries<String>,
}

/// A try that has begun: it counts as a failure until [`LoginTry::succeeded`].
pub(super) struct LoginTry<'a> {
    tries: &'a LoginTries,
    email: String,
    origin: Option<AddressBlock>,
}

impl LoginTries {
    /// Full buckets.
    pub fn new(clock: Clock) -> Result<Self> {
        let quota = Quota::with_period(limits::STAFF_LOGIN_EVERY)
            .ok_or_else(|| Error::internal("the pause between sign-ins is zero"))?;
        let (burst, every) = (limits::STAFF_LOGINS_BURST, limits::STAFF_LOGIN_EVERY);
        Ok(Self {
            by_origin: Rate::new(quota.allow_burst(burst), clock.clone()),
            by_email_and_origin: Tries::new(burst, every, clock.clone()),
            by_email: Tries::new(limits::STAFF_FAILURES_BEFORE_SLOW, every, clock),
        })
    }

    /// Begins a try, or says when to come back. It takes longer while an e-mail address is being guessed at.
    pub(super) async fn begin(&self, email: &str, address: ClientAddress) -> Result<LoginTry<'_>> {
        let (email, origin) = (email.to_owned(), address.host());
        if let Some(origin) = &origin {
            self.by_origin.check(origin)?;
        }
        // Taken before the password is looked at: many tries at once must not all pass.
        self.by_email_and_origin.take(&(email.clone(), origin))?;
        if self.by_email.take(&email).is_err() {
            tokio::time::sleep(limits::STAFF_LOGIN_SLOWED_BY).await;
        }
        Ok(LoginTry { tries: self, email, origin })
    }
}

impl LoginTry<'_> {
    /// It was the right password: no failure.
    pub(super) fn succeeded(self) {
        self.tries.by_email.give_back(&self.email);
        self.tries.by_email_and_origin.forget(&(self.email, self.origin));
    }
}
