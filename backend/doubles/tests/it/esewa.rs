//! eSewa's double against "eSewa ePay v2".

use crate::caller::{Caller, caller};
use doubles::esewa::{self, Button, Esewa, TEST_KEY};
use doubles::{Double, World};
use protocol::clock::ManualClock;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

async fn started() -> (Double<Esewa>, Caller, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_685_011_276_471));
    let double = Double::start(Esewa::new(), World::new(clock.clone(), 1)).await.unwrap();
    let caller = caller(&double.base_url(), "nothing");
    (double, caller, clock)
}

/// The form sample of the documentation, signature and all.
fn documented_form() -> BTreeMap<String, String> {
    let fields = [
        ("amount", "100"),
        ("tax_amount", "10"),
        ("product_service_charge", "0"),
        ("product_delivery_charge", "0"),
        ("total_amount", "110"),
        ("transaction_uuid", "241028"),
        ("product_code", "EPAYTEST"),
        ("success_url", "https://developer.esewa.com.np/success"),
        ("failure_url", "https://developer.esewa.com.np/failure"),
        ("signed_field_names", "total_amount,transaction_uuid,product_code"),
        ("signature", "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME="),
    ];
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn the_documented_form_is_taken_once_and_paid() {
    let (double, caller, _) = started().await;
    let page = double.take_form(&documented_form()).unwrap();
    assert!(page.ends_with("/epay/241028"), "{page}");
    double.take_form(&documented_form()).expect_err("a uuid is for one request");
    let status = async |amount: &str| {
        let query = format!("product_code=EPAYTEST&total_amount={amount}&transaction_uuid=241028");
        caller.get(&format!("/api/epay/transaction/status/?{query}")).await
    };
    assert_eq!(status("110").await.1["status"], "PENDING");
    assert_eq!(status("110.0").await.1["status"], "NOT_FOUND", "another text");
    let back = double.press("241028", Button::Pay).unwrap();
    assert!(back.starts_with("https://developer.esewa.com.np/success?data="), "{back}");
    let (_, body) = status("110").await;
    assert_eq!((&body["status"], &body["total_amount"]), (&json!("COMPLETE"), &json!(110.0)));
    assert_eq!(double.press("241028", Button::Pay), Some(back), "the same receipt again");
}

#[tokio::test]
async fn every_fault_of_a_form_is_refused() {
    let (double, _, _) = started().await;
    let signed = |form: &mut BTreeMap<String, String>| {
        let text = format!(
            "total_amount={},transaction_uuid={},product_code={}",
            form["total_amount"], form["transaction_uuid"], form["product_code"]
        );
        form.insert("signature".to_owned(), esewa::signature(TEST_KEY, &text));
    };
    for (name, value) in [
        ("total_amount", "111"),
        ("tax_amount", ""),
        ("tax_amount", "ten"),
        ("transaction_uuid", "under_score"),
        ("product_code", "SOMEBODY"),
        ("signed_field_names", "transaction_uuid"),
    ] {
        let mut form = documented_form();
        form.insert(name.to_owned(), value.to_owned());
        signed(&mut form);
        double.take_form(&form).expect_err(name);
    }
    let mut form = documented_form();
    form.insert("signature".to_owned(), "4Ov7pCI1zIOdwtV2BRMUNjz1upIlT/COTxfLhWvVurE=".to_owned());
    assert!(double.take_form(&form).unwrap_err().contains("signature"));
    assert_eq!(double.book().payments().count(), 0);
}

#[tokio::test]
async fn a_session_ends_after_five_minutes() {
    let (double, _, clock) = started().await;
    double.take_form(&documented_form()).unwrap();
    clock.advance_ms(5 * 60_000);
    assert_eq!(double.press("241028", Button::Pay), None);
    double.pay_late("241028");
    assert_eq!(double.book().payment("241028").unwrap().status, "COMPLETE");
}

#[tokio::test]
async fn who_gives_up_goes_to_the_failure_page_without_proof() {
    let (double, _, _) = started().await;
    double.take_form(&documented_form()).unwrap();
    let back = double.press("241028", Button::Cancel).unwrap();
    assert_eq!(back, "https://developer.esewa.com.np/failure");
}
