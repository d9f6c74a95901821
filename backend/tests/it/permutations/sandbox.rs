//! The sandbox: it calls nobody, and its page is the product's own.

use super::{Counterpart, Manners, Payment, at_least, cases};
use crate::moody_provider::Mood;
use crate::payments::press;
use crate::test_app::TestApp;
use async_trait::async_trait;

struct Sandbox;

fn page(payment: &Payment) -> &str {
    payment.page.strip_prefix("http://127.0.0.1:8080").unwrap()
}

#[async_trait]
impl Counterpart for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn page_opens(&self, _payment: &Payment) {}

    async fn pay(&self, test: &TestApp, payment: &Payment) -> bool {
        press(test, page(payment), "pay").await;
        true
    }

    async fn give_up(&self, test: &TestApp, payment: &Payment) -> bool {
        press(test, page(payment), "cancel").await;
        true
    }

    fn comes_back_with(&self, _payment: &Payment, is_forged: bool) -> String {
        if is_forged { "status=paid&amount=99999999".to_owned() } else { String::new() }
    }

    async fn calls_us(&self, _test: &TestApp, _payment: &Payment) {}

    fn behaves(&self, test: &TestApp, manners: Manners) {
        test.provider.becomes(match manners {
            Manners::Good => Mood::Good,
            Manners::LosesAnswers => Mood::LosesAnswers,
            Manners::Away => Mood::Away,
        });
    }
}

/// L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_any_order_of_hints_ends_as_the_provider_says() {
    for test in TestApp::on_each_backend().await {
        at_least(cases(&test), &test, &Sandbox).await;
    }
}
