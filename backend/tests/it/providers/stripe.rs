//! Top-ups through Stripe's Checkout: what Stripe's book says is credited, once.

use super::stripe_world::{KEY, SECRET, StripeWorld};
use crate::staff::staff_token;
use backend::payments::provider::{
    GivenBack, PlacedOrder, ProviderError, ProviderPayment, ProviderStatus, RefundAnswer, RefundOrder,
    RefundOutcome,
};
use doubles::Misbehaviour;
use doubles::stripe::Button;
use entities::admin_profile::AdminRole;
use entities::money::Paisa;
use entities::payment_attempt::PaymentAttemptState;
use serde_json::json;

impl StripeWorld {
    async fn placed(&self) -> PlacedOrder {
        let attempt = self.attempt().await;
        PlacedOrder {
            provider_reference: attempt.provider_reference.unwrap(),
            our_reference: attempt.id.to_string(),
            amount: attempt.amount_paisa,
        }
    }

    async fn look_up(&self) -> Result<ProviderPayment, ProviderError> {
        self.test.app.providers.named("stripe").unwrap().lookup(&self.placed().await).await
    }

    async fn refund(&self, name: &str, paisa: i64) -> Result<RefundAnswer, ProviderError> {
        let refund = RefundOrder {
            our_reference: name.to_owned(),
            payment: self.placed().await,
            transaction_id: self.attempt().await.provider_transaction_id,
            amount: Paisa(paisa),
            payer_mobile: None,
        };
        self.test.app.providers.named("stripe").unwrap().refund(&refund).await
    }
}

#[tokio::test]
async fn a_top_up_is_paid_on_the_page_and_credited_when_the_browser_returns() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let page = format!("{}/c/pay/{}", world.stripe.base_url(), open.session);
        let shown = browser.get(&page).send().await.unwrap().text().await.unwrap();
        assert!(shown.contains("500.00"), "{shown}");
        let paid = browser.post(&page).form(&[("action", "pay")]).send().await.unwrap();
        let back = paid.headers()["location"].to_str().unwrap().replace("http://127.0.0.1:8080", "");
        assert!(back.starts_with("/api/v1/payments/stripe/return/"), "{back}");
        assert!(world.come_back(&back).await.contains("Payment received"));
        world.assert_credited("500.00", 1).await;

        let attempt = world.attempt().await;
        assert!(attempt.provider_transaction_id.unwrap().starts_with("pi_"));
        let kept = attempt.detail.to_string();
        assert!(!kept.contains("secret") && !kept.contains("payer@"), "{kept}");
        let sent = world.stripe.received();
        let order = sent.iter().find(|call| call.method == "POST").unwrap();
        assert_eq!(order.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(order.headers["stripe-version"], backend::payments::stripe::API_VERSION);
        assert_eq!(order.headers["idempotency-key"], attempt.id.to_string());
        let session = world.stripe.book().sessions[&open.session].clone();
        assert_eq!(session.client_reference_id, Some(attempt.id.to_string()));
        assert_eq!(session.intent_metadata["attempt_id"], attempt.id.to_string());
        assert_eq!((session.amount, session.currency.as_str()), (50_000, "npr"));
    }
}

#[tokio::test]
async fn a_payer_who_never_comes_back_is_credited_by_the_poll_alone() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        world.press(&open, Button::Pay);
        world.assert_credited("0.00", 0).await;
        world.wait(2).await;
        world.assert_credited("500.00", 1).await;
        assert_eq!(world.status(&open).await, "completed");
    }
}

#[tokio::test]
async fn a_declined_card_leaves_the_page_open_for_another() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    world.press(&open, Button::Decline);
    world.press(&open, Button::Challenge);
    world.tell_all().await;
    assert_eq!(world.status(&open).await, "pending");
    let back = world.press(&open, Button::Cancel).unwrap();
    assert!(world.come_back(&back).await.contains("on its way"), "going back is not giving up");
    let back = world.press(&open, Button::Pay).unwrap();
    assert!(world.come_back(&back).await.contains("Payment received"));
    world.assert_credited("500.00", 1).await;
}

#[tokio::test]
async fn money_that_comes_later_is_credited_when_it_is_there_and_not_before() {
    for world in StripeWorld::each().await {
        for (key, arrives, balance, state) in
            [("comes", true, "500.00", "completed"), ("comes-not", false, "500.00", "failed")]
        {
            let open = world.open(&format!("it-{key}"), "500.00").await;
            let back = world.press(&open, Button::PayLater).unwrap();
            assert!(world.come_back(&back).await.contains("on its way"), "complete is not paid");
            world.tell_all().await;
            assert_eq!(world.status(&open).await, "pending");
            world.stripe.settle(&open.session, arrives);
            world.tell_all().await;
            assert_eq!(world.status(&open).await, state, "{}", world.test.backend());
            world.assert_credited(balance, 1).await;
        }
    }
}

/// L18.
#[tokio::test]
async fn a_page_that_nobody_paid_expires() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    world.wait(59).await;
    assert_eq!(world.status(&open).await, "pending");
    world.wait(61).await;
    assert_eq!(world.state().await, PaymentAttemptState::Expired);
    assert_eq!(world.press(&open, Button::Pay), None, "it takes no money any more");
    assert_eq!(world.attempt().await.next_check_at, None);
}

#[tokio::test]
async fn a_rider_who_gives_up_closes_the_page() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    let path = format!("/api/v1/payments/cancel/{}", open.intent_id);
    let cancelled = world.test.bearer(&world.rider.token).post(&path, json!({})).await.ok();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(world.press(&open, Button::Pay), None);
    world.tell_all().await;
    assert_eq!(world.status(&open).await, "cancelled");
    world.assert_credited("0.00", 0).await;
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_the_same_order_when_it_is_sent_again() {
    for world in StripeWorld::each().await {
        for (number, what) in
            [Misbehaviour::LosesAnswer, Misbehaviour::BreaksJson, Misbehaviour::HtmlPage { status: 502 }]
                .into_iter()
                .enumerate()
        {
            let key = format!("top-up-{number}");
            world.stripe.misbehave(what, 1);
            world.ask(&key, "500.00").await.problem(503, "provider_unavailable");
            world.test.clock.advance_ms(90_000);
            let open = world.open(&key, "500.00").await;
            assert_eq!(world.stripe.book().sessions.len(), number + 1, "{what:?}: one session per order");
            let back = world.press(&open, Button::Pay).unwrap();
            assert!(world.come_back(&back).await.contains("Payment received"));
        }
        world.assert_credited("1500.00", 3).await;
    }
}

#[tokio::test]
async fn a_no_of_stripe_fails_the_order_and_tells_no_secret() {
    let world = StripeWorld::with(&[SECRET], |settings| {
        settings.payments.stripe.secret_key = backend::config::Secret::new("sk_test_of_somebody_else");
    })
    .await;
    let refused = world.ask("a-top-up", "500.00").await.problem(502, "provider_refused");
    assert!(!refused.to_string().contains("sk_test"), "{refused}");
    assert_eq!(world.state().await, PaymentAttemptState::Failed);
}

/// L10.
#[tokio::test]
async fn money_that_is_not_what_we_asked_for_is_for_staff_and_not_for_the_wallet() {
    for case in ["amount", "received", "currency", "reference", "livemode"] {
        let world = StripeWorld::with(&[SECRET], |_| {}).await;
        let open = world.open("a-top-up", "500.00").await;
        let back = world.press(&open, Button::Pay).unwrap();
        {
            let mut book = world.stripe.book();
            let session = book.sessions.get_mut(&open.session).unwrap();
            match case {
                "amount" => session.amount = 49_999,
                "currency" => "usd".clone_into(&mut session.currency),
                "reference" => session.client_reference_id = Some("somebody else's".to_owned()),
                "livemode" => session.livemode = true,
                _ => book.intents.values_mut().for_each(|intent| intent.amount_received = 49_999),
            }
        }
        let page = world.come_back(&back).await;
        assert!(page.contains("look into it"), "{case}: {page}");
        assert_eq!(world.incidents().await, ["payment_mismatch"], "{case}");
        world.assert_credited("0.00", 0).await;
    }
}

#[tokio::test]
async fn the_book_tells_the_fee_and_what_went_back() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    assert_eq!(world.look_up().await.unwrap().status, ProviderStatus::Pending);
    world.press(&open, Button::Pay);
    let paid = world.look_up().await.unwrap();
    assert_eq!(
        (paid.status, paid.amount, paid.currency.as_str()),
        (ProviderStatus::Paid, Paisa(50_000), "NPR")
    );
    assert_eq!((paid.fee, paid.given_back), (Some(Paisa(4_450)), GivenBack::Nothing));
    world.stripe.refund_in_dashboard(&open.session, 20_000);
    assert_eq!(world.look_up().await.unwrap().given_back, GivenBack::Part(Paisa(20_000)));
    world.stripe.refund_in_dashboard(&open.session, 30_000);
    assert_eq!(world.look_up().await.unwrap().given_back, GivenBack::Everything);
}

#[tokio::test]
async fn a_dispute_takes_the_money_until_it_is_won() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    world.press(&open, Button::Pay);
    for (status, given_back) in [
        ("warning_needs_response", GivenBack::Nothing),
        ("needs_response", GivenBack::Everything),
        ("under_review", GivenBack::Everything),
        ("won", GivenBack::Nothing),
        ("lost", GivenBack::Everything),
    ] {
        world.stripe.dispute(&open.session, status);
        assert_eq!(world.look_up().await.unwrap().given_back, given_back, "{status}");
    }
}

#[tokio::test]
async fn a_refund_is_made_once_however_often_it_is_asked_for() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    let back = world.press(&open, Button::Pay).unwrap();
    world.come_back(&back).await;
    assert!(world.test.app.providers.named("stripe").unwrap().remembers_refunds());
    let first = world.refund("refund-1", 20_000).await.unwrap();
    assert_eq!(first.outcome, RefundOutcome::Succeeded);
    assert_eq!(world.refund("refund-1", 20_000).await.unwrap(), first);
    // A day later Stripe has forgotten the key, and we have not forgotten the refund.
    world.test.clock.advance_ms(25 * 60 * 60_000);
    assert_eq!(world.refund("refund-1", 20_000).await.unwrap(), first);
    world.stripe.misbehave_at("/v1/refunds", Misbehaviour::Slow { delay_ms: 1 }, 1);
    world.stripe.book().refunds_become = "pending".to_owned();
    assert_eq!(world.refund("refund-2", 10_000).await.unwrap().outcome, RefundOutcome::Pending);
    let pending = world.stripe.book().refunds[1].id.clone();
    world.stripe.finish_refund(&pending, false);
    assert!(matches!(world.refund("refund-2", 10_000).await, Err(ProviderError::Refused { .. })));
    assert!(
        matches!(world.refund("refund-3", 30_001).await, Err(ProviderError::Refused { .. })),
        "more than is left"
    );
    assert_eq!(world.stripe.book().refunds.len(), 2);
    assert_eq!(world.look_up().await.unwrap().given_back, GivenBack::Part(Paisa(20_000)));
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_found_again() {
    let world = StripeWorld::with(&[SECRET], |_| {}).await;
    let open = world.open("a-top-up", "500.00").await;
    let back = world.press(&open, Button::Pay).unwrap();
    world.come_back(&back).await;
    // The question goes well, the order itself is lost on its way back.
    world.stripe.misbehave_at("/v1/refunds", Misbehaviour::Slow { delay_ms: 1 }, 1);
    world.stripe.misbehave_at("/v1/refunds", Misbehaviour::LosesAnswer, 1);
    assert!(matches!(world.refund("refund-1", 20_000).await, Err(ProviderError::Unavailable(_))));
    assert_eq!(world.refund("refund-1", 20_000).await.unwrap().outcome, RefundOutcome::Succeeded);
    assert_eq!(world.stripe.book().refunds.len(), 1);
}

#[tokio::test]
async fn a_refund_that_fails_after_it_was_paid_is_shown_to_staff() {
    for world in StripeWorld::each().await {
        let open = world.open("a-top-up", "500.00").await;
        let back = world.press(&open, Button::Pay).unwrap();
        world.come_back(&back).await;
        world.tell_all().await;
        let rider = world.test.bearer(&world.rider.token);
        let listed = rider.get("/api/v1/payments/transactions?transaction_type=topup").await.ok();
        let path = format!("/api/v1/payments/refunds/{}", listed["items"][0]["id"].as_str().unwrap());
        let asked = rider.post_once("ask-for-it-back", &path, json!({ "reason": "I left." })).await.ok();
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let path = format!("/api/v1/admin/payments/refunds/{}/approve", asked["id"].as_str().unwrap());
        world.test.bearer(staff).post_once("approve-it-now", &path, json!({})).await.ok();
        world.tell_all().await;
        world.wait(2).await;
        let refunds = rider.get("/api/v1/payments/refunds").await.ok();
        assert_eq!(refunds["items"][0]["status"], "processed");
        assert!(world.incidents().await.is_empty());

        let made = world.stripe.book().refunds[0].id.clone();
        world.stripe.finish_refund(&made, false);
        world.tell_all().await;
        world.tell_all().await;
        assert_eq!(world.incidents().await, ["refund_came_back"], "{}", world.test.backend());
    }
}
