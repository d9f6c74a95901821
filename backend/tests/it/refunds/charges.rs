//! Charges go back to the wallet: in parts, once, never more than was taken.

use super::*;
use crate::payments::balance;
use crate::riders::rider;
use crate::staff::staff_token;
use entities::admin_profile::AdminRole;
use entities::{admin_action_log, ledger_entry};
use futures::future::join_all;
use sea_orm::PaginatorTrait;

#[tokio::test]
async fn a_charge_goes_back_in_parts_with_its_vat_and_is_refunded_at_the_end() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let (rider, charge) = charged(&test, 10_000, 1_300).await;
        assert_eq!(balance(&test, &rider).await, "0.00");

        let refund = asked(&test, &rider, "one", &charge, Some("33.33")).await;
        assert_eq!(balance(&test, &rider).await, "0.00", "nothing moves before staff agree");
        let waiting = staff.get("/api/v1/admin/payments/refunds/pending").await.ok();
        assert_eq!(
            (&waiting["items"][0]["id"], &waiting["items"][0]["destination"]),
            (&json!(refund), &json!("wallet"))
        );
        assert_eq!(approve(&staff, &refund).await.ok()["status"], "processed");
        assert_eq!(balance(&test, &rider).await, "33.33");
        assert_eq!(transactions(&test, &rider, "rental").await[0]["status"], "success");

        test.clock.advance_ms(1_000);
        let rest = asked(&test, &rider, "two", &charge, None).await;
        approve(&staff, &rest).await.ok();
        assert_eq!(balance(&test, &rider).await, "113.00");
        assert_eq!(transactions(&test, &rider, "rental").await[0]["status"], "refunded");
        let shown = transactions(&test, &rider, "refund").await;
        let shown: Vec<_> =
            shown.iter().map(|row| (row["amount"]["amount"].clone(), row["status"].clone())).collect();
        assert_eq!(shown, [(json!("79.67"), json!("success")), (json!("33.33"), json!("success"))]);
        for kind in [
            LedgerAccountKind::RevenueRental,
            LedgerAccountKind::RevenueLateFee,
            LedgerAccountKind::VatPayable,
        ] {
            assert_eq!(sum_of(&test, kind).await, 0, "{kind:?} on {}", test.backend());
        }
        ask(&test, &rider, "three", &charge, Some("0.01")).await.problem(409, "transaction_not_refundable");
        let titles = told(&test, &rider).await;
        assert_eq!(
            titles.iter().filter(|title| *title == "You have your money back").count(),
            2,
            "{titles:?}"
        );
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn impossible_refunds_are_refused() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let (rider, charge) = charged(&test, 5_000, 0).await;
        for (amount, status, code) in [
            ("0.00", 422, "validation_failed"),
            ("-1.00", 422, "validation_failed"),
            ("50.01", 422, "refund_exceeds_payment"),
            ("9999999999999.99", 422, "refund_exceeds_payment"),
            ("1e2", 422, "validation_failed"),
        ] {
            ask(&test, &rider, amount, &charge, Some(amount)).await.problem(status, code);
        }
        let path = format!("/api/v1/payments/refunds/{charge}");
        let caller = test.bearer(&rider.token);
        caller
            .post_once("no-reason-given", &path, json!({ "reason": " " }))
            .await
            .problem(422, "validation_failed");
        caller
            .post_once("too-long-a-one", &path, json!({ "reason": "x".repeat(501) }))
            .await
            .problem(422, "validation_failed");
        caller.post(&path, json!({ "reason": "no key" })).await.problem(400, "idempotency_key_missing");

        let part = asked(&test, &rider, "part", &charge, Some("20.00")).await;
        ask(&test, &rider, "beside", &charge, Some("10.00")).await.problem(409, "duplicate_refund");
        approve(&staff, &part).await.ok();
        ask(&test, &rider, "over", &charge, Some("30.01")).await.problem(422, "refund_exceeds_payment");
        // A refund is a transaction, too; it is not given back.
        let refund =
            transactions(&test, &rider, "refund").await[0]["transaction_id"].as_str().unwrap().to_owned();
        ask(&test, &rider, "of-refund", &refund, None).await.problem(409, "transaction_not_refundable");
        assert_eq!(balance(&test, &rider).await, "20.00");
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn of_others_transactions_and_of_none_nothing_is_known() {
    for test in TestApp::on_each_backend().await {
        let (owner, charge) = charged(&test, 5_000, 0).await;
        let other = rider(&test.app).await;
        for name in [charge.as_str(), "01890f3e-7cc2-7000-8000-000000000001", "T23456789ABC", "x"] {
            ask(&test, &other, name, name, None).await.problem(404, "transaction_not_found");
        }
        asked(&test, &owner, "mine", &charge, None).await;
        let listed = test.bearer(&other.token).get("/api/v1/payments/refunds").await.ok();
        assert_eq!(listed["items"], json!([]));
    }
}

#[tokio::test]
async fn a_refund_that_staff_reject_moves_nothing_and_may_be_asked_for_again() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::SuperAdmin).await);
        let (rider, charge) = charged(&test, 5_000, 0).await;
        let refund = asked(&test, &rider, "one", &charge, None).await;
        let rejected = reject(&staff, &refund).await.ok();
        assert_eq!(
            (&rejected["status"], &rejected["decision_note"]),
            (&json!("rejected"), &json!("It was used."))
        );
        for answer in [approve(&staff, &refund).await, process(&staff, &refund).await] {
            answer.problem(409, "invalid_refund_status");
        }
        assert_eq!(balance(&test, &rider).await, "0.00");
        assert!(told(&test, &rider).await.contains(&"Your refund was not approved".to_owned()));
        test.clock.advance_ms(1);
        let again = asked(&test, &rider, "two", &charge, None).await;
        approve(&staff, &again).await.ok();
        assert_eq!(balance(&test, &rider).await, "50.00", "{}", test.backend());
        assert_settled(&test).await;
    }
}

#[tokio::test]
async fn only_staff_who_may_decide_do_and_the_audit_shows_who_did() {
    for test in TestApp::on_each_backend().await {
        let token = staff_token(&test, AdminRole::Moderator).await;
        let moderator = test.bearer(token);
        let (rider, charge) = charged(&test, 5_000, 0).await;
        let refund = asked(&test, &rider, "one", &charge, None).await;
        moderator.get("/api/v1/admin/payments/refunds?status=requested").await.ok();
        approve(&moderator, &refund).await.problem(403, "forbidden");
        reject(&moderator, &refund).await.problem(403, "forbidden");
        process(&moderator, &refund).await.problem(403, "forbidden");
        approve(&test.bearer(&rider.token), &refund).await.problem(401, "unauthenticated");
        assert_eq!(admin_action_log::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
    }
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let (rider, charge) = charged(&test, 5_000, 0).await;
        let refund = asked(&test, &rider, "one", &charge, None).await;
        let first = approve(&staff, &refund).await.ok();
        assert_eq!(approve(&staff, &refund).await.ok(), first, "the same request has the same answer");
        let path = format!("/api/v1/admin/payments/refunds/{refund}/approve");
        staff.post_once("another-key-of-mine", &path, json!({})).await.problem(409, "invalid_refund_status");
        let nobody = "01890f3e-7cc2-7000-8000-000000000001";
        approve(&staff, nobody).await.problem(404, "refund_not_found");
        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let notes: Vec<_> =
            notes.iter().map(|note| (note.action.as_str(), note.target_id.as_str())).collect();
        assert_eq!(notes, [("refund.approve", refund.as_str())]);
        assert_eq!(balance(&test, &rider).await, "50.00");
    }
}

/// L7.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_asks_once_and_another_body_is_refused() {
    for test in TestApp::on_each_backend().await {
        let (rider, charge) = charged(&test, 5_000, 0).await;
        let answers = join_all((0..10).map(|_| ask(&test, &rider, "one", &charge, Some("10.00")))).await;
        let bodies: Vec<Value> = answers.into_iter().map(Answer::ok).collect();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:#?}");
        ask(&test, &rider, "one", &charge, Some("11.00")).await.problem(422, "idempotency_key_reused");
        let listed = test.bearer(&rider.token).get("/api/v1/payments/refunds").await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    }
}

/// L9.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_never_give_back_more_than_was_taken() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let (rider, charge) = charged(&test, 8_000, 2_000).await;
        let mut granted = 0;
        for round in 0..5 {
            let keys: Vec<String> = (0..50).map(|number| format!("{round}-{number}")).collect();
            let asks = keys.iter().map(|key| ask(&test, &rider, key, &charge, Some("30.00")));
            let answers = join_all(asks).await;
            let won: Vec<String> = answers
                .iter()
                .filter(|answer| answer.status == 201)
                .map(|answer| answer.body["id"].as_str().unwrap().to_owned())
                .collect();
            for lost in answers.iter().filter(|answer| answer.status != 201) {
                let expected = if round < 3 { "duplicate_refund" } else { "refund_exceeds_payment" };
                assert_eq!(lost.body["code"], expected, "round {round} on {}", test.backend());
            }
            assert_eq!(won.len(), usize::from(round < 3), "round {round} on {}", test.backend());
            for refund in won {
                let keys: Vec<String> = (0..10).map(|number| format!("approve-{refund}-{number}")).collect();
                let path = format!("/api/v1/admin/payments/refunds/{refund}/approve");
                let decided = join_all(keys.iter().map(|key| staff.post_once(key, &path, json!({})))).await;
                granted += decided.iter().filter(|answer| answer.status == 200).count();
            }
        }
        assert_eq!(granted, 3);
        assert_eq!(balance(&test, &rider).await, "90.00", "{}", test.backend());
        let entries = ledger_entry::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(entries.iter().filter(|entry| entry.kind == "refund_to_wallet").count(), 3);
        assert_settled(&test).await;
    }
}
