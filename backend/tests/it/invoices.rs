//! Papers: tax invoices without gaps, whose VAT is the ledger's, and honest copies.

use crate::payments::{open, press, verify};
use crate::riders::{Rider, bare_rental, rider, rider_with};
use crate::test_app::TestApp;
use axum::body::Body;
use axum::http::{Method, header};
use backend::payments::book::{self, Receipt};
use backend::payments::holds;
use backend::payments::ledger::{Account, Bill, Charge, Entry};
use entities::id::{RefundId, RentalId};
use entities::incident::{self, IncidentKind};
use entities::money::Paisa;
use entities::tax_invoice::{self, TaxInvoiceKind};
use entities::transaction::{PaymentMethodType, TransactionType};
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 60 * 60_000;

/// A rental that is held and charged at once.
async fn charge(test: &TestApp, rider: &Rider, rental_paisa: i64, late_paisa: i64) -> RentalId {
    let rental = bare_rental(&test.app, rider.id).await;
    let user = rider.id;
    let bill = Bill { rental: Paisa(rental_paisa), late_fee: Paisa(late_paisa), lost_bank: Paisa(0) };
    let charged = test.app.db.write(move |tx| {
        Box::pin(async move {
            holds::hold(tx, tx.now(), user, rental, Paisa(rental_paisa)).await?;
            holds::capture(tx, tx.now(), rental, &bill).await?;
            Ok(())
        })
    });
    charged.await.unwrap();
    rental
}

async fn movement_of(test: &TestApp, rider: &Rider, rental: RentalId, kind: &str) -> String {
    let path = format!("/api/v1/payments/transactions?related_rental={rental}&transaction_type={kind}");
    let listed = test.bearer(&rider.token).get(&path).await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    listed["items"][0]["transaction_id"].as_str().unwrap().to_owned()
}

async fn receipt(test: &TestApp, rider: &Rider, movement: &str) -> Value {
    let path = format!("/api/v1/payments/transactions/{movement}/receipt");
    test.bearer(&rider.token).get(&path).await.ok()
}

async fn print(test: &TestApp, rider: &Rider, movement: &str) -> String {
    let path = format!("/api/v1/payments/transactions/{movement}/receipt");
    let caller = test.bearer(&rider.token);
    let request = caller.request(Method::GET, &path).header(header::ACCEPT, "text/html,*/*;q=0.8");
    let answer = caller.send(request.body(Body::empty()).unwrap()).await;
    assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
    answer.ok().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_charge_gets_a_tax_invoice_that_agrees_with_the_ledger() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 50_000).await;
        let rental = charge(&test, &rider, 12_345, 9_999).await;
        let movement = movement_of(&test, &rider, rental, "rental").await;
        assert_eq!(receipt(&test, &rider, &movement).await["invoice"], Value::Null, "not numbered yet");
        test.drain_jobs().await;
        let paper = receipt(&test, &rider, &movement).await;
        // 123.45 is 109.25 + 14.20, and 99.99 is 88.49 + 11.50.
        assert_eq!(
            paper["lines"],
            json!([
                { "description": "Power bank rental", "amount": { "amount": "109.25", "currency": "NPR" } },
                { "description": "Late return", "amount": { "amount": "88.49", "currency": "NPR" } },
            ])
        );
        assert_eq!(
            (&paper["taxable"]["amount"], &paper["vat"]["amount"]),
            (&json!("197.74"), &json!("25.70"))
        );
        assert_eq!((&paper["total"]["amount"], &paper["vat_percent"]), (&json!("223.44"), &json!(13)));
        let invoice = &paper["invoice"];
        assert_eq!((&invoice["kind"], &invoice["number"]), (&json!("invoice"), &json!("2082/83-000001")));
        assert_eq!(
            (&invoice["date_bs"], &invoice["seller_pan"]),
            (&json!("2082-10-01"), &json!("123456789"))
        );
        assert_eq!(invoice["prints"], 0);
    }
}

#[tokio::test]
async fn the_first_print_is_the_original_and_later_ones_say_that_they_are_copies() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 50_000).await;
        let rental = charge(&test, &rider, 10_000, 0).await;
        test.drain_jobs().await;
        let movement = movement_of(&test, &rider, rental, "rental").await;
        let original = print(&test, &rider, &movement).await;
        assert!(original.contains("Tax invoice") && original.contains("2082/83-000001"), "{original}");
        assert!(
            original.contains("NPR 88.50")
                && original.contains("NPR 11.50")
                && original.contains("NPR 100.00")
        );
        assert!(!original.contains("Copy of original"));
        assert!(print(&test, &rider, &movement).await.contains("Copy of original 1"));
        assert!(print(&test, &rider, &movement).await.contains("Copy of original 2"));
        assert_eq!(receipt(&test, &rider, &movement).await["invoice"]["prints"], 3, "{}", test.backend());
    }
}

/// Many charges and many numberers at once: no number twice, none left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_have_no_gaps_however_many_are_given_at_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 1_000_000).await;
        for _ in 0..30 {
            charge(&test, &rider, 1_000, 0).await;
        }
        join_all((0..4).map(|_| test.drain_jobs())).await;
        let papers = tax_invoice::Entity::find().order_by_asc(tax_invoice::Column::Serial);
        let papers = papers.all(test.app.db.read()).await.unwrap();
        let serials: Vec<i64> = papers.iter().map(|paper| paper.serial).collect();
        assert_eq!(serials, (1..=30).collect::<Vec<_>>(), "{}", test.backend());
    }
}

#[tokio::test]
async fn a_new_fiscal_year_begins_at_one_again() {
    for test in TestApp::on_each_backend().await {
        let first = rider_with(&test.app, 50_000).await;
        charge(&test, &first, 10_000, 0).await;
        test.drain_jobs().await;
        // From 15 January to 17 July 2026, which is 1 Shrawan 2083.
        test.clock.advance_ms(183 * DAY_MS);
        let second = rider_with(&test.app, 50_000).await;
        let rental = charge(&test, &second, 10_000, 0).await;
        test.drain_jobs().await;
        let movement = movement_of(&test, &second, rental, "rental").await;
        let invoice = receipt(&test, &second, &movement).await["invoice"].clone();
        assert_eq!(
            (&invoice["number"], &invoice["date_bs"]),
            (&json!("2083/84-000001"), &json!("2083-04-01"))
        );
    }
}

#[tokio::test]
async fn a_day_outside_of_the_known_calendar_gets_no_guessed_number() {
    for test in TestApp::on_each_backend().await {
        test.clock.advance_ms(500 * DAY_MS);
        let rider = rider_with(&test.app, 50_000).await;
        let rental = charge(&test, &rider, 10_000, 0).await;
        test.drain_jobs().await;
        let movement = movement_of(&test, &rider, rental, "rental").await;
        assert_eq!(receipt(&test, &rider, &movement).await["invoice"], Value::Null, "{}", test.backend());
        let told = incident::Entity::find().filter(incident::Column::Kind.eq(IncidentKind::CalendarEnded));
        assert_eq!(told.count(test.app.db.read()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_top_up_is_no_sale_and_its_receipt_has_no_vat() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let opened = open(&test, &rider, "500.00").await;
        press(&test, &opened.page, "pay").await;
        verify(&test, &rider, &opened.intent_id).await.ok();
        test.drain_jobs().await;
        let listed = test.bearer(&rider.token).get("/api/v1/payments/transactions").await.ok();
        let movement = listed["items"][0]["id"].as_str().unwrap();
        let paper = receipt(&test, &rider, movement).await;
        assert_eq!((&paper["invoice"], &paper["lines"]), (&Value::Null, &json!([])));
        assert_eq!((&paper["vat"]["amount"], &paper["total"]["amount"]), (&json!("0.00"), &json!("500.00")));
        let printed = print(&test, &rider, movement).await;
        assert!(printed.contains("<h1>Receipt</h1>") && !printed.contains("VAT"), "{printed}");
        assert_eq!(tax_invoice::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
    }
}

/// Also when the refund's job comes first.
#[tokio::test]
async fn money_that_is_given_back_gets_a_credit_note_that_names_its_invoice() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 50_000).await;
        let rental = charge(&test, &rider, 11_300, 0).await;
        test.clock.advance_ms(1_000);
        let user = rider.id;
        let given_back = test.app.db.write(move |tx| {
            Box::pin(async move {
                let income = vec![(Account::RevenueRental, Paisa(10_000))];
                let charge = Charge { income, vat: Paisa(1_300), points: Paisa(0) };
                let refund = RefundId(tx.new_uuid());
                let entry = Entry::refund_to_wallet(refund, user, &charge, Paisa(5_650));
                let receipt = Receipt {
                    transaction_type: TransactionType::Refund,
                    amount: Paisa(5_650),
                    payment_method_type: PaymentMethodType::Wallet,
                    payment_method_id: None,
                    gateway_reference: None,
                    related_rental: Some(rental),
                    gateway_response: json!({}),
                };
                book::post(tx, tx.now(), &entry.unwrap(), Some(receipt)).await?;
                Ok(())
            })
        });
        given_back.await.unwrap();
        test.drain_jobs().await;
        let movement = movement_of(&test, &rider, rental, "refund").await;
        let paper = receipt(&test, &rider, &movement).await;
        let note = &paper["invoice"];
        assert_eq!((&note["kind"], &note["number"]), (&json!("credit_note"), &json!("CN-2082/83-000001")));
        assert_eq!(note["corrects"], "2082/83-000001", "{}", test.backend());
        assert_eq!((&paper["taxable"]["amount"], &paper["vat"]["amount"]), (&json!("50.00"), &json!("6.50")));
        assert!(print(&test, &rider, &movement).await.contains("Credit note"));
        let notes =
            tax_invoice::Entity::find().filter(tax_invoice::Column::Kind.eq(TaxInvoiceKind::CreditNote));
        assert_eq!(notes.count(test.app.db.read()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn without_a_pan_no_tax_invoice_is_made_and_a_stranger_sees_none() {
    let test = TestApp::with_settings(|settings| settings.payments.sandbox = true).await;
    let (owner, other) = (rider_with(&test.app, 50_000).await, rider(&test.app).await);
    let rental = charge(&test, &owner, 10_000, 0).await;
    test.drain_jobs().await;
    let movement = movement_of(&test, &owner, rental, "rental").await;
    let paper = receipt(&test, &owner, &movement).await;
    assert_eq!((&paper["invoice"], &paper["vat"]["amount"]), (&Value::Null, &json!("11.50")));
    let path = format!("/api/v1/payments/transactions/{movement}/receipt");
    test.bearer(&other.token).get(&path).await.problem(404, "transaction_not_found");
}
