//! When nobody knows whether the bank is out: the hold stays until somebody does.

use super::world::World;
use entities::admin_profile::{self, AdminRole};
use entities::command::CommandState;
use entities::id::{AdminProfileId, RentalId, StaffSessionId, UserId};
use entities::incident::IncidentKind;
use entities::rental::{self, RentalStatus};
use entities::staff_session;
use protocol::control::{ReportedState, Verdict};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::json;

#[tokio::test]
async fn after_a_gateway_restart_the_station_decides() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        #[rustfmt::skip]
        let stories = [
            (ReportedState::NeverSeen,                                               RentalStatus::Cancelled),
            (ReportedState::Verdict { verdict: Verdict::Rejected { reason: 3 } },    RentalStatus::Cancelled),
            (ReportedState::Verdict { verdict: Verdict::Done },                      RentalStatus::Active),
        ];
        for (report, status) in stories {
            let id = world.start(&rider, "A").await;
            world.restart_gateway();
            world.advance_s(22);
            world.settle().await;
            // The new process knows nothing of the command, and is not believed.
            assert_eq!(world.rental(id).await.status, RentalStatus::Pending);
            assert_eq!(world.show(&rider, id).await["phase"], "confirming");
            assert_eq!(world.money(&rider).await, (45_000, 5_000));
            let eject = world.eject(id).await;
            assert!(world.gateway.lock().unwrap().asked.contains(&eject.id.0.into()), "the station is asked");
            world.report(id, report).await;
            assert_eq!(world.rental(id).await.status, status, "{report:?}");
            world.books_agree().await;
        }
    }
}

#[tokio::test]
async fn when_all_of_us_restarted_the_station_is_asked_at_once() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        world.restart_gateway();
        backend::rentals::delivery::resume(&world.test.app).await.unwrap();
        world.settle().await;
        let eject = world.eject(id).await;
        assert!(world.gateway.lock().unwrap().asked.contains(&eject.id.0.into()));
        assert!(world.gateway.lock().unwrap().commands.is_empty(), "the new process is not offered it");
        world.report(id, ReportedState::NeverSeen).await;
        assert_eq!(world.money(&rider).await, (50_000, 0));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_station_that_cannot_tell_keeps_the_hold_and_its_table_settles_it() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        world.report(id, ReportedState::Received).await;
        world.verdict(id, Verdict::Uncertain { reason: 1 }).await;
        world.report(id, ReportedState::Evicted).await;
        assert_eq!(world.eject(id).await.state, CommandState::Received);
        assert_eq!(world.money(&rider).await, (45_000, 5_000));
        world.inventory(a, &[Some(1), Some(2)]).await;
        let row = world.rental(id).await;
        assert_eq!(
            (row.status, row.cancel_reason.as_deref()),
            (RentalStatus::Cancelled, Some("eject_failed"))
        );
        assert_eq!(world.money(&rider).await, (50_000, 0));

        let id = world.start(&rider, "A").await;
        world.verdict(id, Verdict::Uncertain { reason: 1 }).await;
        world.inventory(a, &[None, Some(2)]).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Active);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn after_two_minutes_in_doubt_the_rider_may_rent_again() {
    for world in World::on_each_backend().await {
        let a = world.station("A", &[Some(1), Some(2)]).await;
        let rider = world.rider(500).await;
        let first = world.start(&rider, "A").await;
        world.restart_gateway();
        world.advance_s(60);
        world.settle().await;
        world.try_start(&rider, "A", "some-key-1").await.problem(409, "active_rental_exists");
        world.advance_s(90);
        world.settle().await;
        let second = world.start_and_eject(&rider, "A").await;
        assert_eq!(world.money(&rider).await, (40_000, 10_000), "both holds stay");
        let active = world.test.bearer(&rider.token).get("/api/v1/rentals/active").await.ok();
        assert_eq!(active["rental"]["id"], second.to_string());
        assert_eq!(active["others"][0]["id"], first.to_string());
        world.books_agree().await;
        // The first one turns out to be out as well: two banks are with the rider, and both are counted.
        world.report(first, ReportedState::Verdict { verdict: Verdict::Done }).await;
        world.books_agree().await;
        world.advance_s(60);
        world.insert(a, 1, 1).await;
        world.try_start(&rider, "A", "some-key-2").await.problem(409, "active_rental_exists");
        world.insert(a, 2, 2).await;
        assert_eq!(world.money(&rider).await, (40_000, 0));
        world.books_agree().await;
        assert_eq!(world.try_start(&rider, "A", "some-key-3").await.status, 202);
    }
}

#[tokio::test]
async fn a_doubt_of_a_day_is_for_staff_who_settle_it() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start(&rider, "A").await;
        world.restart_gateway();
        world.gateway.lock().unwrap().sessions.clear();
        world.hello();
        world.advance_s(23 * 3_600);
        world.settle().await;
        assert!(world.incidents().await.is_empty());
        world.advance_s(2 * 3_600);
        world.settle().await;
        assert_eq!(world.incidents().await, [IncidentKind::CommandInDoubt]);
        world.books_agree().await;

        let token = staff(&world, AdminRole::Admin).await;
        let queue = world.test.bearer(&token).get("/api/v1/admin/rentals?view=in_doubt").await.ok();
        assert_eq!(queue["items"][0]["id"], id.to_string());
        let path = format!("/api/v1/admin/rentals/{id}/decision");
        let decision = json!({ "decision": "not_ejected", "reason": "seen in its slot" });
        let moderator = staff(&world, AdminRole::Moderator).await;
        world.test.bearer(&moderator).post(&path, decision.clone()).await.problem(403, "forbidden");
        world.test.bearer(&rider.token).post(&path, decision.clone()).await.problem(401, "unauthenticated");
        let own = admin_profile::Entity::find().filter(admin_profile::Column::Role.eq(AdminRole::Admin));
        let own = own.one(world.test.app.db.read()).await.unwrap().unwrap();
        world.give_rental_to(id, own.user_id).await;
        world.test.bearer(&token).post(&path, decision.clone()).await.problem(403, "own_rental");
        world.give_rental_to(id, rider.id).await;
        let settled = world.test.bearer(&token).post(&path, decision.clone()).await.ok();
        assert_eq!(
            (&settled["status"], &settled["cancel_reason"]),
            (&json!("cancelled"), &json!("decided_by_staff"))
        );
        world.test.bearer(&token).post(&path, decision).await.problem(409, "invalid_rental_status");
        assert_eq!(world.money(&rider).await, (50_000, 0));
        world.books_agree().await;
    }
}

#[tokio::test]
async fn staff_can_close_a_rental_whose_bank_they_have() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let id = world.start_and_eject(&rider, "A").await;
        world.advance_s(300);
        let token = staff(&world, AdminRole::SuperAdmin).await;
        let decision = json!({ "decision": "returned", "reason": "brought to the office" });
        let path = format!("/api/v1/admin/rentals/{id}/decision");
        let settled = world.test.bearer(&token).post(&path, decision).await.ok();
        assert_eq!(
            (&settled["status"], &settled["amount_paid"]["amount"]),
            (&json!("completed"), &json!("50.00"))
        );
        world.books_agree().await;
    }
}

/// A member of staff with a token.
async fn staff(world: &World, role: AdminRole) -> String {
    let person = world.rider(0).await;
    let token = backend::auth::new_token(&world.test.app.random);
    let hash = backend::auth::token_hash(&token);
    let written = world.test.app.db.write(move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            let admin_id = AdminProfileId::from(tx.new_uuid());
            let profile = admin_profile::ActiveModel {
                id: Set(admin_id),
                user_id: Set(person.id),
                role: Set(role),
                is_active: Set(true),
                created_by: Set(None),
                created_at: Set(tx.now()),
                updated_at: Set(tx.now()),
            };
            profile.insert(tx).await?;
            let session = staff_session::ActiveModel {
                id: Set(StaffSessionId::from(tx.new_uuid())),
                admin_id: Set(admin_id),
                token_hash: Set(hash),
                is_limited: Set(false),
                expires_at: Set(tx.now() + chrono::TimeDelta::days(30)),
                revoked_at: Set(None),
                created_at: Set(tx.now()),
            };
            session.insert(tx).await?;
            Ok(())
        })
    });
    written.await.unwrap();
    token
}

impl World {
    async fn give_rental_to(&self, id: RentalId, user: UserId) {
        let given = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let row = rental::ActiveModel { id: Set(id), user_id: Set(user), ..Default::default() };
                row.update(tx).await?;
                Ok(())
            })
        });
        given.await.unwrap();
    }
}
