//! Goals are reached by riding, and rewarded once.

use crate::riders::{Rider, bare_rental, rider};
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::news;
use backend::rentals::News;
use entities::admin_profile::AdminRole;
use entities::rental::{self, RentalStatus};
use entities::user_achievement;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

/// A rental that is over, and the news of it as often as a job may bring it.
pub(crate) async fn complete(test: &TestApp, rider: &Rider, on_time: bool, told: usize) {
    let (user, id) = (rider.id, bare_rental(&test.app, rider.id).await);
    let written = test.app.db.write(move |tx| {
        Box::pin(async move {
            rental::Entity::update_many()
                .col_expr(rental::Column::Status, Expr::val(RentalStatus::Completed))
                .col_expr(rental::Column::StartedAt, Expr::val(tx.now()))
                .col_expr(rental::Column::EndedAt, Expr::val(tx.now()))
                .col_expr(rental::Column::AmountPaidPaisa, Expr::val(5_000))
                .col_expr(rental::Column::IsReturnedOnTime, Expr::val(on_time))
                .filter(rental::Column::Id.eq(id))
                .exec(tx)
                .await?;
            let completed = serde_json::from_value::<News>(json!({
                "news": "completed", "rental": id, "user": user, "code": "R1", "station": null,
                "station_name": "our office", "total_paisa": 5_000, "due_paisa": 0, "on_time": on_time,
            }))?;
            for _ in 0..told {
                news::publish(tx, &completed).await?;
            }
            Ok(())
        })
    });
    written.await.unwrap();
    test.drain_jobs().await;
}

async fn unlocked(test: &TestApp) -> Vec<i32> {
    let rows = user_achievement::Entity::find()
        .filter(user_achievement::Column::IsUnlocked.eq(true))
        .all(test.app.db.read())
        .await
        .unwrap();
    let mut points: Vec<i32> = rows.into_iter().filter_map(|row| row.points_awarded).collect();
    points.sort_unstable();
    points
}

#[tokio::test]
async fn the_first_rental_and_the_fifth_timely_return_are_rewarded_once() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        complete(&test, &rider, true, 3).await;
        assert_eq!(unlocked(&test).await, [50], "{}", test.backend());
        for _ in 0..3 {
            complete(&test, &rider, true, 1).await;
        }
        complete(&test, &rider, false, 1).await;
        assert_eq!(unlocked(&test).await, [50], "{}", test.backend());
        complete(&test, &rider, true, 2).await;
        assert_eq!(unlocked(&test).await, [50, 100], "{}", test.backend());
        let summary = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(summary["by_source"]["achievement"], 150);
        let inbox = test.bearer(&rider.token).get("/api/v1/notifications?limit=100").await.ok();
        let titles = inbox["items"].as_array().unwrap().iter().map(|item| item["title"].clone());
        let reached: Vec<_> =
            titles.filter(|title| title == "First Rental" || title == "Punctual User").collect();
        assert_eq!(reached.len(), 2, "{inbox}");
    }
}

#[tokio::test]
async fn staff_see_what_came_of_every_goal() {
    for test in TestApp::on_each_backend().await {
        let (punctual, late) = (rider(&test.app).await, rider(&test.app).await);
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let seen = async || staff.get("/api/v1/admin/achievements/analytics").await.ok();
        let numbers = |seen: &serde_json::Value, name: &str| {
            let goal = seen["items"].as_array().unwrap().iter().find(|goal| goal["name"] == name).cloned();
            let goal = goal.unwrap();
            json!([goal["unlocked"], goal["in_progress"], goal["points_awarded"]])
        };
        assert_eq!(numbers(&seen().await, "First Rental"), json!([0, 0, 0]));
        complete(&test, &punctual, true, 2).await;
        complete(&test, &punctual, true, 1).await;
        complete(&test, &late, false, 1).await;
        let after = seen().await;
        assert_eq!(numbers(&after, "First Rental"), json!([2, 0, 100]), "{}", test.backend());
        assert_eq!(numbers(&after, "Rental Master"), json!([0, 2, 0]), "{}", test.backend());
        assert_eq!(numbers(&after, "Punctual User"), json!([0, 1, 0]), "{}", test.backend());
        assert_eq!(after["points_awarded"], 100);
        test.bearer(&late.token)
            .get("/api/v1/admin/achievements/analytics")
            .await
            .problem(401, "unauthenticated");
    }
}
