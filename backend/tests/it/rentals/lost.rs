//! A bank that does not come back is bought; when it comes back after all, the purchase is turned round.

use super::world::{Rider, World};
use crate::staff::staff_token;
use crate::test_app::Answer;
use entities::admin_profile::AdminRole;
use entities::id::{RentalId, StationId};
use entities::incident::IncidentKind;
use entities::power_bank::PowerBankStatus;
use entities::rental::{RentalPaymentStatus, RentalStatus};
use protocol::control::{EventBody, UplinkItem};
use serde_json::{Value, json};

const HOUR_S: u64 = 3_600;

impl World {
    /// A rider with so many rupees whose bank has been overdue for a day and an hour; and another station.
    pub(super) async fn rider_who_lost_it(&self, rupees: i64) -> (Rider, RentalId, StationId) {
        self.station("A", &[Some(1)]).await;
        let b = self.station("B", &[None]).await;
        let rider = self.rider(rupees).await;
        let id = self.start_and_eject(&rider, "A").await;
        self.advance_s(26 * HOUR_S);
        self.settle().await;
        (rider, id, b)
    }

    async fn try_another(&self, rider: &Rider) -> Answer {
        self.try_start(rider, "A", "another-rental").await
    }

    async fn titles(&self, rider: &Rider) -> Vec<String> {
        let told = self.test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        let items = told["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_bank_that_is_overdue_for_a_day_is_bought_and_given_back_when_it_returns() {
    for world in World::on_each_backend().await {
        let (rider, id, b) = world.rider_who_lost_it(6_000).await;
        let shown = world.show(&rider, id).await;
        assert_eq!((&shown["status"], &shown["payment_status"]), (&json!("lost"), &json!("paid")));
        assert_eq!(
            (&shown["amount_paid"]["amount"], &shown["lost_fee"]["amount"]),
            (&json!("5050.00"), &json!("5000.00"))
        );
        // 50 for the hour and 5 000 for the bank; no late fee on top.
        assert_eq!(world.money(&rider).await, (95_000, 0));
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Missing);
        assert_eq!(world.incidents().await, [IncidentKind::RentalLost]);
        world.all_books_agree().await;
        // It is paid: nothing keeps the rider from another one but that none is there.
        world.try_another(&rider).await.problem(409, "no_powerbanks_available");

        world.advance_s(9 * HOUR_S);
        world.insert(b, 1, 1).await;
        let shown = world.show(&rider, id).await;
        assert_eq!((&shown["status"], &shown["payment_status"]), (&json!("completed"), &json!("paid")));
        // 34 hours late: the caps of two begun days.
        assert_eq!(
            (&shown["amount_paid"]["amount"], &shown["overdue_amount"]["amount"], &shown["due"]["amount"]),
            (&json!("250.00"), &json!("200.00"), &json!("0.00"))
        );
        assert!(shown["lost_at"].is_string() && shown["lost_fee"].is_null(), "{shown}");
        assert_eq!(world.money(&rider).await, (575_000, 0));
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Available);
        assert_eq!(world.receipts(&rider, "refund").await, [(json!("4800.00"), json!("wallet"))]);
        // Told again, it changes nothing.
        world.insert(b, 1, 1).await;
        world.inventory(b, &[Some(1)]).await;
        assert_eq!(world.money(&rider).await, (575_000, 0));
        assert_eq!(world.incidents().await, [IncidentKind::RentalLost, IncidentKind::LostBankFound]);
        world.all_books_agree().await;
        let titles = world.titles(&rider).await;
        for title in ["Your power bank counts as lost", "Thank you for bringing it back"] {
            assert_eq!(titles.iter().filter(|told| *told == title).count(), 1, "{title}: {titles:?}");
        }
        // The bank is an ordinary one again.
        world.advance_s(60);
        world.start_and_eject(&rider, "B").await;
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn what_the_wallet_lacks_for_a_lost_bank_is_due_and_shrinks_when_it_returns() {
    for world in World::on_each_backend().await {
        let (rider, id, b) = world.rider_who_lost_it(60).await;
        let row = world.rental(id).await;
        assert_eq!((row.amount_paid_paisa.0, row.due_paisa.0), (6_000, 499_000));
        world.all_books_agree().await;
        world.try_another(&rider).await.problem(409, "unpaid_rental_exists");

        world.advance_s(9 * HOUR_S);
        world.insert(b, 1, 1).await;
        let row = world.rental(id).await;
        assert_eq!((row.amount_paid_paisa.0, row.due_paisa.0), (6_000, 19_000));
        assert_eq!((row.status, row.payment_status), (RentalStatus::Completed, RentalPaymentStatus::Pending));
        world.all_books_agree().await;
        world.top_up(&rider, 300).await;
        let path = format!("/api/v1/rentals/{id}/pay-due");
        world
            .test
            .bearer(&rider.token)
            .post_once("what-is-left", &path, json!({ "payment_mode": "wallet" }))
            .await
            .ok();
        assert_eq!(world.money(&rider).await, (11_000, 0));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_lost_bank_that_was_paid_afterwards_and_with_points_is_given_back_as_it_was_paid() {
    for world in World::on_each_backend().await {
        let (rider, id, b) = world.rider_who_lost_it(60).await;
        world.give_points(&rider, 49_000).await;
        world.top_up(&rider, 90).await;
        let path = format!("/api/v1/rentals/{id}/pay-due");
        let body = json!({ "payment_mode": "wallet_points", "points_to_use": 49_000 });
        world.test.bearer(&rider.token).post_once("most-by-points", &path, body).await.ok();
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((0, 0), 0));
        world.all_books_agree().await;

        world.advance_s(9 * HOUR_S);
        world.insert(b, 1, 1).await;
        // 5 050 were paid, of which 150 in money; 250 remain to be paid, and money goes back first.
        let row = world.rental(id).await;
        assert_eq!((row.amount_paid_paisa.0, row.points_paid_paisa.0, row.due_paisa.0), (25_000, 25_000, 0));
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((15_000, 0), 46_500));
        world.settle().await;
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn a_return_that_was_in_time_but_is_told_after_the_loss_costs_what_it_always_cost() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(6_000).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(1_800);
        let bank = crate::stations::serial(1);
        let event = world.next_event(b, EventBody::BankInserted { slot: 1, bank, level_percent: 10 });
        world.advance_s(30 * HOUR_S);
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Lost);
        world.send(vec![UplinkItem::Event(event)]).await;
        let row = world.rental(id).await;
        assert_eq!((row.status, row.is_returned_on_time), (RentalStatus::Completed, true));
        assert_eq!((row.amount_paid_paisa.0, row.overdue_amount_paisa.0), (5_000, 0));
        assert_eq!(world.money(&rider).await, (595_000, 0));
        world.all_books_agree().await;
        assert!(world.rental(id).await.timely_return_bonus_awarded);
    }
}

#[tokio::test]
async fn staff_see_what_is_lost_and_can_take_it_back_themselves() {
    for world in World::on_each_backend().await {
        let (rider, id, _) = world.rider_who_lost_it(6_000).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let lost: Value = staff.get("/api/v1/admin/rentals?view=lost").await.ok();
        assert_eq!((&lost["items"][0]["id"], &lost["items"][0]["status"]), (&json!(id), &json!("lost")));
        let decision = json!({ "decision": "returned", "reason": "a shopkeeper brought it" });
        staff.post(&format!("/api/v1/admin/rentals/{id}/decision"), decision).await.ok();
        assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
        // 25 hours late, two begun days.
        assert_eq!(world.money(&rider).await, (575_000, 0));
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Maintenance);
        let lost: Value = staff.get("/api/v1/admin/rentals?view=lost").await.ok();
        assert_eq!(lost["items"][0]["status"], "completed");
        world.all_books_agree().await;
    }
}
