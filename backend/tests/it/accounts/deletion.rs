//! A rider is forgotten, and the books stay.

use super::{HARI, SITA, code_for, id_of, log_in, register, token_of, trail};
use crate::identity::sign_in;
use crate::media::{jpeg, upload};
use crate::payments::{ask_for, open, press, verify};
use crate::riders::{Rider, bare_rental};
use crate::staff::staff_token;
use crate::test_app::{Caller, TestApp};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Method;
use backend::payments::audit;
use entities::admin_profile::AdminRole;
use entities::rental::RentalStatus;
use entities::{
    former_rider, idempotency_key, media_upload, notification, refund, rental, rental_issue, rental_location,
    sms_fcm_log, staff_credential, transaction, user, user_audit_log, user_device, user_leaderboard,
    user_profile, user_session,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde_json::{Value, json};
use std::net::SocketAddr;

const ACCOUNT: &str = "/api/v1/auth/account";

fn rider(signed_in: &Value) -> Rider {
    Rider { id: id_of(signed_in), token: token_of(signed_in) }
}

#[tokio::test]
async fn nothing_of_a_deleted_rider_leads_to_them_and_the_books_still_agree() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, SITA).await;
        let sita = rider(&signed_in);
        let caller = test.bearer(&sita.token);
        caller
            .put(
                "/api/v1/users/profile",
                json!({ "first_name": "Sita", "last_name": "Rai", "city": "Patan", "date_of_birth": "2000-02-29" }),
            )
            .await
            .ok();
        let device = json!({ "device_id": "installation-1", "device_type": "ios", "fcm_token": "token-1" });
        caller.post("/api/v1/auth/device", device).await.ok();
        let opened = open(&test, &sita, "500.00").await;
        press(&test, &opened.page, "pay").await;
        verify(&test, &sita, &opened.intent_id).await.ok();
        test.drain_jobs().await;
        let problem = caller.delete(ACCOUNT).await.problem(409, "wallet_not_empty");
        assert!(problem["detail"].as_str().unwrap().contains("NPR 500.00"), "{problem}");
        assert_eq!(caller.delete(&format!("{ACCOUNT}?forfeit_balance=true")).await.status, 204);

        caller.get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        let refresh = json!({ "refresh_token": signed_in["refresh_token"] });
        test.anonymous_post("/api/v1/auth/refresh", refresh).await.problem(401, "refresh_token_invalid");
        let db = test.app.db.read();
        let row = user::Entity::find_by_id(sita.id).one(db).await.unwrap().unwrap();
        assert!(row.deleted_at.is_some());
        let profile = user_profile::Entity::find().filter(user_profile::Column::UserId.eq(sita.id));
        let profile = profile.one(db).await.unwrap().unwrap();
        let sessions = user_session::Entity::find().all(db).await.unwrap();
        assert!(sessions.iter().all(|session| session.revoked_at.is_some()));
        let audits = user_audit_log::Entity::find().all(db).await.unwrap();
        let left = format!("{row:?} {profile:?} {audits:?}");
        for word in ["Sita", "Rai", "Patan", "9841000001", "2000-02-29", "ChautariApp"] {
            assert!(!left.contains(word), "{word} is left in {left}");
        }
        for count in [
            user_device::Entity::find().count(db).await.unwrap(),
            notification::Entity::find().count(db).await.unwrap(),
            sms_fcm_log::Entity::find().count(db).await.unwrap(),
            user_leaderboard::Entity::find().count(db).await.unwrap(),
        ] {
            assert_eq!(count, 0, "{}", test.backend());
        }
        assert_eq!(transaction::Entity::find().count(db).await.unwrap(), 1, "the books stay");
        let findings = audit::audit(db).await.unwrap();
        assert!(findings.is_empty(), "{}: {findings:?}", test.backend());
        let rows = trail(&test, sita.id).await;
        assert!(rows.iter().any(|row| row.action == "DELETE" && row.entity_type == "User"), "{rows:?}");
    }
}

#[tokio::test]
async fn places_words_and_copies_of_a_deleted_rider_go_with_them() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(crate::permissions::token_of(&test, AdminRole::SuperAdmin).await);
        // Somebody who worked here, and rode.
        let new =
            json!({ "email": "sita@chautari.example", "password": "a first password", "role": "admin" });
        let colleague = staff.post("/api/v1/admin/profiles", new).await.ok();
        let colleague = format!("/api/v1/admin/profiles/{}", colleague["id"].as_str().unwrap());
        assert_eq!(staff.delete(&colleague).await.status, 204);
        let sita = rider(&sign_in(&test, "sita@chautari.example").await);
        let caller = test.bearer(&sita.token);
        let rental = bare_rental(&test.app, sita.id).await;
        let user = sita.id;
        let written = test.app.db.write(move |tx| {
            Box::pin(async move {
                let over = rental::ActiveModel {
                    status: Set(RentalStatus::Completed),
                    started_at: Set(Some(tx.now())),
                    ended_at: Set(Some(tx.now())),
                    rental_metadata: Set(json!({ "cancel_wished": "Sita is ill" })),
                    ..Default::default()
                };
                rental::Entity::update_many()
                    .set(over)
                    .filter(rental::Column::Id.eq(rental))
                    .exec(tx)
                    .await?;
                user::Entity::update_many()
                    .col_expr(user::Column::OpenRentals, Expr::value(0))
                    .filter(user::Column::Id.eq(user))
                    .exec(tx)
                    .await?;
                let place = rental_location::ActiveModel {
                    id: Set(tx.new_uuid().into()),
                    rental_id: Set(rental),
                    latitude: Set(27.7),
                    longitude: Set(85.3),
                    accuracy: Set(5.0),
                    recorded_at: Set(tx.now()),
                };
                rental_location::Entity::insert(place).exec_without_returning(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
        let report = json!({ "issue_type": "charging_issue", "description": "Sita's cable is broken" });
        caller.post(&format!("/api/v1/rentals/{rental}/report-issue"), report).await.ok();
        let opened = open(&test, &sita, "500.00").await;
        press(&test, &opened.page, "pay").await;
        verify(&test, &sita, &opened.intent_id).await.ok();
        let paid = caller.get("/api/v1/payments/transactions?transaction_type=topup").await.ok();
        let path = format!("/api/v1/payments/refunds/{}", paid["items"][0]["id"].as_str().unwrap());
        let why = json!({ "reason": "Sita needs it", "amount": { "amount": "1.00", "currency": "NPR" } });
        let asked = caller.post_once("give-it-back", &path, why).await.ok();
        let reject = format!("/api/v1/admin/payments/refunds/{}/reject", asked["id"].as_str().unwrap());
        staff.post_once("reject-it", &reject, json!({ "reason": "It was used." })).await.ok();
        let order = json!({ "of": "users", "from": "2026-01-01", "until": "2026-01-31" });
        let run = staff.post("/api/v1/admin/exports", order).await.ok();
        test.drain_jobs().await;
        let file = format!("/api/v1/admin/batches/{}/file", run["id"].as_str().unwrap());
        let text = async || staff.get(&file).await.ok().as_str().unwrap().to_owned();
        let before = text().await;
        assert!(before.contains("sita@chautari.example"), "{before}");

        let leave = caller.request(Method::DELETE, &format!("{ACCOUNT}?forfeit_balance=true"));
        let mut leave = leave.header("user-agent", "ChautariApp/1.4").body(Body::empty()).unwrap();
        leave.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 9], 4_000))));
        let left = caller.send(leave).await;
        assert_eq!(left.status, 204, "{}", left.body);

        let after = text().await;
        assert_eq!(after.lines().count() + 1, before.lines().count(), "the others stay: {after}");
        let db = test.app.db.read();
        assert_eq!(rental_location::Entity::find().count(db).await.unwrap(), 0);
        let theirs = idempotency_key::Column::UserId.eq(sita.id);
        let left = format!(
            "{after} {:?} {:?} {:?} {:?} {:?} {:?}",
            rental::Entity::find().all(db).await.unwrap(),
            rental_issue::Entity::find().all(db).await.unwrap(),
            refund::Entity::find().all(db).await.unwrap(),
            idempotency_key::Entity::find().filter(theirs).all(db).await.unwrap(),
            staff_credential::Entity::find().all(db).await.unwrap(),
            trail(&test, sita.id).await,
        )
        .to_lowercase();
        for word in ["sita", "203.0.113.9", "chautariapp"] {
            assert!(!left.contains(word), "{}: {word} is left in {left}", test.backend());
        }
    }
}

#[tokio::test]
async fn the_number_of_a_deleted_rider_is_a_strangers() {
    for test in TestApp::on_each_backend().await {
        let gone = sign_in(&test, SITA).await;
        assert_eq!(test.bearer(token_of(&gone)).delete(ACCOUNT).await.status, 204);
        let code = code_for(&test, SITA).await;
        log_in(&test, SITA, &code).await.problem(404, "account_unknown");
        let again = register(&test, SITA, &code, json!({})).await.ok();
        assert_ne!(again["user"]["id"], gone["user"]["id"]);
        // Friends of the one who left join nobody by the old code.
        let code = code_for(&test, HARI).await;
        let referral = json!({ "referral_code": gone["user"]["referral_code"] });
        register(&test, HARI, &code, referral).await.problem(422, "referral_code_unknown");
    }
}

#[tokio::test]
async fn who_leaves_and_comes_back_gets_nothing_a_second_time() {
    for test in TestApp::on_each_backend().await {
        let admin = test.bearer(crate::permissions::token_of(&test, AdminRole::Admin).await);
        let coupon = |code: &str| {
            json!({
                "code": code, "name": "Welcome", "points_value": 50, "is_public": true,
                "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-02-01T00:00:00Z",
            })
        };
        admin.post("/api/v1/admin/coupons", coupon("WELCOME51")).await.ok();
        test.drain_jobs().await;
        let points = async |caller: &Caller<'_>| {
            test.drain_jobs().await;
            caller.get("/api/v1/points/summary").await.ok()["current"].clone()
        };
        let papers = async |caller: &Caller<'_>, seed: u8| {
            let (front, back) =
                (upload(caller, "kyc", &jpeg(seed)).await, upload(caller, "kyc", &jpeg(seed + 1)).await);
            let papers = json!({
                "citizenship_number": "27-01-70-12345",
                "citizenship_front_image": front["id"], "citizenship_back_image": back["id"],
            });
            caller.post("/api/v1/users/kyc", papers).await.ok();
        };
        let apply = async |caller: &Caller<'_>, key: &str, code: &str| {
            let body = json!({ "coupon_code": code });
            caller.post_once(key, "/api/v1/promotions/coupons/apply", body).await
        };
        let caller = test.bearer(token_of(&sign_in(&test, SITA).await));
        papers(&caller, 1).await;
        apply(&caller, "welcome-me", "WELCOME51").await.ok();
        assert_eq!(points(&caller).await, 100);
        assert_eq!(caller.delete(ACCOUNT).await.status, 204);

        test.clock.advance_ms(61_000);
        let caller = test.bearer(token_of(&sign_in(&test, SITA).await));
        assert_eq!(points(&caller).await, 0, "{}", test.backend());
        apply(&caller, "welcome-back", "WELCOME51").await.problem(409, "coupon_already_used");
        admin.post("/api/v1/admin/coupons", coupon("DASHAIN-2026")).await.ok();
        apply(&caller, "a-new-one", "DASHAIN-2026").await.ok();
        assert_eq!(points(&caller).await, 50, "{}", test.backend());

        // With another number, and the same paper.
        let caller = test.bearer(token_of(&sign_in(&test, HARI).await));
        assert_eq!(points(&caller).await, 50);
        papers(&caller, 3).await;
        let path = "/api/v1/admin/kyc/submissions";
        let waiting = admin.get(path).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
        let seen = admin.get(&format!("{path}/{waiting}")).await.ok();
        let yes = json!({ "submitted_at": seen["submitted_at"] });
        admin.post(&format!("{path}/{waiting}/approve"), yes).await.ok();
        assert_eq!(points(&caller).await, 50, "{}", test.backend());
        let kept = former_rider::Entity::find().all(test.app.db.read()).await.unwrap();
        assert!(kept.iter().all(|row| row.identity_hash.len() == 64), "{kept:?}");
        assert_eq!(kept.len(), 2);
    }
}

#[tokio::test]
async fn nobody_leaves_while_a_payment_is_open() {
    for test in TestApp::on_each_backend().await {
        let sita = rider(&sign_in(&test, SITA).await);
        let opened = ask_for(&test, &sita, "top-up-and-leave", "100.00").await.ok();
        test.bearer(&sita.token).delete(ACCOUNT).await.problem(409, "money_in_flight");
        let path = format!("/api/v1/payments/cancel/{}", opened["intent_id"].as_str().unwrap());
        test.bearer(&sita.token).post(&path, json!({})).await.ok();
        assert_eq!(test.bearer(&sita.token).delete(ACCOUNT).await.status, 204);
    }
}

#[tokio::test]
async fn who_works_here_leaves_by_another_door() {
    let test = TestApp::new().await;
    staff_token(&test, AdminRole::Moderator).await;
    let hari = sign_in(&test, "hari@chautari.example").await;
    test.bearer(token_of(&hari)).delete(ACCOUNT).await.problem(409, "staff_account");
}

#[tokio::test]
async fn the_papers_of_a_deleted_rider_are_deleted_too() {
    for test in TestApp::on_each_backend().await {
        let caller = test.bearer(token_of(&sign_in(&test, SITA).await));
        let (front, back) = (upload(&caller, "kyc", &jpeg(1)).await, upload(&caller, "kyc", &jpeg(2)).await);
        let papers = json!({
            "citizenship_number": "27-01-70-12345",
            "citizenship_front_image": front["id"], "citizenship_back_image": back["id"],
        });
        caller.post("/api/v1/users/kyc", papers).await.ok();
        assert_eq!(caller.delete(ACCOUNT).await.status, 204);
        test.clock.advance_ms(3 * 24 * 3_600_000);
        backend::housekeeping::sweep(&test.app).await.unwrap();
        let left = media_upload::Entity::find().all(test.app.db.read()).await.unwrap();
        assert!(left.is_empty(), "{}: {left:?}", test.backend());
    }
}
