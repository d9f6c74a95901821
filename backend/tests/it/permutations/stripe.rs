//! Stripe's double: it calls by itself, signed, and its page closes when it is asked to.

use super::{Counterpart, Manners, Payment, at_least, cases};
use crate::providers::stripe_world::StripeWorld;
use crate::test_app::TestApp;
use async_trait::async_trait;
use doubles::Misbehaviour;
use doubles::stripe::{Button, SessionStatus, Signing};
use entities::id::PaymentAttemptId;
use std::collections::HashMap;
use std::sync::Mutex;

/// More calls than a batch makes.
const ALWAYS: usize = 1_000_000;
/// Ways in which Stripe tells what it has to tell.
const WAYS: usize = 4;

struct Played<'w> {
    world: &'w StripeWorld,
    /// How often Stripe has called about whom.
    calls: Mutex<HashMap<PaymentAttemptId, usize>>,
}

fn session(payment: &Payment) -> &str {
    payment.attempt.provider_reference.as_deref().unwrap()
}

/// A number that differs from payment to payment and is the same whenever it is asked for.
fn lot(payment: &Payment) -> usize {
    session(payment).bytes().map(usize::from).sum()
}

impl Played<'_> {
    fn press(&self, payment: &Payment, button: Button) {
        self.world.stripe.press(session(payment), button).unwrap();
    }

    /// All that there is to tell, signed in this manner, newest first or oldest first.
    async fn tell(&self, payment: &Payment, signing: Signing, is_newest_first: bool) {
        let mut events = self.world.stripe.events_of(session(payment));
        if is_newest_first {
            events.reverse();
        }
        let expected = match signing {
            Signing::Good | Signing::Reversed => 200,
            Signing::WrongSecret | Signing::Old | Signing::OnlyV0 => 400,
        };
        for event in events {
            let answer = self.world.call(self.world.stripe.delivery(&event, signing)).await;
            assert_eq!(answer.status.as_u16(), expected, "{signing:?} {}", answer.body);
        }
    }
}

#[async_trait]
impl Counterpart for Played<'_> {
    fn name(&self) -> &'static str {
        "stripe"
    }

    /// Half a dollar.
    fn least_rupees(&self) -> i64 {
        100
    }

    fn page_opens(&self, _payment: &Payment) {}

    /// By a card that works at once, at the second try, or by a bank whose money comes later.
    async fn pay(&self, _test: &TestApp, payment: &Payment) -> bool {
        match lot(payment) % 3 {
            0 => {
                self.press(payment, Button::Decline);
                self.press(payment, Button::Challenge);
                self.press(payment, Button::Pay);
            }
            1 => {
                self.press(payment, Button::PayLater);
                if self.world.stripe.book().sessions[session(payment)].status == SessionStatus::Complete {
                    self.world.stripe.settle(session(payment), true);
                }
            }
            _ => self.press(payment, Button::Pay),
        }
        self.world.stripe.book().sessions[session(payment)].paid
    }

    /// The page stays open: somebody may come back to it.
    async fn give_up(&self, _test: &TestApp, payment: &Payment) -> bool {
        self.press(payment, Button::Decline);
        self.press(payment, Button::Cancel);
        false
    }

    fn comes_back_with(&self, payment: &Payment, is_forged: bool) -> String {
        if !is_forged {
            return String::new();
        }
        let session = session(payment);
        format!("session_id={session}&payment_status=paid&status=complete&amount_total=99999999")
    }

    async fn calls_us(&self, _test: &TestApp, payment: &Payment) {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let call = calls.entry(payment.attempt.id).or_insert_with(|| lot(payment));
            *call += 1;
            *call
        };
        match call % WAYS {
            0 => self.tell(payment, Signing::Good, false).await,
            1 => self.tell(payment, Signing::Reversed, true).await,
            // A thief, and a call that somebody kept: nothing of them is believed.
            2 => self.tell(payment, [Signing::WrongSecret, Signing::OnlyV0][call / WAYS % 2], false).await,
            _ => {
                self.tell(payment, Signing::Old, true).await;
                self.tell(payment, Signing::Good, true).await;
            }
        }
    }

    fn behaves(&self, _test: &TestApp, manners: Manners) {
        self.world.stripe.behave();
        match manners {
            Manners::Good => {}
            Manners::LosesAnswers => self.world.stripe.misbehave(Misbehaviour::LosesAnswer, ALWAYS),
            Manners::Away => self.world.stripe.misbehave(Misbehaviour::HtmlPage { status: 502 }, ALWAYS),
        }
    }
}

/// L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_any_order_of_hints_ends_as_the_provider_says() {
    for world in StripeWorld::each().await {
        let played = Played { world: &world, calls: Mutex::default() };
        at_least(cases(&world.test), &world.test, &played).await;
    }
}
