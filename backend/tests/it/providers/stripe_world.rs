//! A backend that speaks to a played Stripe, and Stripe's calls to it.

use crate::riders::{Rider, rider};
use crate::test_app::{Answer, TestApp};
use axum::body::Body;
use axum::http::Method;
use backend::config::{Secret, Settings, StripeSettings};
use backend::payments::audit;
use doubles::stripe::{Delivery, Event, Signing, Stripe};
use doubles::{Double, World};
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::payment_webhook;
use entities::testing::FreshDatabase;
use entities::{incident, ledger_entry};
use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "sk_test_of_this_test";
pub(crate) const SECRET: &str = "whsec_of_this_test";
const OUR_URL: &str = "http://127.0.0.1:8080";

/// A backend, Stripe, a rider.
pub(crate) struct StripeWorld {
    pub(crate) test: TestApp,
    pub(crate) stripe: Double<Stripe>,
    pub(crate) rider: Rider,
}

/// A top-up whose page is open.
#[derive(Clone, Debug)]
pub(crate) struct OpenTopUp {
    pub(crate) intent_id: String,
    pub(crate) session: String,
}

impl StripeWorld {
    /// One for each database at hand.
    pub(crate) async fn each() -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in FreshDatabase::on_each_backend().await {
            worlds.push(Self::on(database, &[SECRET], |_| {}).await);
        }
        worlds
    }

    /// One on SQLite whose Stripe signs with `secrets`, and with other settings.
    pub(crate) async fn with(secrets: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(FreshDatabase::sqlite(), secrets, change).await
    }

    async fn on(database: FreshDatabase, secrets: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        let clock = TestApp::clock();
        let stripe = Double::start(Stripe::new(KEY, secrets), World::new(clock.clone(), 7)).await.unwrap();
        let test = TestApp::wired(database, clock, |settings| {
            settings.payments.stripe = StripeSettings {
                live: false,
                secret_key: Secret::new(KEY),
                webhook_secrets: vec![Secret::new(SECRET)],
                base_url: stripe.base_url(),
            };
            change(settings);
        })
        .await;
        let rider = rider(&test.app).await;
        Self { test, stripe, rider }
    }

    /// Asks for a top-up under an Idempotency-Key.
    pub(crate) async fn ask(&self, key: &str, amount: &str) -> Answer {
        let methods = self.test.anonymous().get("/api/v1/payments/methods").await.ok();
        let method = methods["items"].as_array().unwrap().iter().find(|item| item["gateway"] == "stripe");
        let method = method.unwrap_or_else(|| panic!("stripe is not offered: {methods}"));
        let body =
            json!({ "amount": { "amount": amount, "currency": "NPR" }, "payment_method_id": method["id"] });
        let caller = self.test.bearer(&self.rider.token);
        caller.post_once(key, "/api/v1/payments/wallet/topup-intent", body).await
    }

    /// Opens a top-up.
    pub(crate) async fn open(&self, key: &str, amount: &str) -> OpenTopUp {
        let told = self.ask(key, amount).await.ok();
        let session = told["gateway_url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        OpenTopUp { intent_id: told["intent_id"].as_str().unwrap().to_owned(), session }
    }

    /// The path of ours that the payer's browser is sent to after a button.
    pub(crate) fn press(&self, open: &OpenTopUp, button: doubles::stripe::Button) -> Option<String> {
        let back = self.stripe.press(&open.session, button).unwrap();
        back.map(|url| url.strip_prefix(OUR_URL).unwrap().to_owned())
    }

    /// The browser follows; gives the page that the rider sees.
    pub(crate) async fn come_back(&self, path: &str) -> String {
        self.test.anonymous().get(path).await.ok().as_str().unwrap().to_owned()
    }

    /// The newest event of that type.
    pub(crate) fn event(&self, kind: &str) -> Event {
        let events = self.stripe.events();
        let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
        events.into_iter().rfind(|event| event.kind == kind).unwrap_or_else(|| panic!("{kind} of {kinds:?}"))
    }

    /// Stripe calls us with these very bytes.
    pub(crate) async fn call(&self, delivery: Delivery) -> Answer {
        let caller = self.test.anonymous();
        let request = caller.request(Method::POST, "/api/v1/payments/webhooks/stripe");
        let request = request.header("stripe-signature", &delivery.signature);
        let request = request.header("content-type", "application/json; charset=utf-8");
        caller.send(request.body(Body::from(delivery.body)).unwrap()).await
    }

    /// Stripe tells us of an event, rightly signed.
    pub(crate) async fn tell(&self, event: &Event) {
        let told = self.call(self.stripe.delivery(event, Signing::Good)).await;
        assert_eq!(told.ok(), json!({ "received": true }));
    }

    /// Everything that Stripe has to tell, once, and what follows of it.
    pub(crate) async fn tell_all(&self) {
        self.stripe.deliver(async |delivery| self.call(delivery).await.status.as_u16()).await;
        self.test.drain_jobs().await;
    }

    /// Where the payment stands, without asking the provider.
    pub(crate) async fn status(&self, open: &OpenTopUp) -> String {
        let path = format!("/api/v1/payments/status/{}", open.intent_id);
        let status = self.test.bearer(&self.rider.token).get(&path).await.ok();
        status["status"].as_str().unwrap().to_owned()
    }

    /// So many minutes pass, and the jobs that become due run each minute.
    pub(crate) async fn wait(&self, minutes: u32) {
        for _ in 0..minutes {
            self.test.clock.advance_ms(60_000);
            self.test.drain_jobs().await;
        }
    }

    /// The only attempt.
    pub(crate) async fn attempt(&self) -> payment_attempt::Model {
        let mut rows = payment_attempt::Entity::find().all(self.test.app.db.read()).await.unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    /// The state of the only attempt.
    pub(crate) async fn state(&self) -> PaymentAttemptState {
        self.attempt().await.state
    }

    /// What was kept of calls, oldest first: type, status, result.
    pub(crate) async fn inbox(&self) -> Vec<payment_webhook::Model> {
        let rows = payment_webhook::Entity::find().order_by_asc(payment_webhook::Column::Id);
        rows.all(self.test.app.db.read()).await.unwrap()
    }

    /// Kinds of the incidents that staff see.
    pub(crate) async fn incidents(&self) -> Vec<&'static str> {
        let rows = incident::Entity::find().all(self.test.app.db.read()).await.unwrap();
        rows.iter().map(|row| row.kind.as_str()).collect()
    }

    /// The wallet, the number of ledger entries, and the ledger's rules.
    pub(crate) async fn assert_credited(&self, balance: &str, entries: u64) {
        let database = self.test.backend();
        let wallet = self.test.bearer(&self.rider.token).get("/api/v1/users/wallet").await.ok();
        assert_eq!(wallet["balance"]["amount"], Value::from(balance), "{database}");
        let written = ledger_entry::Entity::find().count(self.test.app.db.read()).await.unwrap();
        assert_eq!(written, entries, "{database}");
        let findings = audit::audit(self.test.app.db.read()).await.unwrap();
        assert!(findings.is_empty(), "{database}: {findings:#?}");
    }
}
