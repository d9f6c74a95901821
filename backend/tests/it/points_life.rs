//! Points live for a year, go in the night after it, and staff give and take them.

use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::{Answer, TestApp};
use backend::points::{self, Source};
use chrono::{DateTime, Utc};
use entities::admin_action_log;
use entities::admin_profile::AdminRole;
use entities::notification;
use entities::points_transaction::{self, PointsTransactionType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 3_600_000;

async fn give(test: &TestApp, rider: &Rider, points: i32, key: &'static str) {
    let user = rider.id;
    let given = test.app.db.write(move |tx| {
        Box::pin(async move { points::award(tx, tx.now(), user, points, Source::Coupon, key).await })
    });
    assert!(given.await.unwrap());
}

async fn spend(test: &TestApp, rider: &Rider, points: i32) {
    let rental = crate::riders::bare_rental(&test.app, rider.id).await;
    let user = rider.id;
    let spent = test.app.db.write(move |tx| {
        Box::pin(async move { points::spend(tx, tx.now(), user, points, rental, &rental.to_string()).await })
    });
    assert!(spent.await.unwrap());
}

/// Lets days and their nights pass.
async fn pass(test: &TestApp, days: u64) {
    for _ in 0..days {
        test.clock.advance_ms(DAY_MS);
        test.drain_jobs().await;
    }
}

async fn balance(test: &TestApp, rider: &Rider) -> (i32, i32) {
    let balance = points::balance(test.app.db.read(), rider.id).await.unwrap();
    (balance.current, balance.total)
}

async fn expired(test: &TestApp, rider: &Rider) -> Vec<i32> {
    let lines = points_transaction::Entity::find()
        .filter(points_transaction::Column::UserId.eq(rider.id))
        .filter(points_transaction::Column::TransactionType.eq(PointsTransactionType::Expired))
        .order_by_asc(points_transaction::Column::Id)
        .all(test.app.db.read())
        .await
        .unwrap();
    lines.into_iter().map(|line| line.amount).collect()
}

async fn set_life(test: &TestApp, days: &str) {
    set(test, "POINTS_EXPIRE_AFTER_DAYS", days).await;
}

async fn set(test: &TestApp, key: &str, days: &str) {
    let staff = test.bearer(staff_token(test, AdminRole::Admin).await);
    let rows = staff.get("/api/v1/admin/app-configs?limit=100").await.ok();
    let rows = rows["items"].as_array().unwrap().clone();
    let row = rows.iter().find(|row| row["config_key"] == key).unwrap();
    let path = format!("/api/v1/admin/app-configs/{}", row["id"].as_str().unwrap());
    let change = json!({
        "config_key": key, "config_value": days, "data_type": "integer", "is_active": true,
    });
    staff.put(&path, change).await.ok();
}

async fn adjust(test: &TestApp, token: &str, rider: &str, key: &str, points: i32) -> Answer {
    let body = json!({ "points": points, "reason": "The station was broken." });
    test.bearer(token).post_once(key, &format!("/api/v1/admin/users/{rider}/points"), body).await
}

#[tokio::test]
async fn what_nobody_spent_goes_in_the_night_after_its_last_day_the_oldest_first() {
    for test in TestApp::on_each_backend().await {
        set_life(&test, "10").await;
        backend::nightly::keep_going(&test.app).await.unwrap();
        let (saver, spender) = (rider(&test.app).await, rider(&test.app).await);
        for rider in [&saver, &spender] {
            give(&test, rider, 100, "the first of them").await;
        }
        let summary = test.bearer(&saver.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(summary["expires_next"]["points"], 100);
        assert_eq!(summary["expires_next"]["at"], "2026-01-25T18:15:00Z", "midnight in Kathmandu");
        pass(&test, 5).await;
        for rider in [&saver, &spender] {
            give(&test, rider, 60, "the second of them").await;
        }
        spend(&test, &spender, 130).await;
        let summary = test.bearer(&spender.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(summary["expires_next"], json!({ "points": 30, "at": "2026-01-30T18:15:00Z" }));
        pass(&test, 5).await;
        assert_eq!(balance(&test, &saver).await, (160, 160), "the last day is not over");
        pass(&test, 1).await;
        assert_eq!(balance(&test, &saver).await, (60, 160), "{}", test.backend());
        assert_eq!(balance(&test, &spender).await, (30, 160), "the spent ones were the oldest");
        pass(&test, 5).await;
        assert_eq!((balance(&test, &saver).await, balance(&test, &spender).await), ((0, 160), (0, 160)));
        assert_eq!((expired(&test, &saver).await, expired(&test, &spender).await), (vec![100, 60], vec![30]));
        let summary = test.bearer(&spender.token).get("/api/v1/points/summary").await.ok();
        let numbers = (&summary["earned"], &summary["spent"], &summary["expired"], &summary["current"]);
        assert_eq!(numbers, (&json!(160), &json!(130), &json!(30), &json!(0)));
        assert_eq!(summary["expires_next"], Value::Null);
        // Nothing is left, and the nights go on.
        pass(&test, 2).await;
        assert_eq!(expired(&test, &saver).await.len(), 2);
    }
}

#[tokio::test]
async fn riders_are_told_of_points_that_end_soon_once_and_in_time() {
    for test in TestApp::on_each_backend().await {
        set_life(&test, "20").await;
        set(&test, "POINTS_EXPIRY_NOTICE_DAYS", "3").await;
        backend::nightly::keep_going(&test.app).await.unwrap();
        let (saver, spender) = (rider(&test.app).await, rider(&test.app).await);
        let notices = async |rider: &Rider| {
            // By the book: who stays away for weeks is signed out.
            let told = notification::Entity::find()
                .filter(notification::Column::UserId.eq(rider.id))
                .filter(notification::Column::Title.eq("Use your points"));
            let told = told.all(test.app.db.read()).await.unwrap();
            told.into_iter().map(|row| row.message).collect::<Vec<_>>()
        };
        // The first ends with 4 February in Kathmandu, the second two days later.
        for rider in [&saver, &spender] {
            give(&test, rider, 100, "the first of them").await;
        }
        pass(&test, 2).await;
        give(&test, &saver, 60, "the second of them").await;
        spend(&test, &spender, 100).await;
        let mut told_on = Vec::new();
        for day in 3..=30 {
            let before = notices(&saver).await.len();
            pass(&test, 1).await;
            if notices(&saver).await.len() > before {
                told_on.push(day);
            }
        }
        assert_eq!(told_on.len(), 1, "{}: {told_on:?}", test.backend());
        assert!((10..=17).contains(&told_on[0]), "{}: {told_on:?}", test.backend());
        let expected = "160 of your points end soon, the first of them after 4 February. Pay your next rental with them.";
        assert_eq!(notices(&saver).await, [expected]);
        assert_eq!(notices(&spender).await, Vec::<String>::new(), "nothing is left that could end");
        assert_eq!(balance(&test, &saver).await.0, 0);
    }
}

#[tokio::test]
async fn nights_that_nobody_worked_are_made_up_for() {
    for test in TestApp::on_each_backend().await {
        set_life(&test, "1").await;
        backend::nightly::keep_going(&test.app).await.unwrap();
        let rider = rider(&test.app).await;
        give(&test, &rider, 10, "of the first day").await;
        test.clock.advance_ms(DAY_MS);
        give(&test, &rider, 20, "of the second day").await;
        test.clock.advance_ms(12 * DAY_MS);
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, (0, 30), "{}", test.backend());
    }
}

#[tokio::test]
async fn points_without_an_end_stay() {
    for test in TestApp::on_each_backend().await {
        set_life(&test, "0").await;
        backend::nightly::keep_going(&test.app).await.unwrap();
        let rider = rider(&test.app).await;
        give(&test, &rider, 10, "for ever").await;
        set_life(&test, "2").await;
        give(&test, &rider, 20, "for a while").await;
        pass(&test, 4).await;
        assert_eq!(balance(&test, &rider).await, (10, 30), "{}", test.backend());
        let summary = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(summary["expires_next"], Value::Null);
    }
}

#[tokio::test]
async fn staff_give_and_take_points_and_the_audit_says_why() {
    for test in TestApp::on_each_backend().await {
        let admin = staff_token(&test, AdminRole::Admin).await;
        let rider = rider(&test.app).await;
        let id = rider.id.to_string();
        let given = adjust(&test, &admin, &id, "the-first-key", 80).await.ok();
        assert_eq!((&given["points"], &given["balance_after"]), (&json!(80), &json!(80)));
        adjust(&test, &admin, &id, "the-first-key", 80).await.ok();
        adjust(&test, &admin, &id, "the-first-key", 81).await.problem(422, "idempotency_key_reused");
        adjust(&test, &admin, &id, "another-key", -81).await.problem(409, "not_enough_points");
        // Lines of one moment have no order between them.
        test.clock.advance_ms(1_000);
        adjust(&test, &admin, &id, "another-key", -30).await.ok();
        assert_eq!(balance(&test, &rider).await, (50, 50), "{}", test.backend());
        test.drain_jobs().await;
        let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1, "what was given is told: {inbox}");

        let path = "/api/v1/points/history?source=staff&transaction_type=adjustment";
        let history = test.bearer(&rider.token).get(path).await.ok();
        let lines: Vec<_> =
            history["items"].as_array().unwrap().iter().map(|line| line["points"].clone()).collect();
        assert_eq!(lines, [json!(30), json!(80)]);
        assert!(history["items"][0].get("metadata").is_none(), "the reason is for staff");
        let seen = test.bearer(&admin).get(&format!("/api/v1/admin/users/{id}/points")).await.ok();
        assert_eq!(seen["items"].as_array().unwrap().len(), 2);
        let path = "/api/v1/points/history?start_date=2026-01-16";
        assert_eq!(test.bearer(&rider.token).get(path).await.ok()["items"], json!([]));

        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let mut notes: Vec<_> = notes.iter().filter(|note| note.action == "points.adjust").collect();
        notes.sort_by_key(|note| note.created_at);
        assert_eq!(notes.len(), 2);
        assert_eq!((&notes[0].target_id, &notes[0].changes["points"]), (&id, &json!([0, 80])));
        for (points, pointer) in [(0, "/points"), (10_001, "/points")] {
            let problem =
                adjust(&test, &admin, &id, "wrong-key", points).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], pointer);
        }
        let nobody = "01890f3e-7cc2-7000-8000-000000000001";
        adjust(&test, &admin, nobody, "nobody-key", 5).await.problem(404, "not_found");
        let myself = entities::admin_profile::Entity::find().one(test.app.db.read()).await.unwrap().unwrap();
        let myself = myself.user_id.to_string();
        adjust(&test, &admin, &myself, "greedy-key", 5).await.problem(403, "own_points");
    }
}

#[tokio::test]
async fn points_of_one_day_end_at_one_moment() {
    let test = TestApp::new().await;
    let rider = rider(&test.app).await;
    give(&test, &rider, 10, "a").await;
    test.clock.advance_ms(3_600_000);
    give(&test, &rider, 10, "b").await;
    let lines = points_transaction::Entity::find().all(test.app.db.read()).await.unwrap();
    let ends: Vec<Option<DateTime<Utc>>> = lines.into_iter().map(|line| line.expires_at).collect();
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0].unwrap().to_rfc3339(), "2027-01-15T18:15:00+00:00");
}
