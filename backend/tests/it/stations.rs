//! Stations: provisioned by staff, admitted by gateways, seen by riders, filled by inventories.

use crate::places::staff_of_role;
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::error::Result;
use backend::stations::inventory::{self, Difference};
use backend::stations::presence::{station_id, wire_station_id};
use backend::stations::provision::{self, NewStation, Provisioned};
use entities::admin_action_log;
use entities::admin_profile::AdminRole;
use entities::id::{PowerBankId, StationId};
use entities::power_bank::{self, PowerBankStatus};
use protocol::control::{Inventory, PresenceLine, SlotReport, StationPresence};
use protocol::types::{BankSerial, Epoch, EventNo};
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use serde_json::json;
use uuid::Uuid;

const GATEWAY: &str = "http://gateway.test";

/// A station at a place, with so many slots.
pub(crate) async fn station(test: &TestApp, serial: &str, place: (f64, f64), slots: u8) -> Provisioned {
    let new = NewStation {
        station_name: format!("Station {serial}"),
        serial_number: serial.to_owned(),
        imei: None,
        latitude: place.0,
        longitude: place.1,
        address: "Thamel, Kathmandu".to_owned(),
        landmark: None,
        total_slots: slots,
    };
    provision::provision(&test.app, new).await.unwrap()
}

/// A bank of ours that is nowhere yet.
pub(crate) async fn bank(test: &TestApp, number: u8) -> PowerBankId {
    let written = test.app.db.write(move |tx| {
        Box::pin(async move {
            let id = PowerBankId::from(tx.new_uuid());
            let row = power_bank::ActiveModel {
                id: Set(id),
                serial_number: Set(serial(number).to_string()),
                model: Set("PB-10".to_owned()),
                capacity_mah: Set(10_000),
                status: Set(PowerBankStatus::Missing),
                current_station: Set(None),
                current_slot: Set(None),
                battery_level: Set(None),
                hardware_info: Set(json!({})),
                last_updated: Set(tx.now()),
                created_at: Set(tx.now()),
            };
            power_bank::Entity::insert(row).exec_without_returning(tx).await?;
            Ok(id)
        })
    });
    written.await.unwrap()
}

pub(crate) fn serial(number: u8) -> BankSerial {
    BankSerial([0, 0, 0, 0, 0, 0, 0, number])
}

/// Says that the station has a session at the test's gateway.
pub(crate) fn comes_online(test: &TestApp, station: StationId) {
    let instance_id = Uuid::from_u128(77);
    test.app.presence.apply(GATEWAY, PresenceLine::Hello { instance_id, now_ms: 0 });
    let presence = StationPresence {
        station_id: wire_station_id(station),
        epoch: Epoch(1),
        suspect: false,
        since_ms: 1,
        last_seen_ms: test.app.clock.wall_ms(),
        rtt_ms: None,
    };
    test.app.presence.apply(GATEWAY, PresenceLine::Station(presence));
    test.app.presence.apply(GATEWAY, PresenceLine::SnapshotEnd);
}

/// A slot table: the bank in each slot, by number.
pub(crate) fn table(as_of: u64, slots: &[Option<u8>]) -> Inventory {
    let report = |(at, bank): (usize, &Option<u8>)| SlotReport {
        slot: at as u8 + 1,
        bank: bank.map(serial),
        state: if bank.is_some() { 0b11 } else { 0 },
        level_percent: 80,
        voltage_mv: 4_000,
        current_ma: 0,
        temperature_c: 25,
        health_percent: 100,
    };
    Inventory {
        version: as_of as u32,
        as_of_event_no: EventNo(as_of),
        last_cmd_id: None,
        slots: slots.iter().enumerate().map(report).collect(),
    }
}

pub(crate) async fn take_inventory(
    test: &TestApp,
    station: StationId,
    inventory: Inventory,
) -> Vec<Difference> {
    let written: Result<_> = test
        .app
        .db
        .write(move |tx| {
            let inventory = inventory.clone();
            Box::pin(async move { inventory::apply(tx, station, &inventory, tx.now()).await })
        })
        .await;
    written.unwrap()
}

#[tokio::test]
async fn a_provisioned_station_has_its_slots_its_key_and_its_place_in_the_roster() {
    for test in TestApp::on_each_backend().await {
        let nothing = test.gateway().get("/internal/v1/roster?version=0").await;
        assert_eq!(nothing.status, 304);
        let made = station(&test, "KTM-1", (27.7, 85.3), 4).await;
        assert_eq!((made.key_id, made.key_gen, made.key.len()), (1, 1, 64));
        let again = provision::provisioned(&test.app, "KTM-1").await.unwrap();
        assert_eq!((again.station_id, again.key), (made.station_id, made.key));
        let roster = test.gateway().get("/internal/v1/roster?version=0").await.ok();
        assert_eq!(roster["version"], 1);
        assert_eq!(roster["entries"][0]["station_id"], made.station_id.to_string());
        assert_eq!(roster["entries"][0]["admission"], "approved");
        assert_eq!(test.gateway().get("/internal/v1/roster?version=1").await.status, 304);
        // A gateway that knows more than a book that was restored reads it anew.
        let older = test.gateway().get("/internal/v1/roster?version=9").await.ok();
        assert_eq!(older, json!({ "version": 1, "entries": [] }));
        station(&test, "KTM-2", (27.7, 85.3), 4).await;
        let changed = test.gateway().get("/internal/v1/roster?version=1").await.ok();
        assert_eq!((&changed["version"], changed["entries"].as_array().unwrap().len()), (&json!(2), 1));
    }
}

#[tokio::test]
async fn the_internal_door_opens_to_its_key_only() {
    let test = TestApp::new().await;
    for token in ["", "wrong", "internal-key-of-this-tesT", "internal-key-of-this-test-"] {
        test.internal(token).get("/internal/v1/roster?version=0").await.problem(401, "unauthenticated");
        test.internal(token).post("/internal/v1/sessions", json!({})).await.problem(401, "unauthenticated");
    }
    test.anonymous().get("/internal/v1/roster?version=0").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_session_is_briefed_and_its_hardware_noted_for_staff_only() {
    for test in TestApp::on_each_backend().await {
        let made = station(&test, "KTM-1", (27.7, 85.3), 2).await;
        let opened = json!({
            "instance_id": Uuid::from_u128(1), "station_id": made.station_id, "epoch": "0001000001000001",
            "firmware": "1.2.3", "hardware": "secret-board", "imei": null, "slots": 2,
        });
        let mut stranger = opened.clone();
        stranger["station_id"] = json!(Uuid::from_u128(5));
        // One after the other in one call, and whoever nobody knows harms nobody.
        let told = json!({ "sessions": [opened, stranger, opened] });
        let answer = test.gateway().post("/internal/v1/sessions", told).await.ok();
        let briefing =
            json!({ "briefing": { "events_through": "0", "queries": [], "query_inventory": false } });
        assert_eq!(answer, json!({ "sessions": [briefing, "unknown", briefing] }));
        let detail = test.anonymous().get("/api/v1/stations/KTM-1").await.ok();
        assert!(!detail.to_string().contains("secret-board"));
        let too_many = json!({ "sessions": vec![opened; 257] });
        test.gateway().post("/internal/v1/sessions", too_many).await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_station_of_which_nothing_can_be_noted_is_briefed_like_its_neighbours() {
    for test in TestApp::on_each_backend().await {
        let broken = station(&test, "KTM-1", (27.7, 85.3), 2).await;
        let whole = station(&test, "KTM-2", (27.7, 85.3), 2).await;
        let refuse = match test.backend() {
            "sqlite" => {
                "create trigger refuse before update on stations when old.serial_number = 'KTM-1'
                 begin select raise(abort, 'this row cannot change'); end"
            }
            _ => "alter table stations add check (serial_number <> 'KTM-1') not valid",
        };
        let refused =
            test.app.db.write(move |tx| Box::pin(async move { Ok(tx.execute_unprepared(refuse).await?) }));
        refused.await.unwrap();
        let opened = [&broken, &whole].map(|station| {
            json!({
                "instance_id": Uuid::from_u128(1), "station_id": station.station_id, "epoch": "0001000001000001",
                "firmware": "1.2.3", "hardware": "board-2", "imei": null, "slots": 2,
            })
        });
        let answer = test.gateway().post("/internal/v1/sessions", json!({ "sessions": opened })).await.ok();
        let briefing =
            json!({ "briefing": { "events_through": "0", "queries": [], "query_inventory": false } });
        assert_eq!(answer, json!({ "sessions": [briefing, briefing] }), "{}", test.backend());
        let noted = async |id| {
            let row =
                entities::station::Entity::find_by_id(id).one(test.app.db.read()).await.unwrap().unwrap();
            row.hardware_info["hardware"].clone()
        };
        assert_eq!(noted(broken.station_id).await, json!(null));
        assert_eq!(noted(whole.station_id).await, json!("board-2"));
    }
}

#[tokio::test]
async fn a_station_gets_another_key_or_none_and_gateways_hear_of_it() {
    for test in TestApp::on_each_backend().await {
        let made = station(&test, "KTM-1", (27.7, 85.3), 2).await;
        station(&test, "KTM-2", (27.7, 85.3), 2).await;
        let roster = async |version: u64| {
            let answer = test.gateway().get(&format!("/internal/v1/roster?version={version}")).await.ok();
            assert_eq!(answer["version"], version + 1);
            assert_eq!(answer["entries"].as_array().unwrap().len(), 1, "the other one has not changed");
            answer["entries"][0].clone()
        };
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let path = "/api/v1/admin/stations/KTM-1";
        let because = json!({ "reason": "The controller was replaced." });
        let rekeyed = staff.post(&format!("{path}/rekey"), because.clone()).await.ok();
        assert_eq!((&rekeyed["key_gen"], &rekeyed["station_id"]), (&json!(2), &json!(made.station_id)));
        assert_ne!(rekeyed["key"], made.key);
        let again = provision::provisioned(&test.app, "KTM-1").await.unwrap();
        assert_eq!((json!(again.key), again.key_gen), (rekeyed["key"].clone(), 2));
        let entry = roster(2).await;
        assert_eq!((&entry["min_key_gen"], &entry["admission"]), (&json!(2), &json!("approved")));

        let change =
            |admission: &str| json!({ "admission": admission, "reason": "Sold to another operator." });
        let path_of_rekey = format!("{path}/rekey");
        let at_once = || staff.post(&path_of_rekey, because.clone());
        let (one, other) = tokio::join!(at_once(), at_once());
        let mut both = [one.ok()["key_gen"].clone(), other.ok()["key_gen"].clone()];
        both.sort_by_key(serde_json::Value::as_u64);
        assert_eq!(both, [3, 4], "nobody gets the key of another");
        let access = staff.post(&format!("{path}/admission"), change("revoked")).await.ok();
        assert_eq!(access, json!({ "serial_number": "KTM-1", "admission": "revoked", "key_gen": 4 }));
        assert_eq!(roster(5).await["admission"], "revoked");
        let rekeyed = staff.post(&format!("{path}/rekey"), because.clone()).await.ok();
        assert_eq!(rekeyed["key_gen"], 5);
        assert_eq!(roster(6).await["admission"], "revoked", "another key is no admission");
        staff.post(&format!("{path}/admission"), change("approved")).await.ok();
        let entry = roster(7).await;
        assert_eq!((&entry["min_key_gen"], &entry["admission"]), (&json!(5), &json!("approved")));

        staff.post(&format!("{path}/admission"), change("perhaps")).await.problem(422, "validation_failed");
        staff
            .post(&format!("{path}/rekey"), json!({ "reason": " " }))
            .await
            .problem(422, "validation_failed");
        let nowhere = "/api/v1/admin/stations/KTM-9/rekey";
        staff.post(nowhere, because.clone()).await.problem(404, "station_not_found");
        let last = test.app.db.write(move |tx| {
            Box::pin(async move {
                Ok(tx.execute_unprepared("update station_keys set key_gen = 32767 where key_gen = 5").await?)
            })
        });
        last.await.unwrap();
        staff.post(&format!("{path}/rekey"), because.clone()).await.problem(409, "no_more_keys");

        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let noted = json!({ "key_gen": [1, 2], "reason": "The controller was replaced." });
        assert!(notes.iter().any(|note| note.action == "station.rekey" && note.changes == noted));
        let moderator = test.bearer(staff_of_role(&test, AdminRole::Moderator).await);
        moderator.post(&format!("{path}/rekey"), because).await.problem(403, "forbidden");
        moderator.post(&format!("{path}/admission"), change("revoked")).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn riders_find_stations_by_text_and_by_place() {
    for test in TestApp::on_each_backend().await {
        for (serial, place) in
            [("KTM-1", (27.7154, 85.3123)), ("KTM-2", (27.6727, 85.3254)), ("PKR-1", (28.2096, 83.9856))]
        {
            station(&test, serial, place, 2).await;
            test.clock.advance_ms(1);
        }
        let serials = |body: &serde_json::Value| -> Vec<String> {
            let items = body["items"].as_array().unwrap();
            items.iter().map(|item| item["serial_number"].as_str().unwrap().to_owned()).collect()
        };
        let rider = test.anonymous();
        let first = rider.get("/api/v1/stations?limit=2").await.ok();
        assert_eq!(serials(&first), ["PKR-1", "KTM-2"]);
        let next = format!("/api/v1/stations?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
        let second = rider.get(&next).await.ok();
        assert_eq!((serials(&second), second.get("next_cursor")), (vec!["KTM-1".to_owned()], None));
        assert_eq!(serials(&rider.get("/api/v1/stations?search=pkr").await.ok()), ["PKR-1"]);
        assert!(
            serials(&rider.get("/api/v1/stations?search=%25").await.ok()).is_empty(),
            "{}",
            test.backend()
        );
        let near = rider.get("/api/v1/stations/nearby?lat=27.7154&lng=85.3123&radius=10").await.ok();
        assert_eq!(serials(&near), ["KTM-1", "KTM-2"]);
        assert_eq!(near["items"][0]["distance_km"], 0.0);
        rider.get("/api/v1/stations/NONE").await.problem(404, "station_not_found");
        for wrong in [
            "nearby?lat=91&lng=0",
            "nearby?lat=0&lng=0&radius=51",
            "nearby?lat=NaN&lng=0",
            "nearby?lat=x&lng=0",
            "nearby",
            "?limit=0",
            "?limit=101",
            "?cursor=zz",
        ] {
            let path = format!("/api/v1/stations/{wrong}").replace("/?", "?");
            rider.get(&path).await.problem(422, "validation_failed");
        }
    }
}

#[tokio::test]
async fn an_inventory_fills_the_slots_and_presence_makes_them_rentable() {
    for test in TestApp::on_each_backend().await {
        let made = station(&test, "KTM-1", (27.7, 85.3), 3).await;
        let banks = [bank(&test, 1).await, bank(&test, 2).await];
        let differences = take_inventory(&test, made.station_id, table(1, &[Some(1), Some(2), None])).await;
        assert_eq!(differences.len(), 2);
        assert!(
            matches!(differences[0], Difference::Appeared { bank, booked: None, .. } if bank == banks[0])
        );
        let shown = |detail: serde_json::Value| {
            (detail["presence"].clone(), detail["rentable"].clone(), detail["returnable"].clone())
        };
        let rider = test.anonymous();
        let offline = rider.get("/api/v1/stations/KTM-1").await.ok();
        assert_eq!(
            offline["slots"][0],
            json!({ "slot_number": 1, "status": "occupied", "battery_level": 80 })
        );
        assert_eq!(shown(offline), (json!("offline"), json!(0), json!(1)));
        comes_online(&test, made.station_id);
        assert_eq!(
            shown(rider.get("/api/v1/stations/KTM-1").await.ok()),
            (json!("online"), json!(2), json!(1))
        );
        test.clock.advance_ms(20_000);
        assert_eq!(shown(rider.get("/api/v1/stations/KTM-1").await.ok()).0, json!("unknown"));
        assert_eq!(station_id(wire_station_id(made.station_id)), made.station_id);
    }
}

#[tokio::test]
async fn a_bank_is_in_one_place_however_it_moves() {
    for test in TestApp::on_each_backend().await {
        let here = station(&test, "KTM-1", (27.7, 85.3), 3).await.station_id;
        let there = station(&test, "KTM-2", (27.7, 85.3), 3).await.station_id;
        let (one, two) = (bank(&test, 1).await, bank(&test, 2).await);
        let find = async |bank: PowerBankId| {
            power_bank::Entity::find_by_id(bank).one(test.app.db.read()).await.unwrap().unwrap()
        };
        take_inventory(&test, here, table(5, &[Some(1), Some(2), None])).await;

        // The two change slots: nothing is gone.
        let swapped = take_inventory(&test, here, table(6, &[Some(2), Some(1), None])).await;
        assert!(
            swapped
                .iter()
                .all(|difference| matches!(difference, Difference::Appeared { booked: Some(_), .. }))
        );
        assert_eq!(swapped.len(), 2, "{swapped:?}");

        // The same table again, and an older one, change nothing.
        assert_eq!(take_inventory(&test, here, table(6, &[Some(2), Some(1), None])).await, []);
        assert_eq!(take_inventory(&test, here, table(4, &[None, None, None])).await, []);

        // One of them turns up elsewhere, then its old station says so too.
        let moved = take_inventory(&test, there, table(1, &[None, None, Some(1)])).await;
        assert!(matches!(moved[..], [Difference::Appeared { bank, booked: Some(_), .. }] if bank == one));
        assert_eq!(take_inventory(&test, here, table(7, &[Some(2), None, None])).await, []);
        assert_eq!(find(one).await.current_station, Some(there));

        // The other one is in no slot any more, and a stranger is.
        let gone = take_inventory(&test, here, table(8, &[Some(99), None, None])).await;
        assert!(matches!(gone[0], Difference::Unknown { serial: stranger, .. } if stranger == serial(99)));
        assert!(matches!(gone[1], Difference::Gone { bank, .. } if bank == two), "{gone:?}");
        assert_eq!((find(two).await.current_slot, find(two).await.current_station), (None, None));
    }
}

#[tokio::test]
async fn a_reserved_bank_cannot_be_reserved_again_and_comes_back_by_release() {
    for test in TestApp::on_each_backend().await {
        let here = station(&test, "KTM-1", (27.7, 85.3), 1).await.station_id;
        let one = bank(&test, 1).await;
        let reserve = async || {
            let reserved: Result<bool> =
                test.app.db.write(move |tx| Box::pin(async move { inventory::reserve(tx, one).await })).await;
            reserved.unwrap()
        };
        assert!(!reserve().await, "it is nowhere yet");
        take_inventory(&test, here, table(1, &[Some(1)])).await;
        assert!(reserve().await);
        assert!(!reserve().await);
        let released: Result<()> =
            test.app.db.write(move |tx| Box::pin(async move { inventory::release(tx, one).await })).await;
        released.unwrap();
        assert!(reserve().await);
    }
}
