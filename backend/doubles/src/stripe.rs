//! Stripe, played: Checkout sessions with their page, intents, charges, refunds, disputes, an
//! idempotency store, and signed webhooks.
//!
//! A test presses buttons by POST to the page or by [`Site::press`], and takes what Stripe would
//! send from [`Site::events`] and [`Site::deliver`]: it decides itself when, how often, in which
//! order and how signed a webhook arrives.

mod answer;
mod api;
mod form;
mod pages;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::double::{Provider, Site};

pub use webhook::{Delivery, Event, Signing, signature};

const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Stripe's book, for one account in one mode.
#[derive(Debug, Default)]
pub struct Stripe {
    /// `sk_test_…` or `sk_live_…`; no other key is let in.
    pub secret_key: String,
    /// Those of the endpoint; two while they are rolled.
    pub webhook_secrets: Vec<String>,
    /// Real money.
    pub live: bool,
    /// What becomes of the next refunds: `succeeded`, `pending`, `requires_action` or `failed`.
    pub refunds_become: String,
    /// By id.
    pub sessions: BTreeMap<String, Session>,
    /// By id.
    pub intents: BTreeMap<String, Intent>,
    /// By id.
    pub charges: BTreeMap<String, Charge>,
    /// In order.
    pub refunds: Vec<Refund>,
    /// In order.
    pub disputes: Vec<Dispute>,
    events: Vec<Event>,
    answers: BTreeMap<String, api::Kept>,
}

impl Stripe {
    /// A new account.
    pub fn new(secret_key: &str, webhook_secrets: &[&str]) -> Self {
        Self {
            secret_key: secret_key.to_owned(),
            webhook_secrets: webhook_secrets.iter().map(|secret| (*secret).to_owned()).collect(),
            live: secret_key.contains("_live_"),
            refunds_become: "succeeded".to_owned(),
            ..Self::default()
        }
    }
}

impl Provider for Stripe {
    fn api() -> Router<Arc<Site<Self>>> {
        api::routes()
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new().route("/c/pay/{id}", get(pages::show).post(pages::decide))
    }
}

/// A Checkout Session.
#[derive(Clone, Debug)]
pub struct Session {
    /// `cs_test_…`
    pub id: String,
    /// Smallest units.
    pub amount: i64,
    /// Lower case.
    pub currency: String,
    /// The merchant's name for it.
    pub client_reference_id: Option<String>,
    /// The merchant's words.
    pub metadata: BTreeMap<String, String>,
    /// Go to the intent.
    pub intent_metadata: BTreeMap<String, String>,
    /// Where the page stands.
    pub status: SessionStatus,
    /// Whether the money is there.
    pub paid: bool,
    /// When the page dies.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its mode.
    pub livemode: bool,
    /// Once somebody tried to pay.
    pub intent: Option<String>,
    success_url: String,
    cancel_url: String,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Takes money.
    Open,
    /// The page is done.
    Complete,
    /// Too late.
    Expired,
}

/// A PaymentIntent.
#[derive(Clone, Debug)]
pub struct Intent {
    /// `pi_…`
    pub id: String,
    /// `requires_payment_method`, `requires_action`, `processing`, `succeeded` or `canceled`.
    pub status: &'static str,
    /// Smallest units.
    pub amount: i64,
    /// What has come.
    pub amount_received: i64,
    /// Lower case.
    pub currency: String,
    /// The merchant's words.
    pub metadata: BTreeMap<String, String>,
    /// The movement.
    pub charge: Option<String>,
    declined: bool,
    livemode: bool,
}

/// A Charge.
#[derive(Clone, Debug)]
pub struct Charge {
    /// `ch_…`
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Smallest units.
    pub amount: i64,
    /// How much of it went back.
    pub amount_refunded: i64,
    /// Ever disputed.
    pub disputed: bool,
    /// What Stripe keeps.
    pub fee: i64,
}

/// A Refund.
#[derive(Clone, Debug)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// Of which intent.
    pub intent: String,
    /// Smallest units.
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    pub status: String,
    /// The merchant's words.
    pub metadata: BTreeMap<String, String>,
}

/// A Dispute.
#[derive(Clone, Debug)]
pub struct Dispute {
    /// `dp_…`
    pub id: String,
    /// Of which intent.
    pub intent: String,
    /// Smallest units.
    pub amount: i64,
    /// `needs_response`, `won`, `lost`, `warning_needs_response`, …
    pub status: String,
}

/// A button of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// A card that works.
    Pay,
    /// A method whose money comes later: see [`Site::settle`].
    PayLater,
    /// A card that asks for 3-D Secure; then press pay.
    Challenge,
    /// A card that is declined.
    Decline,
    /// Back to the shop; the page stays open.
    Cancel,
}

impl Site<Stripe> {
    /// Presses a button of a session's page. Answers where the browser goes, if anywhere, or `None` if there is no
    /// such page.
    pub fn press(&self, session: &str, button: Button) -> Option<Option<String>> {
        self.expire_due();
        let found = self.book().sessions.get(session).cloned()?;
        if button == Button::Cancel {
            return Some(Some(found.cancel_url));
        }
        if found.status != SessionStatus::Open {
            return Some(None);
        }
        let intent = self.intent_of(session);
        match button {
            Button::Pay => {
                self.receive(session, &intent);
                self.tell("payment_intent.succeeded", &intent);
                self.complete(session);
                Some(Some(found.success_url))
            }
            Button::PayLater => {
                self.with_intent(&intent, |intent| intent.status = "processing");
                self.tell("payment_intent.processing", &intent);
                self.complete(session);
                Some(Some(found.success_url))
            }
            Button::Challenge => {
                self.with_intent(&intent, |intent| intent.status = "requires_action");
                self.tell("payment_intent.requires_action", &intent);
                Some(None)
            }
            Button::Decline => {
                self.with_intent(&intent, |intent| {
                    intent.status = "requires_payment_method";
                    intent.declined = true;
                });
                self.tell("payment_intent.payment_failed", &intent);
                Some(None)
            }
            Button::Cancel => Some(None),
        }
    }

    /// The end of a payment whose money comes later.
    pub fn settle(&self, session: &str, arrives: bool) {
        let intent = self.intent_of(session);
        if arrives {
            self.receive(session, &intent);
            self.tell("payment_intent.succeeded", &intent);
            self.tell("checkout.session.async_payment_succeeded", session);
        } else {
            self.with_intent(&intent, |intent| intent.status = "requires_payment_method");
            self.tell("payment_intent.payment_failed", &intent);
            self.tell("checkout.session.async_payment_failed", session);
        }
    }

    /// Somebody presses refund in Stripe's dashboard.
    pub fn refund_in_dashboard(&self, session: &str, amount: i64) {
        let intent = self.intent_of(session);
        self.give_back(&intent, amount, BTreeMap::new());
    }

    /// A refund that was on its way ends; a failed one puts the money back.
    pub fn finish_refund(&self, refund: &str, succeeds: bool) {
        let found = {
            let mut book = self.book();
            let Some(found) = book.refunds.iter_mut().find(|other| other.id == refund) else { return };
            found.status = if succeeds { "succeeded" } else { "failed" }.to_owned();
            let found = found.clone();
            if !succeeds
                && let Some(charge) = book.charges.values_mut().find(|charge| charge.intent == found.intent)
            {
                charge.amount_refunded -= found.amount;
            }
            found
        };
        self.tell(if succeeds { "refund.updated" } else { "refund.failed" }, &found.id);
    }

    /// The payer's bank wants the money back, or asks, or decides: `needs_response`, `won`, `lost`, …
    pub fn dispute(&self, session: &str, status: &str) {
        let intent = self.intent_of(session);
        let (kind, id) = {
            let mut book = self.book();
            let amount = book.intents.get(&intent).map_or(0, |intent| intent.amount_received);
            if let Some(charge) = book.charges.values_mut().find(|charge| charge.intent == intent) {
                charge.disputed = true;
            }
            match book.disputes.iter_mut().find(|dispute| dispute.intent == intent) {
                Some(dispute) => {
                    dispute.status = status.to_owned();
                    let closed = matches!(status, "won" | "lost" | "warning_closed");
                    (
                        if closed { "charge.dispute.closed" } else { "charge.dispute.updated" },
                        dispute.id.clone(),
                    )
                }
                None => {
                    let id = self.new_id("dp");
                    book.disputes.push(Dispute { id: id.clone(), intent, amount, status: status.to_owned() });
                    ("charge.dispute.created", id)
                }
            }
        };
        self.tell(kind, &id);
    }

    /// An event that nobody's order is behind.
    pub fn tell_of_something_else(&self, kind: &str, object: Value) {
        self.push(kind, object);
    }

    /// Sessions whose time is over become so.
    pub fn expire_due(&self) {
        let now = self.world().now();
        let expired: Vec<String> = {
            let mut book = self.book();
            let due = book.sessions.values_mut();
            let due =
                due.filter(|session| session.status == SessionStatus::Open && session.expires_at <= now);
            due.map(|session| {
                session.status = SessionStatus::Expired;
                session.id.clone()
            })
            .collect()
        };
        for session in expired {
            self.tell("checkout.session.expired", &session);
        }
    }

    fn complete(&self, session: &str) {
        if let Some(session) = self.book().sessions.get_mut(session) {
            session.status = SessionStatus::Complete;
        }
        self.tell("checkout.session.completed", session);
    }

    /// The intent of a session, made when somebody first tries to pay.
    fn intent_of(&self, session: &str) -> String {
        let mut book = self.book();
        let Some(found) = book.sessions.get(session).cloned() else { return String::new() };
        if let Some(intent) = found.intent {
            return intent;
        }
        let id = self.new_id("pi");
        let intent = Intent {
            id: id.clone(),
            status: "requires_payment_method",
            amount: found.amount,
            amount_received: 0,
            currency: found.currency,
            metadata: found.intent_metadata,
            charge: None,
            declined: false,
            livemode: found.livemode,
        };
        book.intents.insert(id.clone(), intent);
        if let Some(session) = book.sessions.get_mut(session) {
            session.intent = Some(id.clone());
        }
        id
    }

    fn with_intent(&self, id: &str, change: impl FnOnce(&mut Intent)) {
        if let Some(intent) = self.book().intents.get_mut(id) {
            change(intent);
        }
    }

    /// The money is there.
    fn receive(&self, session: &str, intent: &str) {
        let charge = self.new_id("ch");
        let mut book = self.book();
        let Some(found) = book.intents.get_mut(intent) else { return };
        found.status = "succeeded";
        found.amount_received = found.amount;
        found.charge = Some(charge.clone());
        let amount = found.amount;
        let fee = amount * 29 / 1_000 + 3_000;
        let intent = intent.to_owned();
        book.charges.insert(
            charge.clone(),
            Charge { id: charge, intent, amount, amount_refunded: 0, disputed: false, fee },
        );
        if let Some(session) = book.sessions.get_mut(session) {
            session.paid = true;
        }
    }

    fn give_back(&self, intent: &str, amount: i64, metadata: BTreeMap<String, String>) -> Refund {
        let (refund, charge) = {
            let mut book = self.book();
            let status = book.refunds_become.clone();
            let refund = Refund {
                id: self.new_id("re"),
                intent: intent.to_owned(),
                amount,
                status: status.clone(),
                metadata,
            };
            let charge = book.charges.values_mut().find(|charge| charge.intent == intent);
            let charge = charge.map(|charge| {
                if status != "failed" {
                    charge.amount_refunded += amount;
                }
                charge.id.clone()
            });
            book.refunds.push(refund.clone());
            (refund, charge)
        };
        self.tell("refund.created", &refund.id);
        if let Some(charge) = charge {
            self.tell("charge.refunded", &charge);
        }
        refund
    }

    fn new_id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.world().text(LETTERS, 24))
    }

    fn tell(&self, kind: &str, id: &str) {
        let object = api::shown(&self.book(), id, &self.base_url());
        self.push(kind, object);
    }

    fn push(&self, kind: &str, object: Value) {
        let (id, now) = (self.new_id("evt"), self.world().now());
        let mut book = self.book();
        let event = Event::new(id, kind, object, book.live, now);
        book.events.push(event);
    }
}

impl Charge {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "charge", "amount": self.amount, "amount_refunded": self.amount_refunded,
            "refunded": self.amount_refunded >= self.amount, "disputed": self.disputed, "payment_intent": self.intent,
            "paid": true, "status": "succeeded",
            "billing_details": { "email": "payer@example.com", "name": "A Payer" },
        })
    }
}

impl Refund {
    fn json(&self) -> Value {
        let failure = (self.status == "failed").then_some("expired_or_canceled_card");
        json!({
            "id": self.id, "object": "refund", "amount": self.amount, "payment_intent": self.intent,
            "status": self.status, "metadata": self.metadata, "failure_reason": failure,
        })
    }
}

impl Dispute {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "dispute", "amount": self.amount, "payment_intent": self.intent,
            "status": self.status, "metadata": {},
        })
    }
}
