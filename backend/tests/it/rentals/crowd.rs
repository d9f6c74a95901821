//! Two hundred starts at once: the balance, the bank and the key are each had once.

use super::world::World;
use crate::crowds::{MANY, insist};
use crate::test_app::Answer;
use axum::http::StatusCode;
use entities::id::UserId;
use entities::user;
use futures::future::join_all;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::json;

/// Slots of the station, more than the balance pays for.
const BANKS: u8 = 8;

/// Lets one rider have more rentals at a time: the seat is not what this test is about. On SQLite no CHECK
/// holds any more, so that the balance is guarded by the debit's own condition alone.
async fn give_seats(world: &World, rider: UserId, seats: i32) {
    let unguarded = match world.test.backend() {
        "sqlite" => "pragma ignore_check_constraints = on",
        _ => "alter table users drop constraint if exists users_open_rentals_check",
    };
    let written = world.test.app.db.write(move |tx| {
        Box::pin(async move {
            tx.execute_unprepared(unguarded).await?;
            let fewer = Expr::col(user::Column::OpenRentals).sub(seats);
            user::Entity::update_many()
                .col_expr(user::Column::OpenRentals, fewer)
                .filter(user::Column::Id.eq(rider))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    written.await.unwrap();
}

/// L3.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_spends_of_one_balance_never_overdraw() {
    for world in World::on_each_backend().await {
        let banks: Vec<_> = (1..=BANKS).map(Some).collect();
        world.station("A", &banks).await;
        let rider = world.rider(170).await;
        give_seats(&world, rider.id, MANY as i32).await;
        let starts = (0..MANY).map(|number| {
            let (world, rider) = (&world, &rider);
            async move {
                let key = format!("key-of-start-{number}");
                insist(|| world.try_start(rider, "A", &key)).await
            }
        });
        let answers = join_all(starts).await;
        let (started, refused): (Vec<Answer>, Vec<Answer>) =
            answers.into_iter().partition(|answer| answer.status == StatusCode::ACCEPTED);
        assert_eq!(started.len(), 3, "{}: NPR 170 are three rentals of NPR 50", world.test.backend());
        let poor = refused.into_iter().map(|answer| answer.body["code"].as_str().unwrap().to_owned());
        for code in poor {
            // Who finds every bank in another's hands for a moment is told that.
            assert!(matches!(code.as_str(), "insufficient_balance" | "no_powerbanks_available"), "{code}");
        }
        assert_eq!(world.money(&rider).await, (2_000, 15_000), "{}", world.test.backend());
        give_seats(&world, rider.id, -(MANY as i32)).await;
        world.books_agree().await;
    }
}

/// L7.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_starts_with_one_key_are_one_rental() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let starts = (0..MANY).map(|_| insist(|| world.try_start(&rider, "A", "one-key-of-mine")));
        let answers: Vec<_> = join_all(starts).await.into_iter().map(Answer::ok).collect();
        assert!(answers.iter().all(|body| body["id"] == answers[0]["id"]), "{}", world.test.backend());
        assert_eq!(world.money(&rider).await, (45_000, 5_000), "{}", world.test.backend());
        world.books_agree().await;
    }
}

/// L7: a key belongs to one operation of one rider, so an app may number its requests as it likes.
#[tokio::test]
async fn one_key_serves_each_operation_and_each_rider_once() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2)]).await;
        for _ in 0..2 {
            let rider = world.rider(500).await;
            let caller = world.test.bearer(&rider.token);
            let methods = caller.get("/api/v1/payments/methods").await.ok();
            let wish = json!({
                "amount": { "amount": "500.00", "currency": "NPR" },
                "payment_method_id": methods["items"][0]["id"],
            });
            let top_up =
                || caller.post_once("number-1", "/api/v1/payments/wallet/topup-intent", wish.clone());
            let intent = top_up().await.ok();
            let rental = world.try_start(&rider, "A", "number-1").await.ok();
            assert_eq!(top_up().await.ok(), intent, "{}", world.test.backend());
            assert_eq!(world.try_start(&rider, "A", "number-1").await.ok()["id"], rental["id"]);
            world.try_start(&rider, "B", "number-1").await.problem(422, "idempotency_key_reused");
        }
        world.books_agree().await;
    }
}
