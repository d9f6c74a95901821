//! Providers' own calls: whoever calls, whatever they say, in whatever order, our own question decides.

use super::stripe_world::{SECRET, StripeWorld};
use crate::test_app::{Answer, TestApp};
use axum::body::Body;
use axum::http::Method;
use backend::config::{KhaltiSettings, Secret};
use backend::limits;
use doubles::Misbehaviour;
use doubles::stripe::{Button, Delivery, Signing, signature};
use entities::ledger_entry;
use entities::payment_attempt::PaymentAttemptState;
use entities::payment_webhook::WebhookStatus;
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

#[tokio::test]
async fn a_webhook_alone_credits() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        world.press(&open, Button::Pay);
        let event = world.event("checkout.session.completed");
        world.tell(&event).await;
        world.assert_credited("0.00", 0).await;
        assert_eq!(
            world.inbox().await[0].status,
            WebhookStatus::Received,
            "the answer did not wait for the work"
        );
        world.test.drain_jobs().await;
        world.assert_credited("500.00", 1).await;
        let kept = world.inbox().await.remove(0);
        assert_eq!(
            (kept.event_type.as_str(), kept.event_key.unwrap()),
            ("checkout.session.completed", event.id)
        );
        assert_eq!(kept.status, WebhookStatus::Processed);
        assert!(kept.processing_result.unwrap().contains("succeeded"));
        assert!(kept.transaction_id.is_some() && kept.processed_at.is_some());
        assert!(!kept.payload.to_string().contains("payer@"), "{}", kept.payload);
    }
}

#[tokio::test]
async fn the_webhook_and_the_browser_may_come_in_either_order() {
    for webhook_first in [true, false] {
        for world in StripeWorld::each().await {
            let open = world.open("a-top-up", "500.00").await;
            let back = world.press(&open, Button::Pay).unwrap();
            if webhook_first {
                world.tell_all().await;
            }
            assert!(world.come_back(&back).await.contains("Payment received"));
            world.tell_all().await;
            world.wait(3).await;
            world.assert_credited("500.00", 1).await;
        }
    }
}

/// L6, L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_copies_at_once_are_kept_once_and_credit_once() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        world.press(&open, Button::Pay);
        let delivery = world.stripe.delivery(&world.event("checkout.session.completed"), Signing::Good);
        for answer in join_all((0..100).map(|_| world.call(delivery.clone()))).await {
            assert_eq!(answer.ok(), json!({ "received": true }));
        }
        assert_eq!(world.inbox().await.len(), 1, "{}", world.test.backend());
        world.test.drain_jobs().await;
        world.assert_credited("500.00", 1).await;
        world.call(delivery).await.ok();
        assert_eq!(world.test.drain_jobs().await, 0, "a copy that comes later makes no work");
    }
}

/// L11: content is a hint, so the last word of the order of events is the provider's book.
#[tokio::test]
async fn events_in_the_wrong_order_change_nothing() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        world.press(&open, Button::Decline);
        world.press(&open, Button::Pay);
        let mut events = world.stripe.events();
        events.reverse();
        for event in &events {
            world.tell(event).await;
            world.test.drain_jobs().await;
            world.assert_credited("500.00", 1).await;
        }
        // As if the session had expired after all: the claim is signed, and the book knows better.
        let mut expired = world.event("checkout.session.completed");
        expired.body = expired.body.replace("session.completed", "session.expired").replace("evt_", "evt_2");
        world.tell(&expired).await;
        world.test.drain_jobs().await;
        assert_eq!(world.state().await, PaymentAttemptState::Succeeded);
        world.assert_credited("500.00", 1).await;
        assert_eq!(world.inbox().await.len(), events.len() + 1);
    }
}

#[tokio::test]
async fn what_stripe_did_not_sign_now_is_refused_and_leaves_nothing() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        world.press(&open, Button::Pay);
        let event = world.event("checkout.session.completed");
        for how in [Signing::WrongSecret, Signing::Old, Signing::OnlyV0] {
            let answer = world.call(world.stripe.delivery(&event, how)).await;
            answer.problem(400, "webhook_unverified");
        }
        let good = world.stripe.delivery(&event, Signing::Good);
        let other_body = Delivery { body: good.body.replace("50000", "90000"), ..good.clone() };
        world.call(other_body).await.problem(400, "webhook_unverified");
        let unsigned = Delivery { signature: String::new(), ..good.clone() };
        world.call(unsigned).await.problem(400, "webhook_unverified");
        world.test.clock.advance_ms(301_000);
        world.call(good).await.problem(400, "webhook_unverified");
        assert_eq!(world.inbox().await, Vec::new());
        world.assert_credited("0.00", 0).await;
    }
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_is_refused() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let now_s = world.test.app.clock.now().timestamp();
    for body in ["", "{}", "[]", "null", "{\"id\":\"evt_1\"}", "\u{0}"] {
        let signature = signature("v1", now_s, &[SECRET.to_owned()], body);
        let delivery = Delivery { event_id: String::new(), signature, body: body.to_owned() };
        world.call(delivery).await.problem(400, "webhook_malformed");
    }
    let body = "x".repeat(limits::BODY_MAX_BYTES + 1);
    let signature = signature("v1", now_s, &[SECRET.to_owned()], &body);
    let long = Delivery { event_id: String::new(), signature, body };
    world.call(long).await.problem(413, "body_too_large");
    assert_eq!(world.inbox().await, Vec::new());
}

#[tokio::test]
async fn secrets_are_rolled_without_losing_an_event() {
    let (old, new) = ("whsec_old", "whsec_new");
    for (signed_with, known) in [
        (vec![old], vec![old, new]),
        (vec![old, new], vec![old]),
        (vec![old, new], vec![new]),
        (vec![old, new], vec![new, old]),
        (vec![new], vec![old, new]),
    ] {
        let world = StripeWorld::with(&signed_with, |settings| {
            settings.payments.stripe.webhook_secrets =
                known.iter().map(|secret| Secret::new(*secret)).collect();
        })
        .await;
        let open = world.open("a-top-up", "500.00").await;
        world.press(&open, Button::Decline);
        world.press(&open, Button::Pay);
        let events = world.stripe.events();
        for (event, how) in events.iter().zip([Signing::Good, Signing::Reversed, Signing::Good]) {
            world.call(world.stripe.delivery(event, how)).await.ok();
        }
        world.test.drain_jobs().await;
        world.assert_credited("500.00", 1).await;
    }
}

#[tokio::test]
async fn stripe_tries_again_what_we_did_not_take() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    world.press(&open, Button::Pay);
    assert_eq!(world.stripe.deliver(async |_| 503).await, 0);
    assert_eq!(world.stripe.deliver(async |_| 200).await, 0, "not before its pause is over");
    world.test.clock.advance_ms(5 * 60_000);
    world.tell_all().await;
    world.assert_credited("500.00", 1).await;
}

#[tokio::test]
async fn a_signed_event_that_is_not_about_an_order_of_ours_is_kept_as_done() {
    for world in StripeWorld::each().await {
        let foreign =
            json!({ "id": "cs_test_1", "object": "checkout.session", "client_reference_id": "shop-17" });
        world.stripe.tell_of_something_else("checkout.session.completed", foreign.clone());
        world
            .stripe
            .tell_of_something_else("customer.created", json!({ "id": "cus_1", "object": "customer" }));
        world
            .stripe
            .tell_of_something_else("payment_intent.succeeded", json!({ "id": "pi_1", "metadata": {} }));
        world.tell_all().await;
        let kept = world.inbox().await;
        assert_eq!(kept.len(), 3, "{}", world.test.backend());
        for row in kept {
            assert_eq!(row.status, WebhookStatus::Processed);
            assert_eq!(row.processing_result.as_deref(), Some("about no order of ours"));
        }
        assert!(world.stripe.received().is_empty(), "nothing was asked");
        assert_eq!(world.test.drain_jobs().await, 0);
    }
}

#[tokio::test]
async fn an_event_of_the_other_mode_asks_nothing() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    world.press(&open, Button::Pay);
    let mut event = world.event("checkout.session.completed");
    event.body = event.body.replace("\"livemode\":false", "\"livemode\":true");
    world.tell(&event).await;
    world.test.drain_jobs().await;
    assert_eq!(world.inbox().await[0].processing_result.as_deref(), Some("about no order of ours"));
    world.assert_credited("0.00", 0).await;
}

#[tokio::test]
async fn a_webhook_waits_for_a_stripe_that_does_not_answer() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        let back = world.press(&open, Button::Pay).unwrap();
        world.come_back(&back).await;
        world.stripe.refund_in_dashboard(&open.session, 50_000);
        world.stripe.misbehave(Misbehaviour::Fails { status: 503 }, 3);
        world.tell(&world.event("charge.refunded")).await;
        world.test.drain_jobs().await;
        assert_eq!(world.inbox().await[0].status, WebhookStatus::Received);
        world.stripe.behave();
        world.wait(5).await;
        assert_eq!(world.inbox().await[0].status, WebhookStatus::Processed, "{}", world.test.backend());
        assert_eq!(world.incidents().await, ["payment_reversed"]);
    }
}

/// Money that goes back after it was credited is written down once, whoever tells it how often.
#[tokio::test]
async fn refunds_and_disputes_after_success_are_accounted_for_once() {
    for reverse in ["refund", "dispute"] {
        for world in StripeWorld::each().await {
            let open = world.open("a-top-up", "500.00").await;
            let back = world.press(&open, Button::Pay).unwrap();
            world.come_back(&back).await;
            world.tell_all().await;
            world.assert_credited("500.00", 1).await;
            if reverse == "refund" {
                world.stripe.refund_in_dashboard(&open.session, 50_000);
            } else {
                world.stripe.dispute(&open.session, "needs_response");
                world.stripe.dispute(&open.session, "lost");
            }
            for _ in 0..2 {
                for event in world.stripe.events() {
                    world.tell(&event).await;
                }
                world.test.drain_jobs().await;
            }
            let reversals =
                ledger_entry::Entity::find().filter(ledger_entry::Column::Kind.eq("provider_reversal"));
            assert_eq!(reversals.count(world.test.app.db.read()).await.unwrap(), 1, "{reverse}");
            assert_eq!(
                world.incidents().await,
                ["payment_reversed"],
                "{reverse} on {}",
                world.test.backend()
            );
            world.assert_credited("0.00", 2).await;
        }
    }
}

/// Nobody has told us of the payment when its refund is told: the name of the movement is not known yet.
#[tokio::test]
async fn a_refund_that_is_told_before_the_payment_waits_for_it() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    world.press(&open, Button::Pay);
    world.stripe.refund_in_dashboard(&open.session, 50_000);
    world.tell(&world.event("refund.created")).await;
    world.test.drain_jobs().await;
    assert_eq!(world.inbox().await[0].status, WebhookStatus::Received);
    world.wait(5).await;
    assert_eq!(world.inbox().await[0].status, WebhookStatus::Processed);
    assert_eq!(world.state().await, PaymentAttemptState::GivenBack);
    world.assert_credited("0.00", 0).await;
}

async fn khalti_calls(test: &TestApp, body: Value) -> Answer {
    let caller = test.anonymous();
    let request = caller.request(Method::POST, "/api/v1/payments/webhooks/khalti");
    caller.send(request.body(Body::from(body.to_string())).unwrap()).await
}

/// Khalti signs nothing: anybody can call. The table does not grow for them.
#[tokio::test]
async fn callers_who_prove_nothing_cannot_fill_the_inbox() {
    let world = StripeWorld::with(&[SECRET], |settings| {
        let (secret_key, base_url) = (Secret::new("a-key"), "http://127.0.0.1:1".to_owned());
        settings.payments.khalti = KhaltiSettings { secret_key, base_url, ..KhaltiSettings::default() };
    })
    .await;
    for number in 0..50 {
        let body = json!({ "pidx": format!("NobodysOrder{number}"), "status": "Completed" });
        assert_eq!(khalti_calls(&world.test, body).await.ok(), json!({ "received": true }));
    }
    assert_eq!(world.inbox().await, Vec::new());
    // An order of another provider is not Khalti's.
    let open = world.open("a-top-up", "500.00").await;
    let pidx: String = open.session.chars().filter(char::is_ascii_alphanumeric).collect();
    khalti_calls(&world.test, json!({ "pidx": pidx, "status": "Completed" })).await.ok();
    assert_eq!(world.inbox().await, Vec::new());
    let attempt = world.attempt().await.id;
    world.becomes_khaltis(attempt, "bZQLD9wRVWo4CdESSfuSsB").await;
    let words = ["Completed", "Pending", "Refunded", "Expired", "User canceled"];
    for number in 0..100 {
        let word = words.get(number % 10).map_or(format!("Word {number}"), |word| (*word).to_owned());
        let body = json!({ "pidx": "bZQLD9wRVWo4CdESSfuSsB", "status": word, "more": "x".repeat(10_000) });
        khalti_calls(&world.test, body).await.ok();
    }
    assert_eq!(world.inbox().await.len(), words.len() + 1, "once for each word, and once for all others");
    assert!(world.inbox().await.iter().all(|row| row.payload.to_string().len() < 200));
}

#[tokio::test]
async fn nobody_who_is_not_set_up_may_call() {
    let test = TestApp::new().await;
    for name in ["stripe", "khalti", "esewa", "sandbox", "nobody"] {
        let path = format!("/api/v1/payments/webhooks/{name}");
        test.anonymous().post(&path, json!({})).await.problem(404, "not_found");
    }
}

impl StripeWorld {
    /// The order is Khalti's from now on.
    async fn becomes_khaltis(&self, attempt: entities::id::PaymentAttemptId, pidx: &'static str) {
        use entities::payment_attempt::{ActiveModel, Column, Entity};
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let change = ActiveModel {
                    provider: sea_orm::Set("khalti".to_owned()),
                    provider_reference: sea_orm::Set(Some(pidx.to_owned())),
                    ..Default::default()
                };
                Entity::update_many().set(change).filter(Column::Id.eq(attempt)).exec(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }
}
