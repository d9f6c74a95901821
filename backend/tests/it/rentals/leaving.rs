//! What a rider's account shows of their rentals, and that nobody leaves while one is open.

use super::world::{Rider, World};
use crate::identity::sign_in;
use protocol::control::Verdict;
use serde_json::{Value, json};

/// A rider who joined like everybody, with money.
async fn joined(world: &World, rupees: i64) -> Rider {
    let signed_in = sign_in(&world.test, "+9779841000001").await;
    let rider = Rider {
        id: signed_in["user"]["id"].as_str().unwrap().parse().unwrap(),
        token: signed_in["access_token"].as_str().unwrap().to_owned(),
    };
    world.top_up(&rider, rupees).await;
    rider
}

async fn eligibility(world: &World, rider: &Rider) -> Value {
    world.test.bearer(&rider.token).get("/api/v1/auth/me").await.ok()["rental_eligibility"].clone()
}

#[tokio::test]
async fn nobody_leaves_with_a_power_bank() {
    for world in World::on_each_backend().await {
        let b = world.station("B", &[None, None]).await;
        world.station("A", &[Some(1), Some(2)]).await;
        let rider = joined(&world, 50).await;
        let account = world.test.bearer(&rider.token);
        let id = world.start_and_eject(&rider, "A").await;
        account.delete("/api/v1/auth/account").await.problem(409, "rental_open");
        let shown = eligibility(&world, &rider).await;
        assert_eq!(
            (&shown["can_rent"], &shown["reasons"][0]["code"]),
            (&json!(false), &json!("active_rental_exists"))
        );
        world.advance_s(600);
        world.insert(b, 2, 1).await;
        assert_eq!(world.show(&rider, id).await["status"], "completed");
        assert_eq!(eligibility(&world, &rider).await["can_rent"], true);
        let usage = account.get("/api/v1/users/analytics/usage-stats").await.ok();
        assert_eq!(
            (&usage["total_rentals"], &usage["timely_returns"], &usage["late_returns"]),
            (&json!(1), &json!(1), &json!(0))
        );
        assert_eq!(usage["total_spent"]["amount"], "50.00");
        assert!(usage["last_rental_date"].is_string() && usage["member_since"].is_string());
        assert_eq!(account.delete("/api/v1/auth/account").await.status, 204);
        world.books_agree().await;
    }
}

#[tokio::test]
async fn a_rental_that_never_was_is_not_counted() {
    for world in World::on_each_backend().await {
        world.station("A", &[Some(1), Some(2)]).await;
        let rider = joined(&world, 500).await;
        let id = world.start(&rider, "A").await;
        world.verdict(id, Verdict::Rejected { reason: 1 }).await;
        let account = world.test.bearer(&rider.token);
        let usage = account.get("/api/v1/users/analytics/usage-stats").await.ok();
        assert_eq!((&usage["total_rentals"], &usage["last_rental_date"]), (&json!(0), &Value::Null));
        assert_eq!(usage["total_spent"]["amount"], "0.00");
    }
}
