//! Khalti's double against "Khalti KPG-2": its exact words, codes and forms.

use crate::caller::{Caller, caller};
use doubles::khalti::{Button, Khalti};
use doubles::{Double, World};
use protocol::clock::ManualClock;
use serde_json::{Value, json};
use std::sync::Arc;

/// 2023-05-25 10:41:16 UTC.
const START_MS: u64 = 1_685_011_276_471;

async fn started() -> (Double<Khalti>, Caller, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START_MS));
    let double = Double::start(Khalti::new("the-key"), World::new(clock.clone(), 1)).await.unwrap();
    let caller = caller(&double.base_url(), "Key the-key");
    (double, caller, clock)
}

fn order() -> Value {
    json!({
        "return_url": "https://example.com/payment/", "website_url": "https://example.com/", "amount": 1300,
        "purchase_order_id": "test12", "purchase_order_name": "test", "merchant_username": "merchant_name",
    })
}

async fn opened(caller: &Caller) -> String {
    let (code, body) = caller.post("/api/v2/epayment/initiate/", order()).await;
    assert_eq!(code, 200, "{body}");
    body["pidx"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_order_is_opened_in_the_documented_form() {
    let (double, caller, _) = started().await;
    for amount in [json!(1300), json!("1300")] {
        let mut asked = order();
        asked["amount"] = amount;
        let (code, body) = caller.post("/api/v2/epayment/initiate/", asked).await;
        let pidx = body["pidx"].as_str().unwrap();
        assert_eq!((code, pidx.len()), (200, 22));
        assert_eq!(body["payment_url"], format!("{}/?pidx={pidx}", double.base_url()));
        assert_eq!(body["expires_at"], "2023-05-25T17:26:16.471000+05:45");
        assert_eq!(body["expires_in"], 3_600);
    }
    assert_eq!(double.book().orders().count(), 2, "the same order again is another page");
}

#[tokio::test]
async fn complaints_are_word_by_word() {
    let (_double, caller, _) = started().await;
    for (field, value, words) in [
        ("return_url", json!(""), "This field may not be blank."),
        ("website_url", json!("example"), "Enter a valid URL."),
        ("purchase_order_id", json!(""), "This field may not be blank."),
        ("amount", json!(999), "Amount should be greater than Rs. 10, that is 1000 paisa."),
        ("amount", json!(10.5), "A valid integer is required."),
        ("amount", json!("ten"), "A valid integer is required."),
    ] {
        let mut asked = order();
        asked[field] = value;
        let (code, body) = caller.post("/api/v2/epayment/initiate/", asked).await;
        assert_eq!((code, body), (400, json!({ field: [words], "error_key": "validation_error" })));
    }
    let mut asked = order();
    asked["amount_breakdown"] = json!([{ "label": "Price", "amount": 1000 }]);
    let (_, body) = caller.post("/api/v2/epayment/initiate/", asked).await;
    assert_eq!(body["amount"], json!(["Amount Breakdown mismatch."]));
}

#[tokio::test]
async fn nobody_asks_without_the_key() {
    let (double, _, _) = started().await;
    for (sent, detail) in [
        ("Key another", "Invalid token."),
        ("the-key", "Authentication credentials were not provided."),
        ("Bearer the-key", "Authentication credentials were not provided."),
    ] {
        let stranger = caller(&double.base_url(), sent);
        for path in
            ["/api/v2/epayment/initiate/", "/api/v2/epayment/lookup/", "/api/merchant-transaction/x/refund/"]
        {
            let (code, body) = stranger.post(path, order()).await;
            assert_eq!((code, body), (401, json!({ "detail": detail, "status_code": 401 })), "{sent} {path}");
        }
    }
    let lower = caller(&double.base_url(), "key the-key");
    assert_eq!(lower.post("/api/v2/epayment/initiate/", order()).await.0, 200);
}

#[tokio::test]
async fn a_lookup_tells_each_state_with_its_code() {
    let (double, caller, clock) = started().await;
    let lookup = async |pidx: &str| caller.post("/api/v2/epayment/lookup/", json!({ "pidx": pidx })).await;
    let pidx = opened(&caller).await;
    let (code, body) = lookup(&pidx).await;
    assert_eq!(code, 200);
    assert_eq!(
        body,
        json!({ "pidx": pidx, "total_amount": 1300, "status": "Initiated", "transaction_id": null, "fee": 0, "refunded": false })
    );
    let back = double.press(&pidx, Button::Pay).unwrap();
    let (code, body) = lookup(&pidx).await;
    assert_eq!((code, &body["status"]), (200, &json!("Completed")));
    let transaction = body["transaction_id"].as_str().unwrap();
    for word in [
        format!("https://example.com/payment/?pidx={pidx}&transaction_id={transaction}&tidx={transaction}"),
        "status=Completed".to_owned(),
        "purchase_order_id=test12".to_owned(),
        format!("txnId={transaction}"),
        "merchant_username=merchant_name".to_owned(),
    ] {
        assert!(back.contains(&word), "{word} in {back}");
    }
    assert_eq!(double.press(&pidx, Button::Cancel).as_ref(), Some(&back), "pressing again changes nothing");

    let cancelled = opened(&caller).await;
    let back = double.press(&cancelled, Button::Cancel).unwrap();
    assert!(back.contains("status=User%20canceled") && !back.contains("txnId"), "{back}");
    let (code, body) = lookup(&cancelled).await;
    assert_eq!(
        (code, &body["status"], &body["transaction_id"]),
        (400, &json!("User canceled"), &Value::Null)
    );

    let late = opened(&caller).await;
    clock.advance_ms(3_600_000);
    let (code, body) = lookup(&late).await;
    assert_eq!((code, &body["status"]), (400, &json!("Expired")));
    assert_eq!(double.press(&late, Button::Pay), None, "an expired page takes nothing");
    assert_eq!(
        lookup("nobody").await,
        (404, json!({ "detail": "Not found.", "error_key": "validation_error" }))
    );
}

#[tokio::test]
async fn a_refund_is_never_more_than_was_paid() {
    let (double, caller, _) = started().await;
    let pidx = opened(&caller).await;
    double.press(&pidx, Button::Pay).unwrap();
    let transaction = double.book().order(&pidx).unwrap().transaction_id.clone().unwrap();
    let path = format!("/api/merchant-transaction/{transaction}/refund/");
    let done = (200, json!({ "detail": "Transaction refund successful." }));
    assert_eq!(caller.post(&path, json!({ "amount": 300 })).await, done);
    assert_eq!(double.book().order(&pidx).unwrap().status, "Partially Refunded");
    assert_eq!(caller.post(&path, json!({ "amount": 1_001 })).await.0, 400);
    assert_eq!(caller.post(&path, json!({ "amount": 0 })).await.0, 400);
    assert_eq!(caller.post(&path, json!({ "amount": 1_000 })).await, done);
    assert_eq!(double.book().order(&pidx).unwrap().status, "Refunded");
    assert_eq!(caller.post(&path, json!({})).await.0, 400, "a second time");
    assert_eq!(caller.post("/api/merchant-transaction/nobody/refund/", json!({})).await.0, 404);
}
