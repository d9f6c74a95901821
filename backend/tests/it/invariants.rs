//! Where each invariant of money is proven. The table is checked: a test that is renamed or deleted is missed
//! here. What no other file proves stands below.

use crate::kills::cut_off;
use crate::payments::{assert_sound, balance, open, press, verify};
use crate::riders::{bare_rental, rider, rider_with};
use crate::test_app::TestApp;
use backend::payments::book::{self, Balances};
use backend::payments::holds;
use backend::payments::ledger::Bill;
use backend::random::Random;
use entities::hold::{self, HoldState};
use entities::id::RentalId;
use entities::money::Paisa;
use futures::future::join_all;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::fs;
use std::path::{Path, PathBuf};

/// The invariant, what it says, and the tests that would fail without it.
const PROOFS: &[(&str, &str, &[&str])] = &[
    (
        "L1",
        "the postings of an entry sum to zero",
        &["every_capture_balances_and_spends_the_whole_hold", "random_movements_keep_the_books"],
    ),
    ("L2", "all postings together sum to zero", &["random_movements_keep_the_books"]),
    (
        "L3",
        "no wallet and no hold is below zero",
        &["debits_at_the_same_time_cannot_overdraw", "two_hundred_spends_of_one_balance_never_overdraw"],
    ),
    (
        "L4",
        "a balance is the sum of its postings",
        &["the_audit_finds_a_balance_that_is_not_the_sum_of_its_postings", "random_movements_keep_the_books"],
    ),
    (
        "L5",
        "nothing that is written in the ledger is changed or deleted",
        &["what_is_written_in_the_ledger_stays", "the_ledger_is_not_emptied_or_replaced_either"],
    ),
    (
        "L6",
        "one entry for each business key",
        &[
            "the_same_entry_a_hundred_times_at_once_is_written_once",
            "two_hundred_verifications_of_one_payment_credit_once",
        ],
    ),
    (
        "L7",
        "one key, one effect, one answer",
        &[
            "the_same_request_gets_the_same_answer_and_has_one_effect",
            "two_hundred_requests_with_one_key_open_one_top_up",
            "two_hundred_starts_with_one_key_are_one_rental",
            "one_key_serves_each_operation_and_each_rider_once",
            "the_answer_to_a_key_is_kept_for_two_days_and_longer",
            "no_money_moves_without_a_key",
        ],
    ),
    (
        "L8",
        "a hold ends once, and what is taken and what is given back are what was held",
        &[
            "of_captures_and_voids_at_the_same_time_one_happens",
            "a_hold_ends_once_whatever_is_asked_of_it_in_whatever_order",
        ],
    ),
    ("L9", "never more is given back than was taken", &["fifty_at_once_never_give_back_more_than_was_taken"]),
    (
        "L10",
        "money is credited only as the provider's own answer says",
        &[
            "another_amount_is_not_credited_and_staff_are_told",
            "what_the_browser_brings_back_is_not_believed",
        ],
    ),
    (
        "L11",
        "what is over moves only when money comes late",
        &[
            "every_edge_of_the_machine",
            "money_wins_over_everything_and_is_credited_once",
            "a_payment_that_is_over_is_moved_by_late_money_alone",
        ],
    ),
    (
        "L12",
        "any order, repetition and loss of hints ends the same",
        &[
            "every_order_of_redirect_webhook_and_poll_ends_in_one_credit",
            "the_sandbox_any_order_of_hints_ends_as_the_provider_says",
            "khalti_any_order_of_hints_ends_as_the_provider_says",
            "esewa_any_order_of_hints_ends_as_the_provider_says",
            "stripe_any_order_of_hints_ends_as_the_provider_says",
        ],
    ),
    (
        "L13",
        "a process that dies between any two steps loses nothing and does nothing twice",
        &[
            "a_top_up_that_dies_at_any_step_is_credited_once",
            "a_rental_that_dies_at_any_step_is_charged_once",
            "a_top_up_at_a_provider_that_dies_at_any_step_is_credited_once",
            "a_call_of_a_provider_that_dies_at_any_step_is_followed_once",
            "a_refund_to_the_wallet_that_dies_at_any_step_is_made_once",
            "a_refund_through_a_provider_that_dies_at_any_step_is_made_once",
        ],
    ),
    (
        "L14",
        "what is written with a job is told, and told once",
        &["a_job_of_a_process_that_died_is_taken_over", "news_of_a_worker_that_dies_at_any_step_arrive_once"],
    ),
    (
        "L15",
        "clearing drains to zero against the provider's own book",
        &["every_planted_difference_is_found_and_named", "a_settlement_drains_clearing_once"],
    ),
    (
        "L16",
        "amounts are read, shown and added exactly",
        &[
            "every_amount_survives_its_text",
            "what_is_read_shows_as_the_same_number",
            "everything_else_is_refused",
            "arithmetic_never_wraps",
        ],
    ),
    ("L17", "no amount is zero, negative or beyond its limits", &["impossible_amounts_are_refused"]),
    (
        "L18",
        "the server's clock alone decides what is too late",
        &["a_page_that_nobody_paid_expires_and_is_not_asked_for_any_more"],
    ),
];

#[test]
fn every_invariant_names_tests_that_exist() {
    let sources = sources(Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut missing = Vec::new();
    for (invariant, says, tests) in PROOFS {
        assert!(!tests.is_empty(), "{invariant}: {says}");
        for test in *tests {
            let head = format!("fn {test}(");
            if !sources.iter().any(|source| source.contains(&head)) {
                missing.push(format!("{invariant} ({says}): {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "A proof was renamed or is gone:\n  {}", missing.join("\n  "));
}

fn sources(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let entries: Vec<PathBuf> = entries.collect();
    for path in entries {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// L5.
#[tokio::test]
async fn the_ledger_is_not_emptied_or_replaced_either() {
    for test in TestApp::on_each_backend().await {
        rider_with(&test.app, 1_000).await;
        let mut attempts = vec![
            "insert into ledger_entries (id, kind, business_key, description, happened_at, created_at) \
             select id, kind, business_key, 'forged', happened_at, created_at from ledger_entries \
             where true on conflict (id) do update set description = 'forged'",
            "delete from ledger_postings where amount_paisa > 0",
        ];
        if test.backend() == "postgres" {
            attempts.extend(["truncate ledger_postings", "truncate ledger_entries cascade"]);
        }
        for attempt in attempts {
            let changed = test
                .app
                .db
                .write(move |tx| Box::pin(async move { Ok(tx.execute_unprepared(attempt).await?) }));
            assert!(changed.await.is_err(), "{}: {attempt}", test.backend());
        }
        assert_sound(&test).await;
    }
}

/// L8: whatever is asked of a hold, in whatever order and at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_ends_once_whatever_is_asked_of_it_in_whatever_order() {
    for (seed, test) in TestApp::on_each_backend().await.into_iter().enumerate() {
        let random = Random::seeded(seed as u64);
        for round in 0..60 {
            let amount = i64::from(random.below(5_000));
            let wallet = amount + 1 + i64::from(random.below(3_000));
            let rider = rider_with(&test.app, wallet).await;
            let rental = bare_rental(&test.app, rider.id).await;
            let user = rider.id;
            let taken = test.app.db.write(move |tx| {
                Box::pin(async move { Ok(holds::hold(tx, tx.now(), user, rental, Paisa(amount)).await?) })
            });
            taken.await.unwrap();
            let bill = Bill {
                rental: Paisa(i64::from(random.below(6_000))),
                late_fee: Paisa(0),
                lost_bank: Paisa(0),
            };
            let wishes: Vec<bool> = (0..1 + random.below(6)).map(|_| random.below(2) == 0).collect();
            let asked = wishes.iter().map(|captures| end(&test, rental, captures.then_some(bill)));
            let outcomes: Vec<bool> =
                if random.below(2) == 0 { join_all(asked).await } else { one_by_one(asked).await };

            let told = format!("{} round {round}: {wishes:?} {outcomes:?}", test.backend());
            let row = hold::Entity::find().filter(hold::Column::RentalId.eq(rental));
            let row = row.one(test.app.db.read()).await.unwrap().unwrap();
            let Balances { wallet: left, held } = book::balances(test.app.db.read(), user).await.unwrap();
            assert_eq!(held, Paisa(0), "{told}");
            let is_billed = wishes.contains(&true);
            let paid = if is_billed { bill.rental.0.min(wallet) } else { 0 };
            assert_eq!(left.0, wallet - paid, "{told}: charged once, and the rest is there");
            match row.state {
                HoldState::Captured => {
                    assert_eq!(row.captured_paisa.0, bill.rental.0.min(amount), "{told}");
                    let voids = wishes.iter().zip(&outcomes).filter(|(captures, _)| !**captures);
                    assert!(
                        voids.into_iter().all(|(_, done)| !done),
                        "{told}: a captured hold is not voided"
                    );
                }
                HoldState::Voided => {
                    assert!(wishes.contains(&false), "{told}");
                    assert_eq!(row.captured_paisa, Paisa(0), "{told}");
                }
                HoldState::Held => panic!("{told}: nobody ended it"),
            }
        }
        assert_sound(&test).await;
    }
}

/// Captures with a bill, voids without; answers whether that was allowed.
async fn end(test: &TestApp, rental: RentalId, bill: Option<Bill>) -> bool {
    let ended = test.app.db.write(move |tx| {
        Box::pin(async move {
            match bill {
                Some(bill) => holds::capture(tx, tx.now(), rental, &bill).await.map(drop)?,
                None => holds::void(tx, tx.now(), rental, "of a test").await?,
            }
            Ok(())
        })
    });
    ended.await.is_ok()
}

async fn one_by_one(asked: impl Iterator<Item = impl Future<Output = bool>>) -> Vec<bool> {
    let mut outcomes = Vec::new();
    for one in asked {
        outcomes.push(one.await);
    }
    outcomes
}

/// L11: through HTTP, on each way that a payment can be over.
#[tokio::test]
async fn a_payment_that_is_over_is_moved_by_late_money_alone() {
    for test in TestApp::on_each_backend().await {
        for (button, then, ends) in [
            ("pay", "cancelled by the rider", "completed"),
            ("cancel", "cancelled by the rider", "cancelled"),
            ("cancel", "asked for again", "cancelled"),
            ("pay", "asked for again", "completed"),
        ] {
            let rider = rider(&test.app).await;
            let opened = open(&test, &rider, "500.00").await;
            press(&test, &opened.page, button).await;
            assert_eq!(verify(&test, &rider, &opened.intent_id).await.ok()["payment"]["status"], ends);
            if then == "cancelled by the rider" {
                let path = format!("/api/v1/payments/cancel/{}", opened.intent_id);
                let _ = test.bearer(&rider.token).post(&path, serde_json::json!({})).await;
            }
            for _ in 0..3 {
                // Dropped in the middle, too: nothing of it may stay.
                cut_off(verify(&test, &rider, &opened.intent_id), 3).await;
                verify(&test, &rider, &opened.intent_id).await.ok();
                test.clock.advance_ms(3_600_000);
                test.drain_jobs().await;
            }
            let shown = verify(&test, &rider, &opened.intent_id).await.ok();
            assert_eq!(shown["payment"]["status"], ends, "{} {button}, {then}", test.backend());
            let left = if ends == "completed" { "500.00" } else { "0.00" };
            assert_eq!(balance(&test, &rider).await, left, "{} {button}, {then}", test.backend());
        }
        assert_sound(&test).await;
    }
}
