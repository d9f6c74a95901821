//! A process that dies between any two steps (L13): each operation is cut off at each point where it waits, and
//! never goes on. Then the program starts again, the rider's app repeats what it was not answered, and the jobs
//! run. In the end the money is credited once and the books sum to zero.
//!
//! The crash runs of the whole program (`tests/it/crash`) do the same with a real process and its named points.

mod providers;

use crate::payments::{ask_for, assert_sound, balance, press, verify};
use crate::riders::{Rider, rider};
use crate::test_app::TestApp;
use backend::payments::audit;
use backend::{jobs, limits};
use entities::ledger_entry;
use entities::money::Paisa;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, Statement};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// More steps than any operation has.
const STEPS_MAX: usize = 400;

/// Runs `operation` up to the `steps`th time that it waits, then never again. Nothing if that was too early.
pub(crate) async fn cut_off<T>(operation: impl Future<Output = T>, steps: usize) -> Option<T> {
    let mut operation = pin!(operation);
    let mut left = steps;
    std::future::poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Runs a story again and again, cut off one step later each time, until it was over before its time came. The
/// story gets the number of the step and answers whether it was whole.
pub(crate) async fn at_each_step(what: &str, mut story: impl AsyncFnMut(usize) -> bool) {
    let mut steps = 0;
    while !story(steps).await {
        steps += 1;
        assert!(steps < STEPS_MAX, "{what} never ends");
    }
    assert!(steps > 0, "{what} was not cut off once");
}

/// What a program does that starts on the books of one that died.
pub(crate) async fn restart(test: &TestApp) {
    wait_for_rollbacks(test).await;
    test.clock.advance_ms(limits::JOB_LEASE.num_milliseconds().unsigned_abs() + 1);
    jobs::take_over(&test.app).await.unwrap();
    test.drain_jobs().await;
}

/// PostgreSQL hears of a death a moment later; until then the rows of the dead are locked, and workers skip them.
pub(crate) async fn wait_for_rollbacks(test: &TestApp) {
    if test.backend() != "postgres" {
        return;
    }
    let db = test.beside().await;
    for _ in 0..2_000 {
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, OPEN)).await.unwrap();
        if rows.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, OPEN)).await.unwrap();
    let open: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    panic!("transactions of the dead are never rolled back: {open:#?}");
}

const OPEN: &str = "select concat_ws(' ', pid, state, wait_event_type, wait_event, query) from pg_stat_activity \
                    where datname = current_database() and backend_type = 'client backend' \
                    and pid <> pg_backend_pid() and xact_start is not null";

/// Who goes away while a transaction begins, writes or ends leaves no open one in the pool.
#[tokio::test]
async fn a_write_that_dies_at_any_step_leaves_no_transaction_open() {
    for test in TestApp::on_each_backend().await {
        let write = async |steps| {
            let write = test.app.db.write(|tx| {
                Box::pin(async move { Ok(tx.execute_unprepared("update app_configs set key = key").await?) })
            });
            let was_whole = cut_off(write, steps).await.is_some();
            wait_for_rollbacks(&test).await;
            was_whole
        };
        at_each_step("write", write).await;
        let look = async |steps| {
            let was_whole = cut_off(test.app.db.snapshot(), steps).await.is_some();
            wait_for_rollbacks(&test).await;
            was_whole
        };
        at_each_step("snapshot", look).await;
    }
}

/// The operation of a top-up that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Open,
    Return,
    Verify,
    Jobs,
}

/// Answers whether the operation was over before its time came.
async fn top_up(test: &TestApp, rider: &Rider, cut: Cut, steps: usize) -> bool {
    let steps_of = |operation| if cut == operation { steps } else { usize::MAX };
    let mut was_whole = true;
    let key = format!("top-up-{}", rider.id);
    was_whole &= cut_off(ask_for(test, rider, &key, "500.00"), steps_of(Cut::Open)).await.is_some();
    if cut == Cut::Open {
        restart(test).await;
    }
    let opened = ask_for(test, rider, &key, "500.00").await.ok();
    let page = opened["gateway_url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap();
    let intent = opened["intent_id"].as_str().unwrap();
    let back = press(test, page, "pay").await;

    if matches!(cut, Cut::Open | Cut::Return) {
        was_whole &= cut_off(test.anonymous().get(&back), steps_of(Cut::Return)).await.is_some();
    }
    if matches!(cut, Cut::Verify) {
        was_whole &= cut_off(verify(test, rider, intent), steps_of(Cut::Verify)).await.is_some();
    }
    if matches!(cut, Cut::Jobs) {
        // Nobody comes back from the page: the plan alone finds out.
        test.clock.advance_ms(61_000);
        was_whole &= cut_off(test.drain_jobs(), steps_of(Cut::Jobs)).await.is_some();
    }
    restart(test).await;
    for _ in 0..3 {
        test.clock.advance_ms(61_000);
        test.drain_jobs().await;
    }
    was_whole
}

#[tokio::test]
async fn a_top_up_that_dies_at_any_step_is_credited_once() {
    for test in TestApp::on_each_backend().await {
        let mut riders = 0;
        for cut in [Cut::Open, Cut::Return, Cut::Verify, Cut::Jobs] {
            let mut steps = 0;
            loop {
                let rider = rider(&test.app).await;
                riders += 1;
                let was_whole = top_up(&test, &rider, cut, steps).await;
                assert_eq!(balance(&test, &rider).await, "500.00", "{} {cut:?} {steps}", test.backend());
                let points = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
                assert_eq!(points["current"], 50, "{} {cut:?} {steps}", test.backend());
                if was_whole {
                    break;
                }
                steps += 1;
                assert!(steps < STEPS_MAX, "{cut:?} never ends");
            }
            assert!(steps > 0, "{cut:?} was not cut off once");
        }
        let entries = ledger_entry::Entity::find().count(test.app.db.read()).await.unwrap();
        assert_eq!(entries, riders, "{}: one entry for each payment", test.backend());
        assert_eq!(audit::imbalance(test.app.db.read()).await.unwrap(), Paisa(0));
        assert_sound(&test).await;
    }
}

/// L14: what a write has to tell is told, however often the teller dies.
#[tokio::test]
async fn news_of_a_worker_that_dies_at_any_step_arrive_once() {
    for test in TestApp::on_each_backend().await {
        let mut steps = 0;
        loop {
            let rider = rider(&test.app).await;
            let opened = crate::payments::open(&test, &rider, "500.00").await;
            press(&test, &opened.page, "pay").await;
            verify(&test, &rider, &opened.intent_id).await.ok();
            let was_whole = cut_off(test.drain_jobs(), steps).await.is_some();
            restart(&test).await;
            let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
            let titles =
                inbox["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap());
            let told = titles.filter(|title| *title == "Payment received").count();
            assert_eq!(told, 1, "{} {steps}: {inbox}", test.backend());
            if was_whole {
                break;
            }
            steps += 1;
            assert!(steps < STEPS_MAX, "the jobs never end");
        }
        assert!(steps > 0, "the jobs were not cut off once");
        assert_sound(&test).await;
    }
}
