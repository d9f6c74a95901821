//! Staff write: to one rider, and to all of a segment.

use crate::identity::sign_in;
use crate::riders::{bare_rental, rider};
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::jobs;
use backend::limits::{BROADCAST_AT_ONCE, JOB_LEASE};
use entities::admin_profile::AdminRole;
use entities::id::UserId;
use entities::job::{self, JobState};
use entities::{admin_action_log, notification, notification_rule, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde_json::{Value, json};

const BROADCAST: &str = "/api/v1/admin/broadcast";
const DAY_MS: u64 = 24 * 3_600_000;

fn greeting(segment: &str) -> Value {
    json!({ "title": "Dashain greetings", "message": "All stations stay open.", "segment": segment })
}

/// Riders without a session, quickly.
async fn crowd(test: &TestApp, count: u64) {
    let made = test.app.db.write(move |tx| {
        Box::pin(async move {
            for _ in 0..count {
                let row = user::ActiveModel {
                    id: Set(UserId(tx.new_uuid())),
                    referral_code: Set(tx.random().text("ABCDEFGHJKLMNPQRSTUVWXYZ", 12)),
                    status: Set(user::UserStatus::Active),
                    email_verified: Set(false),
                    phone_verified: Set(false),
                    open_rentals: Set(0),
                    created_at: Set(tx.now()),
                    updated_at: Set(tx.now()),
                    ..Default::default()
                };
                user::Entity::insert(row).exec_without_returning(tx).await?;
            }
            Ok(())
        })
    });
    made.await.unwrap();
}

async fn shown(test: &TestApp, staff: &str, broadcast: &Value) -> Value {
    let path = format!("/api/v1/admin/broadcasts/{}", broadcast["id"].as_str().unwrap());
    test.bearer(staff).get(&path).await.ok()
}

#[tokio::test]
async fn a_broadcast_reaches_everybody_of_its_segment_once() {
    for test in TestApp::on_each_backend().await {
        // Long here and riding; long here and not riding; new.
        let (sita, hari) = (rider(&test.app).await, rider(&test.app).await);
        test.clock.advance_ms(20 * DAY_MS);
        let gita = rider(&test.app).await;
        bare_rental(&test.app, sita.id).await;
        let staff = staff_token(&test, AdminRole::Admin).await;
        for (segment, told) in [
            ("all", [true, true, true]),
            ("active", [true, false, false]),
            ("inactive", [false, true, false]),
            ("new", [false, false, true]),
        ] {
            let key = format!("key-of-{segment}");
            let written = test.bearer(&staff).post_once(&key, BROADCAST, greeting(segment)).await;
            assert_eq!(written.status, 202);
            let written = written.ok();
            let again = test.bearer(&staff).post_once(&key, BROADCAST, greeting(segment)).await.ok();
            assert_eq!(again, written);
            test.drain_jobs().await;
            let shown = shown(&test, &staff, &written).await;
            // The member of staff is a person, too, and new.
            let expected = told.iter().filter(|told| **told).count() + usize::from(told[2]);
            assert_eq!(
                (&shown["state"], &shown["told"]),
                (&json!("done"), &json!(expected)),
                "{segment} {shown}"
            );
            assert_eq!((&shown["total"], &shown["done"]), (&json!(expected), &json!(expected)), "{segment}");
            for (rider, told) in [&sita, &hari, &gita].into_iter().zip(told) {
                let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
                let data = json!({ "broadcast": written["id"] });
                let found =
                    inbox["items"].as_array().unwrap().iter().filter(|item| item["data"] == data).count();
                assert_eq!(found, usize::from(told), "{segment} {inbox}");
            }
        }
        let listed = test.bearer(&staff).get("/api/v1/admin/broadcasts").await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 4);
        let notes = admin_action_log::Entity::find()
            .filter(admin_action_log::Column::Action.eq("notifications.broadcast"));
        assert_eq!(notes.count(test.app.db.read()).await.unwrap(), 4);
    }
}

#[tokio::test]
async fn a_broadcast_goes_on_where_a_dead_process_left_it_and_stops_when_told() {
    for test in TestApp::on_each_backend().await {
        crowd(&test, 2 * BROADCAST_AT_ONCE + 5).await;
        let staff = staff_token(&test, AdminRole::Admin).await;
        let written = test.bearer(&staff).post_once("key-of-one", BROADCAST, greeting("all")).await.ok();
        // Somebody claimed it and died.
        let claimed = test.app.db.write(|tx| {
            Box::pin(async move {
                let running = job::ActiveModel {
                    state: Set(JobState::Running),
                    lease_owner: Set(Some("a process that died".to_owned())),
                    lease_until: Set(Some(tx.now() + JOB_LEASE)),
                    ..Default::default()
                };
                let ours = job::Entity::update_many().set(running);
                ours.filter(job::Column::Queue.eq("notifications.broadcast")).exec(tx).await?;
                Ok(())
            })
        });
        claimed.await.unwrap();
        test.drain_jobs().await;
        assert_eq!(shown(&test, &staff, &written).await["done"], 0);
        test.clock.advance_ms(61_000);
        test.drain_jobs().await;
        let riders = 2 * BROADCAST_AT_ONCE + 5 + 1;
        let through = shown(&test, &staff, &written).await;
        assert_eq!((&through["state"], &through["told"]), (&json!("done"), &json!(riders)));
        let told = notification::Entity::find().filter(notification::Column::Title.eq("Dashain greetings"));
        assert_eq!(told.count(test.app.db.read()).await.unwrap(), riders);

        let other = test.bearer(&staff).post_once("key-of-two", BROADCAST, greeting("all")).await.ok();
        let stop = format!("/api/v1/admin/broadcasts/{}/stop", other["id"].as_str().unwrap());
        assert_eq!(test.bearer(&staff).post(&stop, json!({})).await.ok()["state"], "stopped");
        assert_eq!(test.bearer(&staff).post(&stop, json!({})).await.ok()["state"], "stopped");
        jobs::drain_due(&test.app).await.unwrap();
        assert_eq!(shown(&test, &staff, &other).await["told"], 0);
    }
}

#[tokio::test]
async fn a_broadcast_is_checked_and_not_for_moderators() {
    for test in TestApp::on_each_backend().await {
        let staff = staff_token(&test, AdminRole::Admin).await;
        let caller = test.bearer(&staff);
        for (field, value) in [
            ("title", json!("  ")),
            ("title", json!("x".repeat(121))),
            ("message", json!("")),
            ("message", json!("a\u{0}b")),
            ("segment", json!("premium")),
            ("more", json!(1)),
        ] {
            let mut wrong = greeting("all");
            wrong[field] = value;
            let problem = caller.post_once("a-key-of-ours", BROADCAST, wrong).await;
            let problem = problem.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
        }
        caller.post(BROADCAST, greeting("all")).await.problem(400, "idempotency_key_missing");
        let nobody = "/api/v1/admin/broadcasts/00000000-0000-7000-8000-000000000000";
        caller.get(nobody).await.problem(404, "not_found");
        caller.post(&format!("{nobody}/stop"), json!({})).await.problem(404, "not_found");
        let sita = rider(&test.app).await;
        let hers = test.bearer(&sita.token);
        hers.post_once("a-key-of-hers", BROADCAST, greeting("all")).await.problem(401, "unauthenticated");
    }
    let test = TestApp::new().await;
    let moderator = staff_token(&test, AdminRole::Moderator).await;
    let refused = test.bearer(&moderator).post_once("a-key-of-ours", BROADCAST, greeting("all")).await;
    refused.problem(403, "forbidden");
    assert!(test.bearer(&moderator).get("/api/v1/admin/broadcasts").await.ok()["items"].is_array());
}

#[tokio::test]
async fn staff_write_to_one_rider_and_to_nobody_else() {
    for test in TestApp::on_each_backend().await {
        let (sita, hari) = (rider(&test.app).await, rider(&test.app).await);
        let staff = staff_token(&test, AdminRole::Moderator).await;
        let caller = test.bearer(&staff);
        let path = format!("/api/v1/admin/users/{}/notice", sita.id);
        let notice = json!({ "title": "We found your cable", "message": "It waits at Thamel Chowk." });
        for _ in 0..2 {
            let written = caller.post_once("key-of-cable", &path, notice.clone()).await;
            assert_eq!(written.status, 201);
            assert_eq!(written.ok()["user_id"], sita.id.to_string());
        }
        let inbox = test.bearer(&sita.token).get("/api/v1/notifications").await.ok();
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1);
        assert_eq!(inbox["items"][0]["message"], "It waits at Thamel Chowk.");
        assert_eq!(test.bearer(&hari.token).get("/api/v1/notifications").await.ok()["unread"], 0);
        let nobody = "/api/v1/admin/users/00000000-0000-7000-8000-000000000000/notice";
        caller.post_once("key-of-nobody", nobody, notice.clone()).await.problem(404, "not_found");
        let off = test.app.db.write(|tx| {
            Box::pin(async move {
                let rule = notification_rule::Entity::update_many()
                    .col_expr(notification_rule::Column::SendInApp, Expr::value(false))
                    .filter(notification_rule::Column::NotificationType.eq("admin_notices"));
                rule.exec(tx).await?;
                Ok(())
            })
        });
        off.await.unwrap();
        caller.post_once("another-key", &path, notice).await.problem(409, "notices_switched_off");
    }
}

#[tokio::test]
async fn an_incomplete_profile_is_reminded_of_after_a_day_a_week_and_a_month() {
    for test in TestApp::on_each_backend().await {
        sign_in(&test, "+9779841000001").await;
        let hari = sign_in(&test, "+9779841000002").await["access_token"].as_str().unwrap().to_owned();
        let profile = json!({ "first_name": "Hari", "last_name": "Thapa", "city": "Patan", "date_of_birth": "1999-03-03" });
        test.bearer(&hari).put("/api/v1/users/profile", profile).await.ok();
        backend::notifications::profile_reminder::keep_going(&test.app).await.unwrap();
        let (mut reminded, mut all) = (Vec::new(), 0);
        for day in 0..=40 {
            test.drain_jobs().await;
            let told = notification::Entity::find()
                .filter(notification::Column::Title.eq("Your profile is almost complete"))
                .count(test.app.db.read())
                .await
                .unwrap();
            if told > all {
                reminded.push(day);
            }
            all = told;
            test.clock.advance_ms(DAY_MS);
        }
        // The test begins at ten; an hour later the riders of the day before are reminded.
        assert_eq!((reminded.as_slice(), all), ([2, 8, 31].as_slice(), 3), "{}", test.backend());
    }
}
