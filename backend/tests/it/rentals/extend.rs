//! More time, bought before the old one is over; and the reminder before it is.

use super::world::{ONE_HOUR, Rider, World};
use crate::test_app::Answer;
use chrono::TimeDelta;
use entities::id::RentalId;
use entities::rental::RentalStatus;
use entities::rental_extension;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

impl World {
    pub(super) async fn extend(&self, rider: &Rider, id: RentalId, key: &str, more: Value) -> Answer {
        let mut body = json!({ "package_id": ONE_HOUR, "payment_mode": "wallet" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let path = format!("/api/v1/rentals/{id}/extend");
        self.test.bearer(&rider.token).post_once(&format!("extend-{key}"), &path, body).await
    }

    /// Titles of what the rider was told, newest first.
    pub(super) async fn told(&self, rider: &Rider) -> Vec<String> {
        let listed = self.test.bearer(&rider.token).get("/api/v1/notifications?limit=100").await.ok();
        let items = listed["items"].as_array().unwrap().iter();
        items.map(|item| item["title"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn more_time_is_bought_three_times_and_the_bill_is_what_was_said() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let (rider, stranger) = (world.rider(210).await, world.rider(500).await);
        let id = world.start(&rider, "A").await;
        world.extend(&rider, id, "too-early", json!({})).await.problem(409, "rental_not_started");
        world.verdict(id, protocol::control::Verdict::Done).await;
        let due_at = world.rental(id).await.due_at;
        world.extend(&stranger, id, "not-mine", json!({})).await.problem(404, "rental_not_found");

        let longer = world.extend(&rider, id, "first-hour", json!({})).await.ok();
        assert_eq!(
            (&longer["extensions"][0]["minutes"], &longer["hold"]["amount"]),
            (&json!(60), &json!("100.00"))
        );
        assert_eq!(world.rental(id).await.due_at, due_at + TimeDelta::hours(1));
        assert_eq!(world.money(&rider).await, (11_000, 10_000));
        // The same request again is the same hour.
        let again = world.extend(&rider, id, "first-hour", json!({})).await;
        assert_eq!(
            (&again.headers["idempotency-replayed"], &again.body),
            (&"true".parse().unwrap(), &longer)
        );
        world.extend(&rider, id, "second-hour", json!({})).await.ok();
        world.all_books_agree().await;

        // Running already: paid from nowhere it is refused, and leaves nothing behind.
        let direct = json!({ "payment_mode": "direct" });
        world.extend(&rider, id, "direct", direct).await.problem(422, "payment_mode_not_supported");
        let too_many = json!({ "payment_mode": "points" });
        world.extend(&rider, id, "no-points", too_many).await.problem(402, "insufficient_points");
        world.extend(&rider, id, "third-hour", json!({})).await.ok();
        world.extend(&rider, id, "fourth-hour", json!({})).await.problem(409, "max_extensions_reached");
        assert_eq!(world.money(&rider).await, (1_000, 20_000));
        let bought = rental_extension::Entity::find().all(world.test.app.db.read()).await.unwrap();
        assert_eq!(bought.iter().map(|row| row.extension_cost_paisa.0).sum::<i64>(), 15_000);

        // Three and a half hours later it is not late.
        world.advance_s(12_600);
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        assert_eq!(world.show(&rider, id).await["estimate"]["total"]["amount"], "200.00");
        world.insert(a, 1, 1).await;
        world.settle().await;
        let shown = world.show(&rider, id).await;
        assert_eq!(
            (&shown["amount_paid"]["amount"], &shown["is_returned_on_time"]),
            (&json!("200.00"), &json!(true))
        );
        assert_eq!(world.money(&rider).await, (1_000, 0));
        world.extend(&rider, id, "after-all", json!({})).await.problem(409, "invalid_rental_status");
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn more_time_is_paid_with_points_and_refused_without_money_or_when_it_is_over() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(60).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.extend(&rider, id, "no-money", json!({})).await.problem(402, "insufficient_balance");
        assert_eq!((world.money(&rider).await, world.rental(id).await.hold_paisa.0), ((1_000, 5_000), 5_000));
        world.give_points(&rider, 450).await;
        let had = world.points(&rider).await;
        let mixed = json!({ "payment_mode": "wallet_points", "points_to_use": 420 });
        world.extend(&rider, id, "with-points", mixed).await.ok();
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((200, 10_000), had - 420));
        world.all_books_agree().await;
        // An hour and ten minutes late: it cannot become longer, and the lateness counts from the new time.
        world.advance_s(2 * 3_600 + 70 * 60);
        world.extend(&rider, id, "too-late", json!({})).await.problem(409, "rental_overdue");
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Overdue);
        world.extend(&rider, id, "later", json!({})).await.problem(409, "rental_overdue");
        world.insert(a, 1, 1).await;
        world.settle().await;
        let row = world.rental(id).await;
        assert_eq!((row.overdue_amount_paisa.0, row.points_paid_paisa.0), (10_000, 4_200));
        assert_eq!(row.amount_paid_paisa.0 + row.due_paisa.0, 20_000);
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn two_extensions_at_once_never_exceed_the_limit() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(1_000).await;
        let id = world.start_and_eject(&rider, "A").await;
        let keys: Vec<String> = (0..8).map(|number| format!("at-once-{number}")).collect();
        let answers =
            futures::future::join_all(keys.iter().map(|key| world.extend(&rider, id, key, json!({})))).await;
        let bought = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(bought, 3, "{}", world.test.backend());
        assert_eq!(world.money(&rider).await, (80_000, 20_000));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn staff_say_how_often_a_rental_may_become_longer() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        world.set("MAX_RENTAL_EXTENSIONS", "0").await;
        let id = world.start_and_eject(&rider, "A").await;
        world.extend(&rider, id, "none-allowed", json!({})).await.problem(409, "max_extensions_reached");
    }
}

#[tokio::test]
async fn a_rider_is_reminded_once_before_each_time_that_it_is_due() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let reminders = async || {
            world.settle().await;
            world.told(&rider).await.iter().filter(|title| *title == "Your rental ends soon").count()
        };
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(30 * 60);
        world.extend(&rider, id, "one-more-hour", json!({})).await.ok();
        // The first time at which it was due is over: nothing is said about it.
        world.advance_s(20 * 60);
        assert_eq!(reminders().await, 0);
        world.advance_s(54 * 60);
        assert_eq!(reminders().await, 0);
        world.advance_s(2 * 60);
        assert_eq!(reminders().await, 1);
        // Reminded, the rider buys more, and is reminded of that.
        world.extend(&rider, id, "another-hour", json!({})).await.ok();
        world.advance_s(59 * 60);
        assert_eq!(reminders().await, 2);
        world.advance_s(3 * 3_600);
        assert_eq!(reminders().await, 2);
        world.insert(a, 1, 1).await;

        // Back before the reminder: none.
        let id = world.start_and_eject(&rider, "A").await;
        world.insert(a, 1, 1).await;
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
        world.advance_s(50 * 60);
        assert_eq!(reminders().await, 2);
    }
}
