//! A rider is forgotten, and the books stay.

use super::{HARI, SITA, code_for, id_of, log_in, register, token_of, trail};
use crate::identity::sign_in;
use crate::media::{jpeg, upload};
use crate::payments::{ask_for, open, press, verify};
use crate::riders::Rider;
use crate::staff::staff_token;
use crate::test_app::TestApp;
use backend::payments::audit;
use entities::admin_profile::AdminRole;
use entities::{
    media_upload, notification, sms_fcm_log, transaction, user, user_audit_log, user_device,
    user_leaderboard, user_profile, user_session,
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

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
