//! Batch work: every row is done once, whoever dies or works beside each other, and staff see how far it is.

use crate::kills::{at_each_step, cut_off, restart};
use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::{Answer, Caller, TestApp};
use backend::jobs;
use entities::admin_profile::AdminRole;
use entities::{coupon, job};
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const BULK: &str = "/api/v1/admin/coupons/bulk";

/// More than two steps.
const MANY: usize = 250;

fn bulk(count: usize) -> Value {
    json!({
        "count": count, "prefix": "dashain-", "code_length": 8, "name": "Dashain", "points_value": 40,
        "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-12-01T00:00:00Z",
    })
}

async fn staff(test: &TestApp) -> Caller<'_> {
    test.bearer(staff_token(test, AdminRole::Admin).await)
}

async fn order(test: &TestApp, key: &str) -> String {
    let ordered = staff(test).await.post_once(key, BULK, bulk(MANY)).await;
    assert_eq!(ordered.status, 202, "{}", ordered.body);
    ordered.body["id"].as_str().unwrap().to_owned()
}

async fn run(test: &TestApp, id: &str) -> Value {
    staff(test).await.get(&format!("/api/v1/admin/batches/{id}")).await.ok()
}

async fn file(test: &TestApp, id: &str) -> Answer {
    staff(test).await.get(&format!("/api/v1/admin/batches/{id}/file")).await
}

/// The codes of a finished run: as many as were asked for, each once, and all in the book.
async fn codes(test: &TestApp, id: &str) -> Vec<String> {
    let run = run(test, id).await;
    assert_eq!(
        (&run["state"], &run["done"]),
        (&json!("finished"), &json!(MANY)),
        "{}: {run}",
        test.backend()
    );
    let text = file(test, id).await.ok();
    let lines: Vec<&str> = text.as_str().unwrap().lines().collect();
    assert_eq!((lines.len(), lines[0]), (MANY + 1, "code,points,valid_until"));
    let codes = lines[1..].iter().map(|line| line.split(',').next().unwrap().trim_matches('"').to_owned());
    let codes: BTreeSet<String> = codes.collect();
    assert_eq!(codes.len(), MANY, "a code stands in the file twice");
    let in_book = coupon::Entity::find()
        .filter(coupon::Column::BatchId.eq(id.parse::<entities::id::BatchRunId>().unwrap()))
        .count(test.app.db.read());
    assert_eq!(in_book.await.unwrap(), MANY as u64, "{}", test.backend());
    codes.into_iter().collect()
}

async fn apply(test: &TestApp, rider: &Rider, code: &str) -> Answer {
    let body = json!({ "coupon_code": code });
    test.bearer(&rider.token)
        .post_once(&format!("key-{code}"), "/api/v1/promotions/coupons/apply", body)
        .await
}

#[tokio::test]
async fn many_coupons_are_made_in_the_background_and_each_works_once() {
    for test in TestApp::on_each_backend().await {
        let id = order(&test, "the-only-key").await;
        let waiting = run(&test, &id).await;
        assert_eq!(
            (&waiting["state"], &waiting["done"], &waiting["total"]),
            (&json!("running"), &json!(0), &json!(MANY))
        );
        file(&test, &id).await.problem(409, "batch_not_finished");
        let again = staff(&test).await.post_once("the-only-key", BULK, bulk(MANY)).await;
        assert_eq!(again.body["id"], Value::from(id.as_str()), "the same key is the same run");
        test.drain_jobs().await;
        let codes = codes(&test, &id).await;
        assert!(codes.iter().all(|code| code.starts_with("DASHAIN-") && code.len() == 16), "{codes:?}");
        let (first, second) = (rider(&test.app).await, rider(&test.app).await);
        assert_eq!(apply(&test, &first, &codes[0]).await.ok()["points_awarded"], 40);
        apply(&test, &second, &codes[0]).await.problem(409, "coupon_used_up");
        let listed =
            staff(&test).await.get(&format!("/api/v1/admin/coupons?batch={id}&limit=100")).await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 100);
        let runs =
            staff(&test).await.get("/api/v1/admin/batches?kind=coupons.generate&state=finished").await.ok();
        assert_eq!(runs["items"][0]["id"], Value::from(id.as_str()));
    }
}

#[tokio::test]
async fn a_run_that_dies_at_any_step_goes_on_and_makes_none_twice() {
    for test in TestApp::on_each_backend().await {
        at_each_step("a batch run", async |steps| {
            let id = order(&test, &format!("key-of-step-{steps}")).await;
            let was_whole = cut_off(test.drain_jobs(), steps).await.is_some();
            restart(&test).await;
            codes(&test, &id).await;
            was_whole
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_workers_share_the_runs() {
    for test in TestApp::on_each_backend().await {
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(order(&test, &format!("key-number-{number}")).await);
        }
        for ran in join_all((0..4).map(|_| jobs::drain_due(&test.app))).await {
            ran.unwrap();
        }
        test.drain_jobs().await;
        let mut all = BTreeSet::new();
        for id in &ids {
            all.extend(codes(&test, id).await);
        }
        assert_eq!(all.len(), 3 * MANY, "{}", test.backend());
    }
}

#[tokio::test]
async fn staff_stop_a_run_and_nobody_takes_it_up_by_accident() {
    for test in TestApp::on_each_backend().await {
        let id = order(&test, "a-key-of-mine").await;
        let path = format!("/api/v1/admin/batches/{id}");
        staff(&test).await.post(&format!("{path}/resume"), json!({})).await.problem(409, "batch_not_failed");
        let stopped = staff(&test).await.post(&format!("{path}/cancel"), json!({})).await.ok();
        assert_eq!(stopped["state"], "cancelled");
        test.drain_jobs().await;
        assert_eq!(coupon::Entity::find().count(test.app.db.read()).await.unwrap(), 0, "{}", test.backend());
        staff(&test).await.post(&format!("{path}/cancel"), json!({})).await.problem(409, "batch_not_running");
        file(&test, &id).await.problem(409, "batch_not_finished");
        let unknown = "/api/v1/admin/batches/01890f3e-7cc2-7000-8000-000000000001";
        staff(&test).await.get(unknown).await.problem(404, "batch_not_found");
        staff(&test)
            .await
            .post(&format!("{unknown}/cancel"), json!({}))
            .await
            .problem(404, "batch_not_found");
        staff(&test).await.get("/api/v1/admin/batches?kind=nothing").await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_run_that_always_fails_says_so_and_is_taken_up_where_it_stopped() {
    for test in TestApp::on_each_backend().await {
        let id = order(&test, "a-key-of-mine").await;
        let broken: entities::id::BatchRunId = id.parse().unwrap();
        let set = |parameters: Value| {
            test.app.db.write(move |tx| {
                let parameters = parameters.clone();
                Box::pin(async move {
                    let change = entities::batch_run::ActiveModel {
                        parameters: Set(parameters),
                        ..Default::default()
                    };
                    let which = entities::batch_run::Column::Id.eq(broken);
                    entities::batch_run::Entity::update_many().set(change).filter(which).exec(tx).await?;
                    Ok(())
                })
            })
        };
        let good = run(&test, &id).await["parameters"].clone();
        set(json!({ "nonsense": true })).await.unwrap();
        for _ in 0..backend::limits::JOB_ATTEMPTS_MAX {
            test.drain_jobs().await;
            test.clock.advance_ms(backend::limits::JOB_BACKOFF_MAX.num_milliseconds().unsigned_abs() + 1_000);
        }
        let failed = run(&test, &id).await;
        assert_eq!(failed["state"], "failed", "{}: {failed}", test.backend());
        assert!(failed["error"].as_str().unwrap().contains("parameters"), "{failed}");
        let dead = job::Entity::find().filter(job::Column::State.eq(job::JobState::Dead));
        assert_eq!(dead.count(test.app.db.read()).await.unwrap(), 1);
        set(good).await.unwrap();
        let path = format!("/api/v1/admin/batches/{id}/resume");
        assert_eq!(staff(&test).await.post(&path, json!({})).await.ok()["state"], "running");
        test.drain_jobs().await;
        codes(&test, &id).await;
    }
}

#[tokio::test]
async fn staff_take_riders_rentals_and_transactions_away_as_files() {
    for test in TestApp::on_each_backend().await {
        let rider = crate::riders::rider_with(&test.app, 12_300).await;
        crate::riders::bare_rental(&test.app, rider.id).await;
        let opened = crate::payments::open(&test, &rider, "500.00").await;
        crate::payments::press(&test, &opened.page, "pay").await;
        crate::payments::verify(&test, &rider, &opened.intent_id).await.ok();
        for (of, holds) in [
            ("users", rider.id.to_string()),
            ("rentals", rider.id.to_string()),
            ("transactions", "topup,500.00,\"NPR\",success".to_owned()),
        ] {
            let wanted = json!({ "of": of, "from": "2026-01-15", "until": "2026-01-15" });
            let ordered = staff(&test).await.post("/api/v1/admin/exports", wanted).await;
            assert_eq!(ordered.status, 202, "{}", ordered.body);
            let id = ordered.body["id"].as_str().unwrap().to_owned();
            test.drain_jobs().await;
            let made = run(&test, &id).await;
            assert_eq!((&made["state"], &made["kind"]), (&json!("finished"), &json!(format!("export.{of}"))));
            assert_eq!(made["done"], made["total"], "{made}");
            let answer = file(&test, &id).await;
            assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
            let text = answer.ok();
            let text = text.as_str().unwrap();
            assert!(text.contains(&holds), "{of}: {text}");
            assert_eq!(text.lines().count() as i64, made["done"].as_i64().unwrap() + 1, "{text}");
            // Another day has other rows.
            let other = json!({ "of": of, "from": "2026-01-16", "until": "2026-01-17" });
            let id = staff(&test).await.post("/api/v1/admin/exports", other).await.ok()["id"].clone();
            test.drain_jobs().await;
            assert_eq!(file(&test, id.as_str().unwrap()).await.ok().as_str().unwrap().lines().count(), 1);
        }
        for (from, until) in [("2026-01-16", "2026-01-15"), ("2024-01-01", "2026-01-15")] {
            let wrong = json!({ "of": "users", "from": from, "until": until });
            let problem = staff(&test).await.post("/api/v1/admin/exports", wrong).await;
            assert_eq!(problem.problem(422, "validation_failed")["errors"][0]["pointer"], "/until");
        }
        let kept_ms = backend::limits::BATCH_FILES_KEPT.num_milliseconds().unsigned_abs();
        test.clock.advance_ms(kept_ms + 1_000);
        backend::housekeeping::sweep(&test.app).await.unwrap();
        let newest = staff(&test).await.get("/api/v1/admin/batches?limit=1").await.ok();
        let id = newest["items"][0]["id"].as_str().unwrap().to_owned();
        file(&test, &id).await.problem(404, "batch_file_not_found");
    }
}
