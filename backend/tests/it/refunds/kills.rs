//! Refunds whose process dies between any two steps (L13): the money goes back once.

use super::*;
use crate::kills::{at_each_step, cut_off, restart};
use crate::payments::balance;
use crate::providers::stripe_world::StripeWorld;
use crate::riders::rider;
use crate::staff::staff_token;
use backend::payments::audit::imbalance;
use doubles::stripe::Button;
use entities::admin_profile::AdminRole;
use entities::money::Paisa;

/// The operation that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Ask,
    Approve,
    Jobs,
}

/// From the request to the money; who is not answered asks again. Answers whether it was whole.
async fn give_back(
    test: &TestApp,
    staff: &Caller<'_>,
    rider: &Rider,
    transaction: &str,
    (cut, steps): (Cut, usize),
) -> bool {
    let steps_of = |operation| if cut == operation { steps } else { usize::MAX };
    let asking = ask(test, rider, "one", transaction, None);
    let mut was_whole = cut_off(asking, steps_of(Cut::Ask)).await.is_some();
    if !was_whole {
        restart(test).await;
    }
    let refund = asked(test, rider, "one", transaction, None).await;
    was_whole &= cut_off(approve(staff, &refund), steps_of(Cut::Approve)).await.is_some();
    if !was_whole {
        restart(test).await;
    }
    approve(staff, &refund).await.ok();
    was_whole &= cut_off(test.drain_jobs(), steps_of(Cut::Jobs)).await.is_some();
    restart(test).await;
    // Found lost, looked for, sent again.
    for _ in 0..4 {
        test.clock.advance_ms(3_600_000);
        test.drain_jobs().await;
    }
    assert_eq!(standing(test, rider).await, "processed", "{} {cut:?} {steps}", test.backend());
    was_whole
}

#[tokio::test]
async fn a_refund_to_the_wallet_that_dies_at_any_step_is_made_once() {
    for test in TestApp::on_each_backend().await {
        for cut in [Cut::Ask, Cut::Approve, Cut::Jobs] {
            at_each_step(&format!("{cut:?}"), async |steps| {
                let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
                let (rider, charge) = charged(&test, 10_000, 1_300).await;
                let was_whole = give_back(&test, &staff, &rider, &charge, (cut, steps)).await;
                assert_eq!(balance(&test, &rider).await, "113.00", "{} {cut:?} {steps}", test.backend());
                was_whole
            })
            .await;
        }
        assert_eq!(sum_of(&test, LedgerAccountKind::RevenueRental).await, 0, "{}", test.backend());
        assert_eq!(imbalance(test.app.db.read()).await.unwrap(), Paisa(0));
        assert_settled(&test).await;
    }
}

/// A top-up of NPR 500 by Stripe's double: its transaction, and Stripe's name for the payment.
async fn paid_by_card(world: &StripeWorld, rider: &Rider) -> (String, String) {
    let test = &world.test;
    let methods = test.anonymous().get("/api/v1/payments/methods").await.ok();
    let method =
        methods["items"].as_array().unwrap().iter().find(|item| item["gateway"] == "stripe").unwrap();
    let amount = json!({ "amount": "500.00", "currency": "NPR" });
    let body = json!({ "amount": amount, "payment_method_id": method["id"] });
    let path = "/api/v1/payments/wallet/topup-intent";
    let page = test.bearer(&rider.token).post_once("top-up-by-card", path, body).await.ok();
    let session = page["gateway_url"].as_str().unwrap().rsplit('/').next().unwrap();
    world.stripe.press(session, Button::Pay).unwrap();
    verify(test, rider, page["intent_id"].as_str().unwrap()).await.ok();
    test.drain_jobs().await;
    let transaction = transactions(test, rider, "topup").await[0]["id"].as_str().unwrap().to_owned();
    let payment = world.stripe.book().sessions[session].intent.clone().unwrap();
    (transaction, payment)
}

#[tokio::test]
async fn a_refund_through_a_provider_that_dies_at_any_step_is_made_once() {
    for world in StripeWorld::each().await {
        let test = &world.test;
        for cut in [Cut::Approve, Cut::Jobs] {
            at_each_step(&format!("{cut:?}"), async |steps| {
                let staff = test.bearer(staff_token(test, AdminRole::Admin).await);
                let rider = rider(&test.app).await;
                let (topup, payment) = paid_by_card(&world, &rider).await;
                let was_whole = give_back(test, &staff, &rider, &topup, (cut, steps)).await;
                assert_eq!(balance(test, &rider).await, "0.00", "{} {cut:?} {steps}", test.backend());
                let book = world.stripe.book();
                let given: Vec<_> = book.refunds.iter().filter(|refund| refund.intent == payment).collect();
                let given: Vec<_> = given.iter().map(|refund| (refund.amount, &*refund.status)).collect();
                assert_eq!(given, [(50_000, "succeeded")], "{} {cut:?} {steps}", test.backend());
                was_whole
            })
            .await;
        }
        assert_eq!(sum_of(test, LedgerAccountKind::ProviderClearing).await, 0, "{}", test.backend());
        assert_eq!(imbalance(test.app.db.read()).await.unwrap(), Paisa(0));
        assert_settled(test).await;
    }
}
