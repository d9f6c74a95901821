//! What a paid rental brings: points, and the reward of a referral. A free one brings nothing.

use super::world::{Rider, World};
use crate::staff::staff_token;
use crate::test_app::Answer;
use entities::admin_profile::AdminRole;
use entities::id::RentalId;
use entities::referral::{self, ReferralEnd, ReferralStatus};
use entities::{user, user_achievement};
use protocol::control::Verdict;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

async fn code_of(world: &World, rider: &Rider) -> String {
    let row = user::Entity::find_by_id(rider.id).one(world.test.app.db.read()).await.unwrap();
    row.unwrap().referral_code
}

async fn claim(world: &World, rider: &Rider, code: &str) -> Answer {
    world.test.bearer(&rider.token).post("/api/v1/referrals/claim", json!({ "code": code })).await
}

/// What `referrals/validate` says: the reason, or null.
async fn verdict_on(world: &World, rider: &Rider, code: &str) -> Value {
    let said =
        world.test.bearer(&rider.token).get(&format!("/api/v1/referrals/validate?code={code}")).await.ok();
    assert_eq!(said["is_valid"], said["reason"].is_null(), "{said}");
    said["reason"].clone()
}

/// Someone with a code, and later a friend with money.
async fn two(world: &World) -> (Rider, Rider) {
    let inviter = world.rider(0).await;
    world.advance_s(60);
    (inviter, world.rider(500).await)
}

/// Rents at A with these terms and brings the bank back after `minutes`.
async fn ride(world: &World, rider: &Rider, key: &str, terms: Value, minutes: u64) -> RentalId {
    let id = world.started(rider, key, terms).await;
    world.verdict(id, Verdict::Done).await;
    world.advance_s(minutes * 60);
    let station = world.rental(id).await.station_id;
    world.insert(station, 1, 1).await;
    world.settle().await;
    id
}

/// A package whose first minutes cost nothing.
async fn free_at_first(world: &World) -> Value {
    let package = json!({
        "name": "Free at first", "duration_minutes": 60, "price": { "amount": "50.00", "currency": "NPR" },
        "package_type": "hourly", "payment_model": "prepaid", "free_minutes": 5,
    });
    let staff = staff_token(&world.test, AdminRole::Admin).await;
    let made = world.test.bearer(staff).post("/api/v1/admin/packages", package).await.ok();
    json!({ "package_id": made["id"] })
}

async fn by_source(world: &World, rider: &Rider) -> Value {
    world.test.bearer(&rider.token).get("/api/v1/points/summary").await.ok()["by_source"].clone()
}

async fn only_referral(world: &World) -> referral::Model {
    let mut rows = referral::Entity::find().all(world.test.app.db.read()).await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// The app of the rider names its telephone.
async fn uses_phone(world: &World, rider: &Rider, device: &str) {
    let device = json!({ "device_id": device, "device_type": "android" });
    world.test.bearer(&rider.token).post("/api/v1/auth/device", device).await.ok();
}

#[tokio::test]
async fn the_first_paid_rental_rewards_both_once_and_a_free_one_nobody() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (inviter, friend) = two(&world).await;
        let free = free_at_first(&world).await;
        let code = code_of(&world, &inviter).await;
        assert_eq!(verdict_on(&world, &friend, &code.to_lowercase()).await, Value::Null);
        let claimed = claim(&world, &friend, &code.to_lowercase()).await.ok();
        assert_eq!((&claimed["status"], &claimed["points_invitee"]), (&json!("pending"), &json!(50)));

        let id = ride(&world, &friend, "a-free-ride", free.clone(), 2).await;
        assert_eq!(world.rental(id).await.amount_paid_paisa.0, 0);
        assert_eq!(only_referral(&world).await.status, ReferralStatus::Pending);
        assert_eq!(by_source(&world, &friend).await, json!({}), "{}", world.test.backend());
        let begun = user_achievement::Entity::find().all(world.test.app.db.read()).await.unwrap();
        assert!(begun.iter().all(|goal| goal.current_progress == 0), "a free rental is no rental: {begun:?}");

        let id = ride(&world, &friend, "a-paid-ride", free.clone(), 10).await;
        assert_eq!(world.rental(id).await.amount_paid_paisa.0, 5_000);
        let row = only_referral(&world).await;
        assert_eq!((row.status, row.triggering_rental), (ReferralStatus::Completed, Some(id)));
        assert_eq!((row.referrer_points_awarded, row.referred_points_awarded), (100, 50));
        let earned = by_source(&world, &friend).await;
        assert_eq!(earned["referral_invitee"], 50, "{}: {earned}", world.test.backend());
        assert_eq!((&earned["rental_complete"], &earned["timely_return"]), (&json!(5), &json!(50)));
        assert_eq!(by_source(&world, &inviter).await, json!({ "referral_inviter": 100 }));

        ride(&world, &friend, "another-paid-ride", free, 10).await;
        assert_eq!(by_source(&world, &inviter).await, json!({ "referral_inviter": 100 }));
        let mine = world.test.bearer(&inviter.token).get("/api/v1/referrals/my-code").await.ok();
        assert_eq!(
            (&mine["code"], &mine["invited"], &mine["completed"]),
            (&json!(code), &json!(1), &json!(1))
        );
        assert_eq!((&mine["pending"], &mine["points_earned"]), (&json!(0), &json!(100)));
        let friends = world.test.bearer(&inviter.token).get("/api/v1/referrals/my-referrals").await.ok();
        assert_eq!(friends["items"][0]["status"], "completed");
        assert!(friends["items"][0].get("referred_user_id").is_none(), "a friend's account stays theirs");
        let goals = world.test.bearer(&inviter.token).get("/api/v1/social/achievements").await.ok();
        let goals = goals["items"].as_array().unwrap();
        let champion = goals.iter().find(|goal| goal["criteria_type"] == "referral_count").unwrap();
        assert_eq!(champion["current_progress"], 1);
        let staff = staff_token(&world.test, AdminRole::Moderator).await;
        let listed = world.test.bearer(staff);
        let listed =
            listed.get(&format!("/api/v1/admin/referrals?status=completed&user={}", friend.id)).await.ok();
        assert_eq!(listed["items"][0]["referrer_id"], inviter.id.to_string());
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn points_pay_for_no_reward() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (inviter, friend) = two(&world).await;
        claim(&world, &friend, &code_of(&world, &inviter).await).await.ok();
        world.give_points(&friend, 500).await;
        let by_points = json!({ "payment_mode": "points", "points_to_use": 500 });
        ride(&world, &friend, "paid-by-points", by_points, 10).await;
        assert_eq!(only_referral(&world).await.status, ReferralStatus::Pending, "{}", world.test.backend());
        assert_eq!(world.points(&inviter).await, 0);
    }
}

#[tokio::test]
async fn a_rental_of_a_minute_brings_fewer_points_than_it_cost() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        let package = json!({
            "name": "By the minute", "duration_minutes": 60, "price": { "amount": "50.00", "currency": "NPR" },
            "package_type": "hourly", "payment_model": "postpaid",
        });
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let made = world.test.bearer(staff).post("/api/v1/admin/packages", package).await.ok();
        let id = ride(&world, &rider, "one-minute", json!({ "package_id": made["id"] }), 1).await;
        let row = world.rental(id).await;
        assert_eq!((row.amount_paid_paisa.0, row.timely_return_bonus_awarded), (83, false));
        let earned = by_source(&world, &rider).await;
        assert_eq!(
            earned["rental_complete"],
            4,
            "NPR 0.40 of NPR 0.83 on {}: {earned}",
            world.test.backend()
        );
        assert!(earned.get("timely_return").is_none(), "{earned}");
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn nobody_invites_themselves_with_another_account() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (inviter, friend) = two(&world).await;
        let code = code_of(&world, &inviter).await;
        uses_phone(&world, &inviter, "the-first-phone").await;
        uses_phone(&world, &friend, "the-first-phone").await;
        assert_eq!(verdict_on(&world, &friend, &code).await, "referral_same_person");
        claim(&world, &friend, &code).await.problem(409, "referral_same_person");

        // Another one names the telephone after the code was entered.
        let late = world.rider(500).await;
        uses_phone(&world, &late, "the-second-phone").await;
        claim(&world, &late, &code).await.ok();
        uses_phone(&world, &late, "the-first-phone").await;
        ride(&world, &late, "a-paid-ride", json!({}), 10).await;
        let row = only_referral(&world).await;
        assert_eq!((row.status, row.end_reason), (ReferralStatus::Expired, Some(ReferralEnd::SamePerson)));
        assert_eq!(world.points(&inviter).await, 0, "{}", world.test.backend());
        assert!(by_source(&world, &late).await.get("referral_invitee").is_none());
    }
}

#[tokio::test]
async fn a_code_is_entered_once_soon_and_by_somebody_who_is_new() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1)]).await;
        let (inviter, friend) = two(&world).await;
        let (code, friends_code) = (code_of(&world, &inviter).await, code_of(&world, &friend).await);
        for (rider, code, refusal) in [
            (&friend, "REFNOBODY", "referral_code_not_found"),
            (&friend, friends_code.as_str(), "own_referral_code"),
            (&inviter, friends_code.as_str(), "referral_too_late"),
        ] {
            let status = if refusal == "referral_code_not_found" { 404 } else { 409 };
            assert_eq!(verdict_on(&world, rider, code).await, refusal);
            claim(&world, rider, code).await.problem(status, refusal);
        }
        claim(&world, &friend, "a b").await.problem(422, "validation_failed");
        claim(&world, &friend, &code).await.ok();
        claim(&world, &friend, &code).await.problem(409, "already_referred");
        let rides = world.rider(500).await;
        ride(&world, &rides, "a-paid-ride", json!({}), 10).await;
        claim(&world, &rides, &code).await.problem(409, "referral_too_late");
        let late = world.rider(0).await;
        world.advance_s(8 * 24 * 3_600);
        claim(&world, &late, &code).await.problem(409, "referral_too_late");
        assert_eq!(verdict_on(&world, &late, &code).await, "referral_too_late");
    }
}

#[tokio::test]
async fn a_referral_ends_when_nobody_rides_in_time() {
    for world in World::on_each_backend().await {
        let (inviter, friend) = two(&world).await;
        claim(&world, &friend, &code_of(&world, &inviter).await).await.ok();
        backend::nightly::keep_going(&world.test.app).await.unwrap();
        for _ in 0..29 {
            world.advance_s(24 * 3_600);
            world.settle().await;
        }
        assert_eq!(only_referral(&world).await.status, ReferralStatus::Pending);
        for _ in 0..2 {
            world.advance_s(24 * 3_600);
            world.settle().await;
        }
        let row = only_referral(&world).await;
        let ended = (ReferralStatus::Expired, Some(ReferralEnd::NoRentalInTime));
        assert_eq!((row.status, row.end_reason), ended, "{}", world.test.backend());
    }
}
