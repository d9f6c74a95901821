//! Top-ups from the rider's side: the provider's word alone moves money, once.

use crate::moody_provider::Mood;
use crate::riders::{Rider, rider};
use crate::test_app::{Answer, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use backend::limits;
use backend::payments::audit;
use entities::incident::{self, IncidentKind};
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::{job, ledger_entry, sandbox_payment};
use futures::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

pub(crate) struct Opened {
    pub(crate) intent_id: String,
    pub(crate) page: String,
}

async fn sandbox_method(test: &TestApp) -> Value {
    let methods = test.anonymous().get("/api/v1/payments/methods").await.ok();
    let items = methods["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 1, "providers that are not set up are not offered");
    items[0]["id"].clone()
}

pub(crate) async fn ask_for(test: &TestApp, rider: &Rider, key: &str, amount: &str) -> Answer {
    let method = sandbox_method(test).await;
    let body = json!({ "amount": { "amount": amount, "currency": "NPR" }, "payment_method_id": method });
    test.bearer(&rider.token).post_once(key, "/api/v1/payments/wallet/topup-intent", body).await
}

pub(crate) async fn open(test: &TestApp, rider: &Rider, amount: &str) -> Opened {
    let key = format!("open-{}-{amount}", rider.id);
    let answer = ask_for(test, rider, &key, amount).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let body = answer.ok();
    let url = body["gateway_url"].as_str().unwrap();
    let page = url.strip_prefix("http://127.0.0.1:8080").unwrap().to_owned();
    Opened { intent_id: body["intent_id"].as_str().unwrap().to_owned(), page }
}

/// Presses a button of the provider's page; answers where the browser is sent.
pub(crate) async fn press(test: &TestApp, page: &str, button: &str) -> String {
    let request = test.anonymous().request(Method::POST, page);
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = test.anonymous().send(request.body(Body::from(format!("action={button}"))).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let location = answer.headers[header::LOCATION].to_str().unwrap();
    location.strip_prefix("http://127.0.0.1:8080").unwrap().to_owned()
}

pub(crate) async fn verify(test: &TestApp, rider: &Rider, intent_id: &str) -> Answer {
    test.bearer(&rider.token).post("/api/v1/payments/verify-topup", json!({ "intent_id": intent_id })).await
}

pub(crate) async fn balance(test: &TestApp, rider: &Rider) -> String {
    let wallet = test.bearer(&rider.token).get("/api/v1/users/wallet").await.ok();
    wallet["balance"]["amount"].as_str().unwrap().to_owned()
}

pub(crate) async fn status(test: &TestApp, rider: &Rider, intent_id: &str) -> String {
    let path = format!("/api/v1/payments/status/{intent_id}");
    test.bearer(&rider.token).get(&path).await.ok()["status"].as_str().unwrap().to_owned()
}

pub(crate) async fn assert_sound(test: &TestApp) {
    let findings = audit::audit(test.app.db.read()).await.unwrap();
    assert!(findings.is_empty(), "{}: {findings:#?}", test.backend());
}

#[tokio::test]
async fn a_top_up_is_paid_on_the_page_credited_and_told() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let page = test.anonymous().get(&opened.page).await;
        assert!(page.body.as_str().unwrap().contains("NPR 500.00"));
        assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], "pending");
        assert_eq!(balance(&test, &rider).await, "0.00");

        let back = press(&test, &opened.page, "pay").await;
        assert!(back.starts_with("/api/v1/payments/sandbox/return/"), "{back}");
        assert_eq!(balance(&test, &rider).await, "0.00", "nobody has asked the provider yet");
        let verified = verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(verified["payment"]["status"], "completed");
        assert_eq!(verified["balance"]["amount"], "500.00");

        test.drain_jobs().await;
        let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        let titles: Vec<_> =
            inbox["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect();
        assert!(
            titles.contains(&json!("Payment received")) && titles.contains(&json!("You earned points")),
            "{inbox}"
        );
        assert_eq!(inbox["unread"], 2);
        let marked = test.bearer(&rider.token).post("/api/v1/notifications/mark-all-read", json!({})).await;
        assert_eq!(marked.ok()["marked"], 2);
        let summary = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!((&summary["current"], &summary["by_source"]["topup"]), (&json!(50), &json!(50)));
        assert_eq!(summary["value"]["amount"], "5.00");
        let listed =
            test.bearer(&rider.token).get("/api/v1/payments/transactions?transaction_type=topup").await.ok();
        assert_eq!(listed["items"][0]["amount"]["amount"], "500.00");
        let history = test.bearer(&rider.token).get("/api/v1/points/history").await.ok();
        assert_eq!(history["items"][0]["balance_after"], 50);
        assert_sound(&test).await;
    }
}

/// L6, L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_questions_at_once_credit_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let back = press(&test, &opened.page, "pay").await;
        let asked = join_all((0..100).map(|number| {
            let (test, rider, opened, back) = (&test, &rider, &opened, &back);
            async move {
                match number % 2 {
                    0 => verify(test, rider, &opened.intent_id).await.ok()["payment"]["status"].clone(),
                    _ => {
                        let page = test.anonymous().get(back).await.ok();
                        json!(if page.as_str().unwrap().contains("Payment received") {
                            "completed"
                        } else {
                            "no"
                        })
                    }
                }
            }
        }));
        for status in asked.await {
            assert_eq!(status, "completed", "{}", test.backend());
        }
        test.clock.advance_ms(60_000);
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "500.00", "{}", test.backend());
        assert_eq!(ledger_entry::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn what_the_browser_brings_back_is_not_believed() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let attempt = payment_attempt::Entity::find().one(test.app.db.read()).await.unwrap().unwrap().id;
        let forged = format!("/api/v1/payments/sandbox/return/{attempt}?status=paid&amount=50000");
        let page = test.anonymous().get(&forged).await.ok();
        assert!(page.as_str().unwrap().contains("on its way"));
        assert_eq!((balance(&test, &rider).await.as_str(), ledger_entries(&test).await), ("0.00", 0));

        let back = press(&test, &opened.page, "cancel").await;
        let tampered = back.replace("cancelled", "paid");
        let page = test.anonymous().get(&tampered).await.ok();
        assert!(page.as_str().unwrap().contains("Payment cancelled"));
        assert_eq!(status(&test, &rider, &opened.intent_id).await, "cancelled");
        let nobody = format!("nobody/return/{attempt}");
        for path in ["sandbox/return", "sandbox/return/00000000-0000-7000-8000-000000000000", &nobody] {
            test.anonymous().get(&format!("/api/v1/payments/{path}")).await.problem(404, "not_found");
        }
        assert_eq!(ledger_entries(&test).await, 0);
    }
}

async fn ledger_entries(test: &TestApp) -> u64 {
    ledger_entry::Entity::find().count(test.app.db.read()).await.unwrap()
}

/// L10: the provider has other money than was asked for.
#[tokio::test]
async fn another_amount_is_not_credited_and_staff_are_told() {
    for test in TestApp::on_each_backend().await {
        for column in [
            sandbox_payment::Column::AmountPaisa,
            sandbox_payment::Column::Currency,
            sandbox_payment::Column::MerchantReference,
        ] {
            let rider = rider(&test.app).await;
            let opened = open(&test, &rider, "500.00").await;
            press(&test, &opened.page, "pay").await;
            tamper(&test, &opened.page, column).await;
            let verified = verify(&test, &rider, &opened.intent_id).await.ok();
            assert_eq!(verified["payment"]["status"], "needs_review", "{} {column:?}", test.backend());
            verify(&test, &rider, &opened.intent_id).await.ok();
            assert_eq!(balance(&test, &rider).await, "0.00");
        }
        test.clock.advance_ms(60_000);
        test.drain_jobs().await;
        let incidents = incident::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(incidents.len(), 3);
        assert!(incidents.iter().all(|incident| incident.kind == IncidentKind::PaymentMismatch));
        assert_eq!(ledger_entries(&test).await, 0);
        assert_sound(&test).await;
    }
}

/// The provider's book says something else than we asked for.
pub(crate) async fn tamper(test: &TestApp, page: &str, column: sandbox_payment::Column) {
    let reference = page.rsplit('/').next().unwrap().to_owned();
    let value = match column {
        sandbox_payment::Column::AmountPaisa => Expr::val(49_999_i64),
        sandbox_payment::Column::Currency => Expr::val("INR"),
        sandbox_payment::Column::State => Expr::val("refunded"),
        _ => Expr::val(format!("{column:?}")),
    };
    let changed = test.app.db.write(move |tx| {
        let (value, reference) = (value.clone(), reference.clone());
        Box::pin(async move {
            sandbox_payment::Entity::update_many()
                .col_expr(column, value)
                .filter(sandbox_payment::Column::Reference.eq(reference))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    changed.await.unwrap();
}

#[tokio::test]
async fn a_rider_who_closed_the_browser_is_credited_by_the_plan() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        test.drain_jobs().await;
        test.clock.advance_ms(3 * 60_000);
        test.drain_jobs().await;
        assert_eq!(status(&test, &rider, &opened.intent_id).await, "pending");
        press(&test, &opened.page, "pay").await;
        test.clock.advance_ms(3 * 60_000);
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "500.00", "{}", test.backend());
        assert_eq!(status(&test, &rider, &opened.intent_id).await, "completed");
        assert_sound(&test).await;
    }
}

/// L18.
#[tokio::test]
async fn a_page_that_nobody_paid_expires_and_is_not_asked_for_any_more() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        for _ in 0..130 {
            test.clock.advance_ms(60_000);
            test.drain_jobs().await;
        }
        assert_eq!(status(&test, &rider, &opened.intent_id).await, "failed");
        let attempt = payment_attempt::Entity::find().one(test.app.db.read()).await.unwrap().unwrap();
        assert_eq!((attempt.state, attempt.next_check_at), (PaymentAttemptState::Expired, None));
        let jobs = job::Entity::find().all(test.app.db.read()).await.unwrap();
        assert!(jobs.iter().all(|job| job.state == job::JobState::Done), "{jobs:?}");
        let page = test.anonymous().request(Method::POST, &opened.page);
        let page = page.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = test.anonymous().send(page.body(Body::from("action=pay")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "no redirect");
        assert!(answer.ok().as_str().unwrap().contains("expired"));
    }
}

#[tokio::test]
async fn money_that_arrives_after_the_rider_gave_up_is_credited() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let cancel = format!("/api/v1/payments/cancel/{}", opened.intent_id);
        let cancelled = test.bearer(&rider.token).post(&cancel, json!({})).await.ok();
        assert_eq!((&cancelled["status"], &cancelled["gateway_url"]), (&json!("cancelled"), &Value::Null));
        press(&test, &opened.page, "pay").await;
        test.clock.advance_ms(60_000);
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "500.00", "{}", test.backend());
        test.bearer(&rider.token).post(&cancel, json!({})).await.problem(409, "intent_completed");
        assert_sound(&test).await;
    }
}

/// L7.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_opens_one_top_up() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let answers = join_all((0..10).map(|_| ask_for(&test, &rider, "one-key-of-mine", "500.00"))).await;
        let bodies: Vec<Value> = answers.into_iter().map(Answer::ok).collect();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:#?}");
        assert_eq!(payment_attempt::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
        assert_eq!(sandbox_payment::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
        ask_for(&test, &rider, "one-key-of-mine", "600.00").await.problem(422, "idempotency_key_reused");
    }
}

/// L17.
#[tokio::test]
async fn impossible_amounts_are_refused() {
    let test = TestApp::new().await;
    let rider = rider(&test.app).await;
    for (amount, status, code) in [
        ("0.00", 422, "validation_failed"),
        ("-5.00", 422, "validation_failed"),
        ("9.99", 422, "amount_too_low"),
        ("100000.01", 422, "amount_too_high"),
        ("9999999999999.99", 422, "amount_too_high"),
        ("1e3", 422, "validation_failed"),
        ("10.001", 422, "validation_failed"),
        ("NaN", 422, "validation_failed"),
    ] {
        ask_for(&test, &rider, &format!("amount-{amount}"), amount).await.problem(status, code);
    }
    let body = json!({ "amount": { "amount": "50.00", "currency": "NPR" }, "payment_method_id": rider.id });
    let caller = test.bearer(&rider.token);
    let unknown = caller.post_once("a-fine-key", "/api/v1/payments/wallet/topup-intent", body);
    unknown.await.problem(422, "payment_method_not_found");
    assert_eq!(payment_attempt::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stranger_and_another_rider_learn_nothing() {
    let test = TestApp::new().await;
    let (owner, other) = (rider(&test.app).await, rider(&test.app).await);
    let opened = open(&test, &owner, "500.00").await;
    press(&test, &opened.page, "pay").await;
    let status = format!("/api/v1/payments/status/{}", opened.intent_id);
    let cancel = format!("/api/v1/payments/cancel/{}", opened.intent_id);
    test.bearer(&other.token).get(&status).await.problem(404, "intent_not_found");
    test.bearer(&other.token).post(&cancel, json!({})).await.problem(404, "intent_not_found");
    verify(&test, &other, &opened.intent_id).await.problem(404, "intent_not_found");
    assert_eq!(balance(&test, &other).await, "0.00");
    for path in ["users/wallet", "payments/transactions", "points/summary", "points/history", "notifications"]
    {
        test.anonymous().get(&format!("/api/v1/{path}")).await.problem(401, "unauthenticated");
    }
    test.anonymous().get(&status).await.problem(401, "unauthenticated");
    let body = json!({ "intent_id": opened.intent_id });
    test.anonymous().post("/api/v1/payments/verify-topup", body).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn transactions_come_in_pages() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        for rupees in 11..16 {
            let opened = open(&test, &rider, &format!("{rupees}.00")).await;
            press(&test, &opened.page, "pay").await;
            verify(&test, &rider, &opened.intent_id).await.ok();
        }
        let (mut seen, mut path) = (Vec::new(), "/api/v1/payments/transactions?limit=2".to_owned());
        loop {
            let page = test.bearer(&rider.token).get(&path).await.ok();
            seen.extend(
                page["items"].as_array().unwrap().iter().map(|item| item["amount"]["amount"].clone()),
            );
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/api/v1/payments/transactions?limit=2&cursor={cursor}");
        }
        seen.sort_by_key(Value::to_string);
        assert_eq!(seen, ["11.00", "12.00", "13.00", "14.00", "15.00"], "{}", test.backend());
    }
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_goes_on_with_the_same_key() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        test.provider.becomes(Mood::LosesAnswers);
        let lost = ask_for(&test, &rider, "one-key-of-mine", "500.00").await;
        assert!(lost.headers.contains_key(header::RETRY_AFTER));
        lost.problem(503, "provider_unavailable");
        assert_eq!(attempt(&test).await.state, PaymentAttemptState::Unknown);
        test.provider.becomes(Mood::Good);
        let opened = ask_for(&test, &rider, "one-key-of-mine", "500.00").await.ok();
        assert_eq!(sandbox_payment::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
        let page = opened["gateway_url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap();
        press(&test, page, "pay").await;
        let verified = verify(&test, &rider, opened["intent_id"].as_str().unwrap()).await.ok();
        assert_eq!(verified["payment"]["status"], "completed", "{}", test.backend());
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn an_order_that_the_provider_refuses_has_failed() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        test.provider.becomes(Mood::Refuses);
        for _ in 0..2 {
            ask_for(&test, &rider, "one-key-of-mine", "500.00").await.problem(502, "provider_refused");
        }
        assert_eq!(attempt(&test).await.state, PaymentAttemptState::Failed);
        test.provider.becomes(Mood::Good);
        ask_for(&test, &rider, "another-key", "500.00").await.ok();
    }
}

#[tokio::test]
async fn a_provider_that_is_away_for_a_day_fails_nobody_and_staff_are_told() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        press(&test, &opened.page, "pay").await;
        test.provider.becomes(Mood::Away);
        assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], "pending");
        for _ in 0..50 {
            test.clock.advance_ms(60 * 60_000);
            test.drain_jobs().await;
        }
        assert_eq!(attempt(&test).await.state, PaymentAttemptState::Initiated);
        let incidents = incident::Entity::find().all(test.app.db.read()).await.unwrap();
        let kinds: Vec<_> = incidents.iter().map(|incident| incident.kind).collect();
        assert_eq!(kinds, [IncidentKind::PaymentUnknown], "one incident, however often we asked");
        test.provider.becomes(Mood::Good);
        test.clock.advance_ms(24 * 60 * 60_000);
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "500.00", "{}", test.backend());
        assert_sound(&test).await;
    }
}

pub(crate) async fn attempt(test: &TestApp) -> payment_attempt::Model {
    payment_attempt::Entity::find().one(test.app.db.read()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_rider_who_asks_without_end_does_not_make_us_ask_without_end() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let most = usize::try_from(limits::PAYMENT_HINTS_BURST.get()).unwrap();
        for _ in 0..most + 20 {
            let answer = verify(&test, &rider, &opened.intent_id).await.ok();
            assert_eq!(answer["payment"]["status"], "pending");
        }
        assert_eq!(test.provider.lookup_calls(), most, "{}", test.backend());
        press(&test, &opened.page, "pay").await;
        verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(status(&test, &rider, &opened.intent_id).await, "pending", "what we know is answered");
        test.clock.advance_ms(u64::try_from(limits::PAYMENT_HINT_EVERY.as_millis()).unwrap());
        verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(balance(&test, &rider).await, "500.00");
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_rider_has_room_for_so_many_open_payments_and_makes_room_by_cancelling_one() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let mut first = None;
        for number in 0..limits::OPEN_INTENTS_PER_RIDER_MAX {
            let opened = ask_for(&test, &rider, &format!("payment-number-{number}"), "500.00").await;
            assert_eq!(opened.status, StatusCode::CREATED, "{number}: {}", opened.body);
            first.get_or_insert(opened.body["intent_id"].as_str().unwrap().to_owned());
        }
        let refused = ask_for(&test, &rider, "one-too-many", "500.00").await;
        refused.problem(409, "too_many_open_payments");
        let path = format!("/api/v1/payments/cancel/{}", first.unwrap());
        test.bearer(&rider.token).post(&path, json!({})).await.ok();
        let answer = ask_for(&test, &rider, "now-there-is-room", "500.00").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    }
}
