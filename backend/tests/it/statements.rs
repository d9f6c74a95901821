//! What riders read of their own money: movements by filter, and the wallet between two balances.

use crate::payments::{balance, open, press, verify};
use crate::riders::{Rider, bare_rental, rider};
use crate::test_app::TestApp;
use backend::payments::holds;
use backend::payments::ledger::Bill;
use entities::id::RentalId;
use entities::money::Paisa;
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 60 * 60_000;
const STATEMENT: &str = "/api/v1/payments/wallet/statement";
const TRANSACTIONS: &str = "/api/v1/payments/transactions";

async fn top_up(test: &TestApp, rider: &Rider, amount: &str) {
    let opened = open(test, rider, amount).await;
    press(test, &opened.page, "pay").await;
    verify(test, rider, &opened.intent_id).await.ok();
    test.clock.advance_ms(1_000);
}

async fn rent(test: &TestApp, rider: &Rider, held: i64, bill: i64) -> RentalId {
    let rental = bare_rental(&test.app, rider.id).await;
    let user = rider.id;
    let held = test.app.db.write(move |tx| {
        Box::pin(async move { Ok(holds::hold(tx, tx.now(), user, rental, Paisa(held)).await.map(drop)?) })
    });
    held.await.unwrap();
    test.clock.advance_ms(1_000);
    let bill = Bill { rental: Paisa(bill), late_fee: Paisa(0), lost_bank: Paisa(0) };
    let captured = test.app.db.write(move |tx| {
        Box::pin(async move { Ok(holds::capture(tx, tx.now(), rental, &bill).await.map(drop)?) })
    });
    captured.await.unwrap();
    test.clock.advance_ms(1_000);
    rental
}

/// Three days: 500 in; 100 held and 60 charged; 200 in.
async fn three_days(test: &TestApp) -> (Rider, RentalId) {
    let rider = rider(&test.app).await;
    top_up(test, &rider, "500.00").await;
    test.clock.advance_ms(DAY_MS);
    let rental = rent(test, &rider, 10_000, 6_000).await;
    test.clock.advance_ms(DAY_MS);
    top_up(test, &rider, "200.00").await;
    (rider, rental)
}

fn amounts(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item[field]["amount"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_statement_leads_from_its_opening_to_its_closing_balance() {
    for test in TestApp::on_each_backend().await {
        let (rider, _) = three_days(&test).await;
        let caller = test.bearer(&rider.token);
        for (query, opening, closing, total_in, total_out, lines) in [
            ("", "0.00", "640.00", "740.00", "100.00", 4),
            ("?start_date=2026-01-16&end_date=2026-01-16", "500.00", "440.00", "40.00", "100.00", 2),
            ("?start_date=2026-01-17", "440.00", "640.00", "200.00", "0.00", 1),
            ("?end_date=2026-01-14", "0.00", "0.00", "0.00", "0.00", 0),
            ("?start_date=2026-02-01", "640.00", "640.00", "0.00", "0.00", 0),
        ] {
            let statement = caller.get(&format!("{STATEMENT}{query}")).await.ok();
            let shown = ["opening_balance", "closing_balance", "total_in", "total_out"]
                .map(|name| statement[name]["amount"].as_str().unwrap().to_owned());
            assert_eq!(shown, [opening, closing, total_in, total_out], "{query} {}", test.backend());
            assert_eq!(statement["lines"]["items"].as_array().unwrap().len(), lines, "{query}");
        }
        let whole = caller.get(STATEMENT).await.ok();
        assert_eq!(whole["closing_balance"]["amount"], balance(&test, &rider).await);
        assert_eq!(amounts(&whole["lines"], "balance_after"), ["640.00", "440.00", "400.00", "500.00"]);
        assert!(whole["lines"]["items"][0]["transaction_id"].as_str().unwrap().starts_with('T'));
        let first = caller.get(&format!("{STATEMENT}?limit=3")).await.ok();
        let cursor = first["lines"]["next_cursor"].as_str().unwrap();
        let rest = caller.get(&format!("{STATEMENT}?limit=3&cursor={cursor}")).await.ok();
        assert_eq!(amounts(&rest["lines"], "balance_after"), ["500.00"]);
        caller.get(&format!("{STATEMENT}?start_date=yesterday")).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_rider_without_money_has_a_statement_of_nothing() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let statement = test.bearer(&rider.token).get(STATEMENT).await.ok();
        assert_eq!(statement["closing_balance"]["amount"], "0.00", "{}", test.backend());
        assert_eq!(statement["lines"], json!({ "items": [] }));
    }
}

#[tokio::test]
async fn transactions_are_found_by_every_filter_and_by_all_together() {
    for test in TestApp::on_each_backend().await {
        let (rider, rental) = three_days(&test).await;
        let caller = test.bearer(&rider.token);
        for (query, found) in [
            (String::new(), vec!["200.00", "60.00", "500.00"]),
            ("?transaction_type=topup".to_owned(), vec!["200.00", "500.00"]),
            ("?status=success".to_owned(), vec!["200.00", "60.00", "500.00"]),
            ("?status=failed".to_owned(), vec![]),
            ("?payment_method_type=wallet".to_owned(), vec!["60.00"]),
            ("?payment_method_type=gateway".to_owned(), vec!["200.00", "500.00"]),
            (format!("?related_rental={rental}"), vec!["60.00"]),
            (format!("?related_rental={rental}&transaction_type=topup"), vec![]),
            ("?start_date=2026-01-16".to_owned(), vec!["200.00", "60.00"]),
            ("?end_date=2026-01-16".to_owned(), vec!["60.00", "500.00"]),
            ("?start_date=2026-01-16&end_date=2026-01-16".to_owned(), vec!["60.00"]),
            (
                format!(
                    "?transaction_type=rental&status=success&payment_method_type=wallet&related_rental={rental}\
                     &start_date=2026-01-16&end_date=2026-01-16"
                ),
                vec!["60.00"],
            ),
        ] {
            let listed = caller.get(&format!("{TRANSACTIONS}{query}")).await.ok();
            assert_eq!(amounts(&listed, "amount"), found, "{query} {}", test.backend());
        }
        for wrong in ["?transaction_type=other", "?related_rental=1", "?start_date=16", "?limit=0"] {
            caller.get(&format!("{TRANSACTIONS}{wrong}")).await.problem(422, "validation_failed");
        }
    }
}
