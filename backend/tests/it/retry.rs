//! The same payment by another page: nothing that was paid is lost, and nothing is done twice.

use crate::payments::{Opened, assert_sound, balance, open, press, verify};
use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::{Answer, TestApp};
use entities::admin_profile::AdminRole;
use entities::payment_attempt;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

async fn retry(test: &TestApp, rider: &Rider, key: &str, intent_id: &str) -> Answer {
    let methods = test.anonymous().get("/api/v1/payments/methods").await.ok();
    let body = json!({ "payment_method_id": methods["items"][0]["id"] });
    test.clock.advance_ms(1_000);
    test.bearer(&rider.token).post_once(key, &format!("/api/v1/payments/retry/{intent_id}"), body).await
}

fn page_of(answer: &Value) -> String {
    answer["gateway_url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap().to_owned()
}

async fn retried(test: &TestApp, rider: &Rider, opened: &Opened) -> String {
    let answer = retry(test, rider, "another-page-please", &opened.intent_id).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let page = page_of(&answer.ok());
    assert_ne!(page, opened.page);
    page
}

#[tokio::test]
async fn a_payment_whose_page_has_expired_is_paid_on_another_one() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        test.clock.advance_ms(45 * 60_000);
        assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], "failed");
        let page = retried(&test, &rider, &opened).await;
        let again = retry(&test, &rider, "another-page-please", &opened.intent_id).await.ok();
        assert_eq!(page_of(&again), page, "the same key opens the same page");
        assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], "pending");
        press(&test, &page, "pay").await;
        let verified = verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(verified["payment"]["status"], "completed", "{}", test.backend());
        assert_eq!(verified["balance"]["amount"], "500.00");
        let late = retry(&test, &rider, "one-more-page", &opened.intent_id).await;
        late.problem(409, "intent_completed");
        assert_sound(&test).await;
    }
}

/// The rider left a page for another one: what happens to the first does not end the payment.
#[tokio::test]
async fn the_first_page_may_expire_while_the_second_is_open() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let page = retried(&test, &rider, &opened).await;
        press(&test, &opened.page, "cancel").await;
        let asked = verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(asked["payment"]["status"], "pending", "{}", test.backend());
        press(&test, &page, "pay").await;
        assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], "completed");
        assert_eq!(balance(&test, &rider).await, "500.00");
    }
}

#[tokio::test]
async fn both_pages_paid_are_both_credited_and_staff_see_the_second() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        let page = retried(&test, &rider, &opened).await;
        press(&test, &page, "pay").await;
        assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], "completed");
        test.clock.advance_ms(1_000);
        press(&test, &opened.page, "pay").await;
        verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(balance(&test, &rider).await, "1000.00", "{}", test.backend());
        let listed = test.bearer(&rider.token).get("/api/v1/payments/transactions").await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);

        test.clock.advance_ms(24 * 60 * 60_000);
        let staff = staff_token(&test, AdminRole::Admin).await;
        let wanted = json!({ "provider": "sandbox", "day": "2026-01-15" });
        let reports = "/api/v1/admin/payments/reconciliations";
        let report = test.bearer(&staff).post(reports, wanted).await.ok();
        test.drain_jobs().await;
        let report =
            test.bearer(&staff).get(&format!("{reports}/{}", report["id"].as_str().unwrap())).await.ok();
        let mut classes: Vec<&Value> =
            report["lines"]["items"].as_array().unwrap().iter().map(|line| &line["class"]).collect();
        classes.sort_by_key(|class| class.to_string());
        assert_eq!(classes, ["duplicate_payment", "matched"]);
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_payment_is_not_retried_for_ever_nor_by_strangers() {
    let test = TestApp::new().await;
    let (owner, other) = (rider(&test.app).await, rider(&test.app).await);
    let opened = open(&test, &owner, "500.00").await;
    retry(&test, &other, "not-my-payment", &opened.intent_id).await.problem(404, "intent_not_found");
    for number in 1..10 {
        retry(&test, &owner, &format!("page-number-{number}"), &opened.intent_id).await.ok();
    }
    retry(&test, &owner, "page-number-10", &opened.intent_id).await.problem(409, "too_many_attempts");
    assert_eq!(payment_attempt::Entity::find().count(test.app.db.read()).await.unwrap(), 10);
}
