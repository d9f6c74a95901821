//! Deaths while a provider is spoken to over HTTP (L13): by Khalti's double while we ask, by Stripe's while it
//! calls.

use super::{at_each_step, cut_off, restart};
use crate::payments::{assert_sound, balance, verify};
use crate::providers::stripe_world::StripeWorld;
use crate::providers::world::{Kind, ProviderWorld};
use crate::riders::{Rider, rider};
use crate::test_app::{Answer, TestApp};
use backend::payments::audit;
use doubles::stripe::{Button, Signing};
use entities::ledger_entry;
use entities::money::Paisa;
use entities::payment_webhook::{self, WebhookStatus};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

/// The operation that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Open,
    Return,
    Verify,
    Call,
    Jobs,
}

/// Asks for NPR 500, always the same request of this rider.
async fn ask(test: &TestApp, rider: &Rider, gateway: &str) -> Answer {
    let methods = test.anonymous().get("/api/v1/payments/methods").await.ok();
    let method = methods["items"].as_array().unwrap().iter().find(|item| item["gateway"] == gateway).unwrap();
    let amount = json!({ "amount": "500.00", "currency": "NPR" });
    let body = json!({ "amount": amount, "payment_method_id": method["id"] });
    let key = format!("top-up-{}", rider.id);
    test.bearer(&rider.token).post_once(&key, "/api/v1/payments/wallet/topup-intent", body).await
}

/// The plan is followed for some minutes.
async fn wait(test: &TestApp) {
    for _ in 0..3 {
        test.clock.advance_ms(61_000);
        test.drain_jobs().await;
    }
}

/// Every rider was credited NPR 500 by one entry, and all sums are zero.
async fn assert_credited(test: &TestApp, riders: u64) {
    let entries = ledger_entry::Entity::find().count(test.app.db.read()).await.unwrap();
    assert_eq!(entries, riders, "{}: one entry for each payment", test.backend());
    assert_eq!(audit::imbalance(test.app.db.read()).await.unwrap(), Paisa(0));
    assert_sound(test).await;
}

async fn top_up(world: &ProviderWorld, rider: &Rider, cut: Cut, steps: usize) -> bool {
    let test = &world.test;
    let steps_of = |operation| if cut == operation { steps } else { usize::MAX };
    let mut was_whole = cut_off(ask(test, rider, "khalti"), steps_of(Cut::Open)).await.is_some();
    if cut == Cut::Open {
        restart(test).await;
    }
    let open = world.opened(ask(test, rider, "khalti").await.ok());
    let back = world.pay(&open).expect("the page is open");
    match cut {
        Cut::Open | Cut::Return => {
            was_whole &= cut_off(test.anonymous().get(&back), steps_of(Cut::Return)).await.is_some();
        }
        Cut::Verify => {
            was_whole &= cut_off(verify(test, rider, &open.intent_id), steps).await.is_some();
        }
        Cut::Jobs | Cut::Call => {
            test.clock.advance_ms(61_000);
            was_whole &= cut_off(test.drain_jobs(), steps_of(Cut::Jobs)).await.is_some();
        }
    }
    restart(test).await;
    wait(test).await;
    was_whole
}

#[tokio::test]
async fn a_top_up_at_a_provider_that_dies_at_any_step_is_credited_once() {
    for world in ProviderWorld::each(Kind::Khalti).await {
        let mut riders = 0;
        for cut in [Cut::Open, Cut::Return, Cut::Verify, Cut::Jobs] {
            at_each_step(&format!("{cut:?}"), async |steps| {
                let rider = rider(&world.test.app).await;
                riders += 1;
                let was_whole = top_up(&world, &rider, cut, steps).await;
                let backend = world.test.backend();
                assert_eq!(balance(&world.test, &rider).await, "500.00", "{backend} {cut:?} {steps}");
                was_whole
            })
            .await;
        }
        assert_credited(&world.test, riders).await;
    }
}

/// Stripe tells of a payment; what is not answered it tells again.
async fn told(world: &StripeWorld, rider: &Rider, cut: Cut, steps: usize) -> bool {
    let test = &world.test;
    let steps_of = |operation| if cut == operation { steps } else { usize::MAX };
    let page: Value = ask(test, rider, "stripe").await.ok();
    let session = page["gateway_url"].as_str().unwrap().rsplit('/').next().unwrap();
    world.stripe.press(session, Button::Pay).unwrap();
    let event = world.stripe.events_of(session).pop().unwrap();
    let call = || world.call(world.stripe.delivery(&event, Signing::Good));
    let mut was_whole = true;
    match cut_off(call(), steps_of(Cut::Call)).await {
        Some(answer) => assert_eq!(answer.ok(), json!({ "received": true })),
        None => {
            was_whole = false;
            restart(test).await;
            call().await.ok();
        }
    }
    was_whole &= cut_off(test.drain_jobs(), steps_of(Cut::Jobs)).await.is_some();
    restart(test).await;
    let kept = payment_webhook::Entity::find().filter(payment_webhook::Column::EventKey.eq(&event.id));
    let kept = kept.all(test.app.db.read()).await.unwrap();
    let states: Vec<_> = kept.iter().map(|row| row.status).collect();
    assert_eq!(states, [WebhookStatus::Processed], "{} {cut:?} {steps}", test.backend());
    was_whole
}

#[tokio::test]
async fn a_call_of_a_provider_that_dies_at_any_step_is_followed_once() {
    for world in StripeWorld::each().await {
        let mut riders = 0;
        for cut in [Cut::Call, Cut::Jobs] {
            at_each_step(&format!("{cut:?}"), async |steps| {
                let rider = rider(&world.test.app).await;
                riders += 1;
                let was_whole = told(&world, &rider, cut, steps).await;
                let backend = world.test.backend();
                assert_eq!(balance(&world.test, &rider).await, "500.00", "{backend} {cut:?} {steps}");
                was_whole
            })
            .await;
        }
        assert_credited(&world.test, riders).await;
    }
}
