//! Webhooks as Stripe sends them: signed, again until they are taken, in no order.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::double::Site;
use crate::stripe::Stripe;

/// The pauses before a delivery that failed is tried again; after the last it is given up.
const RETRIES: [TimeDelta; 3] = [TimeDelta::minutes(5), TimeDelta::minutes(30), TimeDelta::hours(2)];

/// An event on its way to the merchant.
#[derive(Clone, Debug)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// `checkout.session.completed` and its like.
    pub kind: String,
    /// The whole event; a delivery is these very bytes.
    pub body: String,
    object_id: String,
    due_at: DateTime<Utc>,
    tries: usize,
    delivered: bool,
}

impl Event {
    pub(super) fn new(id: String, kind: &str, object: Value, live: bool, now: DateTime<Utc>) -> Self {
        let object_id = object["id"].as_str().unwrap_or_default().to_owned();
        let body = json!({
            "id": id, "object": "event", "api_version": "2026-06-24.dahlia", "created": now.timestamp(),
            "data": { "object": object }, "livemode": live, "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null }, "type": kind,
        });
        let (kind, body) = (kind.to_owned(), body.to_string());
        Self { id, kind, body, object_id, due_at: now, tries: 0, delivered: false }
    }
}

/// How a delivery is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// As it should be: with every secret of the endpoint, which during a rotation are two.
    Good,
    /// As [`Signing::Good`], the signatures the other way round.
    Reversed,
    /// With a secret that is nobody's.
    WrongSecret,
    /// Rightly, ten minutes ago.
    Old,
    /// Only in the scheme that is for tests and proves nothing.
    OnlyV0,
}

/// A request to the merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which event.
    pub event_id: String,
    /// `Stripe-Signature`
    pub signature: String,
    /// The body.
    pub body: String,
}

impl Site<Stripe> {
    /// Every event so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.book().events.clone()
    }

    /// Those about a session or its intent, oldest first.
    pub fn events_of(&self, session: &str) -> Vec<Event> {
        let book = self.book();
        let intent = book.sessions.get(session).and_then(|session| session.intent.as_deref());
        let is_of = |event: &&Event| event.object_id == session || Some(event.object_id.as_str()) == intent;
        book.events.iter().filter(is_of).cloned().collect()
    }

    /// The event as a request, signed now.
    pub fn delivery(&self, event: &Event, how: Signing) -> Delivery {
        let now = self.world().now();
        let signed_at = if how == Signing::Old { now - TimeDelta::minutes(10) } else { now };
        let mut secrets = self.book().webhook_secrets.clone();
        match how {
            Signing::Good | Signing::Old => {}
            Signing::Reversed => secrets.reverse(),
            Signing::WrongSecret => secrets = vec!["whsec_of_nobody".to_owned()],
            Signing::OnlyV0 => {
                let secret = secrets.first().cloned().unwrap_or_default();
                let signature = signature("v0", signed_at.timestamp(), &[secret], &event.body);
                return Delivery { event_id: event.id.clone(), signature, body: event.body.clone() };
            }
        }
        let signature = signature("v1", signed_at.timestamp(), &secrets, &event.body);
        Delivery { event_id: event.id.clone(), signature, body: event.body.clone() }
    }

    /// Sends what is due, once each, to whatever `send` reaches; it answers the HTTP status. What is
    /// not taken with 2xx is due again later, by the double's clock. Answers how many were taken.
    pub async fn deliver(&self, mut send: impl AsyncFnMut(Delivery) -> u16) -> usize {
        let now = self.world().now();
        let due: Vec<Event> = self
            .book()
            .events
            .iter()
            .filter(|event| !event.delivered && event.due_at <= now)
            .cloned()
            .collect();
        let mut taken = 0;
        for event in due {
            let status = send(self.delivery(&event, Signing::Good)).await;
            let mut book = self.book();
            let Some(event) = book.events.iter_mut().find(|other| other.id == event.id) else { continue };
            if (200..300).contains(&status) {
                event.delivered = true;
                taken += 1;
            } else {
                match RETRIES.get(event.tries) {
                    Some(pause) => event.due_at = now + *pause,
                    None => event.delivered = true,
                }
                event.tries += 1;
            }
        }
        taken
    }
}

/// The header: a signature per secret, in their order.
pub fn signature(scheme: &str, signed_at_s: i64, secrets: &[String], body: &str) -> String {
    let mut header = format!("t={signed_at_s}");
    for secret in secrets {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { continue };
        mac.update(format!("{signed_at_s}.{body}").as_bytes());
        header.push_str(&format!(",{scheme}={}", hex::encode(mac.finalize().into_bytes())));
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors, the same that the client is tried with.
    #[test]
    fn signatures_are_those_that_were_published() {
        let b2 = r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}"#;
        let b1 = r#"{"account":"acct_123","api_version":"2017-05-25","created":1533204620,"data":{"object":{"amount":1000,"currency":"usd","customer":"cus_123","date":1533204620,"description":"Test Invoice Item","discountable":false,"id":"ii_123","invoice":"in_123","livemode":false,"metadata":{},"object":"invoiceitem","period":{"end":1533204620,"start":1533204620},"proration":false,"quantity":3,"quantity_decimal":"0"}},"id":"evt_123","livemode":false,"object":"event","pending_webhooks":1,"request":{"id":"req_123","idempotency_key":"idempotency-key-123"},"type":"invoiceitem.created"}"#;
        for (secret, t, body, v1) in [
            ("secret", 1_533_204_620, b1, "d7373bc68f4bd320b253cd7461f87af6e1cdf1b4d7db1614d8d1d746972d2d0a"),
            (
                "whsec_test_secret",
                1_492_774_577,
                r#"{"id":"evt_test_webhook","object":"event"}"#,
                "88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a",
            ),
            (
                "whsec_new",
                1_700_000_000,
                b2,
                "eb1fdbdef5d190254cbe8d9cc33598d25f29761932c71a6d272c315fb057640e",
            ),
            (
                "whsec_old",
                1_700_000_000,
                b2,
                "3ce3deb03ce8afeae8ca77ba9591d26dc4568a4f7975ec65242cda7fda976bfa",
            ),
        ] {
            assert_eq!(signature("v1", t, &[secret.to_owned()], body), format!("t={t},v1={v1}"), "{secret}");
        }
    }
}
