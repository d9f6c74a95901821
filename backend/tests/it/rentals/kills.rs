//! A rental whose process dies between any two steps (L13): the hold is resolved once, the bill is paid once.

use super::swap::{defective, id_of};
use super::world::{Rider, World};
use crate::kills::{at_each_step, cut_off, wait_for_rollbacks};
use crate::stations::serial;
use backend::{jobs, limits};
use entities::hold::{self, HoldState};
use entities::id::{RentalId, StationId};
use entities::{command, rental_extension};
use protocol::control::{EventBody, UplinkItem, Verdict};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

const STEPS_MAX: usize = 400;

/// The operation that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Start,
    Eject,
    Refusal,
    Return,
}

#[tokio::test]
async fn a_rental_that_dies_at_any_step_is_charged_once() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2), None, None]).await;
        for cut in [Cut::Start, Cut::Eject, Cut::Refusal, Cut::Return] {
            let mut steps = 0;
            while !rent(&world, cut, steps).await {
                steps += 1;
                assert!(steps < STEPS_MAX, "{cut:?} never ends");
            }
            assert!(steps > 0, "{cut:?} was not cut off once");
        }
        world.books_agree().await;
    }
}

/// Answers whether the operation was over before its time came.
async fn rent(world: &World, cut: Cut, steps: usize) -> bool {
    let rider = world.rider(500).await;
    let steps_of = |operation| if cut == operation { steps } else { usize::MAX };
    let mut was_whole =
        cut_off(world.try_start(&rider, "A", "first-key"), steps_of(Cut::Start)).await.is_some();
    if !was_whole {
        restart(world).await;
    }
    let started = world.try_start(&rider, "A", "first-key").await.ok();
    let id: RentalId = started["id"].as_str().unwrap().parse().unwrap();
    world.settle().await;
    if world.show(&rider, id).await["status"] == "cancelled" {
        // Its command's time was over before anybody could take it to the station.
        assert_eq!(cut, Cut::Start);
        return given_back(world, &rider, id, steps).await && was_whole;
    }

    let eject = world.eject(id).await;
    let verdict = if cut == Cut::Refusal { Verdict::Rejected { reason: 2 } } else { Verdict::Done };
    let body = EventBody::CommandResult { cmd_id: eject.id.0.into(), verdict };
    let told = if cut == Cut::Refusal { Cut::Refusal } else { Cut::Eject };
    was_whole &= tell(world, eject.station_id, body, steps_of(told)).await;
    if cut == Cut::Refusal {
        return given_back(world, &rider, id, steps).await && was_whole;
    }

    was_whole &= put_back(world, id, steps_of(Cut::Return)).await;
    let shown = world.show(&rider, id).await;
    assert_eq!(shown["status"], "completed", "{} {cut:?} {steps}", world.test.backend());
    assert_eq!(world.money(&rider).await, (45_000, 0), "{} {cut:?} {steps}", world.test.backend());
    assert_eq!(held(world, id).await, HoldState::Captured);
    was_whole
}

/// The part of an extension or a swap that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Asked,
    Jobs,
    Eject,
    Return,
}

#[tokio::test]
async fn time_that_is_bought_by_one_who_dies_at_any_step_is_bought_and_charged_once() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2), None, None]).await;
        for part in [Part::Asked, Part::Jobs, Part::Return] {
            at_each_step(&format!("{part:?}"), async |steps| longer(&world, part, steps).await).await;
        }
        world.books_agree().await;
    }
}

async fn longer(world: &World, part: Part, steps: usize) -> bool {
    let said = format!("{} {part:?} {steps}", world.test.backend());
    let steps_of = |of| if part == of { steps } else { usize::MAX };
    let rider = world.rider(500).await;
    let id = world.start_and_eject(&rider, "A").await;
    world.settle().await;
    let due_at = world.rental(id).await.due_at;
    let buys = world.extend(&rider, id, "one-hour", json!({}));
    let mut was_whole = cut_off(buys, steps_of(Part::Asked)).await.is_some();
    if !was_whole {
        restart(world).await;
    }
    let longer = world.extend(&rider, id, "one-hour", json!({})).await.ok();
    assert_eq!(longer["extensions"].as_array().unwrap().len(), 1, "{said}");
    if cut_off(world.settle(), steps_of(Part::Jobs)).await.is_none() {
        was_whole = false;
        restart(world).await;
        world.settle().await;
    }
    assert_eq!(world.money(&rider).await, (40_000, 10_000), "{said}");
    assert_eq!(world.rental(id).await.due_at, due_at + chrono::TimeDelta::hours(1), "{said}");
    let bought = rental_extension::Entity::find().filter(rental_extension::Column::RentalId.eq(id));
    assert_eq!(bought.count(world.test.app.db.read()).await.unwrap(), 1, "{said}");
    let told = world.told(&rider).await;
    assert_eq!(told.iter().filter(|title| *title == "You have more time").count(), 1, "{said}: {told:?}");

    was_whole &= put_back(world, id, steps_of(Part::Return)).await;
    assert_eq!(world.money(&rider).await, (40_000, 0), "{said}");
    assert_eq!((held(world, id).await, ejects(world, id).await), (HoldState::Captured, 1), "{said}");
    was_whole
}

#[tokio::test]
async fn a_swap_that_dies_at_any_step_gives_out_one_bank_and_is_not_charged_again() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2), None, None]).await;
        for part in [Part::Asked, Part::Jobs, Part::Eject, Part::Return] {
            at_each_step(&format!("{part:?}"), async |steps| swapped(&world, part, steps).await).await;
        }
        world.books_agree().await;
    }
}

async fn swapped(world: &World, part: Part, steps: usize) -> bool {
    let said = format!("{} {part:?} {steps}", world.test.backend());
    let steps_of = |of| if part == of { steps } else { usize::MAX };
    let rider = world.rider(60).await;
    let first = world.start_and_eject(&rider, "A").await;
    put_back(world, first, usize::MAX).await;
    assert_eq!(world.money(&rider).await, (1_000, 0), "{said}");
    let swaps = world.swap(&rider, first, "another", defective());
    let mut was_whole = cut_off(swaps, steps_of(Part::Asked)).await.is_some();
    if !was_whole {
        restart(world).await;
    }
    let second = id_of(&world.swap(&rider, first, "another", defective()).await.ok());
    if cut_off(world.settle(), steps_of(Part::Jobs)).await.is_none() {
        was_whole = false;
        restart(world).await;
        world.settle().await;
    }
    assert_eq!(ejects(world, second).await, 1, "{said}");
    if world.show(&rider, second).await["status"] == "cancelled" {
        // Its command's time was over before anybody could take it to the station.
        assert!(matches!(part, Part::Asked | Part::Jobs), "{said}");
        assert_eq!(world.money(&rider).await, (1_000, 0), "{said}");
        return was_whole;
    }
    let eject = world.eject(second).await;
    let body = EventBody::CommandResult { cmd_id: eject.id.0.into(), verdict: Verdict::Done };
    was_whole &= tell(world, eject.station_id, body, steps_of(Part::Eject)).await;
    assert_eq!(world.show(&rider, second).await["status"], "active", "{said}");
    was_whole &= put_back(world, second, steps_of(Part::Return)).await;
    assert_eq!(world.show(&rider, second).await["status"], "completed", "{said}");
    assert_eq!(world.money(&rider).await, (1_000, 0), "{said}");
    assert_eq!(ejects(world, second).await, 1, "{said}");
    was_whole
}

/// How many commands a rental has given.
async fn ejects(world: &World, id: RentalId) -> u64 {
    let given = command::Entity::find().filter(command::Column::RentalId.eq(id));
    given.count(world.test.app.db.read()).await.unwrap()
}

/// The bank of a rental is pushed into the slot that it came from.
async fn put_back(world: &World, id: RentalId, steps: usize) -> bool {
    let eject = world.eject(id).await;
    let slot = u8::try_from(eject.slot_number.unwrap()).unwrap();
    let bank = [1, 2].map(serial).into_iter().find(|bank| Some(bank.to_string()) == eject.bank_serial);
    let body = EventBody::BankInserted { slot, bank: bank.unwrap(), level_percent: 90 };
    tell(world, eject.station_id, body, steps).await
}

async fn given_back(world: &World, rider: &Rider, id: RentalId, steps: usize) -> bool {
    assert_eq!(world.show(rider, id).await["status"], "cancelled", "{} {steps}", world.test.backend());
    assert_eq!(world.money(rider).await, (50_000, 0), "{} {steps}", world.test.backend());
    assert_eq!(held(world, id).await, HoldState::Voided);
    true
}

/// What a program does that starts on the books of one that died.
async fn restart(world: &World) {
    wait_for_rollbacks(&world.test).await;
    if world.test.backend() != "sqlite" {
        // The books of several processes: nobody knows that this one is dead before its lease is over.
        world.advance_s(limits::JOB_LEASE.num_seconds().unsigned_abs() + 1);
    }
    jobs::take_over(&world.test.app).await.unwrap();
    world.catch_up().await;
}

/// The gateway tells an event until it is answered.
async fn tell(world: &World, station: StationId, body: EventBody, steps: usize) -> bool {
    let item = UplinkItem::Event(world.next_event(station, body));
    let was_whole = cut_off(world.send(vec![item.clone()]), steps).await.is_some();
    if !was_whole {
        restart(world).await;
        world.send(vec![item]).await;
    }
    world.settle().await;
    was_whole
}

async fn held(world: &World, id: RentalId) -> HoldState {
    let found = hold::Entity::find().filter(hold::Column::RentalId.eq(id));
    found.one(world.test.app.db.read()).await.unwrap().unwrap().state
}
