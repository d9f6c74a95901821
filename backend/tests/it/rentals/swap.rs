//! A bank that is no good is brought back and another one comes out, without paying twice.

use super::world::{Rider, World};
use crate::staff::staff_token;
use crate::test_app::Answer;
use entities::admin_profile::AdminRole;
use entities::id::RentalId;
use entities::rental::RentalStatus;
use entities::rental_package;
use protocol::control::Verdict;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

impl World {
    pub(super) async fn swap(&self, rider: &Rider, id: RentalId, key: &str, body: Value) -> Answer {
        let path = format!("/api/v1/rentals/{id}/swap");
        self.test.bearer(&rider.token).post_once(&format!("swap-{key}"), &path, body).await
    }

    /// The first package is free for so many minutes.
    async fn free_minutes(&self, minutes: i32) {
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                rental_package::Entity::update_many()
                    .col_expr(rental_package::Column::FreeMinutes, Expr::value(minutes))
                    .filter(rental_package::Column::Name.eq("1 hour"))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        });
        written.await.unwrap();
    }
}

pub(super) fn defective() -> Value {
    json!({ "reason": "defective", "description": "Its lamp does not shine.", "payment_mode": "wallet" })
}

pub(super) fn id_of(answer: &Value) -> RentalId {
    answer["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_swapped_bank_is_paid_once_and_is_due_when_the_first_one_was() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let (rider, stranger) = (world.rider(60).await, world.rider(60).await);
        let first = world.start_and_eject(&rider, "A").await;
        world.swap(&rider, first, "not-back", defective()).await.problem(409, "powerbank_not_returned");
        world.advance_s(180);
        world.insert(a, 1, 1).await;
        world.settle().await;
        assert_eq!(world.money(&rider).await, (1_000, 0));
        world.swap(&stranger, first, "not-mine", defective()).await.problem(404, "rental_not_found");

        let swapped = world.swap(&rider, first, "another-one", defective()).await;
        assert_eq!(swapped.status, 202, "{}", swapped.body);
        let second = id_of(&swapped.body);
        assert_eq!(
            (&swapped.body["power_bank"]["serial_number"], &swapped.body["swapped_from"]),
            (&json!("0000000000000002"), &json!(first))
        );
        let again = world.swap(&rider, first, "another-one", defective()).await;
        assert_eq!(id_of(&again.body), second);
        world.settle().await;
        world.swap(&rider, first, "a-third-one", defective()).await.problem(409, "already_swapped");
        world.verdict(second, Verdict::Done).await;
        let row = world.rental(second).await;
        assert_eq!((row.hold_paisa.0, (row.due_at - row.started_at.unwrap()).num_minutes()), (0, 57));
        world.all_books_agree().await;

        world.advance_s(56 * 60);
        world.insert(a, 2, 2).await;
        world.settle().await;
        let row = world.rental(second).await;
        assert_eq!((row.status, row.amount_paid_paisa.0, row.due_paisa.0), (RentalStatus::Completed, 0, 0));
        assert!(row.is_returned_on_time);
        assert_eq!(world.money(&rider).await, (1_000, 0));
        world.all_books_agree().await;
        let reported =
            world.test.bearer(&rider.token).get(&format!("/api/v1/rentals/{first}/issues")).await.ok();
        assert_eq!(reported["items"][0]["issue_type"], "power_bank_damaged");
    }
}

#[tokio::test]
async fn the_lateness_of_a_swapped_bank_costs_what_it_would_have_cost() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let first = world.start_and_eject(&rider, "A").await;
        world.advance_s(60);
        world.insert(a, 1, 1).await;
        world.settle().await;
        let second = id_of(&world.swap(&rider, first, "another-one", defective()).await.ok());
        world.settle().await;
        world.verdict(second, Verdict::Done).await;
        // Fifty-nine minutes were left; thirty late, of which two are free, at twice NPR 50 an hour.
        world.advance_s((59 + 30) * 60);
        world.settle().await;
        world.insert(a, 2, 2).await;
        world.settle().await;
        let row = world.rental(second).await;
        assert_eq!((row.amount_paid_paisa.0, row.overdue_amount_paisa.0), (4_666, 4_666));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_free_first_bank_leaves_the_price_to_the_second() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        world.free_minutes(5).await;
        let rider = world.rider(60).await;
        let first = world.start_and_eject(&rider, "A").await;
        world.advance_s(120);
        world.insert(a, 1, 1).await;
        world.settle().await;
        assert_eq!(world.money(&rider).await, (6_000, 0));
        let second = id_of(&world.swap(&rider, first, "another-one", defective()).await.ok());
        assert_eq!(world.money(&rider).await, (1_000, 5_000));
        world.settle().await;
        world.verdict(second, Verdict::Done).await;
        world.advance_s(600);
        world.insert(a, 2, 2).await;
        world.settle().await;
        assert_eq!(world.money(&rider).await, (1_000, 0));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_swap_is_refused_too_late_elsewhere_or_without_another_bank() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(1_000).await;
        // Out, and back where it came from, or in the only slot of the other station.
        let back = async |id: RentalId, after_s: u64, station| {
            world.verdict(id, Verdict::Done).await;
            world.advance_s(after_s);
            let eject = world.eject(id).await;
            let from = u8::try_from(eject.slot_number.unwrap()).unwrap();
            let number = eject.bank_serial.unwrap()[14..].parse().unwrap();
            world.insert(station, if station == a { from } else { 1 }, number).await;
            world.settle().await;
        };
        let late = world.start(&rider, "A").await;
        world.swap(&rider, late, "not-out", defective()).await.problem(409, "rental_not_started");
        back(late, 301, a).await;
        world.swap(&rider, late, "too-late", defective()).await.problem(409, "swap_window_expired");

        let waited = world.start(&rider, "A").await;
        back(waited, 60, a).await;
        world.advance_s(301);
        world.swap(&rider, waited, "waited", defective()).await.problem(409, "swap_window_expired");

        let first = world.start(&rider, "A").await;
        back(first, 60, a).await;
        let brought_back = world.eject(first).await.bank_serial.unwrap();
        let same = json!({ "reason": "other", "powerbank_sn": brought_back });
        let refused = world.swap(&rider, first, "the-same-one", same).await;
        refused.problem(409, "requested_powerbank_unavailable");
        // The eject fails: nothing is lost, and the rider may try again.
        let failed = id_of(&world.swap(&rider, first, "fails", defective()).await.ok());
        world.settle().await;
        world.verdict(failed, Verdict::Failed { reason: 3 }).await;
        assert_eq!(world.rental(failed).await.status, RentalStatus::Cancelled);
        let second = id_of(&world.swap(&rider, first, "once-more", defective()).await.ok());
        world.settle().await;
        back(second, 60, a).await;
        // One other bank, one swap a day.
        world.swap(&rider, second, "too-often", defective()).await.problem(409, "swap_limit_exceeded");

        let elsewhere = world.start(&rider, "A").await;
        back(elsewhere, 60, b).await;
        world
            .swap(&rider, elsewhere, "elsewhere", defective())
            .await
            .problem(409, "powerbank_station_mismatch");
        let alone = world.start(&rider, "B").await;
        back(alone, 60, b).await;
        world.swap(&rider, alone, "no-other", defective()).await.problem(409, "no_swap_powerbank_available");
        world
            .swap(&rider, alone, "direct", json!({ "reason": "other", "payment_mode": "direct" }))
            .await
            .problem(422, "payment_mode_not_supported");
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_charge_goes_back_or_pays_for_the_next_bank_but_never_both() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let caller = world.test.bearer(&rider.token);
        let first = world.start_and_eject(&rider, "A").await;
        world.advance_s(60);
        world.insert(a, 1, 1).await;
        world.settle().await;
        let charge = caller.get("/api/v1/payments/transactions?transaction_type=rental").await.ok();
        let charge = charge["items"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/payments/refunds/{charge}");
        let ask = async |key: &str| caller.post_once(key, &path, json!({ "reason": "It is broken." })).await;
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let staff = world.test.bearer(staff);

        let refund = ask("the-first-time").await.ok();
        world.swap(&rider, first, "asked-back", defective()).await.problem(409, "rental_refunded");
        let reject = format!("/api/v1/admin/payments/refunds/{}/reject", refund["id"].as_str().unwrap());
        staff.post_once("reject-it", &reject, json!({ "reason": "Swap it." })).await.ok();
        let second = id_of(&world.swap(&rider, first, "another-one", defective()).await.ok());
        ask("while-it-comes-out").await.problem(409, "rental_swapped");
        world.settle().await;
        // The other bank does not come out: what was paid was for nothing else.
        world.verdict(second, Verdict::Failed { reason: 3 }).await;
        world.settle().await;
        let refund = ask("the-second-time").await.ok();
        let approve = format!("/api/v1/admin/payments/refunds/{}/approve", refund["id"].as_str().unwrap());
        staff.post_once("approve-it", &approve, json!({})).await.ok();
        assert_eq!(world.money(&rider).await, (50_000, 0), "{}", world.test.backend());
        world.swap(&rider, first, "given-back", defective()).await.problem(409, "rental_refunded");
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn of_two_swaps_at_once_one_is_made() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2), Some(3), Some(4)]).await;
        let rider = world.rider(500).await;
        let first = world.start_and_eject(&rider, "A").await;
        world.advance_s(60);
        world.insert(a, 1, 1).await;
        world.settle().await;
        let keys: Vec<String> = (0..6).map(|number| format!("at-once-{number}")).collect();
        let swaps = keys.iter().map(|key| world.swap(&rider, first, key, defective()));
        let answers = futures::future::join_all(swaps).await;
        assert_eq!(
            answers.iter().filter(|answer| answer.status == 202).count(),
            1,
            "{}",
            world.test.backend()
        );
        world.all_books_agree().await;
    }
}
