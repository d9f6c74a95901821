//! Two hundred at once, through HTTP: one payment is credited once, one key does one thing. What a crowd does to
//! a balance stands in `rentals/crowd.rs`.

use crate::payments::{ask_for, assert_sound, balance, open, press, verify};
use crate::riders::rider;
use crate::test_app::{Answer, TestApp};
use axum::http::{StatusCode, header};
use backend::limits;
use entities::{ledger_entry, payment_attempt, payment_intent, sandbox_payment};
use futures::future::join_all;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

/// A crowd.
pub(crate) const MANY: usize = 200;

/// Asks again while the server says that it is busy, as an app does: a crowd may wait longer for a connection than
/// the server lets it. Any other failure is one.
pub(crate) async fn insist<F: Future<Output = Answer>>(ask: impl Fn() -> F) -> Answer {
    loop {
        let answer = ask().await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            assert!(!answer.status.is_server_error(), "{} {}", answer.status, answer.body);
            return answer;
        }
        assert!(answer.headers.contains_key(header::RETRY_AFTER), "{}", answer.body);
    }
}

/// L6, L12.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_verifications_of_one_payment_credit_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        press(&test, &opened.page, "pay").await;
        let asked = (0..MANY).map(|_| insist(|| verify(&test, &rider, &opened.intent_id)));
        for verified in join_all(asked).await {
            assert_eq!(verified.ok()["payment"]["status"], "completed", "{}", test.backend());
        }
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "500.00", "{}", test.backend());
        assert_eq!(ledger_entry::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
        let points = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 50, "rewarded once");
        assert_sound(&test).await;
    }
}

/// L7.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_requests_with_one_key_open_one_top_up() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let asked = (0..MANY).map(|number| {
            let (test, rider) = (&test, &rider);
            // Every tenth of them is another request that uses the same key.
            let amount = if number % 10 == 9 { "600.00" } else { "500.00" };
            async move { (amount, insist(|| ask_for(test, rider, "one-key-of-mine", amount)).await) }
        });
        let (mut won, mut first): (Option<&str>, Option<Value>) = (None, None);
        for (amount, answer) in join_all(asked).await {
            if answer.status == 422 {
                answer.problem(422, "idempotency_key_reused");
                continue;
            }
            let body = answer.ok();
            assert_eq!(*won.get_or_insert(amount), amount, "{}: one request wins", test.backend());
            assert_eq!(*first.get_or_insert_with(|| body.clone()), body, "{}", test.backend());
        }
        assert!(won.is_some());
        let db = test.app.db.read();
        assert_eq!(payment_intent::Entity::find().count(db).await.unwrap(), 1, "{}", test.backend());
        assert_eq!(payment_attempt::Entity::find().count(db).await.unwrap(), 1, "{}", test.backend());
        assert_eq!(sandbox_payment::Entity::find().count(db).await.unwrap(), 1, "{}", test.backend());
    }
}

/// L7: an app that was offline for two days may still send its request again.
#[tokio::test]
async fn the_answer_to_a_key_is_kept_for_two_days_and_longer() {
    assert!(limits::IDEMPOTENCY_KEPT >= chrono::TimeDelta::hours(48));
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let first = ask_for(&test, &rider, "one-key-of-mine", "500.00").await.ok();
        test.clock.advance_ms(48 * 3_600_000);
        test.drain_jobs().await;
        backend::housekeeping::sweep(&test.app).await.unwrap();
        let again = ask_for(&test, &rider, "one-key-of-mine", "500.00").await.ok();
        assert_eq!(again["intent_id"], first["intent_id"], "{}", test.backend());
        ask_for(&test, &rider, "one-key-of-mine", "600.00").await.problem(422, "idempotency_key_reused");
        assert_eq!(payment_attempt::Entity::find().count(test.app.db.read()).await.unwrap(), 1);
    }
}

/// L7: whatever the documentation says needs a key refuses to move anything without one.
#[tokio::test]
async fn no_money_moves_without_a_key() {
    let test = TestApp::new().await;
    let rider = rider(&test.app).await;
    let document: Value = serde_json::to_value(backend::api::openapi()).unwrap();
    let mut keyed = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(post) = item.get("post") else { continue };
        let parameters = post["parameters"].as_array().cloned().unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key") {
            keyed.push(path.clone());
        }
    }
    for needed in ["/payments/wallet/topup-intent", "/rentals/start"] {
        assert!(keyed.iter().any(|path| path.ends_with(needed)), "{needed} is not among {keyed:?}");
    }
    for path in keyed.iter().filter(|path| !path.contains("/admin/")) {
        // The parts of a path need not name anything: the key is asked for first.
        let parts = path.split('/');
        let nobody = "00000000-0000-7000-8000-000000000000";
        let path: Vec<_> = parts.map(|part| if part.starts_with('{') { nobody } else { part }).collect();
        test.bearer(&rider.token)
            .post(&path.join("/"), json!({}))
            .await
            .problem(400, "idempotency_key_missing");
    }
}
