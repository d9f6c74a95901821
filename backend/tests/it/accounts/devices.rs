//! Telephones of a rider: for push messages, and for signing one of them out.

use super::{HARI, SITA, code_for, deeds, id_of, log_in, token_of, trail};
use crate::identity::sign_in;
use crate::test_app::TestApp;
use backend::identity::sightings;
use entities::admin_profile::AdminRole;
use entities::{user_device, user_session};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

fn device(id: &str, token: &str) -> Value {
    json!({
        "device_id": id, "device_type": "android", "fcm_token": token, "device_name": " My phone ",
        "app_version": "1.4.0", "os_version": "15",
    })
}

#[tokio::test]
async fn an_app_tells_its_telephone_once_and_again() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, SITA).await;
        let rider = test.bearer(token_of(&signed_in));
        let told = rider.post("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        assert_eq!((&told["device_name"], &told["gets_push"]), (&json!("My phone"), &json!(true)));
        test.clock.advance_ms(1_000);
        let again = rider.put("/api/v1/auth/device", device("installation-1", "token-2")).await.ok();
        assert_eq!((&again["id"], &again["created_at"]), (&told["id"], &told["created_at"]));
        assert_ne!(again["last_active"], told["last_active"]);
        let listed = rider.get("/api/v1/auth/devices").await.ok();
        assert_eq!(listed["items"], json!([again]));
        let rows = user_device::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(rows[0].fcm_token.as_deref(), Some("token-2"));
        let rows = trail(&test, id_of(&signed_in)).await;
        assert!(deeds(&rows).contains(&("CREATE", "UserDevice")));
        assert!(!format!("{rows:?}").contains("token-1"), "the trail holds a token");
    }
}

#[tokio::test]
async fn a_telephone_that_changes_hands_rings_for_its_new_owner_alone() {
    for test in TestApp::on_each_backend().await {
        let (sita, hari) = (sign_in(&test, SITA).await, sign_in(&test, HARI).await);
        let (of_sita, of_hari) = (test.bearer(token_of(&sita)), test.bearer(token_of(&hari)));
        of_sita.post("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        of_hari.post("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        assert_eq!(of_sita.get("/api/v1/auth/devices").await.ok()["items"], json!([]));
        // The app was installed anew, and Firebase kept its token.
        of_sita.post("/api/v1/auth/device", device("installation-2", "token-1")).await.ok();
        assert_eq!(of_hari.get("/api/v1/auth/devices").await.ok()["items"][0]["gets_push"], false);
        let db = test.app.db.read();
        assert!(sightings::have_shared_a_device(db, id_of(&sita), id_of(&hari)).await.unwrap());
        assert!(sightings::have_shared_a_device(db, id_of(&hari), id_of(&sita)).await.unwrap());
        let stranger = sign_in(&test, "+9779841000003").await;
        assert!(!sightings::have_shared_a_device(db, id_of(&stranger), id_of(&sita)).await.unwrap());
    }
}

#[tokio::test]
async fn a_forgotten_telephone_is_signed_out_and_silent() {
    for test in TestApp::on_each_backend().await {
        let phone = sign_in(&test, SITA).await;
        let code = code_for(&test, SITA).await;
        let tablet = log_in(&test, SITA, &code).await.ok();
        let lost = test
            .bearer(token_of(&phone))
            .post("/api/v1/auth/device", device("installation-1", "token-1"))
            .await
            .ok();
        // Its session goes on under new tokens and stays on the same telephone.
        let refreshed = json!({ "refresh_token": phone["refresh_token"] });
        let phone = test.anonymous_post("/api/v1/auth/refresh", refreshed).await.ok();
        let tablet = test.bearer(token_of(&tablet));
        let path = format!("/api/v1/auth/devices/{}", lost["id"].as_str().unwrap());
        let hari = sign_in(&test, HARI).await;
        test.bearer(token_of(&hari)).delete(&path).await.problem(404, "device_not_found");
        assert_eq!(tablet.delete(&path).await.status, 204);
        tablet.delete(&path).await.problem(404, "device_not_found");
        test.bearer(token_of(&phone)).get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        assert_eq!(tablet.get("/api/v1/auth/devices").await.ok()["items"], json!([]));
    }
}

#[tokio::test]
async fn who_names_the_telephone_of_another_signs_nobody_out() {
    for test in TestApp::on_each_backend().await {
        let (sita, hari) = (sign_in(&test, SITA).await, sign_in(&test, HARI).await);
        let (of_sita, of_hari) = (test.bearer(token_of(&sita)), test.bearer(token_of(&hari)));
        of_sita.post("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        let taken = of_hari.post("/api/v1/auth/device", device("installation-1", "token-2")).await.ok();
        let path = format!("/api/v1/auth/devices/{}", taken["id"].as_str().unwrap());
        assert_eq!(of_hari.delete(&path).await.status, 204);
        of_hari.get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        of_sita.get("/api/v1/auth/me").await.ok();
        let refreshed = json!({ "refresh_token": sita["refresh_token"] });
        test.anonymous_post("/api/v1/auth/refresh", refreshed).await.ok();
        let sessions = user_session::Entity::find().all(test.app.db.read()).await.unwrap();
        assert!(sessions.iter().all(|session| session.device_id.is_none()), "{}", test.backend());
    }
}

#[tokio::test]
async fn only_who_may_change_riders_sees_the_id_of_a_telephone() {
    for test in TestApp::on_each_backend().await {
        let sita = sign_in(&test, SITA).await;
        let rider = test.bearer(token_of(&sita));
        rider.post("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        let path = format!("/api/v1/admin/users/{}", id_of(&sita));
        for (role, shown) in [(AdminRole::Admin, "installation-1"), (AdminRole::Moderator, "…on-1")] {
            let staff = test.bearer(crate::permissions::token_of(&test, role).await);
            assert_eq!(staff.get(&path).await.ok()["devices"][0]["device_id"], shown, "{role}");
        }
    }
}

#[tokio::test]
async fn a_telephone_that_is_signed_out_gets_no_push() {
    for test in TestApp::on_each_backend().await {
        let phone = sign_in(&test, SITA).await;
        let rider = test.bearer(token_of(&phone));
        rider.post("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        rider.post("/api/v1/auth/logout", json!({})).await;
        let code = code_for(&test, SITA).await;
        let again = log_in(&test, SITA, &code).await.ok();
        let rider = test.bearer(token_of(&again));
        assert_eq!(rider.get("/api/v1/auth/devices").await.ok()["items"][0]["gets_push"], false);
        rider.put("/api/v1/auth/device", device("installation-1", "token-1")).await.ok();
        assert_eq!(rider.get("/api/v1/auth/devices").await.ok()["items"][0]["gets_push"], true);
    }
}

#[tokio::test]
async fn made_up_telephones_fill_no_table_and_rubbish_is_refused() {
    let test = TestApp::new().await;
    let rider = test.bearer(token_of(&sign_in(&test, SITA).await));
    for number in 0..25 {
        test.clock.advance_ms(1_000);
        rider.post("/api/v1/auth/device", device(&format!("installation-{number}"), "")).await.ok();
    }
    let listed = rider.get("/api/v1/auth/devices").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 20);
    assert_eq!(listed["items"][0]["device_id"], "installation-24");
    for (field, value) in [
        ("device_id", json!("short")),
        ("device_id", json!("with a space")),
        ("device_id", json!("x".repeat(129))),
        ("device_type", json!("fridge")),
        ("fcm_token", json!("a\nb")),
        ("fcm_token", json!("x".repeat(4_097))),
        ("device_name", json!("a\u{0}b")),
        ("app_version", json!("x".repeat(101))),
        ("user_id", json!("01890f3e-7cc2-7000-8000-000000000001")),
    ] {
        let mut wrong = device("installation-1", "token");
        wrong[field] = value;
        let problem = rider.post("/api/v1/auth/device", wrong).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
}
