//! The ledger under load and in disorder: nothing is spent twice, and every paisa is accounted for.

use crate::riders::{bare_rental, rider, rider_with};
use crate::test_app::TestApp;
use backend::error::Error;
use backend::payments::audit;
use backend::payments::book::{self, Balances, PostError, Posted, Refusal};
use backend::payments::holds;
use backend::payments::ledger::{Bill, Captured, Entry};
use backend::random::Random;
use backend::rentals::forgotten;
use entities::id::{PaymentAttemptId, RentalId, UserId};
use entities::money::Paisa;
use entities::rental::{self, RentalStatus};
use entities::{ledger_entry, ledger_posting, transaction, wallet, wallet_transaction};
use futures::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use uuid::Uuid;

pub(crate) const fn bill(rental: i64, late_fee: i64) -> Bill {
    Bill { rental: Paisa(rental), late_fee: Paisa(late_fee), lost_bank: Paisa(0) }
}

pub(crate) async fn hold(test: &TestApp, user: UserId, rental: RentalId, amount: i64) -> Result<(), Error> {
    let held = test.app.db.write(move |tx| {
        Box::pin(async move { Ok(holds::hold(tx, tx.now(), user, rental, Paisa(amount)).await.map(drop)?) })
    });
    held.await
}

async fn void(test: &TestApp, rental: RentalId) -> Result<(), Error> {
    let voided = test
        .app
        .db
        .write(move |tx| Box::pin(async move { Ok(holds::void(tx, tx.now(), rental, "of a test").await?) }));
    voided.await
}

pub(crate) async fn capture(test: &TestApp, rental: RentalId, bill: Bill) -> Result<Captured, Error> {
    let captured = test
        .app
        .db
        .write(move |tx| Box::pin(async move { Ok(holds::capture(tx, tx.now(), rental, &bill).await?) }));
    captured.await
}

async fn balances(test: &TestApp, user: UserId) -> (i64, i64) {
    let Balances { wallet, held } = book::balances(test.app.db.read(), user).await.unwrap();
    (wallet.0, held.0)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, code: &str) {
    assert_eq!(outcome.unwrap_err().code(), Some(code));
}

async fn assert_sound(test: &TestApp) {
    let findings = audit::audit(test.app.db.read()).await.unwrap();
    assert!(findings.is_empty(), "{}: {findings:#?}", test.backend());
}

#[tokio::test]
async fn a_hold_is_taken_charged_and_the_rest_given_back() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 50_000).await;
        let rental = bare_rental(&test.app, rider.id).await;
        test.clock.advance_ms(1);
        hold(&test, rider.id, rental, 10_000).await.unwrap();
        assert_eq!(balances(&test, rider.id).await, (40_000, 10_000));
        test.clock.advance_ms(1);
        let met = capture(&test, rental, bill(6_000, 0)).await.unwrap();
        assert_eq!((met.captured.0, met.from_wallet.0, met.released.0, met.due.0), (6_000, 0, 4_000, 0));
        assert_eq!(balances(&test, rider.id).await, (44_000, 0));
        assert_eq!(
            capture(&test, rental, bill(6_000, 0)).await.unwrap(),
            met,
            "asked again, it answers the same"
        );
        refused(void(&test, rental).await, "hold_resolved");
        assert_eq!(balances(&test, rider.id).await, (44_000, 0));

        let shown = wallet::Entity::find().one(test.app.db.read()).await.unwrap().unwrap();
        assert_eq!(shown.balance_paisa, Paisa(44_000));
        let statement = wallet_transaction::Entity::find()
            .order_by_asc(wallet_transaction::Column::Id)
            .all(test.app.db.read())
            .await
            .unwrap();
        let lines: Vec<_> =
            statement.iter().map(|line| (line.balance_before_paisa.0, line.balance_after_paisa.0)).collect();
        assert_eq!(lines, [(0, 50_000), (50_000, 40_000), (40_000, 44_000)]);
        let receipts = transaction::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(receipts.iter().map(|receipt| receipt.amount_paisa.0).collect::<Vec<_>>(), [6_000]);
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_void_gives_everything_back_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 5_000).await;
        let rental = bare_rental(&test.app, rider.id).await;
        hold(&test, rider.id, rental, 5_000).await.unwrap();
        hold(&test, rider.id, rental, 5_000).await.unwrap();
        assert_eq!(balances(&test, rider.id).await, (0, 5_000), "the same hold again changes nothing");
        refused(hold(&test, rider.id, rental, 4_000).await, "ledger_conflict");
        void(&test, rental).await.unwrap();
        void(&test, rental).await.unwrap();
        assert_eq!(balances(&test, rider.id).await, (5_000, 0));
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_bank_that_is_gone_after_a_void_is_paid_from_the_wallet() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 5_000).await;
        let rental = bare_rental(&test.app, rider.id).await;
        hold(&test, rider.id, rental, 5_000).await.unwrap();
        void(&test, rental).await.unwrap();
        let met = capture(&test, rental, bill(5_000, 1_000)).await.unwrap();
        assert_eq!((met.captured.0, met.from_wallet.0, met.due.0), (0, 5_000, 1_000));
        assert_eq!(capture(&test, rental, bill(5_000, 1_000)).await.unwrap(), met);
        assert_eq!(balances(&test, rider.id).await, (0, 0));
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn what_the_hold_and_the_wallet_cannot_pay_is_due() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 7_000).await;
        let rental = bare_rental(&test.app, rider.id).await;
        hold(&test, rider.id, rental, 5_000).await.unwrap();
        let met = capture(&test, rental, bill(5_000, 4_000)).await.unwrap();
        assert_eq!(
            (met.captured.0, met.from_wallet.0, met.due.0, met.paid().0),
            (5_000, 2_000, 2_000, 7_000)
        );
        assert_eq!(balances(&test, rider.id).await, (0, 0));
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_free_rental_needs_no_money() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let rental = bare_rental(&test.app, rider.id).await;
        hold(&test, rider.id, rental, 0).await.unwrap();
        let met = capture(&test, rental, bill(0, 0)).await.unwrap();
        assert_eq!((met.paid(), met.due), (Paisa(0), Paisa(0)));
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn a_refused_hold_leaves_the_transaction_usable() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 1_000).await;
        let (dear, cheap) = (bare_rental(&test.app, rider.id).await, bare_rental(&test.app, rider.id).await);
        let user = rider.id;
        let written = test.app.db.write(move |tx| {
            Box::pin(async move {
                let refused = holds::hold(tx, tx.now(), user, dear, Paisa(1_001)).await;
                assert!(
                    matches!(refused, Err(PostError::Refused(Refusal::InsufficientFunds))),
                    "{refused:?}"
                );
                Ok(holds::hold(tx, tx.now(), user, cheap, Paisa(1_000)).await.map(drop)?)
            })
        });
        written.await.unwrap();
        assert_eq!(balances(&test, user).await, (0, 1_000));
        refused(hold(&test, user, dear, 1).await, "insufficient_balance");
        assert_sound(&test).await;
    }
}

/// L3.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn debits_at_the_same_time_cannot_overdraw() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 10_000).await;
        let mut rentals = Vec::new();
        for _ in 0..20 {
            rentals.push(bare_rental(&test.app, rider.id).await);
        }
        let outcomes = join_all(rentals.iter().map(|rental| hold(&test, rider.id, *rental, 3_000))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3, "{}", test.backend());
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            refused(outcome, "insufficient_balance");
        }
        assert_eq!(balances(&test, rider.id).await, (1_000, 9_000));
        assert_sound(&test).await;
    }
}

/// L8, R3.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_captures_and_voids_at_the_same_time_one_happens() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 10_000).await;
        for _ in 0..10 {
            let rental = bare_rental(&test.app, rider.id).await;
            hold(&test, rider.id, rental, 1_000).await.unwrap();
            let (before, _) = balances(&test, rider.id).await;
            let (_, voided, _, voided_again) = tokio::join!(
                capture(&test, rental, bill(400, 0)),
                void(&test, rental),
                capture(&test, rental, bill(400, 0)),
                void(&test, rental),
            );
            assert_eq!(voided.is_ok(), voided_again.is_ok(), "{}", test.backend());
            // A capture after a void charges the wallet: in every order the bill is paid once.
            assert_eq!(balances(&test, rider.id).await, (before + 600, 0), "{}", test.backend());
        }
        assert_sound(&test).await;
    }
}

/// L6.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_entry_a_hundred_times_at_once_is_written_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let (user, attempt) = (rider.id, PaymentAttemptId(Uuid::from_u128(77)));
        let posts = (0..100).map(|_| {
            test.app.db.write(move |tx| {
                Box::pin(async move {
                    let entry = Entry::top_up(attempt, "sandbox", user, Paisa(500)).unwrap();
                    Ok(book::post(tx, tx.now(), &entry, None).await?)
                })
            })
        });
        let outcomes: Vec<_> = join_all(posts).await.into_iter().map(Result::unwrap).collect();
        let new = outcomes.iter().filter(|posted| matches!(posted, Posted::New(_))).count();
        assert_eq!(new, 1, "{}", test.backend());
        assert_eq!(balances(&test, user).await, (500, 0));
        let other = test.app.db.write(move |tx| {
            Box::pin(async move {
                let entry = Entry::top_up(attempt, "sandbox", user, Paisa(501)).unwrap();
                Ok(book::post(tx, tx.now(), &entry, None).await?)
            })
        });
        refused(other.await, "ledger_conflict");
        assert_eq!(balances(&test, user).await, (500, 0));
    }
}

/// L5.
#[tokio::test]
async fn what_is_written_in_the_ledger_stays() {
    for test in TestApp::on_each_backend().await {
        rider_with(&test.app, 1_000).await;
        for attempt in 0..4 {
            let changed = test.app.db.write(move |tx| {
                Box::pin(async move {
                    match attempt {
                        0 => ledger_entry::Entity::delete_many().exec(tx).await.map(drop)?,
                        1 => ledger_posting::Entity::delete_many().exec(tx).await.map(drop)?,
                        2 => tx
                            .execute_unprepared("update ledger_entries set description = ''")
                            .await
                            .map(drop)?,
                        _ => ledger_posting::Entity::update_many()
                            .col_expr(ledger_posting::Column::AmountPaisa, Expr::val(1))
                            .exec(tx)
                            .await
                            .map(drop)?,
                    }
                    Ok(())
                })
            });
            assert!(changed.await.is_err(), "{} attempt {attempt}", test.backend());
        }
        assert_sound(&test).await;
    }
}

#[tokio::test]
async fn the_audit_finds_a_balance_that_is_not_the_sum_of_its_postings() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 1_000).await;
        let forged = test.app.db.write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared("update ledger_balances set balance_paisa = balance_paisa + 1").await?;
                tx.execute_unprepared("update wallets set balance_paisa = balance_paisa + 2").await?;
                Ok(())
            })
        });
        forged.await.unwrap();
        let findings = audit::audit(test.app.db.read()).await.unwrap();
        let rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["L4", "wallet", "statement"], "{} {:?}", test.backend(), rider.id);
        assert_eq!(audit::imbalance(test.app.db.read()).await.unwrap(), Paisa(0));
    }
}

/// L2: whatever happens in whatever order, the books agree.
#[tokio::test]
async fn random_movements_keep_the_books() {
    for (seed, test) in TestApp::on_each_backend().await.into_iter().enumerate() {
        let random = Random::seeded(seed as u64);
        let riders = [rider_with(&test.app, 20_000).await, rider_with(&test.app, 5_000).await];
        let mut rentals = Vec::new();
        for round in 0..160_u32 {
            let rider = &riders[random.below(2) as usize];
            let amount = i64::from(random.below(4_000));
            let known = if rentals.is_empty() {
                None
            } else {
                rentals.get(random.below(rentals.len() as u32) as usize)
            };
            match (random.below(5), known.copied()) {
                (0 | 1, _) | (_, None) => {
                    let rental = bare_rental(&test.app, rider.id).await;
                    if hold(&test, rider.id, rental, amount).await.is_ok() {
                        rentals.push(rental);
                    }
                }
                (2, Some(rental)) => drop(void(&test, rental).await),
                (3, Some(rental)) => {
                    drop(capture(&test, rental, bill(amount, i64::from(random.below(900)))).await)
                }
                (_, Some(rental)) => {
                    // Two at once.
                    let _ = tokio::join!(capture(&test, rental, bill(amount, 0)), void(&test, rental));
                }
            }
            if round % 40 == 39 {
                assert_sound(&test).await;
            }
        }
    }
}

/// R3: a hold whose rental was called off, and whose job has vanished, does not live for ever.
#[tokio::test]
async fn money_that_was_forgotten_for_a_cancelled_rental_goes_back() {
    for test in TestApp::on_each_backend().await {
        let rider = rider_with(&test.app, 50_000).await;
        let (cancelled, open) =
            (bare_rental(&test.app, rider.id).await, bare_rental(&test.app, rider.id).await);
        hold(&test, rider.id, cancelled, 10_000).await.unwrap();
        hold(&test, rider.id, open, 5_000).await.unwrap();
        let called_off = test.app.db.write(move |tx| {
            Box::pin(async move {
                let status =
                    rental::ActiveModel { status: Set(RentalStatus::Cancelled), ..Default::default() };
                let only = rental::Column::Id.eq(cancelled);
                rental::Entity::update_many().set(status).filter(only).exec(tx).await?;
                Ok(())
            })
        });
        called_off.await.unwrap();
        let findings =
            backend::rentals::audit::audit(test.app.db.read(), test.app.clock.now()).await.unwrap();
        assert!(
            findings.iter().any(|finding| finding.rule == "R3" && finding.table == "holds"),
            "{findings:?}"
        );
        assert_eq!(forgotten::mend(&test.app).await.unwrap(), 0, "its job may still come");
        test.clock.advance_ms(16 * 60_000);
        assert_eq!(forgotten::mend(&test.app).await.unwrap(), 1, "{}", test.backend());
        assert_eq!(forgotten::mend(&test.app).await.unwrap(), 0);
        assert_eq!(balances(&test, rider.id).await, (45_000, 5_000));
        assert_sound(&test).await;
    }
}
