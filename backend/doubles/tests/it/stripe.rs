//! Stripe's double against its reference: forms, errors, idempotency, objects, and what it tells by webhook.

use doubles::stripe::{Button, Signing, Stripe, signature};
use doubles::{Double, Misbehaviour, World};
use protocol::clock::ManualClock;
use serde_json::Value;
use std::sync::Arc;

/// 2023-11-14 22:13:20 UTC.
const START_S: i64 = 1_700_000_000;

struct Account {
    double: Double<Stripe>,
    clock: Arc<ManualClock>,
    http: reqwest::Client,
}

impl Account {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START_S.unsigned_abs() * 1_000));
        let stripe = Stripe::new("sk_test_1", &["whsec_old", "whsec_new"]);
        let double = Double::start(stripe, World::new(clock.clone(), 1)).await.unwrap();
        Self { double, clock, http: reqwest::Client::builder().build().unwrap() }
    }

    async fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> (u16, Value, bool) {
        let request = self.http.post(format!("{}{path}", self.double.base_url())).bearer_auth("sk_test_1");
        let request = if key.is_empty() { request } else { request.header("Idempotency-Key", key) };
        let answer = request.form(form).send().await.unwrap();
        let replayed = answer.headers().contains_key("idempotent-replayed");
        (answer.status().as_u16(), answer.json().await.unwrap(), replayed)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.double.base_url())).bearer_auth("sk_test_1");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn session(&self) -> String {
        let (code, session, _) = self.post("/v1/checkout/sessions", "", &order()).await;
        assert_eq!(code, 200, "{session}");
        session["id"].as_str().unwrap().to_owned()
    }
}

fn order() -> Vec<(&'static str, &'static str)> {
    vec![
        ("mode", "payment"),
        ("client_reference_id", "ours"),
        ("payment_intent_data[metadata][attempt_id]", "ours"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "npr"),
        ("line_items[0][price_data][unit_amount]", "50000"),
        ("line_items[0][price_data][product_data][name]", "Top-up"),
        ("success_url", "https://example.com/done"),
        ("cancel_url", "https://example.com/back"),
    ]
}

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut form = order();
    form.retain(|(other, _)| *other != name);
    form.push((name, value));
    form
}

#[tokio::test]
async fn a_session_has_the_documented_fields() {
    let account = Account::new().await;
    let (_, session, _) = account.post("/v1/checkout/sessions", "", &order()).await;
    let id = session["id"].as_str().unwrap();
    assert!(id.starts_with("cs_test_"), "{id}");
    assert_eq!((&session["status"], &session["payment_status"]), (&"open".into(), &"unpaid".into()));
    assert_eq!(session["expires_at"], START_S + 24 * 60 * 60);
    assert_eq!((&session["payment_intent"], &session["livemode"]), (&Value::Null, &false.into()));
    account.double.press(id, Button::Pay);
    let expand = "expand[]=payment_intent.latest_charge.balance_transaction";
    let (_, paid) = account.get(&format!("/v1/checkout/sessions/{id}?{expand}")).await;
    assert_eq!((&paid["status"], &paid["payment_status"]), (&"complete".into(), &"paid".into()));
    assert_eq!(paid["url"], Value::Null);
    let charge = &paid["payment_intent"]["latest_charge"];
    assert_eq!(
        (&charge["amount"], &charge["balance_transaction"]["currency"]),
        (&50_000.into(), &"npr".into())
    );
    let (_, plain) = account.get(&format!("/v1/checkout/sessions/{id}")).await;
    assert!(plain["payment_intent"].as_str().unwrap().starts_with("pi_"), "not expanded unless asked for");
}

#[tokio::test]
async fn complaints_name_the_parameter() {
    let account = Account::new().await;
    for (form, code, param) in [
        (with("mode", ""), "parameter_missing", "mode"),
        (with("colour", "red"), "parameter_unknown", "colour"),
        (
            with("line_items[0][price_data][unit_amount]", "5.5"),
            "parameter_invalid_integer",
            "line_items[0][price_data][unit_amount]",
        ),
        (
            with("line_items[0][price_data][unit_amount]", "6999"),
            "amount_too_small",
            "line_items[0][price_data][unit_amount]",
        ),
        (
            with("line_items[0][price_data][currency]", "NPR"),
            "parameter_invalid",
            "line_items[0][price_data][currency]",
        ),
        (with("success_url", "done"), "url_invalid", "success_url"),
        (with("expires_at", "1700001799"), "parameter_invalid", "expires_at"),
        (with("expires_at", "1700086401"), "parameter_invalid", "expires_at"),
    ] {
        let (status, body, _) = account.post("/v1/checkout/sessions", "", &form).await;
        assert_eq!(
            (status, &body["error"]["code"], &body["error"]["param"]),
            (400, &code.into(), &param.into()),
            "{body}"
        );
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    for edge in ["1700001800", "1700086400"] {
        assert_eq!(
            account.post("/v1/checkout/sessions", "", &with("expires_at", edge)).await.0,
            200,
            "{edge}"
        );
    }
    assert_eq!(account.get("/v1/checkout/sessions/cs_test_none").await.0, 404);
    let stranger = account.http.get(format!("{}/v1/checkout/sessions/cs_1", account.double.base_url()));
    assert_eq!(stranger.bearer_auth("sk_test_2").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_key_answers_the_same_for_a_day_and_refuses_another_body() {
    let account = Account::new().await;
    let (_, first, replayed) = account.post("/v1/checkout/sessions", "key-1", &order()).await;
    assert!(!replayed);
    let (code, again, replayed) = account.post("/v1/checkout/sessions", "key-1", &order()).await;
    assert_eq!((code, &again, replayed), (200, &first, true));
    let (code, other, _) =
        account.post("/v1/checkout/sessions", "key-1", &with("client_reference_id", "another")).await;
    assert_eq!((code, &other["error"]["type"]), (400, &"idempotency_error".into()));
    // What was refused before anything happened is not kept.
    assert_eq!(account.post("/v1/checkout/sessions", "key-2", &with("mode", "")).await.0, 400);
    assert_eq!(account.post("/v1/checkout/sessions", "key-2", &order()).await.0, 200);
    account.clock.advance_ms(24 * 60 * 60_000);
    assert!(!account.post("/v1/checkout/sessions", "key-1", &order()).await.2, "forgotten after a day");
}

#[tokio::test]
async fn an_answer_that_was_lost_was_given_all_the_same() {
    let account = Account::new().await;
    account.double.misbehave(Misbehaviour::LosesAnswer, 1);
    let request = account.http.post(format!("{}/v1/checkout/sessions", account.double.base_url()));
    request.bearer_auth("sk_test_1").header("Idempotency-Key", "k").form(&order()).send().await.unwrap_err();
    assert!(account.post("/v1/checkout/sessions", "k", &order()).await.2);
    assert_eq!(account.double.book().sessions.len(), 1);
}

#[tokio::test]
async fn a_session_expires_by_the_clock_or_by_request() {
    let account = Account::new().await;
    let (asked, timed) = (account.session().await, account.session().await);
    let (code, expired, _) = account.post(&format!("/v1/checkout/sessions/{asked}/expire"), "", &[]).await;
    assert_eq!((code, &expired["status"], &expired["url"]), (200, &"expired".into(), &Value::Null));
    assert_eq!(
        account.post(&format!("/v1/checkout/sessions/{asked}/expire"), "", &[]).await.0,
        400,
        "not open"
    );
    account.clock.advance_ms(24 * 60 * 60_000);
    assert_eq!(account.double.press(&timed, Button::Pay), Some(None), "too late");
    let kinds: Vec<_> = account.double.events().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["checkout.session.expired", "checkout.session.expired"]);
}

#[tokio::test]
async fn refunds_end_at_what_was_paid() {
    let account = Account::new().await;
    let id = account.session().await;
    account.double.press(&id, Button::Pay);
    let intent = account.double.book().sessions[&id].intent.clone().unwrap();
    let refund = async |amount: &str| {
        account.post("/v1/refunds", "", &[("payment_intent", &intent), ("amount", amount)]).await
    };
    assert_eq!(refund("50001").await.1["error"]["code"], "amount_too_large");
    assert_eq!(refund("20000").await.1["status"], "succeeded");
    assert_eq!(refund("30001").await.0, 400);
    assert_eq!(refund("30000").await.0, 200);
    assert_eq!(refund("1").await.1["error"]["code"], "charge_already_refunded");
    let (_, listed) = account.get(&format!("/v1/refunds?payment_intent={intent}&limit=100")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_ways_of_a_card_are_told_in_their_events() {
    let account = Account::new().await;
    let id = account.session().await;
    for button in [Button::Decline, Button::Challenge, Button::PayLater] {
        account.double.press(&id, button);
    }
    account.double.settle(&id, true);
    let events = account.double.events();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "payment_intent.payment_failed",
            "payment_intent.requires_action",
            "payment_intent.processing",
            "checkout.session.completed",
            "payment_intent.succeeded",
            "checkout.session.async_payment_succeeded",
        ]
    );
    let completed: Value = serde_json::from_str(&events[3].body).unwrap();
    assert_eq!(completed["data"]["object"]["payment_status"], "unpaid", "complete is not paid");
}

#[tokio::test]
async fn deliveries_are_signed_as_ordered() {
    let account = Account::new().await;
    let id = account.session().await;
    account.double.press(&id, Button::Pay);
    let event = account.double.events().remove(0);
    let signed = |how| account.double.delivery(&event, how).signature;
    let good = |secrets: &[&str], at: i64| {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        signature("v1", at, &secrets, &event.body)
    };
    assert_eq!(signed(Signing::Good), good(&["whsec_old", "whsec_new"], START_S));
    assert_eq!(signed(Signing::Reversed), good(&["whsec_new", "whsec_old"], START_S));
    assert_eq!(signed(Signing::Old), good(&["whsec_old", "whsec_new"], START_S - 600));
    assert!(!signed(Signing::OnlyV0).contains("v1="));
    assert_ne!(signed(Signing::WrongSecret), signed(Signing::Good));
}

#[tokio::test]
async fn what_was_not_taken_comes_again_and_then_no_more() {
    let account = Account::new().await;
    let id = account.session().await;
    account.double.press(&id, Button::Pay);
    let events = account.double.events().len();
    assert_eq!(account.double.deliver(async |_| 500).await, 0);
    for minutes in [5, 30, 120] {
        let mut came = 0;
        account.clock.advance_ms(minutes * 60_000);
        account
            .double
            .deliver(async |_| {
                came += 1;
                500
            })
            .await;
        assert_eq!(came, events, "after {minutes} minutes");
    }
    account.clock.advance_ms(24 * 60 * 60_000);
    assert_eq!(account.double.deliver(async |_| 200).await, 0, "given up");
}
