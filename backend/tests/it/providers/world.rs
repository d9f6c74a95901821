//! A backend that is wired to a provider's double, and a rider who tops up there.
//!
//! [`ProviderWorld::each`] gives one for each database at hand, [`ProviderWorld::seeded`] one on
//! SQLite with ids of one's own. [`open`](ProviderWorld::open) opens a top-up;
//! [`pay`](ProviderWorld::pay) and its sisters are the payer's deeds on the hosted page and give the
//! path that the browser is sent back to; [`come_back`](ProviderWorld::come_back),
//! [`verify`](ProviderWorld::verify) and [`wait`](ProviderWorld::wait) are the three ways in which
//! the backend hears of it. [`misbehave`](ProviderWorld::misbehave) orders outages.

use crate::riders::{Rider, rider};
use crate::test_app::{Answer, TestApp};
use backend::config::{EsewaSettings, KhaltiSettings, Secret, Settings};
use backend::payments::audit;
use backend::payments::provider::{PlacedOrder, ProviderError, ProviderPayment};
use doubles::esewa::{self, Esewa};
use doubles::khalti::{self, Khalti};
use doubles::{Double, Misbehaviour, World};
use entities::id::PaymentAttemptId;
use entities::money::Paisa;
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::testing::FreshDatabase;
use entities::{incident, ledger_entry};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const OUR_URL: &str = "http://127.0.0.1:8080";
const KHALTI_KEY: &str = "key-of-this-test";

/// Which provider is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Khalti,
    Esewa,
}

/// All of them.
pub(crate) const KINDS: [Kind; 2] = [Kind::Khalti, Kind::Esewa];

/// The provider that is played.
#[derive(Debug)]
pub(crate) enum Played {
    Khalti(Double<Khalti>),
    Esewa(Double<Esewa>),
}

/// A backend, a provider, a rider.
pub(crate) struct ProviderWorld {
    pub(crate) test: TestApp,
    pub(crate) played: Played,
    pub(crate) rider: Rider,
}

/// A top-up whose page is open.
#[derive(Clone, Debug)]
pub(crate) struct OpenTopUp {
    pub(crate) intent_id: String,
    /// The provider's name for it: Khalti's `pidx`, for eSewa our attempt's id.
    pub(crate) reference: String,
    /// What the rider's app was told.
    pub(crate) told: Value,
}

impl ProviderWorld {
    /// One for each database at hand.
    pub(crate) async fn each(kind: Kind) -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in FreshDatabase::on_each_backend().await {
            worlds.push(Self::on(database, kind, 1, |_| {}).await);
        }
        worlds
    }

    /// One on SQLite; the seed decides the provider's names.
    pub(crate) async fn seeded(kind: Kind, seed: u64) -> Self {
        Self::on(FreshDatabase::sqlite(), kind, seed, |_| {}).await
    }

    /// One with other settings.
    pub(crate) async fn on(
        database: FreshDatabase,
        kind: Kind,
        seed: u64,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let clock = TestApp::clock();
        let world = World::new(clock.clone(), seed);
        let played = match kind {
            Kind::Khalti => Played::Khalti(Double::start(Khalti::new(KHALTI_KEY), world).await.unwrap()),
            Kind::Esewa => Played::Esewa(Double::start(Esewa::new(), world).await.unwrap()),
        };
        let test = TestApp::wired(database, clock, |settings| {
            match &played {
                Played::Khalti(double) => {
                    settings.payments.khalti = KhaltiSettings {
                        secret_key: Secret::new(KHALTI_KEY),
                        base_url: double.base_url(),
                        ..KhaltiSettings::default()
                    };
                }
                Played::Esewa(double) => {
                    settings.payments.esewa = EsewaSettings {
                        product_code: esewa::TEST_PRODUCT.to_owned(),
                        secret_key: Secret::new(esewa::TEST_KEY),
                        form_base_url: double.base_url(),
                        status_base_url: double.base_url(),
                        ..EsewaSettings::default()
                    };
                }
            }
            change(settings);
        })
        .await;
        let rider = rider(&test.app).await;
        Self { test, played, rider }
    }

    /// The word in paths and books.
    pub(crate) fn name(&self) -> &'static str {
        match &self.played {
            Played::Khalti(_) => "khalti",
            Played::Esewa(_) => "esewa",
        }
    }

    /// Khalti, in a world of Khalti.
    pub(crate) fn khalti(&self) -> &Double<Khalti> {
        match &self.played {
            Played::Khalti(double) => double,
            Played::Esewa(_) => panic!("this world is eSewa's"),
        }
    }

    /// eSewa, in a world of eSewa.
    pub(crate) fn esewa(&self) -> &Double<Esewa> {
        match &self.played {
            Played::Esewa(double) => double,
            Played::Khalti(_) => panic!("this world is Khalti's"),
        }
    }

    /// Asks for a top-up under an Idempotency-Key.
    pub(crate) async fn ask(&self, key: &str, amount: &str) -> Answer {
        let methods = self.test.anonymous().get("/api/v1/payments/methods").await.ok();
        let method = methods["items"].as_array().unwrap().iter().find(|item| item["gateway"] == self.name());
        let method = method.unwrap_or_else(|| panic!("{} is not offered: {methods}", self.name()));
        let amount = json!({ "amount": amount, "currency": "NPR" });
        let body = json!({ "amount": amount, "payment_method_id": method["id"] });
        let caller = self.test.bearer(&self.rider.token);
        caller.post_once(key, "/api/v1/payments/wallet/topup-intent", body).await
    }

    /// Opens a top-up and goes to the provider's page, as the rider's browser does.
    pub(crate) async fn open(&self, key: &str, amount: &str) -> OpenTopUp {
        let told = self.ask(key, amount).await.ok();
        let open = self.opened(told);
        if let Played::Esewa(double) = &self.played {
            double.take_form(&form_of(&open.told)).unwrap();
        }
        open
    }

    /// A top-up whose page the rider has not gone to.
    pub(crate) fn opened(&self, told: Value) -> OpenTopUp {
        let reference = match &self.played {
            Played::Khalti(_) => told["gateway_url"].as_str().unwrap().rsplit('=').next().unwrap().to_owned(),
            Played::Esewa(_) => form_of(&told)["transaction_uuid"].clone(),
        };
        OpenTopUp { intent_id: told["intent_id"].as_str().unwrap().to_owned(), reference, told }
    }

    /// The payer pays; gives the path of ours that the browser is sent to, unless the page is closed.
    pub(crate) fn pay(&self, open: &OpenTopUp) -> Option<String> {
        let back = match &self.played {
            Played::Khalti(double) => double.press(&open.reference, khalti::Button::Pay),
            Played::Esewa(double) => double.press(&open.reference, esewa::Button::Pay),
        };
        back.map(|url| path_of(&url))
    }

    /// The payer gives up.
    pub(crate) fn give_up(&self, open: &OpenTopUp) -> Option<String> {
        let back = match &self.played {
            Played::Khalti(double) => double.press(&open.reference, khalti::Button::Cancel),
            Played::Esewa(double) => double.press(&open.reference, esewa::Button::Cancel),
        };
        back.map(|url| path_of(&url))
    }

    /// Where the provider was told to send the browser.
    pub(crate) fn return_path(&self, open: &OpenTopUp) -> String {
        match &self.played {
            Played::Khalti(double) => path_of(&double.book().order(&open.reference).unwrap().return_url),
            Played::Esewa(double) => path_of(&double.book().payment(&open.reference).unwrap().success_url),
        }
    }

    /// The payer's money arrives, although the page's time is over.
    pub(crate) fn pay_late(&self, open: &OpenTopUp) {
        match &self.played {
            Played::Khalti(double) => double.pay_late(&open.reference),
            Played::Esewa(double) => double.pay_late(&open.reference),
        }
    }

    /// The provider has taken another amount than was asked for.
    pub(crate) fn falsify_amount(&self, open: &OpenTopUp, paisa: i64) {
        match &self.played {
            Played::Khalti(double) => double.book().order(&open.reference).unwrap().amount_paisa = paisa,
            Played::Esewa(double) => double.book().payment(&open.reference).unwrap().amount_paisa = paisa,
        }
    }

    /// Whatever word the provider uses for it from now on.
    pub(crate) fn force_status(&self, open: &OpenTopUp, word: &str) {
        match &self.played {
            Played::Khalti(double) => {
                word.clone_into(&mut double.book().order(&open.reference).unwrap().status)
            }
            Played::Esewa(double) => {
                word.clone_into(&mut double.book().payment(&open.reference).unwrap().status)
            }
        }
    }

    /// Mistreats the next calls to the provider.
    pub(crate) fn misbehave(&self, what: Misbehaviour, times: usize) {
        match &self.played {
            Played::Khalti(double) => double.misbehave(what, times),
            Played::Esewa(double) => double.misbehave(what, times),
        }
    }

    /// Forgets all misbehaviour that was ordered.
    pub(crate) fn behave(&self) {
        match &self.played {
            Played::Khalti(double) => double.behave(),
            Played::Esewa(double) => double.behave(),
        }
    }

    /// Calls to the provider so far.
    pub(crate) fn calls(&self) -> usize {
        match &self.played {
            Played::Khalti(double) => double.received().len(),
            Played::Esewa(double) => double.received().len(),
        }
    }

    /// The browser follows the provider's redirect; gives the page that the rider sees.
    pub(crate) async fn come_back(&self, path: &str) -> String {
        self.test.anonymous().get(path).await.ok().as_str().unwrap().to_owned()
    }

    /// The rider's app asks; gives the payment's status.
    pub(crate) async fn verify(&self, open: &OpenTopUp) -> String {
        let caller = self.test.bearer(&self.rider.token);
        let body = json!({ "intent_id": open.intent_id });
        let verified = caller.post("/api/v1/payments/verify-topup", body).await.ok();
        verified["payment"]["status"].as_str().unwrap().to_owned()
    }

    /// So many minutes pass, and the jobs that become due run each minute.
    pub(crate) async fn wait(&self, minutes: u32) {
        for _ in 0..minutes {
            self.test.clock.advance_ms(60_000);
            self.test.drain_jobs().await;
        }
    }

    /// What the rider can spend.
    pub(crate) async fn balance(&self) -> String {
        let wallet = self.test.bearer(&self.rider.token).get("/api/v1/users/wallet").await.ok();
        wallet["balance"]["amount"].as_str().unwrap().to_owned()
    }

    /// Where the payment stands, without asking the provider.
    pub(crate) async fn status(&self, open: &OpenTopUp) -> String {
        let path = format!("/api/v1/payments/status/{}", open.intent_id);
        let status = self.test.bearer(&self.rider.token).get(&path).await.ok();
        status["status"].as_str().unwrap().to_owned()
    }

    /// The attempt of the only top-up.
    pub(crate) async fn attempt(&self) -> (PaymentAttemptId, PaymentAttemptState) {
        let rows = payment_attempt::Entity::find().all(self.test.app.db.read()).await.unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        (rows[0].id, rows[0].state)
    }

    /// What the backend's client reads from the provider about an order.
    pub(crate) async fn look_up(
        &self,
        open: &OpenTopUp,
        paisa: i64,
    ) -> Result<ProviderPayment, ProviderError> {
        let order = self.placed(open, paisa).await;
        self.test.app.providers.named(self.name()).unwrap().lookup(&order).await
    }

    /// How the only top-up's order is found again.
    pub(crate) async fn placed(&self, open: &OpenTopUp, paisa: i64) -> PlacedOrder {
        PlacedOrder {
            provider_reference: open.reference.clone(),
            our_reference: self.attempt().await.0.to_string(),
            amount: Paisa(paisa),
        }
    }

    /// Kinds of the incidents that staff see.
    pub(crate) async fn incidents(&self) -> Vec<&'static str> {
        let rows = incident::Entity::find().all(self.test.app.db.read()).await.unwrap();
        rows.iter().map(|row| row.kind.as_str()).collect()
    }

    /// The wallet, the number of ledger entries, and the ledger's rules.
    pub(crate) async fn assert_credited(&self, balance: &str, entries: u64) {
        let database = self.test.backend();
        assert_eq!(self.balance().await, balance, "{} on {database}", self.name());
        let written = ledger_entry::Entity::find().count(self.test.app.db.read()).await.unwrap();
        assert_eq!(written, entries, "{} on {database}", self.name());
        let findings = audit::audit(self.test.app.db.read()).await.unwrap();
        assert!(findings.is_empty(), "{} on {database}: {findings:#?}", self.name());
    }
}

/// The fields that the browser posts.
pub(crate) fn form_of(told: &Value) -> BTreeMap<String, String> {
    let fields = told["form_fields"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    fields.map(|field| (text(&field["name"]), text(&field["value"]))).collect()
}

/// A browser that shows its redirects instead of following them.
pub(crate) fn browser() -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(10)).build().unwrap()
}

/// Where a browser is sent.
#[track_caller]
pub(crate) fn location(answer: &reqwest::Response) -> String {
    assert_eq!(answer.status(), 302);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// The path of an address of ours.
pub(crate) fn path_of(url: &str) -> String {
    url.strip_prefix(OUR_URL).unwrap_or_else(|| panic!("{url} is not ours")).to_owned()
}
