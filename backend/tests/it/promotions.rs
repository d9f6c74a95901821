//! Coupons: a code gives its points as often as it may, whoever comes at once, and nobody finds one by trying.

use crate::identity::sign_in;
use crate::permissions::token_of;
use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::test_app::{Answer, Caller, TestApp};
use backend::limits;
use entities::admin_profile::AdminRole;
use entities::{admin_action_log, coupon, coupon_usage, points_transaction};
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

const COUPONS: &str = "/api/v1/admin/coupons";

fn coupon(code: &str) -> Value {
    json!({
        "code": code, "name": "Welcome", "points_value": 50, "max_uses_per_user": 1, "max_uses": null, "is_public": true,
        "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-02-01T00:00:00Z", "status": "active",
    })
}

fn with(code: &str, change: Value) -> Value {
    let mut fields = coupon(code);
    for (name, value) in change.as_object().unwrap() {
        fields[name] = value.clone();
    }
    fields
}

async fn staff(test: &TestApp) -> Caller<'_> {
    test.bearer(staff_token(test, AdminRole::Admin).await)
}

async fn apply(test: &TestApp, rider: &Rider, key: &str, code: &str) -> Answer {
    let body = json!({ "coupon_code": code });
    test.bearer(&rider.token).post_once(key, "/api/v1/promotions/coupons/apply", body).await
}

async fn points(test: &TestApp, rider: &Rider) -> i64 {
    let summary = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
    summary["current"].as_i64().unwrap()
}

#[tokio::test]
async fn a_coupon_gives_its_points_once_and_the_rider_sees_it() {
    for test in TestApp::on_each_backend().await {
        let made = staff(&test).await.post(COUPONS, coupon("welcome51")).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let made = made.ok();
        assert_eq!((&made["code"], &made["uses"]), (&json!("WELCOME51"), &json!(0)));
        let shown = test.anonymous().get("/api/v1/promotions/coupons/active").await.ok();
        assert_eq!(shown["items"][0]["code"], "WELCOME51");

        let rider = rider(&test.app).await;
        let applied = apply(&test, &rider, "the-first-key", "Welcome51").await;
        assert_eq!(applied.headers["idempotency-replayed"], "false");
        let applied = applied.ok();
        assert_eq!((&applied["points_awarded"], &applied["points_balance"]), (&json!(50), &json!(50)));
        let again = apply(&test, &rider, "the-first-key", "WELCOME51").await;
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!(again.ok(), applied);
        apply(&test, &rider, "another-key", "WELCOME51").await.problem(409, "coupon_already_used");
        assert_eq!(points(&test, &rider).await, 50, "{}", test.backend());

        let mine = test.bearer(&rider.token).get("/api/v1/promotions/coupons/my").await.ok();
        assert_eq!(mine["items"].as_array().unwrap().len(), 1);
        assert_eq!(mine["items"][0]["coupon_code"], "WELCOME51");
        assert_eq!(mine["items"][0]["points_awarded"], applied["points_awarded"]);
        let usages = format!("{COUPONS}/{}/usages", made["id"].as_str().unwrap());
        let usages = staff(&test).await.get(&usages).await.ok();
        assert_eq!(usages["items"][0]["user_id"], rider.id.to_string());
        assert_eq!(usages["items"][0]["points_awarded"], 50);
        let line = usages["items"][0]["points_transaction_id"].as_str().unwrap().parse().unwrap();
        let line = points_transaction::Entity::find_by_id::<entities::id::PointsTransactionId>(line);
        assert_eq!(line.one(test.app.db.read()).await.unwrap().unwrap().amount, 50);
        test.drain_jobs().await;
        let inbox = test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1, "the rider is told: {inbox}");
    }
}

#[tokio::test]
async fn a_coupon_has_its_time_its_switch_and_its_bounds() {
    for test in TestApp::on_each_backend().await {
        let staff = staff(&test).await;
        let rider = rider(&test.app).await;
        for (code, change, status, refusal) in [
            ("COMING", json!({ "valid_from": "2026-01-20T00:00:00Z" }), 404, "coupon_not_found"),
            ("SWITCHED-OFF", json!({ "status": "inactive" }), 404, "coupon_not_found"),
            (
                "GONE",
                json!({ "valid_from": "2025-01-01T00:00:00Z", "valid_until": "2026-01-10T00:00:00Z" }),
                409,
                "coupon_expired",
            ),
        ] {
            staff.post(COUPONS, with(code, change)).await.ok();
            apply(&test, &rider, "a-key-of-mine", code).await.problem(status, refusal);
        }
        apply(&test, &rider, "a-key-of-mine", "UNKNOWN").await.problem(404, "coupon_not_found");
        assert_eq!(points(&test, &rider).await, 0, "{}", test.backend());
        let shown = test.anonymous().get("/api/v1/promotions/coupons/active").await.ok();
        assert_eq!(shown["items"], json!([]), "none of these can be used");
        // The same key is free: nothing happened under it. Its time comes.
        test.clock.advance_ms(6 * 24 * 3_600_000);
        assert_eq!(apply(&test, &rider, "a-key-of-mine", "COMING").await.ok()["points_awarded"], 50);
        test.clock.advance_ms(20 * 24 * 3_600_000);
        apply(&test, &rider, "another-key", "COMING").await.problem(409, "coupon_expired");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_uses_a_coupon_as_often_as_it_may_and_no_oftener() {
    for test in TestApp::on_each_backend().await {
        let staff = staff(&test).await;
        staff.post(COUPONS, with("FESTIVAL", json!({ "max_uses": 5, "max_uses_per_user": 2 }))).await.ok();
        let riders = join_all((0..8).map(|_| rider(&test.app))).await;
        let asked = (0..40).map(|number| {
            let (test, rider) = (&test, &riders[number % riders.len()]);
            async move {
                crate::crowds::insist(|| {
                    let key = format!("key-number-{number}");
                    async move { apply(test, rider, &key, "FESTIVAL").await }
                })
                .await
            }
        });
        let answers = join_all(asked).await;
        let given = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(given, 5, "{}", test.backend());
        let row = coupon::Entity::find().one(test.app.db.read()).await.unwrap().unwrap();
        assert_eq!(row.uses, 5);
        let mut total = 0;
        for rider in &riders {
            let used = coupon_usage::Entity::find().filter(coupon_usage::Column::UserId.eq(rider.id));
            let used = used.count(test.app.db.read()).await.unwrap();
            assert!(used <= 2, "{used} uses of one rider");
            assert_eq!(points(&test, rider).await, i64::try_from(used).unwrap() * 50);
            total += used;
        }
        assert_eq!(total, 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_rider_in_a_hurry_uses_a_coupon_once() {
    for test in TestApp::on_each_backend().await {
        staff(&test).await.post(COUPONS, coupon("WELCOME51")).await.ok();
        let rider = rider(&test.app).await;
        let asked = (0..20).map(|number| {
            let (test, rider) = (&test, &rider);
            async move {
                let key = format!("key-number-{number}");
                let answer = crate::crowds::insist(|| apply(test, rider, &key, "WELCOME51")).await;
                answer.status.as_u16()
            }
        });
        let answers = join_all(asked).await;
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        assert_eq!(points(&test, &rider).await, 50, "{}", test.backend());
    }
}

#[tokio::test]
async fn who_tries_codes_is_stopped_and_who_knows_one_is_not() {
    for test in TestApp::on_each_backend().await {
        staff(&test).await.post(COUPONS, with("WELCOME51", json!({ "max_uses_per_user": 100 }))).await.ok();
        let (guesser, honest) = (rider(&test.app).await, rider(&test.app).await);
        for number in 0..limits::COUPON_GUESSES_BURST.get() {
            let code = format!("GUESS-{number}");
            apply(&test, &guesser, "guessing-key", &code).await.problem(404, "coupon_not_found");
        }
        let stopped = apply(&test, &guesser, "guessing-key", "GUESS-LAST").await;
        assert!(stopped.headers.contains_key("retry-after"));
        stopped.problem(429, "rate_limited");
        apply(&test, &guesser, "guessing-key", "WELCOME51").await.problem(429, "rate_limited");
        for number in 0..3 * limits::COUPON_GUESSES_BURST.get() {
            apply(&test, &honest, &format!("honest-key-{number}"), "WELCOME51").await.ok();
        }
        test.clock.advance_ms(limits::COUPON_GUESS_EVERY.as_millis() as u64 + 1_000);
        apply(&test, &guesser, "guessing-key", "WELCOME51").await.ok();
    }
}

#[tokio::test]
async fn staff_make_find_and_change_coupons_and_moderators_only_look() {
    for test in TestApp::on_each_backend().await {
        let admin = staff(&test).await;
        let made = admin.post(COUPONS, coupon("WELCOME51")).await.ok();
        let path = format!("{COUPONS}/{}", made["id"].as_str().unwrap());
        let taken = admin.post(COUPONS, coupon("welcome51")).await.problem(409, "coupon_code_taken");
        assert_eq!(taken["errors"][0]["pointer"], "/code");
        for (field, value) in [
            ("code", json!("a b c d")),
            ("name", json!(" ")),
            ("name", json!("NUL\u{0}")),
            ("points_value", json!(0)),
            ("points_value", json!(10_001)),
            ("max_uses_per_user", json!(0)),
            ("max_uses", json!(0)),
            ("valid_until", json!("2026-01-01T00:00:00Z")),
            ("status", json!("expired")),
        ] {
            let wrong = with("OTHER1", json!({ field: value }));
            let problem = admin.post(COUPONS, wrong).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
        }
        let renamed = admin.put(&path, coupon("ANOTHER")).await.problem(422, "validation_failed");
        assert_eq!(renamed["errors"][0]["pointer"], "/code");
        let (first, second) = (rider(&test.app).await, rider(&test.app).await);
        apply(&test, &first, "key-of-first", "WELCOME51").await.ok();
        apply(&test, &second, "key-of-second", "WELCOME51").await.ok();
        let below = with("WELCOME51", json!({ "max_uses": 1 }));
        admin.put(&path, below).await.problem(409, "coupon_limit_below_uses");
        let change = with("WELCOME51", json!({ "max_uses": 2, "points_value": 70, "status": "inactive" }));
        let changed = admin.put(&path, change).await.ok();
        assert_eq!((&changed["uses"], &changed["points_value"]), (&json!(2), &json!(70)));
        assert_eq!(admin.get(&path).await.ok(), changed);
        let listed = admin.get(&format!("{COUPONS}?status=inactive&code=welcome51")).await.ok();
        assert_eq!(listed["items"], json!([changed]));
        assert_eq!(admin.get(&format!("{COUPONS}?status=active")).await.ok()["items"], json!([]));
        let unknown = format!("{COUPONS}/01890f3e-7cc2-7000-8000-000000000001");
        admin.get(&unknown).await.problem(404, "coupon_not_found");
        admin.get(&format!("{unknown}/usages")).await.problem(404, "coupon_not_found");
        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let actions: Vec<_> = notes.iter().map(|note| note.action.as_str()).collect();
        assert_eq!(actions, ["coupon.create", "coupon.update"]);
    }
}

#[tokio::test]
async fn moderators_see_no_secret_code_and_staff_use_none() {
    for test in TestApp::on_each_backend().await {
        let admin = test.bearer(token_of(&test, AdminRole::Admin).await);
        let secret = admin.post(COUPONS, with("FRIENDS-7Q4X", json!({ "is_public": false }))).await.ok();
        admin.post(COUPONS, coupon("WELCOME51")).await.ok();
        let path = format!("{COUPONS}/{}", secret["id"].as_str().unwrap());
        assert_eq!(admin.get(&path).await.ok()["code"], "FRIENDS-7Q4X");

        let moderator = test.bearer(token_of(&test, AdminRole::Moderator).await);
        moderator.post(COUPONS, coupon("ANOTHER")).await.problem(403, "forbidden");
        assert_eq!(moderator.get(&path).await.ok()["code"], "---------Q4X");
        let listed = moderator.get(COUPONS).await.ok();
        let codes: Vec<_> = listed["items"].as_array().unwrap().iter().map(|row| &row["code"]).collect();
        assert_eq!(codes, [&json!("WELCOME51"), &json!("---------Q4X")], "{}", test.backend());
        let found = async |staff: &Caller<'_>, code: &str| {
            let listed = staff.get(&format!("{COUPONS}?code={code}")).await.ok();
            listed["items"].as_array().unwrap().len()
        };
        assert_eq!(found(&moderator, "FRIENDS-7Q4X").await, 0, "a filter tells nothing, either");
        assert_eq!(found(&moderator, "WELCOME51").await, 1);
        assert_eq!(found(&admin, "FRIENDS-7Q4X").await, 1);

        // The same person with the rider's app.
        let as_rider = sign_in(&test, "moderator@chautari.example").await;
        let as_rider = Rider {
            id: as_rider["user"]["id"].as_str().unwrap().parse().unwrap(),
            token: as_rider["access_token"].as_str().unwrap().to_owned(),
        };
        for code in ["FRIENDS-7Q4X", "WELCOME51", "UNKNOWN"] {
            apply(&test, &as_rider, "a-key-of-mine", code).await.problem(403, "coupon_for_riders");
        }
        assert_eq!(coupon_usage::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
    }
}
