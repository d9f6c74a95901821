//! What was paid for a rental goes back as it was paid, once, by whichever of its charges it is asked for.

use super::world::{Rider, World};
use crate::staff::staff_token;
use crate::test_app::Answer;
use entities::admin_profile::AdminRole;
use entities::rental::RentalStatus;
use protocol::control::Verdict;
use serde_json::json;

/// A rider's only charge of that kind.
async fn charge(world: &World, rider: &Rider, kind: &str) -> String {
    let path = format!("/api/v1/payments/transactions?transaction_type={kind}");
    let listed = world.test.bearer(&rider.token).get(&path).await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    listed["items"][0]["id"].as_str().unwrap().to_owned()
}

/// Asks for `amount` of a charge, or for all that is left.
async fn ask(world: &World, rider: &Rider, key: &str, charge: &str, amount: Option<&str>) -> Answer {
    let path = format!("/api/v1/payments/refunds/{charge}");
    let amount = amount.map(|amount| json!({ "amount": amount, "currency": "NPR" }));
    let body = json!({ "amount": amount, "reason": "It did not work." });
    world.test.bearer(&rider.token).post_once(&format!("ask-for-it-{key}"), &path, body).await
}

/// Staff agree to what was asked for.
async fn agree(world: &World, token: &str, asked: Answer) -> Answer {
    let id = asked.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/admin/payments/refunds/{id}/approve");
    world.test.bearer(token).post_once(&format!("approve-{id}"), &path, json!({})).await
}

#[tokio::test]
async fn money_goes_back_as_money_and_points_go_back_as_points() {
    for parts in [vec![None], vec![Some("10.03"), Some("25.02"), Some("0.05"), Some("0.05"), None]] {
        for world in World::on_each_backend().await {
            let staff = staff_token(&world.test, AdminRole::Admin).await;
            let a = world.station("A", &[Some(1)]).await;
            let rider = world.rider(500).await;
            world.give_points(&rider, 200).await;
            let both = json!({ "payment_mode": "wallet_points", "points_to_use": 200 });
            let id = world.started(&rider, "with-both", both).await;
            world.verdict(id, Verdict::Done).await;
            world.advance_s(600);
            world.insert(a, 1, 1).await;
            world.settle().await;
            let (money, points) = (world.money(&rider).await.0, world.points(&rider).await);
            assert_eq!((money, world.rental(id).await.points_paid_paisa.0), (47_000, 2_000));
            let paid = charge(&world, &rider, "rental").await;
            let mut back = 0;
            for (number, part) in parts.iter().enumerate() {
                world.test.clock.advance_ms(1_000);
                let asked = ask(&world, &rider, &number.to_string(), &paid, *part).await;
                let amount = asked.body["amount"]["amount"].as_str().unwrap().replace('.', "");
                agree(&world, &staff, asked).await.ok();
                back += amount.parse::<i64>().unwrap();
                let money_back = world.money(&rider).await.0 - money;
                let points_back = i64::from(world.points(&rider).await - points);
                assert_eq!(money_back, back.min(3_000), "money is back first, and no more than was paid");
                assert!(points_back * 10 <= back - money_back, "{points_back} points for {back}");
                world.all_books_agree().await;
            }
            assert_eq!((world.money(&rider).await, world.points(&rider).await), ((50_000, 0), points + 200));
            ask(&world, &rider, "more", &paid, Some("0.01")).await.problem(409, "transaction_not_refundable");
        }
    }
}

#[tokio::test]
async fn a_charge_that_points_paid_alone_is_never_money() {
    for world in World::on_each_backend().await {
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let (rider, id) = world.rider_who_owes_90().await;
        world.give_points(&rider, 900).await;
        let body = json!({ "payment_mode": "points", "points_to_use": 900 });
        world.pay_due(&rider, id, "all-by-points", body).await.ok();
        world.settle().await;
        let points = world.points(&rider).await;
        // The hold's 60 rupees were money: they go back first, by whichever charge they are asked for.
        let (taken, due) = (charge(&world, &rider, "rental").await, charge(&world, &rider, "fine").await);
        agree(&world, &staff, ask(&world, &rider, "due", &due, None).await).await.ok();
        assert_eq!((world.money(&rider).await.0, world.points(&rider).await), (6_000, points + 300));
        world.all_books_agree().await;
        agree(&world, &staff, ask(&world, &rider, "taken", &taken, None).await).await.ok();
        assert_eq!((world.money(&rider).await.0, world.points(&rider).await), (6_000, points + 900));
        world.all_books_agree().await;
    }
}

#[tokio::test]
async fn two_charges_of_a_rental_give_back_what_was_paid_and_no_more() {
    for world in World::on_each_backend().await {
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let (rider, id) = world.rider_who_owes_90().await;
        let taken = charge(&world, &rider, "rental").await;
        // A part goes back before the due is paid, the rest after it.
        agree(&world, &staff, ask(&world, &rider, "early", &taken, Some("13.37")).await).await.ok();
        world.top_up(&rider, 90).await;
        world.pay_due(&rider, id, "pay-it-now", json!({})).await.ok();
        let due = charge(&world, &rider, "fine").await;
        for (number, (paid, amount)) in
            [(&due, Some("33.33")), (&taken, Some("20.00")), (&due, None), (&taken, None)]
                .into_iter()
                .enumerate()
        {
            world.test.clock.advance_ms(1_000);
            let asked = ask(&world, &rider, &number.to_string(), paid, amount).await;
            agree(&world, &staff, asked).await.ok();
            world.all_books_agree().await;
        }
        assert_eq!(world.money(&rider).await, (15_000, 0), "{}", world.test.backend());
        for (key, paid) in [("more-of-it", &taken), ("more-of-the-due", &due)] {
            ask(&world, &rider, key, paid, None).await.problem(409, "transaction_not_refundable");
        }
    }
}

#[tokio::test]
async fn a_lost_bank_is_paid_back_by_its_return_or_by_a_refund_and_not_by_both() {
    for world in World::on_each_backend().await {
        let (rider, id, b) = world.rider_who_lost_it(6_000).await;
        let paid = charge(&world, &rider, "rental").await;
        ask(&world, &rider, "while-lost", &paid, None).await.problem(409, "rental_lost");
        assert_eq!(world.money(&rider).await, (95_000, 0));

        world.advance_s(9 * 3_600);
        world.insert(b, 1, 1).await;
        world.settle().await;
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        assert_eq!(world.rental(id).await.status, RentalStatus::Completed);
        assert_eq!(world.money(&rider).await, (575_000, 0));
        // Of 5 050 rupees the return has given 4 800 back.
        ask(&world, &rider, "all-of-it", &paid, Some("250.01")).await.problem(422, "refund_exceeds_payment");
        let asked = ask(&world, &rider, "what-is-left", &paid, None).await;
        assert_eq!(asked.body["amount"]["amount"], "250.00", "{}", asked.body);
        agree(&world, &staff, asked).await.ok();
        assert_eq!(world.money(&rider).await, (600_000, 0));
        world.all_books_agree().await;
        world.test.clock.advance_ms(1_000);
        ask(&world, &rider, "once-more", &paid, None).await.problem(409, "transaction_not_refundable");
    }
}

#[tokio::test]
async fn more_time_that_points_paid_goes_back_as_points() {
    for world in World::on_each_backend().await {
        let staff = staff_token(&world.test, AdminRole::Admin).await;
        let a = world.station("A", &[Some(1)]).await;
        let rider = world.rider(500).await;
        world.give_points(&rider, 700).await;
        let both = json!({ "payment_mode": "wallet_points", "points_to_use": 200 });
        let id = world.started(&rider, "with-both", both).await;
        world.verdict(id, Verdict::Done).await;
        world.extend(&rider, id, "with-points", json!({ "payment_mode": "points" })).await.ok();
        world.advance_s(5_400);
        world.insert(a, 1, 1).await;
        world.settle().await;
        let points = world.points(&rider).await;
        assert_eq!(
            (world.money(&rider).await.0, world.rental(id).await.points_paid_paisa.0),
            (47_000, 7_000)
        );
        let paid = charge(&world, &rider, "rental").await;
        let asked = ask(&world, &rider, "all", &paid, None).await;
        assert_eq!(asked.body["amount"]["amount"], "100.00");
        agree(&world, &staff, asked).await.ok();
        assert_eq!((world.money(&rider).await, world.points(&rider).await), ((50_000, 0), points + 700));
        world.all_books_agree().await;
    }
}
