//! A rental whose process dies between any two steps (L13): the hold is resolved once, the bill is paid once.

use super::world::{Rider, World};
use crate::kills::cut_off;
use crate::stations::serial;
use backend::{jobs, limits};
use entities::hold::{self, HoldState};
use entities::id::{RentalId, StationId};
use protocol::control::{EventBody, UplinkItem, Verdict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

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

    let slot = u8::try_from(eject.slot_number.unwrap()).unwrap();
    let bank = [1, 2].map(serial).into_iter().find(|bank| Some(bank.to_string()) == eject.bank_serial);
    let body = EventBody::BankInserted { slot, bank: bank.unwrap(), level_percent: 90 };
    was_whole &= tell(world, eject.station_id, body, steps_of(Cut::Return)).await;
    let shown = world.show(&rider, id).await;
    assert_eq!(shown["status"], "completed", "{} {cut:?} {steps}", world.test.backend());
    assert_eq!(world.money(&rider).await, (45_000, 0), "{} {cut:?} {steps}", world.test.backend());
    assert_eq!(held(world, id).await, HoldState::Captured);
    was_whole
}

async fn given_back(world: &World, rider: &Rider, id: RentalId, steps: usize) -> bool {
    assert_eq!(world.show(rider, id).await["status"], "cancelled", "{} {steps}", world.test.backend());
    assert_eq!(world.money(rider).await, (50_000, 0), "{} {steps}", world.test.backend());
    assert_eq!(held(world, id).await, HoldState::Voided);
    true
}

/// What a program does that starts on the books of one that died.
async fn restart(world: &World) {
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
