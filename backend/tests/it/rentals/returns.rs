//! Banks that come back: late, early, twice, elsewhere, or not as anybody thought.

use super::world::World;
use crate::staff::staff_token;
use entities::admin_profile::AdminRole;
use entities::incident::IncidentKind;
use entities::power_bank::PowerBankStatus;
use entities::rental::{RentalPaymentStatus, RentalStatus};
use protocol::control::{EventBody, ItemResult, TimeQuality, UplinkItem, Verdict};
use serde_json::json;

#[tokio::test]
async fn a_return_before_its_done_proves_both() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        world.advance_s(120);
        world.insert(b, 1, 1).await;
        let row = world.rental(id).await;
        assert_eq!((row.status, row.payment_status), (RentalStatus::Completed, RentalPaymentStatus::Paid));
        assert_eq!(row.started_at, Some(world.eject(id).await.expires_at), "the rider gets the benefit");
        assert_eq!(world.money(&rider).await, (45_000, 0));
        world.books_agree().await;
        // DONE, lost until now, changes nothing.
        let row = world.rental(id).await;
        assert_eq!(world.verdict(id, Verdict::Done).await, ItemResult::Stored);
        assert_eq!(world.rental(id).await, row);
        assert!(world.incidents().await.is_empty());
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_return_that_is_told_late_is_billed_by_when_it_happened() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(1_800);
        let bank = crate::stations::serial(1);
        let event = world.next_event(b, EventBody::BankInserted { slot: 1, bank, level_percent: 10 });
        world.advance_s(24 * 3_600);
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Overdue);
        world.send(vec![UplinkItem::Event(event)]).await;
        let row = world.rental(id).await;
        assert_eq!((row.status, row.is_returned_on_time), (RentalStatus::Completed, true));
        assert_eq!(world.money(&rider).await, (45_000, 0));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_return_that_is_told_twice_is_charged_once() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(900);
        let bank = crate::stations::serial(1);
        let event = world.next_event(a, EventBody::BankInserted { slot: 1, bank, level_percent: 10 });
        let item = UplinkItem::Event(event);
        assert_eq!(
            world.send(vec![item.clone(), item.clone()]).await,
            [ItemResult::Stored, ItemResult::Duplicate]
        );
        assert_eq!(world.send(vec![item]).await, [ItemResult::Duplicate]);
        // The same insertion under another number, and a table that shows it.
        world.insert(a, 1, 1).await;
        world.inventory(a, &[Some(1)]).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
        assert_eq!(world.money(&rider).await, (45_000, 0));
        assert!(world.incidents().await.is_empty());
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_table_alone_returns_a_bank() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None, None]).await;
        let rider = world.rider(500).await;
        for station in [a, b] {
            let id = world.start_and_eject(&rider, "A").await;
            world.advance_s(600);
            let slots: &[Option<u8>] = if station == a { &[Some(1)] } else { &[None, Some(1)] };
            world.inventory(station, slots).await;
            assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
            world.books_agree().await;
        }
        assert_eq!(world.money(&rider).await, (40_000, 0));
    }
}

#[tokio::test]
async fn an_older_table_changes_nothing() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let as_of = world.last_event_no(a);
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(60);
        // Made before the eject, sent after it: it shows the bank that the rider has.
        let stale = crate::stations::table(as_of, &[Some(1), None]);
        world.event(a, EventBody::Inventory(stale)).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        assert_eq!(world.bank(1).await.current_slot, None);
        assert_eq!(world.bank(2).await.status, PowerBankStatus::Available);
        assert!(world.incidents().await.is_empty());
        world.books_agree().await;
    }
}

#[tokio::test]
async fn an_older_story_of_the_bank_ends_no_rental() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(500).await;
        let bank = crate::stations::serial(1);
        let old = world.next_event(b, EventBody::BankInserted { slot: 1, bank, level_percent: 10 });
        world.advance_s(600);
        let id = world.start_and_eject(&rider, "A").await;
        world.send(vec![UplinkItem::Event(old)]).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        assert_eq!(world.incidents().await, [IncidentKind::ReturnUnmatched]);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_station_without_a_clock_ends_a_rental_when_it_is_heard() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(600);
        let bank = crate::stations::serial(1);
        let mut event = world.next_event(b, EventBody::BankInserted { slot: 1, bank, level_percent: 10 });
        event.happened_at_ms = 12_345;
        event.time_quality = TimeQuality::Doubtful;
        world.send(vec![UplinkItem::Event(event)]).await;
        let row = world.rental(id).await;
        assert_eq!((row.status, row.ended_at), (RentalStatus::Completed, Some(world.test.app.clock.now())));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn what_the_hold_does_not_cover_is_due_and_blocks_the_next_rental() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(60).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(3 * 3_600);
        world.settle().await;
        world.insert(a, 1, 1).await;
        let shown = world.show(&rider, id).await;
        // 50 for the hour and 100, the cap, for two late hours; the wallet had 10 beside the hold.
        assert_eq!(
            (shown["status"].as_str(), shown["payment_status"].as_str()),
            (Some("completed"), Some("pending"))
        );
        assert_eq!(
            (shown["amount_paid"]["amount"].as_str(), shown["due"]["amount"].as_str()),
            (Some("60.00"), Some("90.00"))
        );
        assert_eq!(world.money(&rider).await, (0, 0));
        world.top_up(&rider, 500).await;
        world.try_start(&rider, "A", "some-key-1").await.problem(409, "unpaid_rental_exists");
        world.books_agree().await;
    }
}

#[tokio::test]
async fn banks_that_no_rental_explains_are_shown_to_staff() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), None]).await;
        let b = world.station("B", &[None]).await;
        // Not ours.
        world.insert(a, 2, 99).await;
        assert_eq!(world.incidents().await, [IncidentKind::UnknownBank]);
        // Carried from A to B without anybody's leave.
        world.advance_s(60);
        world.insert(b, 1, 1).await;
        assert_eq!(world.bank(1).await.current_station, Some(b));
        assert_eq!(world.incidents().await.last(), Some(&IncidentKind::BankInTwoPlaces));
        // Torn out.
        world.advance_s(60);
        world.event(b, EventBody::BankRemoved { slot: 1, bank: crate::stations::serial(1) }).await;
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Missing);
        assert_eq!(world.incidents().await.last(), Some(&IncidentKind::BankMissing));
        world.books_agree().await;
        // Found again.
        world.advance_s(60);
        world.insert(a, 1, 1).await;
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Available);
        // Gone from a table.
        world.advance_s(60);
        world.inventory(a, &[None, None]).await;
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Missing);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_difference_that_is_met_again_a_day_after_it_was_resolved_is_open_again() {
    for world in World::on_each_backend().await {
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let a = world.station("A", &[None, None]).await;
        world.insert(a, 2, 99).await;
        let open = staff.get("/api/v1/admin/incidents?state=open").await.ok();
        let id = open["items"][0]["id"].as_str().unwrap().to_owned();
        staff.post(&format!("/api/v1/admin/incidents/{id}/resolve"), json!({})).await.ok();
        for (wait_s, opened) in [(60, 0), (86_400, 1), (60, 1)] {
            world.advance_s(wait_s);
            let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
            world.insert(a, 2, 99).await;
            let open = staff.get("/api/v1/admin/incidents?state=open").await.ok();
            assert_eq!(open["items"].as_array().unwrap().len(), opened, "{open}");
        }
    }
}

#[tokio::test]
async fn a_bank_torn_out_while_its_eject_is_in_doubt_is_not_the_riders() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        world.event(a, EventBody::BankRemoved { slot: 1, bank: crate::stations::serial(1) }).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Pending);
        world.verdict(id, Verdict::Rejected { reason: 4 }).await;
        assert_eq!(world.money(&rider).await, (50_000, 0));
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Missing);
        assert!(world.incidents().await.contains(&IncidentKind::BankMissing));
        world.books_agree().await;
    }
}

async fn register(world: &World, staff: &str, number: u8) -> serde_json::Value {
    let new = serde_json::json!({ "serial_number": crate::stations::serial(number), "model": "PB-10", "capacity_mah": 10_000 });
    world.test.bearer(staff).post("/api/v1/admin/power-banks", new).await.ok()
}

#[tokio::test]
async fn a_bank_that_a_station_has_shown_can_be_rented_as_soon_as_it_is_registered() {
    for world in World::on_each_backend().await {
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let made = crate::stations::station(&world.test, "A", (27.7, 85.3), 4).await;
        let a = made.station_id;
        world.gateway.lock().unwrap().sessions.insert(a);
        world.hello();
        // Three banks that nobody knows; then one of them is taken out, and another one is pushed in.
        world.inventory(a, &[Some(1), Some(2), Some(3), None]).await;
        world.event(a, EventBody::BankRemoved { slot: 2, bank: crate::stations::serial(2) }).await;
        world.insert(a, 3, 4).await;
        let rider = world.rider(500).await;
        world.try_start(&rider, "A", "before-it-is-ours").await.problem(409, "no_powerbanks_available");

        assert_eq!(register(&world, &staff, 1).await["status"], "available");
        let id = world.start_and_eject(&rider, "A").await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        for (number, why) in
            [(2, "it was taken out"), (3, "its slot has another one"), (9, "no table lists it")]
        {
            assert_eq!(register(&world, &staff, number).await["status"], "missing", "{why}");
        }
        world.books_agree().await;
    }
}
