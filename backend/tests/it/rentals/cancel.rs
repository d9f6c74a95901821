//! A rider who does not want it any more: before the bank has left, and only if it did not.

use super::world::{Rider, World};
use crate::test_app::Answer;
use entities::id::RentalId;
use entities::rental::RentalStatus;
use protocol::control::{DeliveryState, Verdict};
use serde_json::json;

impl World {
    async fn cancel(&self, rider: &Rider, id: RentalId, key: &str) -> Answer {
        let body = json!({ "reason": "I found a socket" });
        let path = format!("/api/v1/rentals/{id}/cancel");
        self.test.bearer(&rider.token).post_once(key, &path, body).await
    }
}

#[tokio::test]
async fn what_nobody_was_offered_is_cancelled_at_once() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (rider, stranger) = (world.rider(500).await, world.rider(500).await);
        let started = world.try_start(&rider, "A", "started-by-mistake").await.ok();
        let id = started["id"].as_str().unwrap().parse().unwrap();
        world.cancel(&stranger, id, "not-my-rental").await.problem(404, "rental_not_found");
        let path = format!("/api/v1/rentals/{id}/cancel");
        let caller = world.test.bearer(&rider.token);
        let short = caller.post_once("short-reason", &path, json!({ "reason": "no" })).await;
        short.problem(422, "validation_failed");
        let cancelled = world.cancel(&rider, id, "call-it-off").await;
        assert_eq!((cancelled.status.as_u16(), &cancelled.body["status"]), (200, &json!("cancelled")));
        assert_eq!(cancelled.body["cancel_reason"], "withdrawn");
        assert_eq!(world.money(&rider).await, (50_000, 0));
        world.books_agree().await;
        assert_eq!(world.gateway.lock().unwrap().offers, 0);
        world.cancel(&rider, id, "call-it-off-twice").await.problem(409, "invalid_rental_status");
        world.start_and_eject(&rider, "A").await;
        world.books_agree().await;
    }
}

#[tokio::test]
async fn what_a_gateway_has_not_sent_comes_back_and_is_cancelled() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        for (_, state, _) in world.gateway.lock().unwrap().commands.values_mut() {
            *state = DeliveryState::Queued;
        }
        let asked = world.cancel(&rider, id, "call-it-off").await;
        assert_eq!((asked.status.as_u16(), &asked.body["status"]), (202, &json!("pending")));
        world.settle().await;
        let row = world.rental(id).await;
        assert_eq!((row.status, row.cancel_reason.as_deref()), (RentalStatus::Cancelled, Some("withdrawn")));
        assert_eq!(world.money(&rider).await, (50_000, 0));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn what_was_sent_already_is_decided_by_the_station() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        assert_eq!(world.cancel(&rider, id, "call-it-off").await.status, 202);
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Pending);
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
        world.verdict(id, Verdict::Done).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        world.advance_s(301);
        world.cancel(&rider, id, "call-it-off-again").await.problem(409, "powerbank_not_returned");
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_bank_that_is_out_costs_nothing_if_it_is_called_off_and_back_in_time() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        for (called_off, returned_after_s, paid) in
            [(true, 299, 0), (true, 300, 0), (true, 301, 5_000), (false, 60, 5_000)]
        {
            let rider = world.rider(500).await;
            let id = world.start_and_eject(&rider, "A").await;
            let started_at = world.rental(id).await.started_at.unwrap();
            world.advance_s(30);
            assert_eq!(world.show(&rider, id).await["free_until"], json!(null));
            if called_off {
                let asked = world.cancel(&rider, id, "call-it-off").await;
                assert_eq!((asked.status.as_u16(), &asked.body["status"]), (202, &json!("active")));
                assert_eq!(asked.body["package"]["free_minutes"], 5);
                let free_until = json!(started_at + chrono::TimeDelta::minutes(5));
                assert_eq!(asked.body["free_until"], free_until, "{}", world.test.backend());
                assert_eq!(world.show(&rider, id).await["free_until"], free_until);
            }
            world.advance_s(returned_after_s - 30);
            world.insert(a, 1, 1).await;
            world.settle().await;
            assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
            assert_eq!(world.show(&rider, id).await["free_until"], json!(null), "it is over");
            assert_eq!(world.money(&rider).await, (50_000 - paid, 0), "{called_off} {returned_after_s}");
        }
        world.all_books_agree().await;
    }
}
