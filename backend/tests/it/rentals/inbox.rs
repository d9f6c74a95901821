//! The inbox: stored first, applied in order, and one bad event blocks nobody.

use super::world::{OnOffer, World};
use crate::staff::staff_token;
use axum::body::Body;
use axum::http::Method;
use entities::admin_profile::AdminRole;
use entities::id::StationId;
use entities::incident::IncidentKind;
use entities::rental::RentalStatus;
use entities::{station, station_event, station_slot};
use protocol::control::{
    CommandReport, EventBody, ItemResult, ReportedState, StationEvent, UplinkItem, Verdict,
};
use protocol::types::Epoch;
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect, Set};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn done_that_is_sent_again_is_a_duplicate() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        let cmd_id = world.eject(id).await.id.0.into();
        let done = world.next_event(a, EventBody::CommandResult { cmd_id, verdict: Verdict::Done });
        let item = UplinkItem::Event(done);
        assert_eq!(world.send(vec![item.clone()]).await, [ItemResult::Stored]);
        let row = world.rental(id).await;
        // The answer was lost: the gateway sends it again.
        assert_eq!(world.send(vec![item]).await, [ItemResult::Duplicate]);
        assert_eq!(world.rental(id).await, row);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_parked_event_blocks_nobody() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        let cmd_id = world.eject(id).await.id.0.into();
        let odd = world.next_event(a, EventBody::SlotState { slot: 99, state: 0 });
        let done = world.next_event(a, EventBody::CommandResult { cmd_id, verdict: Verdict::Done });
        let mut stranger = done.clone();
        stranger.station_id = protocol::types::StationId([9; 16]);
        let items = [odd, stranger, done].map(UplinkItem::Event).to_vec();
        let results = world.send(items.clone()).await;
        assert_eq!(results, [ItemResult::Parked, ItemResult::Parked, ItemResult::Stored]);
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        assert_eq!(world.incidents().await, [IncidentKind::EventParked, IncidentKind::EventParked]);
        assert_eq!(
            world.send(items).await,
            [ItemResult::Duplicate, ItemResult::Parked, ItemResult::Duplicate]
        );
        // Nothing but the parked event is out of order, and the audit does not hide it.
        let findings = world.findings().await;
        assert!(findings.iter().all(|finding| finding.rule == "inbox"), "{findings:#?}");
        assert_eq!(findings.len(), 1);
    }
}

#[tokio::test]
async fn an_event_whose_number_was_used_again_is_kept_for_people_and_not_taken_for_the_old_one() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), None]).await;
        let old = world.next_event(a, EventBody::SlotState { slot: 1, state: 3 });
        assert_eq!(world.send(vec![UplinkItem::Event(old.clone())]).await, [ItemResult::Stored]);
        // Another flash, provisioned anew: its key generation is higher, and it counts from the start.
        let told_again = StationEvent { epoch: Epoch::from_parts(2, 1, 1).unwrap(), ..old };
        let body = EventBody::BankInserted { slot: 2, bank: crate::stations::serial(9), level_percent: 40 };
        let new = StationEvent { body, ..told_again.clone() };
        for _ in 0..2 {
            let items = [told_again.clone(), new.clone()].map(UplinkItem::Event).to_vec();
            assert_eq!(world.send(items).await, [ItemResult::Duplicate, ItemResult::Parked]);
        }
        assert_eq!(world.incidents().await, [IncidentKind::EventParked], "{}", world.test.backend());
    }
}

#[tokio::test]
async fn reports_of_commands_that_the_book_does_not_know_write_nothing() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let reports = (1..=50).map(|number| CommandReport {
            station_id: a.0.into(),
            epoch: Epoch(1),
            cmd_id: protocol::types::CommandId([number; 16]),
            received_at_ms: world.test.app.clock.wall_ms(),
            report: ReportedState::NeverSeen,
        });
        let results = world.send(reports.map(UplinkItem::CommandReport).collect()).await;
        assert!(results.iter().all(|result| *result == ItemResult::Stored));
        assert_eq!(world.incidents().await, []);
    }
}

#[tokio::test]
async fn many_stations_at_once_keep_the_order_of_each_and_one_failure_parks_only_its_own() {
    for world in World::on_each_backend().await {
        let mut rentals = Vec::new();
        let mut stories = Vec::new();
        for number in 1..=12 {
            let name = format!("S{number}");
            let station = world.station(&name, &[Some(number)]).await;
            let id = world.start(&world.rider(500).await, &name).await;
            rentals.push(id);
            let mut story = Vec::new();
            if number % 5 == 0 {
                story.push(world.next_event(station, EventBody::SlotState { slot: 99, state: 0 }));
            }
            let cmd_id = world.eject(id).await.id.0.into();
            let done = EventBody::CommandResult { cmd_id, verdict: Verdict::Done };
            story.push(world.next_event(station, done));
            // Out for a minute and back: in any other order this is no minute.
            let bank = crate::stations::serial(number);
            let back = EventBody::BankInserted { slot: 1, bank, level_percent: 50 };
            let mut back = world.next_event(station, back);
            back.happened_at_ms += 60_000;
            back.received_at_ms += 60_000;
            story.push(back);
            stories.push(story);
        }
        world.advance_s(60);
        // As they come in: the newest of each station first, the stations mixed.
        let longest = stories.iter().map(Vec::len).max().unwrap();
        let mixed = (0..longest).rev().flat_map(|at| stories.iter().filter_map(move |story| story.get(at)));
        let items: Vec<_> = mixed.cloned().map(UplinkItem::Event).collect();
        let results = world.send(items).await;
        assert_eq!(results.iter().filter(|result| **result == ItemResult::Parked).count(), 2);
        assert_eq!(results.iter().filter(|result| **result == ItemResult::Stored).count(), 24);
        for id in rentals {
            let row = world.rental(id).await;
            assert_eq!(row.status, RentalStatus::Completed, "{}", world.test.backend());
            assert_eq!(row.ended_at.unwrap() - row.started_at.unwrap(), chrono::TimeDelta::seconds(60));
        }
        assert_eq!(world.incidents().await, [IncidentKind::EventParked, IncidentKind::EventParked]);
    }
}

#[tokio::test]
async fn a_station_that_must_wait_does_not_hold_up_the_others() {
    // SQLite has one writer: nothing there waits for a row.
    for world in World::on_each_backend().await {
        if world.test.app.db.is_embedded() {
            continue;
        }
        let mut items = Vec::new();
        let mut ids = Vec::new();
        for number in 1..=3 {
            let name = format!("S{number}");
            let station = world.station(&name, &[Some(number)]).await;
            let id = world.start(&world.rider(500).await, &name).await;
            let cmd_id = world.eject(id).await.id.0.into();
            items
                .push(world.next_event(station, EventBody::CommandResult { cmd_id, verdict: Verdict::Done }));
            ids.push(id);
        }
        // The first in the order of ids: one after another, both others would wait for it.
        items.sort_by_key(|event| event.station_id);
        let first = uuid::Uuid::from(items[0].station_id);
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let released = std::sync::Arc::new(std::sync::Mutex::new(Some(released)));
        let (locked, is_locked) = tokio::sync::oneshot::channel::<()>();
        let locked = std::sync::Arc::new(std::sync::Mutex::new(Some(locked)));
        let db = world.test.app.db.clone();
        let holder = tokio::spawn(async move {
            db.write(move |tx| {
                let (locked, released) = (locked.lock().unwrap().take(), released.lock().unwrap().take());
                Box::pin(async move {
                    station::Entity::find_by_id(StationId::from(first))
                        .lock(LockType::NoKeyUpdate)
                        .one(tx)
                        .await?;
                    locked.unwrap().send(()).unwrap();
                    released.unwrap().await.unwrap();
                    Ok(())
                })
            })
            .await
        });
        is_locked.await.unwrap();
        let applied = || async {
            let found = station_event::Entity::find()
                .filter(station_event::Column::AppliedAt.is_not_null())
                .filter(station_event::Column::Kind.eq("command_result"));
            found.all(world.test.app.db.read()).await.unwrap().len()
        };
        let others = async {
            while applied().await < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            release.send(()).unwrap();
        };
        let items = items.into_iter().map(UplinkItem::Event).collect();
        let both = async { tokio::join!(world.send(items), others) };
        let (results, ()) = tokio::time::timeout(Duration::from_secs(4), both).await.expect("nobody waits");
        assert_eq!(results, [ItemResult::Stored; 3]);
        holder.await.unwrap().unwrap();
        for id in ids {
            assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        }
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_station_cannot_speak_of_anothers_command() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let b = world.station("B", &[None]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        let cmd_id = world.eject(id).await.id.0.into();
        let forged = EventBody::CommandResult { cmd_id, verdict: Verdict::Failed { reason: 1 } };
        assert_eq!(world.event(b, forged).await, ItemResult::Parked);
        assert_eq!(world.rental(id).await.status, RentalStatus::Pending);
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
    }
}

#[tokio::test]
async fn events_that_a_crash_left_in_the_inbox_are_applied_at_the_next_start() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        let cmd_id = world.eject(id).await.id.0.into();
        let done = world.next_event(a, EventBody::CommandResult { cmd_id, verdict: Verdict::Done });
        world.advance_s(60);
        let bank = crate::stations::serial(1);
        let back = world.next_event(a, EventBody::BankInserted { slot: 1, bank, level_percent: 50 });
        // In the inbox, in the wrong order of arrival, and nothing applied.
        for event in [back, done] {
            let written = world.test.app.db.write(move |tx| {
                let event = event.clone();
                Box::pin(async move {
                    let body = serde_json::to_value(&event.body)?;
                    let row = station_event::ActiveModel {
                        id: Set(tx.new_uuid().into()),
                        station_id: Set(uuid::Uuid::from(event.station_id).into()),
                        event_no: Set(event.event_no.0 as i64),
                        epoch: Set(1),
                        kind: Set(body["kind"].as_str().unwrap_or_default().to_owned()),
                        body: Set(body),
                        happened_at: Set(backend::clock::from_unix_ms(event.happened_at_ms)),
                        time_quality: Set(station_event::TimeQuality::Anchored),
                        received_at: Set(backend::clock::from_unix_ms(event.received_at_ms)),
                        applied_at: Set(None),
                        parked: Set(false),
                        error: Set(None),
                    };
                    row.insert(tx).await?;
                    Ok(())
                })
            });
            written.await.unwrap();
        }
        world.catch_up().await;
        let row = world.rental(id).await;
        assert_eq!(row.status, RentalStatus::Completed);
        assert_eq!(row.ended_at.unwrap() - row.started_at.unwrap(), chrono::TimeDelta::seconds(60));
        world.books_agree().await;
        let rows = station_event::Entity::find().all(world.test.app.db.read()).await.unwrap();
        assert!(rows.iter().all(|row| row.applied_at.is_some()));
    }
}

#[tokio::test]
async fn after_a_start_a_command_on_its_way_is_offered_again_with_the_same_id() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        // The process ended between OFFERED and the offer.
        world.gateway.lock().unwrap().on_offer = OnOffer::Break;
        let id = world.start(&rider, "A").await;
        world.gateway.lock().unwrap().on_offer = OnOffer::Take;
        backend::rentals::delivery::resume(&world.test.app).await.unwrap();
        world.settle().await;
        let eject = world.eject(id).await;
        assert!(world.gateway.lock().unwrap().commands.contains_key(&eject.id));
        world.verdict(id, Verdict::Done).await;
        world.books_agree().await;
    }
}

#[tokio::test]
async fn the_door_for_events_opens_to_the_internal_key_only() {
    let world = World::on_each_backend().await.remove(0);
    let body = json!({ "instance_id": uuid::Uuid::nil(), "items": [] });
    for token in ["", "wrong"] {
        world
            .test
            .internal(token)
            .post("/internal/v1/events", body.clone())
            .await
            .problem(401, "unauthenticated");
    }
    world.test.gateway().post("/internal/v1/events", body).await.ok();
    world
        .test
        .gateway()
        .post("/internal/v1/events", json!({ "items": 1 }))
        .await
        .problem(422, "validation_failed");
}

async fn parked(world: &World) -> Vec<String> {
    let moderator = staff_token(&world.test, AdminRole::Admin).await;
    let listed = world.test.bearer(&moderator).get("/api/v1/admin/incidents?state=open").await.ok();
    let items = listed["items"].as_array().unwrap().iter();
    let parked = items.filter(|incident| incident["kind"] == "event_parked");
    std::iter::once(moderator)
        .chain(parked.map(|incident| incident["id"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn staff_apply_a_parked_event_again_once_its_cause_is_mended() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), None]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(60);
        // The cabinet has a slot more than the book: the return cannot be applied.
        assert_eq!(world.insert(a, 3, 1).await, ItemResult::Parked);
        let [token, incident] = <[String; 2]>::try_from(parked(&world).await).unwrap();
        let staff = world.test.bearer(token);
        let path = format!("/api/v1/admin/incidents/{incident}/apply-again");
        let refused = staff.post(&path, json!({})).await.problem(409, "event_not_applicable");
        assert!(refused["detail"].as_str().unwrap().contains("no slot 3"), "{refused}");
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);

        let written = world.test.app.db.write(move |tx| {
            Box::pin(async move {
                let slots = station_slot::Entity::find().filter(station_slot::Column::StationId.eq(a));
                let mut third = slots.one(tx).await?.unwrap().into_active_model();
                third.id = Set(tx.new_uuid().into());
                third.slot_number = Set(3);
                third.insert(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
        world.advance_s(600);
        let applied = staff.post(&path, json!({})).await.ok();
        assert_eq!((&applied["kind"], &applied["event_no"]), (&json!("bank_inserted"), &json!("3")));
        let row = world.rental(id).await;
        assert_eq!(row.status, RentalStatus::Completed);
        assert_eq!(row.ended_at.unwrap() - row.started_at.unwrap(), chrono::TimeDelta::seconds(60));
        // Again changes nothing, and the incident is closed.
        staff.post(&path, json!({})).await.ok();
        assert_eq!(world.rental(id).await, row);
        let open = staff.get("/api/v1/admin/incidents?state=open").await.ok();
        assert_eq!(open["items"], json!([]));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn an_event_of_a_station_that_was_not_in_the_book_is_applied_when_it_is() {
    let world = World::on_each_backend().await.remove(0);
    let a = world.station("A", &[Some(1)]).await;
    let mut event = world.next_event(a, EventBody::Alarm { code: 7, slot: None });
    event.station_id = protocol::types::StationId([9; 16]);
    world.send(vec![UplinkItem::Event(event)]).await;
    let [token, incident] = <[String; 2]>::try_from(parked(&world).await).unwrap();
    let staff = world.test.bearer(token);
    let path = format!("/api/v1/admin/incidents/{incident}/apply-again");
    staff.post(&path, json!({})).await.problem(409, "event_not_applicable");
    let written = world.test.app.db.write(move |tx| {
        Box::pin(async move {
            let mut made = station::Entity::find_by_id(a).one(tx).await?.unwrap().into_active_model();
            made.id = Set(uuid::Uuid::from_bytes([9; 16]).into());
            made.serial_number = Set("B".to_owned());
            made.insert(tx).await?;
            Ok(())
        })
    });
    written.await.unwrap();
    assert_eq!(staff.post(&path, json!({})).await.ok()["kind"], "alarm");
    assert!(world.incidents().await.contains(&IncidentKind::StationAlarm));
    world.books_agree().await;
}

#[tokio::test]
async fn only_a_parked_event_is_applied_again_and_only_by_staff() {
    let world = World::on_each_backend().await.remove(0);
    let a = world.station("A", &[Some(1)]).await;
    world.event(a, EventBody::Alarm { code: 7, slot: None }).await;
    let staff = world.test.bearer(staff_token(&world.test, AdminRole::Admin).await);
    let incidents = staff.get("/api/v1/admin/incidents").await.ok();
    let alarm = incidents["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/admin/incidents/{alarm}/apply-again");
    staff.post(&path, json!({})).await.problem(404, "parked_event_not_found");
    world.test.anonymous_post(&path, json!({})).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn the_console_lists_what_needs_a_person_and_takes_their_word() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), None]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        // The station never answered, and speaks of a slot that it does not have.
        world.advance_s(120);
        world.event(a, EventBody::SlotState { slot: 99, state: 0 }).await;
        let [token, incident] = <[String; 2]>::try_from(parked(&world).await).unwrap();
        let staff = world.test.bearer(token);
        let page = async || staff.get("/console/incidents").await.ok().as_str().unwrap().to_owned();
        let press = async |path: String, form: &'static str| {
            let request = staff.request(Method::POST, &path);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            staff.send(request.body(Body::from(form)).unwrap()).await
        };

        let shown = page().await;
        let code = world.rental(id).await.rental_code;
        for words in
            [&*code, &id.to_string(), &*incident, "event parked", "Station A", "no slot 99", "Apply again"]
        {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        let again = press(format!("/console/incidents/{incident}/apply-again"), "").await;
        assert!(again.ok().as_str().unwrap().contains("no slot 99"), "still not applicable, and told so");
        let resolved = press(format!("/console/incidents/{incident}/resolve"), "").await;
        assert_eq!(resolved.headers["location"], "/console/incidents");
        let decided = "decision=not_ejected&reason=I+saw+it";
        press(format!("/console/rentals/{id}/decision"), decided).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Cancelled);
        let shown = page().await;
        assert!(shown.contains("No rental is in doubt.") && !shown.contains(&incident), "{shown}");
    }
}
