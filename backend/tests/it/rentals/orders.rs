//! Orders of staff to a station: they reach its gateway, and end as the station says, never before.

use super::world::World;
use crate::staff::staff_token;
use crate::test_app::{Answer, Caller};
use entities::admin_action_log;
use entities::admin_profile::AdminRole;
use entities::id::CommandId;
use entities::power_bank::PowerBankStatus;
use protocol::control::{CommandKind, EventBody, Verdict};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

async fn order(staff: &Caller<'_>, key: &str, body: Value) -> Answer {
    staff.post_once(key, "/api/v1/admin/stations/A/remote-command", body).await
}

async fn show(staff: &Caller<'_>, id: &Value) -> Value {
    staff.get(&format!("/api/v1/admin/stations/A/commands/{}", id.as_str().unwrap())).await.ok()
}

#[tokio::test]
async fn an_order_reaches_the_station_and_ends_as_it_says() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), None]).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        for (key, body, kind, slot, argument, verdict, outcome) in [
            (
                "order-ring",
                json!({ "command": "ring", "reason": "find it" }),
                CommandKind::Ring,
                None,
                0,
                Verdict::Done,
                "done",
            ),
            (
                "order-lock",
                json!({ "command": "lock_slot", "slot_number": 2, "reason": "it sticks" }),
                CommandKind::LockSlot,
                Some(2),
                0,
                Verdict::Done,
                "done",
            ),
            (
                "order-open",
                json!({ "command": "unlock_slot", "slot_number": 2, "reason": "mended" }),
                CommandKind::UnlockSlot,
                Some(2),
                0,
                Verdict::Failed { reason: 3 },
                "not_done",
            ),
            (
                "order-loud",
                json!({ "command": "set_volume", "volume_percent": 40, "reason": "too loud" }),
                CommandKind::SetVolume,
                None,
                40,
                Verdict::Done,
                "done",
            ),
            (
                "order-boot",
                json!({ "command": "reboot", "reason": "it hangs" }),
                CommandKind::Reboot,
                None,
                0,
                Verdict::Rejected { reason: 2 },
                "not_done",
            ),
            (
                "order-list",
                json!({ "command": "query_inventory", "reason": "to be sure" }),
                CommandKind::QueryInventory,
                None,
                0,
                Verdict::Done,
                "done",
            ),
        ] {
            world.advance_s(1);
            let given = order(&staff, key, body.clone()).await;
            assert_eq!(
                (given.status.as_u16(), &given.body["outcome"]),
                (202, &json!("waiting")),
                "{key}: {}",
                given.body
            );
            world.settle().await;
            let id: CommandId = given.body["id"].as_str().unwrap().parse().unwrap();
            let offered = world.gateway.lock().unwrap().commands[&id].0.clone();
            assert_eq!((offered.kind, offered.slot, offered.argument), (kind, slot, argument), "{key}");
            // The gateway has it: that is not done.
            assert_eq!(show(&staff, &given.body["id"]).await["outcome"], "waiting");
            world.event(a, EventBody::CommandResult { cmd_id: id.0.into(), verdict }).await;
            let ended = show(&staff, &given.body["id"]).await;
            assert_eq!(ended["outcome"], outcome, "{key}");
            assert!(ended["finished_at"].is_string());
            // The same order again is the same order.
            let again = order(&staff, key, body).await;
            assert_eq!(again.body["id"], given.body["id"]);
        }
        world.settle().await;
        assert_eq!(world.gateway.lock().unwrap().commands.len(), 6);
        let listed = staff.get("/api/v1/admin/stations/A/commands?limit=4").await.ok();
        assert_eq!(listed["items"][0]["command"], "query_inventory");
        let next = listed["next_cursor"].as_str().unwrap();
        let rest = staff.get(&format!("/api/v1/admin/stations/A/commands?cursor={next}")).await.ok();
        assert_eq!(rest["items"].as_array().unwrap().len(), 2);
        let notes = admin_action_log::Entity::find().all(world.test.app.db.read()).await.unwrap();
        assert_eq!(notes.iter().filter(|note| note.action == "station.command").count(), 6);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_bank_is_given_to_staff_only_if_no_rider_has_it() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2), None]).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let rider = world.rider(500).await;
        let eject =
            |slot: u8| json!({ "command": "eject_for_service", "slot_number": slot, "reason": "it bulges" });
        world.start(&rider, "A").await;
        order(&staff, "of-a-rider", eject(1)).await.problem(409, "powerbank_in_rental");
        order(&staff, "of-nobody", eject(3)).await.problem(409, "slot_not_occupied");
        let wrong = order(&staff, "of-no-slot", eject(4)).await.problem(422, "validation_failed");
        assert_eq!(wrong["errors"][0]["pointer"], "/slot_number");
        let given = order(&staff, "for-service", eject(2)).await.ok();
        world.settle().await;
        assert_eq!(world.bank(2).await.status, PowerBankStatus::Available);
        let id: CommandId = given["id"].as_str().unwrap().parse().unwrap();
        world.event(a, EventBody::CommandResult { cmd_id: id.0.into(), verdict: Verdict::Done }).await;
        let bank = world.bank(2).await;
        assert_eq!((bank.status, bank.current_slot), (PowerBankStatus::Maintenance, None));
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_given_is_refused_and_one_without_an_answer_is_in_doubt() {
    for world in World::on_each_backend().await {
        world.station("A", &[None, None]).await;
        let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
        let ring = || json!({ "command": "ring", "reason": "find it" });
        for (field, body) in [
            ("/slot_number", json!({ "command": "lock_slot", "reason": "it sticks" })),
            ("/slot_number", json!({ "command": "ring", "slot_number": 1, "reason": "find it" })),
            ("/volume_percent", json!({ "command": "set_volume", "reason": "too loud" })),
            (
                "/volume_percent",
                json!({ "command": "set_volume", "volume_percent": 101, "reason": "too loud" }),
            ),
            ("/volume_percent", json!({ "command": "ring", "volume_percent": 10, "reason": "find it" })),
            ("/reason", json!({ "command": "ring", "reason": " " })),
        ] {
            let problem = order(&staff, "wrong-order", body).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], field);
        }
        let nowhere = "/api/v1/admin/stations/nowhere/remote-command";
        staff.post_once("to-nobody", nowhere, ring()).await.problem(404, "station_not_found");
        staff
            .post("/api/v1/admin/stations/A/remote-command", ring())
            .await
            .problem(400, "idempotency_key_missing");

        for number in 0..8 {
            order(&staff, &format!("ring-{number:04}"), ring()).await.ok();
        }
        order(&staff, "ring-too-often", ring()).await.problem(503, "station_busy");
        world.settle().await;
        world.advance_s(31);
        world.settle().await;
        let listed = staff.get("/api/v1/admin/stations/A/commands").await.ok();
        assert_eq!(listed["items"][0]["outcome"], "in_doubt");
        order(&staff, "ring-once-more", ring()).await.ok();

        world.gateway.lock().unwrap().sessions.clear();
        world.hello();
        order(&staff, "to-the-absent", ring()).await.problem(503, "station_offline");
    }
}
