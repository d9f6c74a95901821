//! Refunds through HTTP: the rider asks, staff decide, the money goes back once.

mod charges;
mod kills;
mod topups;

use crate::ledger::{bill, capture, hold};
use crate::payments::{open, press, verify};
use crate::riders::{Rider, bare_rental, rider_with};
use crate::test_app::{Answer, Caller, TestApp};
use backend::payments::audit;
use entities::ledger_account::LedgerAccountKind;
use entities::{ledger_account, ledger_posting};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

/// A rider who paid a rental of so much from the wallet, and the transaction's id. The wallet is empty then.
async fn charged(test: &TestApp, rental: i64, late_fee: i64) -> (Rider, String) {
    let rider = rider_with(&test.app, rental + late_fee).await;
    let taken = bare_rental(&test.app, rider.id).await;
    hold(test, rider.id, taken, rental).await.unwrap();
    capture(test, taken, bill(rental, late_fee)).await.unwrap();
    let id = transactions(test, &rider, "rental").await[0]["id"].as_str().unwrap().to_owned();
    (rider, id)
}

/// A top-up that arrived, and its transaction's id.
async fn topped_up(test: &TestApp, rider: &Rider, amount: &str) -> String {
    let opened = open(test, rider, amount).await;
    press(test, &opened.page, "pay").await;
    verify(test, rider, &opened.intent_id).await.ok();
    test.drain_jobs().await;
    transactions(test, rider, "topup").await[0]["id"].as_str().unwrap().to_owned()
}

async fn transactions(test: &TestApp, rider: &Rider, kind: &str) -> Vec<Value> {
    let path = format!("/api/v1/payments/transactions?transaction_type={kind}");
    test.bearer(&rider.token).get(&path).await.ok()["items"].as_array().unwrap().clone()
}

/// Asks for `amount` back, or for everything.
async fn ask(test: &TestApp, rider: &Rider, key: &str, transaction: &str, amount: Option<&str>) -> Answer {
    let path = format!("/api/v1/payments/refunds/{transaction}");
    let amount = amount.map(|amount| json!({ "amount": amount, "currency": "NPR" }));
    let body = json!({ "amount": amount, "reason": "It did not work." });
    test.bearer(&rider.token).post_once(&format!("ask-for-it-{key}"), &path, body).await
}

/// Asks, and gives the refund's id.
async fn asked(test: &TestApp, rider: &Rider, key: &str, transaction: &str, amount: Option<&str>) -> String {
    let answer = ask(test, rider, key, transaction, amount).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.ok()["id"].as_str().unwrap().to_owned()
}

async fn approve(staff: &Caller<'_>, refund: &str) -> Answer {
    let path = format!("/api/v1/admin/payments/refunds/{refund}/approve");
    staff.post_once(&format!("approve-{refund}"), &path, json!({})).await
}

async fn reject(staff: &Caller<'_>, refund: &str) -> Answer {
    let path = format!("/api/v1/admin/payments/refunds/{refund}/reject");
    staff.post_once(&format!("reject-{refund}"), &path, json!({ "reason": "It was used." })).await
}

async fn process(staff: &Caller<'_>, refund: &str) -> Answer {
    let path = format!("/api/v1/admin/payments/refunds/{refund}/process");
    let body = json!({ "gateway_reference": "PORTAL-7" });
    staff.post_once(&format!("process-{refund}"), &path, body).await
}

/// Where the rider's newest refund stands.
async fn standing(test: &TestApp, rider: &Rider) -> String {
    let listed = test.bearer(&rider.token).get("/api/v1/payments/refunds").await.ok();
    listed["items"][0]["status"].as_str().unwrap().to_owned()
}

async fn told(test: &TestApp, rider: &Rider) -> Vec<String> {
    test.drain_jobs().await;
    let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
    let items = inbox["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

/// The sum of an account of the network; debit is positive.
async fn sum_of(test: &TestApp, kind: LedgerAccountKind) -> i64 {
    let rows = ledger_posting::Entity::find().find_also_related(ledger_account::Entity);
    let rows = rows.all(test.app.db.read()).await.unwrap();
    let of_kind = rows.iter().filter(|(_, account)| account.as_ref().unwrap().kind == kind);
    of_kind.map(|(posting, _)| posting.amount_paisa.0).sum()
}

/// The books are right, and nothing of a refund hangs between wallet and provider.
async fn assert_settled(test: &TestApp) {
    let findings = audit::audit(test.app.db.read()).await.unwrap();
    assert!(findings.is_empty(), "{}: {findings:#?}", test.backend());
    assert_eq!(sum_of(test, LedgerAccountKind::RefundClearing).await, 0, "{}", test.backend());
}
