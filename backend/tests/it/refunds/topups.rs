//! Top-ups go back through their provider, which may refuse, be slow, lose its answer, or be a portal.

use super::*;
use crate::moody_provider::{Mood, RefundCall, Refunding};
use crate::payments::balance;
use crate::riders::rider;
use crate::staff::staff_token;
use backend::limits;
use entities::admin_profile::AdminRole;
use entities::incident::{self, IncidentKind};
use entities::sandbox_refund;
use sea_orm::PaginatorTrait;
use std::time::Duration;

/// A rider with a top-up of NPR 500 of which `amount` was asked back and approved; nothing has been sent.
async fn approved(test: &TestApp, refunding: Refunding, amount: Option<&str>) -> (Rider, String) {
    test.provider.refunds(refunding);
    let staff = test.bearer(staff_token(test, AdminRole::Admin).await);
    let rider = rider(&test.app).await;
    let topup = topped_up(test, &rider, "500.00").await;
    let refund = asked(test, &rider, "one", &topup, amount).await;
    assert_eq!(approve(&staff, &refund).await.ok()["status"], "approved");
    (rider, refund)
}

fn call(call: RefundCall) -> Refunding {
    Refunding { call, ..Refunding::default() }
}

async fn given(test: &TestApp) -> u64 {
    sandbox_refund::Entity::find().count(test.app.db.read()).await.unwrap()
}

/// Lets hours pass, a run of the jobs in each.
async fn hours(test: &TestApp, hours: u64) {
    for _ in 0..hours {
        test.clock.advance_ms(3_600_000);
        test.drain_jobs().await;
    }
}

#[tokio::test]
async fn a_top_up_goes_back_through_its_provider_in_parts_with_the_points_it_earned() {
    for test in TestApp::on_each_backend().await {
        let (rider, _) = approved(&test, Refunding::default(), Some("200.00")).await;
        assert_eq!(balance(&test, &rider).await, "300.00", "what is promised cannot be spent");
        assert_eq!(transactions(&test, &rider, "refund").await[0]["status"], "pending");
        test.drain_jobs().await;
        assert_eq!(standing(&test, &rider).await, "processed");
        let shown = &transactions(&test, &rider, "refund").await[0];
        assert_eq!(shown["status"], "success");
        assert!(shown["gateway_reference"].as_str().unwrap().starts_with("SBR-"), "{shown}");
        let topup = &transactions(&test, &rider, "topup").await[0];
        assert_eq!(topup["status"], "success");
        let points = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 30, "10 for each full hundred that stayed");

        test.clock.advance_ms(1_000);
        let topup = topup["id"].as_str().unwrap().to_owned();
        let rest = asked(&test, &rider, "two", &topup, None).await;
        let staff = test.bearer(crate::staff::sign_in(&test).await);
        approve(&staff, &rest).await.ok();
        test.drain_jobs().await;
        assert_eq!(transactions(&test, &rider, "topup").await[0]["status"], "refunded");
        assert_eq!(balance(&test, &rider).await, "0.00");
        assert_eq!(sum_of(&test, LedgerAccountKind::ProviderClearing).await, 0);
        let points = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 0);
        let titles = told(&test, &rider).await;
        for title in ["Your refund is on its way", "You have your money back"] {
            assert_eq!(titles.iter().filter(|told| *told == title).count(), 2, "{titles:?}");
        }
        assert_eq!((given(&test).await, test.provider.refund_calls()), (2, 2));
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn the_points_that_go_with_a_top_up_are_those_that_it_earned_whatever_is_set_today() {
    for (today, first_part) in [("0", "0.01"), ("1000", "250.00")] {
        for test in TestApp::on_each_backend().await {
            test.provider.refunds(Refunding::default());
            let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
            let rider = rider(&test.app).await;
            let topup = topped_up(&test, &rider, "500.00").await;
            crate::points::set(&test, "POINTS_TOPUP", today, true).await;
            for (part, left) in [(Some(first_part), if today == "0" { 49 } else { 25 }), (None, 0)] {
                test.clock.advance_ms(1_000);
                let refund = asked(&test, &rider, part.unwrap_or("rest"), &topup, part).await;
                approve(&staff, &refund).await.ok();
                test.drain_jobs().await;
                let points = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
                assert_eq!(points["current"], left, "{part:?} on {}", test.backend());
            }
            assert_settled(&test).await;
        }
    }
}

#[tokio::test]
async fn a_top_up_that_is_spent_is_not_given_back() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let rider = rider(&test.app).await;
        let topup = topped_up(&test, &rider, "500.00").await;
        let refund = asked(&test, &rider, "early", &topup, None).await;
        // Spent between the request and the decision.
        let rental = bare_rental(&test.app, rider.id).await;
        hold(&test, rider.id, rental, 20_000).await.unwrap();
        approve(&staff, &refund).await.problem(409, "refund_exceeds_balance");
        assert_eq!(standing(&test, &rider).await, "requested", "a refused decision changes nothing");
        reject(&staff, &refund).await.ok();
        ask(&test, &rider, "late", &topup, Some("300.01")).await.problem(409, "refund_exceeds_balance");
        let part = asked(&test, &rider, "part", &topup, Some("300.00")).await;
        approve(&staff, &part).await.ok();
        test.drain_jobs().await;
        assert_eq!(balance(&test, &rider).await, "0.00", "{}", test.backend());
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn what_a_provider_refuses_is_in_the_wallet_again() {
    for test in TestApp::on_each_backend().await {
        let (rider, _) = approved(&test, call(RefundCall::Refused), None).await;
        assert_eq!(balance(&test, &rider).await, "0.00");
        test.drain_jobs().await;
        assert_eq!(standing(&test, &rider).await, "failed");
        assert_eq!(balance(&test, &rider).await, "500.00", "{}", test.backend());
        assert_eq!(transactions(&test, &rider, "refund").await[0]["status"], "failed");
        assert_eq!(transactions(&test, &rider, "topup").await[0]["status"], "success");
        let points = test.bearer(&rider.token).get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 50);
        assert!(told(&test, &rider).await.contains(&"Your refund could not be made".to_owned()));
        hours(&test, 30).await;
        assert_eq!(test.provider.refund_calls(), 1);
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_in_the_book_and_never_sent_again() {
    for test in TestApp::on_each_backend().await {
        for (amount, left) in [(None, "0.00"), (Some("200.00"), "300.00")] {
            let lost = Refunding { call: RefundCall::AnswerLost, forgets: true, hides_parts: false };
            let before = (test.provider.refund_calls(), given(&test).await);
            let (rider, _) = approved_by(&test, lost, amount).await;
            test.drain_jobs().await;
            assert_eq!(standing(&test, &rider).await, "unknown");
            hours(&test, 2).await;
            assert_eq!(standing(&test, &rider).await, "processed", "{amount:?} on {}", test.backend());
            assert_eq!(balance(&test, &rider).await, left);
            assert_eq!((test.provider.refund_calls(), given(&test).await), (before.0 + 1, before.1 + 1));
        }
        assert_eq!(incident::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
        assert_settled(&test).await;
    }
}

/// As [`approved`], by staff who exist already or not.
async fn approved_by(test: &TestApp, refunding: Refunding, amount: Option<&str>) -> (Rider, String) {
    test.provider.refunds(refunding);
    let token = match crate::staff::try_sign_in(test).await {
        Some(token) => token,
        None => staff_token(test, AdminRole::Admin).await,
    };
    let rider = rider(&test.app).await;
    let topup = topped_up(test, &rider, "500.00").await;
    let refund = asked(test, &rider, "one", &topup, amount).await;
    approve(&test.bearer(token), &refund).await.ok();
    (rider, refund)
}

#[tokio::test]
async fn a_lost_call_is_repeated_only_where_the_provider_knows_it_again() {
    for test in TestApp::on_each_backend().await {
        let (rider, _) = approved(&test, call(RefundCall::CallLost), None).await;
        test.drain_jobs().await;
        test.provider.refunds(Refunding::default());
        hours(&test, 1).await;
        assert_eq!(standing(&test, &rider).await, "processed");
        assert_eq!((test.provider.refund_calls(), given(&test).await), (2, 1));
        assert_settled(&test).await;
    }
    for test in TestApp::on_each_backend().await {
        let forgets = Refunding { call: RefundCall::CallLost, forgets: true, hides_parts: false };
        let (rider, refund) = approved(&test, forgets, None).await;
        test.drain_jobs().await;
        test.provider.refunds(Refunding { call: RefundCall::Answered, ..forgets });
        hours(&test, 23).await;
        assert_eq!(standing(&test, &rider).await, "unknown");
        hours(&test, 3).await;
        assert_eq!(standing(&test, &rider).await, "requires_manual", "{}", test.backend());
        assert_eq!((test.provider.refund_calls(), given(&test).await), (1, 0), "never sent again");
        let staff = test.bearer(crate::staff::sign_in(&test).await);
        let waiting = staff.get("/api/v1/admin/payments/refunds/pending").await.ok();
        assert_eq!(waiting["items"][0]["id"], json!(refund));
        assert_eq!(reject(&staff, &refund).await.ok()["status"], "failed");
        assert_eq!(balance(&test, &rider).await, "500.00");
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn a_lost_part_that_the_book_does_not_show_needs_a_person() {
    for test in TestApp::on_each_backend().await {
        let hidden = Refunding { call: RefundCall::AnswerLost, forgets: true, hides_parts: true };
        let (rider, refund) = approved(&test, hidden, Some("200.00")).await;
        test.drain_jobs().await;
        hours(&test, 1).await;
        assert_eq!(standing(&test, &rider).await, "requires_manual", "{}", test.backend());
        hours(&test, 30).await;
        assert_eq!((test.provider.refund_calls(), given(&test).await), (1, 1));
        let staff = test.bearer(crate::staff::sign_in(&test).await);
        let done = process(&staff, &refund).await.ok();
        assert_eq!((&done["status"], &done["gateway_reference"]), (&json!("processed"), &json!("PORTAL-7")));
        assert_eq!(balance(&test, &rider).await, "300.00");
        assert_eq!(incident::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
        hours(&test, 1).await;
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn what_is_done_in_a_portal_is_found_by_the_plan() {
    for test in TestApp::on_each_backend().await {
        let (rider, refund) = approved(&test, call(RefundCall::ByHand), Some("200.00")).await;
        test.drain_jobs().await;
        assert_eq!(standing(&test, &rider).await, "requires_manual");
        hours(&test, 5).await;
        assert_eq!(standing(&test, &rider).await, "requires_manual");
        in_the_portal(&test, &refund).await;
        hours(&test, 1).await;
        assert_eq!(standing(&test, &rider).await, "processed", "{}", test.backend());
        let staff = test.bearer(crate::staff::sign_in(&test).await);
        process(&staff, &refund).await.problem(409, "invalid_refund_status");
        assert_eq!(incident::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
        assert_settled(&test).await;
    }
}

/// A person gives NPR 200 back in the provider's own portal.
async fn in_the_portal(test: &TestApp, of: &str) {
    let reference = format!("portal for {of}");
    let written = test.app.db.write(move |tx| {
        let reference = reference.clone();
        Box::pin(async move {
            let payment = entities::sandbox_payment::Entity::find().one(tx).await?.unwrap();
            let row = sandbox_refund::ActiveModel {
                id: sea_orm::Set(tx.new_uuid().into()),
                payment_id: sea_orm::Set(payment.id),
                merchant_reference: sea_orm::Set(reference),
                amount_paisa: sea_orm::Set(entities::Paisa(20_000)),
                created_at: sea_orm::Set(tx.now()),
            };
            sandbox_refund::Entity::insert(row).exec_without_returning(tx).await?;
            Ok(())
        })
    });
    written.await.unwrap();
}

#[tokio::test]
async fn a_part_that_nobody_asked_for_is_told_from_a_refund_of_ours() {
    for test in TestApp::on_each_backend().await {
        let (rider, _) = approved(&test, Refunding::default(), Some("100.00")).await;
        test.drain_jobs().await;
        in_the_portal(&test, "nobody").await;
        let attempt = crate::payments::attempt(&test).await.id;
        for _ in 0..3 {
            backend::payments::sync::sync_again(&test.app, attempt).await.unwrap();
        }
        assert_eq!(balance(&test, &rider).await, "200.00", "what left at the provider leaves the wallet");
        assert_eq!(sum_of(&test, LedgerAccountKind::Suspense).await, 0, "{}", test.backend());
        let incidents = incident::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(incidents.iter().map(|row| row.kind).collect::<Vec<_>>(), [IncidentKind::PaymentReversed]);
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn a_refund_on_its_way_arrives_when_the_book_says_so() {
    for test in TestApp::on_each_backend().await {
        let (rider, refund) = approved(&test, call(RefundCall::Pending), Some("200.00")).await;
        test.drain_jobs().await;
        hours(&test, 40).await;
        assert_eq!(standing(&test, &rider).await, "submitted");
        in_the_portal(&test, &refund).await;
        hours(&test, 24).await;
        assert_eq!(standing(&test, &rider).await, "processed", "{}", test.backend());
        assert_eq!(test.provider.refund_calls(), 1);
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn nothing_is_sent_while_the_book_cannot_be_read() {
    for test in TestApp::on_each_backend().await {
        let (rider, _) = approved(&test, Refunding::default(), None).await;
        test.provider.becomes(Mood::Away);
        test.drain_jobs().await;
        hours(&test, 5).await;
        assert_eq!((standing(&test, &rider).await.as_str(), test.provider.refund_calls()), ("approved", 0));
        test.provider.becomes(Mood::Good);
        hours(&test, 1).await;
        assert_eq!((standing(&test, &rider).await.as_str(), test.provider.refund_calls()), ("processed", 1));
        assert_settled(&test).await;
    }
}

/// L13: whoever sends it dies before the provider hears, or before its answer is written.
#[tokio::test]
async fn a_death_beside_the_call_gives_back_once() {
    for (death, forgets) in
        [(RefundCall::AskerDies, false), (RefundCall::AskerDies, true), (RefundCall::AskerDiesFirst, false)]
    {
        for test in TestApp::on_each_backend().await {
            let dies = Refunding { call: death, forgets, hides_parts: false };
            let (rider, _) = approved(&test, dies, Some("200.00")).await;
            let ran = tokio::time::timeout(Duration::from_secs(2), test.drain_jobs()).await;
            assert!(ran.is_err(), "it was to die in the call");
            assert_eq!(standing(&test, &rider).await, "submitted");
            test.provider.refunds(Refunding { call: RefundCall::Answered, ..dies });
            test.clock.advance_ms(limits::JOB_LEASE.num_milliseconds().unsigned_abs() + 1);
            test.drain_jobs().await;
            hours(&test, 2).await;
            assert_eq!(standing(&test, &rider).await, "processed", "{death:?} on {}", test.backend());
            assert_eq!(given(&test).await, 1, "{death:?} on {}", test.backend());
            assert_eq!(balance(&test, &rider).await, "300.00");
            assert_settled(&test).await;
        }
    }
}
