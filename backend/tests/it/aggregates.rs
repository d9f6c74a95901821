//! What days come to: counted at night, and again when late news arrive.

use crate::achievements::complete;
use crate::riders::rider;
use crate::staff::staff_token;
use crate::test_app::TestApp;
use entities::admin_profile::AdminRole;
use entities::rental;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 3_600_000;

async fn sums(test: &TestApp, query: &str) -> Value {
    let staff = test.bearer(staff_token(test, AdminRole::Admin).await);
    let path = format!("/api/v1/admin/aggregates?from=2026-01-14&until=2026-01-20&{query}");
    staff.get(&path).await.ok()["items"].clone()
}

/// Day and count of each.
fn counts(sums: &Value) -> Vec<(String, i64)> {
    let count = |item: &Value| (item["day"].as_str().unwrap().to_owned(), item["count"].as_i64().unwrap());
    sums.as_array().unwrap().iter().map(count).collect()
}

#[tokio::test]
async fn every_night_the_day_that_ended_is_added_up() {
    for test in TestApp::on_each_backend().await {
        backend::nightly::keep_going(&test.app).await.unwrap();
        let rider = rider(&test.app).await;
        complete(&test, &rider, true, 1).await;
        complete(&test, &rider, true, 1).await;
        let opened = crate::payments::open(&test, &rider, "500.00").await;
        crate::payments::press(&test, &opened.page, "pay").await;
        crate::payments::verify(&test, &rider, &opened.intent_id).await.ok();
        assert_eq!(sums(&test, "kind=rentals_started").await, json!([]), "the day is not over");
        test.clock.advance_ms(DAY_MS);
        test.drain_jobs().await;
        let day = |count: i64| ("2026-01-15".to_owned(), count);
        for (kind, count, amount) in [
            ("rentals_started", 2, "0.00"),
            ("rentals_completed", 2, "100.00"),
            ("rentals_late", 0, "0.00"),
            ("rentals_cancelled", 0, "0.00"),
            ("active_riders", 1, "0.00"),
            ("topups", 1, "500.00"),
            ("refunds", 0, "0.00"),
        ] {
            let found = sums(&test, &format!("kind={kind}")).await;
            let of_day: Vec<_> = counts(&found).into_iter().filter(|(day, _)| day == "2026-01-15").collect();
            assert_eq!(of_day, [day(count)], "{} {kind}", test.backend());
            let item = found.as_array().unwrap().iter().find(|item| item["day"] == "2026-01-15").unwrap();
            assert_eq!(item["amount"]["amount"], amount, "{kind}");
        }
        let station = rental::Entity::find().one(test.app.db.read()).await.unwrap().unwrap().station_id;
        let of_station = sums(&test, &format!("kind=rentals_completed&station={station}")).await;
        assert_eq!(counts(&of_station), [day(1)], "each of them began at a station of its own");

        // A station that was away tells of a return the day before, and staff have the day counted again.
        complete(&test, &rider, false, 1).await;
        let yesterday = test.app.clock.now() - chrono::TimeDelta::days(1);
        let written = test.app.db.write(move |tx| {
            Box::pin(async move {
                rental::Entity::update_many()
                    .col_expr(rental::Column::EndedAt, Expr::val(yesterday))
                    .filter(rental::Column::EndedAt.gt(yesterday))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        });
        written.await.unwrap();
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let path = "/api/v1/admin/aggregates";
        let today = staff.post(path, json!({ "day": "2026-01-16" })).await;
        assert_eq!(today.problem(422, "validation_failed")["errors"][0]["pointer"], "/day");
        assert_eq!(staff.post(path, json!({ "day": "2026-01-15" })).await.status, 202);
        test.drain_jobs().await;
        let again = counts(&sums(&test, "kind=rentals_completed").await);
        assert!(again.contains(&day(3)), "{}: {again:?}", test.backend());
        let moderator = crate::permissions::token_of(&test, AdminRole::Moderator).await;
        let path = "/api/v1/admin/aggregates?from=2026-01-14&until=2026-01-20&kind=topups";
        test.bearer(moderator).get(path).await.problem(403, "forbidden");
    }
}
