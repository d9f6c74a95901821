//! From the tap to the bank, and everything that may be refused.

use super::world::{ONE_HOUR, OnOffer, World};
use entities::command::CommandState;
use entities::incident::IncidentKind;
use entities::power_bank::PowerBankStatus;
use entities::rental::{self, RentalPaymentStatus, RentalStatus};
use entities::station;
use protocol::control::{CommandKind, EventBody, ItemResult, Verdict};
use sea_orm::{EntityTrait, Set};
use serde_json::json;

#[tokio::test]
async fn a_rental_is_charged_exactly_its_package() {
    for world in World::on_each_backend().await {
        let (_, b) = (world.station("A", &[Some(1), Some(2)]).await, world.station("B", &[None, None]).await);
        let rider = world.rider(500).await;
        let answer = world.try_start(&rider, "A", "first-key").await;
        assert_eq!(answer.status, 202);
        assert_eq!((&answer.body["status"], &answer.body["phase"]), (&json!("pending"), &json!("ejecting")));
        assert_eq!(answer.body["hold"]["amount"], "50.00");
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
        let id = answer.body["id"].as_str().unwrap().parse().unwrap();

        world.settle().await;
        let eject = world.eject(id).await;
        assert_eq!(eject.state, CommandState::Offered);
        let (offer, ..) = world.gateway.lock().unwrap().commands[&eject.id].clone();
        assert_eq!((offer.kind, offer.slot), (CommandKind::Eject, Some(1)));
        assert_eq!(offer.bank.map(|bank| bank.to_string()), eject.bank_serial);
        assert_eq!(offer.expires_at_ms - offer.now_ms, 20_000);

        world.advance_s(2);
        assert_eq!(world.verdict(id, Verdict::Done).await, ItemResult::Stored);
        let shown = world.show(&rider, id).await;
        assert_eq!((&shown["status"], &shown["phase"]), (&json!("active"), &json!(null)));
        assert_eq!(shown["estimate"]["total"]["amount"], "50.00");
        assert_eq!(world.bank(1).await.current_slot, None);
        world.books_agree().await;

        world.advance_s(1_800);
        assert_eq!(world.insert(b, 2, 1).await, ItemResult::Stored);
        let shown = world.show(&rider, id).await;
        assert_eq!((&shown["status"], &shown["payment_status"]), (&json!("completed"), &json!("paid")));
        assert_eq!(
            (&shown["amount_paid"]["amount"], &shown["is_returned_on_time"]),
            (&json!("50.00"), &json!(true))
        );
        assert_eq!(shown["return_station"]["serial_number"], "B");
        assert_eq!(world.money(&rider).await, (45_000, 0));
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Available);
        assert_eq!(world.bank(1).await.battery_level, Some(40));
        world.books_agree().await;
        let points = world.test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert!(points["current"].as_i64().unwrap() >= 55, "{points}");
        assert!(world.rental(id).await.timely_return_bonus_awarded);
        let told = world.test.bearer(&rider.token).get("/api/v1/notifications").await.ok();
        let titles: Vec<&str> =
            told["items"].as_array().unwrap().iter().filter_map(|item| item["title"].as_str()).collect();
        for title in ["Your power bank is ready", "Thank you for returning it"] {
            assert!(titles.contains(&title), "{titles:?}");
        }
        let active = world.test.bearer(&rider.token).get("/api/v1/rentals/active").await.ok();
        assert_eq!(active["rental"], json!(null));
        let history =
            world.test.bearer(&rider.token).get("/api/v1/rentals/history?status=completed").await.ok();
        assert_eq!(history["items"][0]["id"], id.to_string());
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_repeated_start_is_the_same_rental() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let (one, two) = tokio::join!(
            world.try_start(&rider, "A", "same-key-1"),
            world.try_start(&rider, "A", "same-key-1")
        );
        assert_eq!((one.status.as_u16(), two.status.as_u16()), (202, 202));
        assert_eq!(one.body["id"], two.body["id"]);
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn two_starts_at_once_give_one_rental() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let (one, two) = tokio::join!(
            world.try_start(&rider, "A", "key-number-1"),
            world.try_start(&rider, "A", "key-number-2")
        );
        let (won, lost) = if one.status == 202 { (one, two) } else { (two, one) };
        assert_eq!(won.status, 202);
        lost.problem(409, "active_rental_exists");
        world.books_agree().await;
    }
}

#[tokio::test]
async fn two_riders_who_want_one_bank_get_one_rental() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (ann, tom) = (world.rider(500).await, world.rider(500).await);
        let (one, two) = tokio::join!(
            world.try_start(&ann, "A", "key-number-1"),
            world.try_start(&tom, "A", "key-number-1")
        );
        let (won, lost) = if one.status == 202 { (one, two) } else { (two, one) };
        assert_eq!(won.status, 202);
        lost.problem(409, "no_powerbanks_available");
        world.books_agree().await;
        // With a second bank both get one.
        world.station("B", &[Some(2), Some(3)]).await;
        let loser =
            if won.body["power_bank"].is_object() && world.money(&ann).await.1 == 0 { &ann } else { &tom };
        assert_eq!(world.try_start(loser, "B", "key-number-2").await.status, 202);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_start_is_refused_in_order_of_precedence() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), None]).await;
        let rider = world.rider(10).await;
        let start = async |body: serde_json::Value| {
            world.test.bearer(&rider.token).post_once("some-key-1", "/api/v1/rentals/start", body).await
        };
        let nothing = "00000000-0000-7000-8000-000000000999";
        start(json!({ "station_sn": "A", "package_id": nothing })).await.problem(422, "package_not_found");
        start(json!({ "station_sn": "X", "package_id": ONE_HOUR })).await.problem(404, "station_not_found");
        start(json!({ "station_sn": "A", "package_id": ONE_HOUR, "power_bank_sn": "00000000000000FF" }))
            .await
            .problem(409, "requested_powerbank_unavailable");
        let poor = world.try_start(&rider, "A", "some-key-2").await.problem(402, "insufficient_balance");
        assert!(poor["detail"].as_str().unwrap().contains("50.00"));
        world.top_up(&rider, 90).await;

        world.gateway.lock().unwrap().sessions.clear();
        world.hello();
        world.try_start(&rider, "A", "some-key-3").await.problem(503, "station_offline");
        world.gateway.lock().unwrap().sessions.insert(a);
        world.hello();
        set_maintenance(&world, a, true).await;
        world.try_start(&rider, "A", "some-key-4").await.problem(409, "station_maintenance");
        set_maintenance(&world, a, false).await;

        // An empty bank is not given out.
        let mut tired = crate::stations::table(world.last_event_no(a), &[Some(1), None]);
        tired.slots[0].level_percent = 19;
        world.event(a, EventBody::Inventory(tired)).await;
        world.try_start(&rider, "A", "some-key-5").await.problem(409, "no_powerbanks_available");
        world.inventory(a, &[Some(1), None]).await;
        assert_eq!(world.try_start(&rider, "A", "some-key-6").await.status, 202);
        world.try_start(&rider, "A", "some-key-7").await.problem(409, "active_rental_exists");
        // Nothing that was refused left a trace.
        assert_eq!(rental::Entity::find().all(world.test.app.db.read()).await.unwrap().len(), 1);
        assert_eq!(world.money(&rider).await, (5_000, 5_000));
        world.books_agree().await;
    }
}

async fn set_maintenance(world: &World, id: entities::id::StationId, on: bool) {
    let written = world.test.app.db.write(move |tx| {
        Box::pin(async move {
            let change = station::ActiveModel { id: Set(id), is_maintenance: Set(on), ..Default::default() };
            station::Entity::update(change).exec(tx).await?;
            Ok(())
        })
    });
    written.await.unwrap();
}

#[tokio::test]
async fn an_offer_whose_answer_is_lost_is_not_taken_for_unsent() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        world.gateway.lock().unwrap().on_offer = OnOffer::TakeAndBreak;
        let id = world.start(&rider, "A").await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Pending);
        assert!(world.gateway.lock().unwrap().offers >= 2, "it is asked again");
        assert_eq!(world.verdict(id, Verdict::Done).await, ItemResult::Stored);
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn an_offer_that_never_arrived_is_proven_unsent_after_its_expiry() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        world.gateway.lock().unwrap().on_offer = OnOffer::Break;
        let id = world.start(&rider, "A").await;
        world.advance_s(22);
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Pending, "nobody has answered");
        world.gateway.lock().unwrap().on_offer = OnOffer::Take;
        world.advance_s(5);
        world.settle().await;
        let row = world.rental(id).await;
        assert_eq!(
            (row.status, row.cancel_reason.as_deref()),
            (RentalStatus::Cancelled, Some("station_unreachable"))
        );
        assert_eq!(world.money(&rider).await, (50_000, 0));
        assert_eq!(world.bank(1).await.status, PowerBankStatus::Available);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_station_without_a_session_costs_nobody_anything() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        // The presence stream has not told it yet.
        world.gateway.lock().unwrap().sessions.clear();
        let id = world.start(&rider, "A").await;
        let row = world.rental(id).await;
        assert_eq!(
            (row.status, row.payment_status),
            (RentalStatus::Cancelled, RentalPaymentStatus::Refunded)
        );
        assert_eq!(world.money(&rider).await, (50_000, 0));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_command_without_a_way_to_its_station_expires_unoffered() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        assert_eq!(world.try_start(&rider, "A", "some-key-1").await.status, 202);
        world.gateway.lock().unwrap().sessions.clear();
        world.hello();
        world.settle().await;
        world.advance_s(21);
        world.settle().await;
        assert_eq!(world.money(&rider).await, (50_000, 0));
        assert_eq!(world.gateway.lock().unwrap().offers, 0);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_failed_eject_gives_everything_back_and_the_next_rental_goes_on() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        for verdict in [Verdict::Failed { reason: 1 }, Verdict::Rejected { reason: 2 }] {
            let id = world.start(&rider, "A").await;
            world.verdict(id, verdict).await;
            let shown = world.show(&rider, id).await;
            assert_eq!(shown["status"], "cancelled");
            assert_eq!(world.money(&rider).await, (50_000, 0));
        }
        assert!(world.incidents().await.is_empty());
        world.start_and_eject(&rider, "A").await;
        world.books_agree().await;
    }
}

#[tokio::test]
async fn late_done_after_failed_opens_the_rental_again() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(60).await;
        let id = world.start(&rider, "A").await;
        world.verdict(id, Verdict::Failed { reason: 1 }).await;
        assert_eq!(world.money(&rider).await, (6_000, 0));
        world.verdict(id, Verdict::Done).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        assert_eq!(world.incidents().await, [IncidentKind::LateEvidence]);
        world.try_start(&rider, "A", "some-key-9").await.problem(409, "active_rental_exists");
        world.books_agree().await;
        world.advance_s(600);
        world.insert(a, 1, 1).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
        assert_eq!(world.money(&rider).await, (1_000, 0), "paid from the wallet, once");
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_rental_past_its_time_is_overdue_and_says_what_it_costs() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(3_599);
        world.settle().await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        world.advance_s(601);
        world.settle().await;
        let shown = world.show(&rider, id).await;
        assert_eq!(shown["status"], "overdue");
        // 10 minutes late, 2 of grace: 8 × 2 × 83.33 paisa.
        assert_eq!(shown["estimate"]["late_fee"]["amount"], "13.33");
        world.try_start(&rider, "A", "some-key-8").await.problem(409, "overdue_rental_exists");
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_stranger_sees_no_rental() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (ann, tom) = (world.rider(500).await, world.rider(0).await);
        let id = world.start(&ann, "A").await;
        world
            .test
            .bearer(&tom.token)
            .get(&format!("/api/v1/rentals/{id}"))
            .await
            .problem(404, "rental_not_found");
        for path in ["active", "history", &id.to_string()] {
            world
                .test
                .anonymous()
                .get(&format!("/api/v1/rentals/{path}"))
                .await
                .problem(401, "unauthenticated");
        }
    }
}
