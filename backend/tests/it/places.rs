//! Stations as riders mark and report them, and as staff look after them.

use crate::media::{jpeg, upload, upload_as_staff};
use crate::riders::{Rider, rider};
use crate::staff::staff_token;
use crate::stations::{bank, comes_online, serial, station, table, take_inventory};
use crate::test_app::{Answer, Caller, TestApp};
use axum::body::Body;
use axum::http::Method;
use entities::admin_action_log;
use entities::admin_profile::AdminRole;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::{Value, json};

fn signed_in<'a>(test: &'a TestApp, rider: &Rider) -> Caller<'a> {
    test.bearer(rider.token.clone())
}

async fn delete(caller: &Caller<'_>, path: &str) -> Answer {
    caller.send(caller.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
}

fn serials(listed: &Value) -> Vec<&str> {
    listed["items"].as_array().unwrap().iter().map(|item| item["serial_number"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_rider_marks_stations_and_finds_them_again() {
    for test in TestApp::on_each_backend().await {
        for number in 1..=3 {
            station(&test, &format!("KTM-{number}"), (27.7, 85.3), 2).await;
        }
        let (rider, other) = (rider(&test.app).await, rider(&test.app).await);
        let me = signed_in(&test, &rider);
        for serial in ["KTM-1", "KTM-3", "KTM-1"] {
            let marked = me.post(&format!("/api/v1/stations/{serial}/favorite"), json!({})).await.ok();
            assert_eq!(marked, json!({ "serial_number": serial, "is_favorite": true }));
            test.clock.advance_ms(1_000);
        }
        let first = me.get("/api/v1/stations/favorites?limit=1").await.ok();
        assert_eq!(serials(&first), ["KTM-3"]);
        let next =
            format!("/api/v1/stations/favorites?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
        let next = me.get(&next).await.ok();
        assert_eq!((serials(&next), next.get("next_cursor")), (vec!["KTM-1"], None));

        // Everybody's lists say what the caller marked, and nothing to strangers.
        let listed = me.get("/api/v1/stations").await.ok();
        for item in listed["items"].as_array().unwrap() {
            assert_eq!(item["is_favorite"], item["serial_number"] != "KTM-2", "{item}");
        }
        assert_eq!(me.get("/api/v1/stations/KTM-2").await.ok()["is_favorite"], false);
        let near = me.get("/api/v1/stations/nearby?lat=27.7&lng=85.3").await.ok();
        assert!(near["items"].as_array().unwrap().iter().any(|item| item["is_favorite"] == true));
        let stranger = test.anonymous().get("/api/v1/stations/KTM-1").await.ok();
        assert!(stranger.get("is_favorite").is_none());
        assert!(stranger.get("hardware_info").is_none() && stranger.get("imei").is_none());
        assert_eq!(
            signed_in(&test, &other).get("/api/v1/stations/favorites").await.ok()["items"],
            json!([]),
            "{}",
            test.backend()
        );

        let unmarked = delete(&me, "/api/v1/stations/KTM-3/favorite").await.ok();
        assert_eq!(unmarked["is_favorite"], false);
        delete(&me, "/api/v1/stations/KTM-3/favorite").await.ok();
        assert_eq!(serials(&me.get("/api/v1/stations/favorites").await.ok()), ["KTM-1"]);
        let nowhere = me.post("/api/v1/stations/KTM-9/favorite", json!({})).await;
        nowhere.problem(404, "station_not_found");
        me.post("/api/v1/stations/%00/favorite", json!({})).await.problem(404, "not_found");
        delete(&me, "/api/v1/stations/KTM-9/favorite").await.problem(404, "station_not_found");
    }
}

#[tokio::test]
async fn a_report_goes_from_the_rider_through_staff_and_back() {
    for test in TestApp::on_each_backend().await {
        station(&test, "KTM-1", (27.7, 85.3), 2).await;
        station(&test, "KTM-2", (27.7, 85.3), 2).await;
        let (rider, other) = (rider(&test.app).await, rider(&test.app).await);
        let (me, other) = (signed_in(&test, &rider), signed_in(&test, &other));
        let photograph = upload(&me, "issue", &jpeg(5)).await;
        let fault = json!({ "issue_type": "slot_error", "description": "  Slot 3 does not open.  " });
        let mut shown = fault.clone();
        shown["images"] = json!([photograph["id"]]);
        let theirs = other.post("/api/v1/stations/KTM-1/report-issue", shown.clone()).await;
        theirs.problem(422, "validation_failed");
        let made = me.post("/api/v1/stations/KTM-1/report-issue", shown).await;
        assert_eq!(made.status, 201);
        let made = made.ok();
        assert_eq!(
            (&made["status"], &made["priority"], &made["description"]),
            (&json!("reported"), &json!("medium"), &json!("Slot 3 does not open."))
        );
        let again = me.post("/api/v1/stations/KTM-1/report-issue", fault.clone()).await;
        again.problem(409, "issue_already_reported");
        other.post("/api/v1/stations/KTM-1/report-issue", fault.clone()).await.ok();
        assert_eq!(serials(&me.get("/api/v1/stations/my-reports").await.ok()), ["KTM-1"]);
        let known = other.get("/api/v1/stations/KTM-1/issues").await.ok();
        let known = known["items"].as_array().unwrap();
        assert_eq!(known.iter().map(|item| &item["is_mine"]).collect::<Vec<_>>(), [true, false]);
        assert!(known[1].get("description").is_none(), "a rider's words are for staff");
        assert_eq!(other.get("/api/v1/stations/KTM-2/issues").await.ok()["items"], json!([]));

        let staff = test.bearer(staff_token(&test, AdminRole::Moderator).await);
        let listed = staff.get("/api/v1/admin/station-issues?serial_number=KTM-1&status=reported").await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
        let photograph = listed["items"][1]["images"][0].as_str().unwrap();
        assert_eq!(test.anonymous().get(photograph).await.headers["content-type"], "image/jpeg");
        let path = format!("/api/v1/admin/station-issues/{}", made["id"].as_str().unwrap());
        let urgent = json!({ "priority": "critical" });
        let assigned = staff.post(&format!("{path}/assign"), urgent).await.ok();
        assert_eq!(assigned["priority"], "critical");
        let mine =
            format!("/api/v1/admin/station-issues?assigned_to={}", assigned["assigned_to"].as_str().unwrap());
        assert_eq!(staff.get(&mine).await.ok()["items"].as_array().unwrap().len(), 1);
        let nobody = json!({ "assigned_to": "01890f3e-7cc2-7000-8000-000000000001" });
        staff.post(&format!("{path}/assign"), nobody).await.problem(422, "validation_failed");
        let moved =
            async |status: &str| staff.post(&format!("{path}/status"), json!({ "status": status })).await;
        assert_eq!(moved("in_progress").await.ok()["status"], "in_progress");
        moved("acknowledged").await.problem(409, "issue_moved");
        let resolved = moved("resolved").await.ok();
        assert!(resolved["resolved_at"].is_string());
        moved("resolved").await.problem(409, "issue_moved");
        staff.post(&format!("{path}/assign"), json!({})).await.problem(409, "issue_moved");
        assert_eq!(staff.get(&path).await.ok()["status"], "resolved");
        let unknown = "/api/v1/admin/station-issues/01890f3e-7cc2-7000-8000-000000000001";
        staff.get(unknown).await.problem(404, "issue_not_found");

        // The rider hears of it, once, and may report the same again.
        test.drain_jobs().await;
        let told = me.get("/api/v1/notifications").await.ok();
        assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(told["items"][0]["title"], "Mended: Station KTM-1");
        assert_eq!(other.get("/api/v1/notifications").await.ok()["items"], json!([]));
        me.post("/api/v1/stations/KTM-1/report-issue", fault).await.ok();
        let notes = admin_action_log::Entity::find()
            .filter(admin_action_log::Column::TargetModel.eq("station_issues"))
            .all(test.app.db.read());
        let mut actions: Vec<_> = notes.await.unwrap().into_iter().map(|note| note.action).collect();
        actions.sort_unstable();
        assert_eq!(actions, ["station_issue.assign", "station_issue.status", "station_issue.status"]);
    }
}

#[tokio::test]
async fn a_rider_cannot_flood_staff_with_reports() {
    for test in TestApp::on_each_backend().await {
        let rider = rider(&test.app).await;
        let me = signed_in(&test, &rider);
        station(&test, "KTM-0", (27.7, 85.3), 1).await;
        for (field, value) in [
            ("description", json!("abc")),
            ("description", json!("x".repeat(1_001))),
            ("description", json!("with\u{0}nul")),
            ("issue_type", json!("haunted")),
            ("images", json!(["/etc/passwd"])),
            ("images", json!(["01890f3e-7cc2-7000-8000-000000000001"])),
            ("images", json!(vec!["01890f3e-7cc2-7000-8000-000000000001"; 6])),
        ] {
            let mut wrong = json!({ "issue_type": "dirty", "description": "It is so." });
            wrong[field] = value;
            let refused = me.post("/api/v1/stations/KTM-0/report-issue", wrong).await;
            refused.problem(422, "validation_failed");
        }
        let kinds = ["offline", "damaged", "dirty", "location_wrong", "slot_error"];
        let most = usize::try_from(backend::limits::OPEN_REPORTS_MAX).unwrap();
        for number in 1..=most.div_ceil(kinds.len()) {
            station(&test, &format!("KTM-{number}"), (27.7, 85.3), 1).await;
            for kind in kinds {
                let fault = json!({ "issue_type": kind, "description": "It is so." });
                me.post(&format!("/api/v1/stations/KTM-{number}/report-issue"), fault).await.ok();
            }
        }
        let fault = json!({ "issue_type": "amenity_issue", "description": "No light." });
        let refused = me.post("/api/v1/stations/KTM-0/report-issue", fault).await;
        refused.problem(429, "too_many_reports");
    }
}

#[tokio::test]
async fn staff_describe_a_station_anew_and_take_it_out_of_use() {
    for test in TestApp::on_each_backend().await {
        station(&test, "KTM-1", (27.7, 85.3), 2).await;
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let path = "/api/v1/admin/stations/KTM-1";
        let described = json!({
            "station_name": "Patan Durbar", "imei": "490154203237518", "latitude": 27.6727, "longitude": 85.3254,
            "address": "Mangal Bazar", "landmark": null, "opening_time": "06:00", "closing_time": "21:30",
        });
        let shown = staff.put(path, described.clone()).await.ok();
        let roster = test.gateway().get("/internal/v1/roster?version=1").await.ok();
        assert_eq!(roster["entries"][0]["imei"], "490154203237518", "gateways let the new modem in");
        assert_eq!(
            (&shown["station_name"], &shown["imei"]),
            (&json!("Patan Durbar"), &json!("490154203237518"))
        );
        assert_eq!(staff.get(path).await.ok(), shown);
        let seen = test.anonymous().get("/api/v1/stations/KTM-1").await.ok();
        assert_eq!((&seen["opening_time"], &seen["latitude"]), (&json!("06:00"), &json!(27.6727)));
        let near =
            test.anonymous().get("/api/v1/stations/nearby?lat=27.6727&lng=85.3254&radius=0.5").await.ok();
        assert_eq!(serials(&near), ["KTM-1"], "it is found where it is now");
        let gone = test.anonymous().get("/api/v1/stations/nearby?lat=27.7&lng=85.3&radius=0.5").await.ok();
        assert_eq!(gone["items"], json!([]), "and not where it was");
        for (field, value) in [
            ("station_name", json!("")),
            ("imei", json!("12")),
            ("latitude", json!(91)),
            ("opening_time", json!("25:00")),
            ("closing_time", json!(null)),
            ("landmark", json!("a\u{0}")),
        ] {
            let mut wrong = described.clone();
            wrong[field] = value;
            let problem = staff.put(path, wrong).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
        }
        station(&test, "KTM-2", (27.7, 85.3), 2).await;
        staff.put("/api/v1/admin/stations/KTM-2", described.clone()).await.problem(409, "imei_taken");
        staff.put("/api/v1/admin/stations/KTM-9", described.clone()).await.problem(404, "station_not_found");

        let broken = json!({ "is_maintenance": true, "reason": "The door is broken." });
        let shown = staff.post(&format!("{path}/maintenance"), broken.clone()).await.ok();
        assert_eq!((&shown["status"], &shown["returnable"]), (&json!("maintenance"), &json!(0)));
        assert_eq!(test.anonymous().get("/api/v1/stations/KTM-1").await.ok()["status"], "maintenance");
        let unexplained = json!({ "is_maintenance": false, "reason": "" });
        staff.post(&format!("{path}/maintenance"), unexplained).await.problem(422, "validation_failed");
        let mended = json!({ "is_maintenance": false, "reason": "Mended." });
        assert_ne!(staff.post(&format!("{path}/maintenance"), mended).await.ok()["status"], "maintenance");
        let qr = staff.get(&format!("{path}/qr")).await;
        assert_eq!(qr.headers["content-type"], "image/svg+xml");
        assert!(qr.ok().as_str().unwrap().contains("<svg"));

        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let update = notes.iter().find(|note| note.action == "station.update").unwrap();
        assert_eq!(update.changes["station_name"], json!(["Station KTM-1", "Patan Durbar"]));
        let moderator = staff_of_role(&test, AdminRole::Moderator).await;
        let moderator = test.bearer(moderator);
        moderator.get(path).await.ok();
        moderator.put(path, described).await.problem(403, "forbidden");
        moderator.post(&format!("{path}/maintenance"), broken).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn stations_are_found_by_place_and_by_word_wherever_they_were_made() {
    for test in TestApp::on_each_backend().await {
        for (serial, place) in
            [("KTM-1", (27.7154, 85.3123)), ("KTM-2", (27.7160, 85.3123)), ("PKR-1", (28.2096, 83.9856))]
        {
            station(&test, serial, place, 1).await;
        }
        let nobody = test.anonymous();
        let near = nobody.get("/api/v1/stations/nearby?lat=27.7154&lng=85.3123&radius=50").await.ok();
        assert_eq!(serials(&near), ["KTM-1", "KTM-2"]);
        assert_eq!(near["items"][0]["distance_km"], 0.0);
        station(&test, "KTM-3", (27.7155, 85.3123), 1).await;
        let near = nobody.get("/api/v1/stations/nearby?lat=27.7154&lng=85.3123").await.ok();
        assert_eq!(serials(&near), ["KTM-1", "KTM-3", "KTM-2"], "a new station is there at once");

        let found = async |query: &str| nobody.get(&format!("/api/v1/stations?search={query}")).await;
        let mut ktm =
            serials(&found("ktm-").await.ok()).iter().map(|serial| (*serial).to_owned()).collect::<Vec<_>>();
        ktm.sort_unstable();
        assert_eq!(ktm, ["KTM-1", "KTM-2", "KTM-3"]);
        assert_eq!(found("STATION%20pkr").await.ok()["items"].as_array().unwrap().len(), 1);
        for nothing in ["%25", "_", "nowhere"] {
            assert_eq!(found(nothing).await.ok()["items"], json!([]), "{nothing}");
        }
        for wrong in ["%00", &"x".repeat(101)] {
            found(wrong).await.problem(422, "validation_failed");
        }
        let mut seen = Vec::new();
        let mut path = "/api/v1/stations?search=thamel&limit=2".to_owned();
        loop {
            let page = nobody.get(&path).await.ok();
            seen.extend(serials(&page).iter().map(|serial| (*serial).to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/api/v1/stations?search=thamel&limit=2&cursor={cursor}");
        }
        seen.sort_unstable();
        assert_eq!(seen, ["KTM-1", "KTM-2", "KTM-3", "PKR-1"], "each once");

        // Another process moves a station: within seconds it is found where it is.
        let moved = test.app.db.write(|tx| {
            Box::pin(async move {
                let row = backend_station(tx, "KTM-2").await?;
                let change = entities::station::ActiveModel {
                    id: Set(row.id),
                    latitude: Set(28.2096),
                    longitude: Set(83.9856),
                    updated_at: Set(tx.now()),
                    ..Default::default()
                };
                change.update(tx).await?;
                Ok(())
            })
        });
        moved.await.unwrap();
        test.clock.advance_ms(backend::limits::PLACES_LIFE_MS + 1);
        let near = nobody.get("/api/v1/stations/nearby?lat=28.2096&lng=83.9856&radius=1").await.ok();
        assert_eq!(near["items"].as_array().unwrap().len(), 2, "{}", test.backend());
    }
}

async fn backend_station(
    tx: &backend::db::Tx,
    serial: &str,
) -> backend::error::Result<entities::station::Model> {
    let named = entities::station::Entity::find().filter(entities::station::Column::SerialNumber.eq(serial));
    Ok(named.one(tx).await?.unwrap())
}

#[tokio::test]
async fn a_station_shows_what_is_there_and_how_it_looks() {
    for test in TestApp::on_each_backend().await {
        station(&test, "KTM-1", (27.7, 85.3), 1).await;
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let wifi = json!({ "name": "lift", "icon": "fa-lift", "description": "A lift" });
        let wifi = staff.post("/api/v1/admin/station-amenities", wifi).await.ok();
        let path = "/api/v1/admin/stations/KTM-1/amenities";
        let wanted = json!({ "items": [{ "amenity_id": wifi["id"], "notes": " To the roof " }] });
        assert_eq!(staff.put(path, wanted.clone()).await.ok()["items"][0]["notes"], "To the roof");
        assert_eq!(staff.put(path, wanted.clone()).await.ok(), staff.get(path).await.ok());
        let seen = test.anonymous().get("/api/v1/stations/KTM-1").await.ok();
        assert_eq!(
            seen["amenities"],
            json!([{ "name": "lift", "icon": "fa-lift", "description": "A lift", "notes": "To the roof" }])
        );
        let twice = json!({ "items": [wanted["items"][0], wanted["items"][0]] });
        staff.put(path, twice).await.problem(422, "validation_failed");
        let unknown = json!({ "items": [{ "amenity_id": "01890f3e-7cc2-7000-8000-000000000001" }] });
        staff.put(path, unknown).await.problem(422, "validation_failed");
        staff.put(path, json!({ "items": [] })).await.ok();
        assert_eq!(test.anonymous().get("/api/v1/stations/KTM-1").await.ok()["amenities"], json!([]));

        let path = "/api/v1/admin/stations/KTM-1/media";
        let mut links = Vec::new();
        for colour in [1, 2] {
            let picture = upload_as_staff(&staff, "station", &jpeg(colour)).await;
            let hang =
                json!({ "media_upload_id": picture["id"], "is_primary": true, "title": "From the street" });
            let hanging = staff.post(path, hang.clone()).await;
            assert_eq!(hanging.status, 201, "{}", hanging.body);
            staff.post(path, hang).await.problem(409, "picture_in_use");
            links.push(picture["file_url"].clone());
        }
        let listed = test.anonymous().get("/api/v1/stations").await.ok();
        assert_eq!(listed["items"][0]["image_url"], links[1], "the newest primary picture");
        let seen = test.anonymous().get("/api/v1/stations/KTM-1").await.ok();
        assert_eq!(seen["media"].as_array().unwrap().len(), 2);
        assert_eq!(
            (&seen["media"][0]["is_primary"], &seen["media"][0]["title"]),
            (&json!(true), &json!("From the street"))
        );
        let banner = upload_as_staff(&staff, "content", &jpeg(3)).await;
        let wrong = json!({ "media_upload_id": banner["id"] });
        staff.post(path, wrong).await.problem(422, "validation_failed");
        let first = format!("{path}/{}", seen["media"][0]["id"].as_str().unwrap());
        assert_eq!(delete(&staff, &first).await.status, 204);
        delete(&staff, &first).await.problem(404, "picture_not_found");
        let listed = test.anonymous().get("/api/v1/stations").await.ok();
        assert_eq!(listed["items"][0]["image_url"], Value::Null);
        // What was taken down is gone a day later, what hangs stays.
        test.clock.advance_ms(25 * 3_600_000);
        backend::housekeeping::sweep(&test.app).await.unwrap();
        test.drain_jobs().await;
        assert_eq!(test.anonymous().get(links[1].as_str().unwrap()).await.status, 404);
        assert_eq!(test.anonymous().get(links[0].as_str().unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn staff_find_power_banks_and_take_them_out_of_use() {
    for test in TestApp::on_each_backend().await {
        let here = station(&test, "KTM-1", (27.7, 85.3), 2).await.station_id;
        bank(&test, 1).await;
        bank(&test, 2).await;
        take_inventory(&test, here, table(1, &[Some(1), None])).await;
        comes_online(&test, here);
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let count = async |query: &str| {
            let listed = staff.get(&format!("/api/v1/admin/power-banks?{query}")).await.ok();
            listed["items"].as_array().unwrap().len()
        };
        assert_eq!((count("").await, count("status=missing").await, count("station=KTM-1").await), (2, 1, 1));
        let path = format!("/api/v1/admin/power-banks/{}", serial(1));
        let seen = staff.get(&path.to_lowercase()).await.ok();
        assert_eq!((&seen["station_serial_number"], &seen["slot_number"]), (&json!("KTM-1"), &json!(1)));
        let rentable = async || test.anonymous().get("/api/v1/stations/KTM-1").await.ok()["rentable"].clone();
        assert_eq!(rentable().await, 1);
        let say = async |path: &str, status: &str| {
            staff.post(&format!("{path}/status"), json!({ "status": status, "reason": "The cable." })).await
        };
        assert_eq!(say(&path, "maintenance").await.ok()["status"], "maintenance");
        assert_eq!(rentable().await, 0);
        assert_eq!(say(&path, "available").await.ok()["status"], "available");
        assert_eq!(rentable().await, 1);
        let nowhere = format!("/api/v1/admin/power-banks/{}", serial(2));
        assert_eq!(say(&nowhere, "damaged").await.ok()["status"], "damaged");
        assert_eq!(say(&nowhere, "available").await.ok()["status"], "missing", "no slot has it");
        say(&path, "rented").await.problem(422, "validation_failed");
        staff.get("/api/v1/admin/power-banks/x").await.problem(404, "bank_not_found");
        staff.get("/api/v1/admin/power-banks/00000000000000FF").await.problem(404, "bank_not_found");
        assert_eq!(staff.get(&format!("{path}/history")).await.ok()["items"], json!([]));
        let moderator = test.bearer(staff_of_role(&test, AdminRole::Moderator).await);
        moderator.get(&path).await.ok();
        let status = json!({ "status": "damaged", "reason": "x" });
        moderator.post(&format!("{path}/status"), status).await.problem(403, "forbidden");
    }
}

/// A second member of staff.
pub(crate) async fn staff_of_role(test: &TestApp, role: AdminRole) -> String {
    let (email, password) = ("sita@chautari.example", "another battery staple");
    let new = backend::staff::NewStaff { email: email.to_owned(), password: password.to_owned(), role };
    backend::staff::create(&test.app, new).await.unwrap();
    let body = json!({ "email": email, "password": password });
    test.anonymous_post("/api/v1/admin/login", body).await.ok()["token"].as_str().unwrap().to_owned()
}
