//! Goals and the leaderboard: what a rider sees of what they earned, and of the others.

use crate::riders::{Rider, rider};
use crate::test_app::TestApp;
use entities::user::UserStatus;
use entities::{user, user_achievement, user_leaderboard};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

async fn give(test: &TestApp, rider: &Rider, points: i32, key: &'static str) {
    let user = rider.id;
    let given = test.app.db.write(move |tx| {
        Box::pin(async move {
            backend::points::award(tx, tx.now(), user, points, backend::points::Source::Staff, key).await
        })
    });
    given.await.unwrap();
}

async fn call(test: &TestApp, rider: &Rider, name: &str) {
    let (user, name) = (rider.id, name.to_owned());
    let called = test.app.db.write(move |tx| {
        let name = name.clone();
        Box::pin(async move {
            user::Entity::update_many()
                .col_expr(user::Column::Username, Expr::val(name))
                .filter(user::Column::Id.eq(user))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    called.await.unwrap();
}

async fn board(test: &TestApp, rider: &Rider, query: &str) -> Value {
    // Another process may have written: the list is at most half a minute old.
    test.clock.advance_ms(30_000);
    test.bearer(&rider.token).get(&format!("/api/v1/social/leaderboard{query}")).await.ok()
}

fn places(board: &Value) -> Vec<(i64, &str, i64)> {
    let place =
        |item: &'_ Value| (item["rank"].as_i64().unwrap(), item["total_points_earned"].as_i64().unwrap());
    let items = board["items"].as_array().unwrap().iter();
    items.map(|item| (place(item).0, item["name"].as_str().unwrap(), place(item).1)).collect()
}

#[tokio::test]
async fn riders_stand_by_their_points_and_equals_share_a_place() {
    for test in TestApp::on_each_backend().await {
        let mut riders = Vec::new();
        for (name, points) in [("asha", 70), ("bina", 50), ("chandra", 50), ("dipa", 10)] {
            let rider = rider(&test.app).await;
            call(&test, &rider, name).await;
            give(&test, &rider, points, "first").await;
            riders.push(rider);
        }
        let nobody = rider(&test.app).await;
        test.drain_jobs().await;
        let seen = board(&test, &riders[3], "?me=true").await;
        let mut expected = places(&seen);
        expected.sort_unstable();
        assert_eq!(
            expected,
            [(1, "asha", 70), (2, "bina", 50), (2, "chandra", 50), (4, "dipa", 10)],
            "{}",
            test.backend()
        );
        assert_eq!((&seen["me"]["rank"], &seen["me"]["name"]), (&json!(4), &json!("dipa")));
        assert!(
            board(&test, &nobody, "?me=true").await.get("me").is_none(),
            "who earned nothing has no place"
        );
        assert!(board(&test, &riders[0], "").await.get("me").is_none(), "not asked for");

        give(&test, &riders[3], 100, "second").await;
        test.drain_jobs().await;
        let seen = board(&test, &riders[0], "?me=true&limit=1").await;
        assert_eq!(places(&seen), [(1, "dipa", 110)], "{}", test.backend());
        assert_eq!(seen["me"]["rank"], 2, "{}", test.backend());

        ban(&test, &riders[3]).await;
        let seen = board(&test, &riders[0], "?me=true&limit=1").await;
        assert_eq!((places(&seen), &seen["me"]["rank"]), (vec![(1, "asha", 70)], &json!(1)));
    }
}

async fn ban(test: &TestApp, rider: &Rider) {
    let user = rider.id;
    let banned = test.app.db.write(move |tx| {
        Box::pin(async move {
            user::Entity::update_many()
                .col_expr(user::Column::Status, Expr::val(UserStatus::Banned.as_str()))
                .filter(user::Column::Id.eq(user))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    banned.await.unwrap();
}

#[tokio::test]
async fn a_numbering_reaches_everybody_in_steps_and_happens_once_a_quarter() {
    for test in TestApp::on_each_backend().await {
        let crowd = backend::limits::RANKED_AT_ONCE as i32 + 20;
        let mut riders = Vec::new();
        for number in 0..crowd {
            let rider = rider(&test.app).await;
            give(&test, &rider, 10 + number / 2, "first").await;
            riders.push(rider);
        }
        test.drain_jobs().await;
        let rows = || async { user_leaderboard::Entity::find().all(test.app.db.read()).await.unwrap() };
        assert!(rows().await.iter().all(|row| row.rank == 0), "{}: not yet", test.backend());
        test.clock.advance_ms(15 * 60 * 1_000);
        let jobs = test.drain_jobs().await;
        assert!(jobs <= 3, "{}: {jobs} jobs for one numbering", test.backend());
        let rows = rows().await;
        for row in &rows {
            let better =
                rows.iter().filter(|other| other.total_points_earned > row.total_points_earned).count();
            assert_eq!(row.rank as usize, better + 1, "{}", test.backend());
        }
        assert_eq!(rows.len(), crowd as usize);
    }
}

#[tokio::test]
async fn a_rental_counts_once_however_often_it_is_told() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        crate::achievements::complete(&test, &rider, true, 3).await;
        crate::achievements::complete(&test, &rider, false, 1).await;
        let seen = board(&test, &rider, "?category=rentals&me=true").await;
        assert_eq!((&seen["me"]["total_rentals"], &seen["me"]["timely_returns"]), (&json!(2), &json!(1)));
        assert_eq!(seen["items"][0]["rank"], 1);
        assert_eq!(seen["items"][0]["name"], "Rider", "no telephone number is ever shown");
        let timely = board(&test, &rider, "?category=timely_returns").await;
        assert_eq!(timely["items"][0]["timely_returns"], 1);
        assert_eq!(board(&test, &rider, "?category=referrals").await["items"], json!([]));
        let caller = test.bearer(&rider.token);
        caller.get("/api/v1/social/leaderboard?category=looks").await.problem(422, "validation_failed");
        caller.get("/api/v1/social/leaderboard?limit=101").await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_rider_sees_how_far_every_goal_is() {
    for test in TestApp::on_each_backend().await {
        let (rider, other) = (rider(&test.app).await, rider(&test.app).await);
        let goals =
            async |rider: &Rider| test.bearer(&rider.token).get("/api/v1/social/achievements").await.ok();
        assert_eq!(goals(&rider).await["unlocked"], 0);
        for _ in 0..3 {
            crate::achievements::complete(&test, &rider, true, 1).await;
        }
        let seen = goals(&rider).await;
        let goal = |name: &str| {
            let found = seen["items"].as_array().unwrap().iter().find(|goal| goal["name"] == name);
            found.unwrap().clone()
        };
        let first = goal("First Rental");
        assert_eq!(
            (&first["is_unlocked"], &first["current_progress"], &first["points_awarded"]),
            (&json!(true), &json!(1), &json!(50))
        );
        assert!(first["unlocked_at"].is_string());
        let master = goal("Rental Master");
        assert_eq!(
            (&master["is_unlocked"], &master["current_progress"], &master["criteria_value"]),
            (&json!(false), &json!(3), &json!(10))
        );
        assert_eq!(goal("Punctual User")["current_progress"], 3);
        assert_eq!(
            (&seen["unlocked"], &seen["points_awarded"]),
            (&json!(1), &json!(50)),
            "{}",
            test.backend()
        );
        assert_eq!(goals(&other).await["unlocked"], 0, "another rider's progress is not shown");
        let mine = user_achievement::Entity::find().all(test.app.db.read()).await.unwrap();
        assert!(mine.iter().all(|row| row.user_id == rider.id));
    }
}
