//! Providers' doubles: real servers over HTTP that keep a book, lose answers and are away.

use super::{Counterpart, Manners, Payment, at_least, cases};
use crate::providers::world::{Kind, Played, ProviderWorld, form_of, path_of};
use crate::test_app::TestApp;
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, header};
use doubles::{Misbehaviour, esewa, khalti};
use entities::id::PaymentAttemptId;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Mutex;

/// More calls than a batch makes.
const ALWAYS: usize = 1_000_000;

/// A played provider, and where it sent whose browser.
struct Doubled<'w> {
    world: &'w ProviderWorld,
    backs: Mutex<HashMap<PaymentAttemptId, String>>,
}

impl Doubled<'_> {
    /// The provider's name for the order.
    fn reference(payment: &Payment) -> String {
        payment.attempt.provider_reference.clone().unwrap()
    }

    /// Remembers where the browser is sent; answers whether the page did what was pressed.
    fn sent(&self, payment: &Payment, back: Option<String>, word: &str) -> bool {
        let reference = Self::reference(payment);
        let Some(back) = back else { return false };
        let query = path_of(&back).split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        self.backs.lock().unwrap().insert(payment.attempt.id, query);
        match &self.world.played {
            Played::Khalti(double) => double.book().order(&reference).unwrap().status == word,
            Played::Esewa(double) => double.book().payment(&reference).unwrap().status == word,
        }
    }

    fn misbehave(&self, what: Misbehaviour) {
        self.world.misbehave(what, ALWAYS);
    }
}

#[async_trait]
impl Counterpart for Doubled<'_> {
    fn name(&self) -> &'static str {
        self.world.name()
    }

    fn page_opens(&self, payment: &Payment) {
        if let Played::Esewa(double) = &self.world.played {
            double.take_form(&form_of(&payment.told)).unwrap();
        }
    }

    async fn pay(&self, _test: &TestApp, payment: &Payment) -> bool {
        let reference = Self::reference(payment);
        match &self.world.played {
            Played::Khalti(double) => {
                self.sent(payment, double.press(&reference, khalti::Button::Pay), "Completed")
            }
            Played::Esewa(double) => {
                self.sent(payment, double.press(&reference, esewa::Button::Pay), "COMPLETE")
            }
        }
    }

    async fn give_up(&self, _test: &TestApp, payment: &Payment) -> bool {
        let reference = Self::reference(payment);
        match &self.world.played {
            Played::Khalti(double) => {
                self.sent(payment, double.press(&reference, khalti::Button::Cancel), "User canceled")
            }
            Played::Esewa(double) => {
                self.sent(payment, double.press(&reference, esewa::Button::Cancel), "CANCELED")
            }
        }
    }

    fn comes_back_with(&self, payment: &Payment, is_forged: bool) -> String {
        if !is_forged {
            return self.backs.lock().unwrap().get(&payment.attempt.id).cloned().unwrap_or_default();
        }
        let (ours, reference) = (payment.attempt.id, Self::reference(payment));
        match &self.world.played {
            Played::Khalti(_) => format!(
                "pidx={reference}&status=Completed&transaction_id=forged&amount=99999999\
                 &purchase_order_id={ours}"
            ),
            Played::Esewa(_) => {
                let amount = "\"99999.0\"";
                let data = esewa::data(
                    "nobody's key",
                    "000AE01",
                    "COMPLETE",
                    amount,
                    &reference,
                    esewa::TEST_PRODUCT,
                );
                format!("data={}", data.replace('+', "%2B").replace('=', "%3D"))
            }
        }
    }

    /// Neither of them calls by itself as far as it is documented; what looks like a call is anybody's hint.
    async fn calls_us(&self, test: &TestApp, payment: &Payment) {
        let body = match &self.world.played {
            Played::Khalti(_) => json!({ "pidx": Self::reference(payment), "status": "Completed" }),
            Played::Esewa(_) => {
                let back = self.comes_back_with(payment, false);
                json!({ "data": back.split_once("data=").map(|(_, data)| data.replace("%3D", "=")) })
            }
        };
        let caller = test.anonymous();
        let path = format!("/api/v1/payments/webhooks/{}", self.name());
        let request = caller.request(Method::POST, &path).header(header::CONTENT_TYPE, "application/json");
        let answer = caller.send(request.body(Body::from(body.to_string())).unwrap()).await;
        assert!(answer.status.as_u16() < 500, "{} {}", answer.status, answer.body);
    }

    fn behaves(&self, _test: &TestApp, manners: Manners) {
        self.world.behave();
        match manners {
            Manners::Good => {}
            Manners::LosesAnswers => self.misbehave(Misbehaviour::LosesAnswer),
            Manners::Away => self.misbehave(Misbehaviour::HtmlPage { status: 502 }),
        }
    }
}

async fn any_order(kind: Kind) {
    for world in ProviderWorld::each(kind).await {
        let doubled = Doubled { world: &world, backs: Mutex::default() };
        at_least(cases(&world.test), &world.test, &doubled).await;
    }
}

/// L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn khalti_any_order_of_hints_ends_as_the_provider_says() {
    any_order(Kind::Khalti).await;
}

/// L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn esewa_any_order_of_hints_ends_as_the_provider_says() {
    any_order(Kind::Esewa).await;
}
