//! Colleagues: made, changed, dismissed, let in again; and what the logs say about it.

use crate::permissions::{PASSWORD, token_of};
use crate::test_app::{Answer, Caller, TestApp};
use axum::body::Body;
use axum::http::Method;
use entities::admin_profile::AdminRole;
use serde_json::{Value, json};

const PROFILES: &str = "/api/v1/admin/profiles";

async fn id_of(staff: &Caller<'_>) -> String {
    staff.get("/api/v1/admin/me").await.ok()["admin_id"].as_str().unwrap().to_owned()
}

async fn delete(caller: &Caller<'_>, path: &str) -> Answer {
    caller.send(caller.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
}

async fn log_in(test: &TestApp, email: &str, password: &str) -> Answer {
    test.anonymous_post("/api/v1/admin/login", json!({ "email": email, "password": password })).await
}

#[tokio::test]
async fn a_super_admin_makes_changes_and_dismisses_colleagues() {
    for test in TestApp::on_each_backend().await {
        let boss = test.bearer(token_of(&test, AdminRole::SuperAdmin).await);
        let new =
            json!({ "email": "Ram@Chautari.example", "password": "first password", "role": "moderator" });
        let made = boss.post(PROFILES, new.clone()).await;
        assert_eq!(made.status, 201);
        let made = made.ok();
        assert_eq!((&made["email"], &made["is_active"]), (&json!("ram@chautari.example"), &json!(true)));
        assert_eq!(made["created_by"], id_of(&boss).await);
        boss.post(PROFILES, new).await.problem(409, "staff_email_taken");
        let one = format!("{PROFILES}/{}", made["id"].as_str().unwrap());
        assert_eq!(boss.get(&one).await.ok(), made);

        let ram = log_in(&test, "ram@chautari.example", "first password").await.ok();
        let ram = test.bearer(ram["token"].as_str().unwrap());
        ram.get(PROFILES).await.problem(403, "forbidden");
        let standing = json!({ "role": "admin", "is_active": true });
        assert_eq!(boss.put(&one, standing.clone()).await.ok()["role"], "admin");
        // A session of another role is not good for this one.
        ram.get(PROFILES).await.problem(401, "unauthenticated");
        let ram = log_in(&test, "ram@chautari.example", "first password").await.ok();
        let ram = test.bearer(ram["token"].as_str().unwrap());
        assert_eq!(ram.get(PROFILES).await.ok()["items"].as_array().unwrap().len(), 2);
        ram.put(&one, standing.clone()).await.problem(403, "forbidden");
        let admins = boss.get(&format!("{PROFILES}?role=admin")).await.ok();
        assert_eq!(admins["items"].as_array().unwrap().len(), 1);

        assert_eq!(delete(&boss, &one).await.status, 204);
        ram.get("/api/v1/admin/me").await.problem(401, "unauthenticated");
        log_in(&test, "ram@chautari.example", "first password").await.problem(401, "credentials_wrong");
        boss.put(&one, standing).await.ok();
        let reset = json!({ "new_password": "second password", "forget_second_factor": true });
        boss.post(&format!("{one}/reset"), reset).await.ok();
        log_in(&test, "ram@chautari.example", "first password").await.problem(401, "credentials_wrong");
        log_in(&test, "ram@chautari.example", "second password").await.ok();
        let unknown = format!("{PROFILES}/01890f3e-7cc2-7000-8000-000000000001");
        boss.get(&unknown).await.problem(404, "colleague_not_found");
    }
}

#[tokio::test]
async fn the_last_super_admin_stays_and_nobody_changes_themselves() {
    for test in TestApp::on_each_backend().await {
        let boss = test.bearer(token_of(&test, AdminRole::SuperAdmin).await);
        let own = format!("{PROFILES}/{}", id_of(&boss).await);
        let moderator = json!({ "role": "moderator", "is_active": true });
        boss.put(&own, moderator.clone()).await.problem(409, "own_profile");
        delete(&boss, &own).await.problem(409, "own_profile");

        let new = json!({ "email": "gita@chautari.example", "password": PASSWORD, "role": "super_admin" });
        let gita = boss.post(PROFILES, new).await.ok();
        let hers = format!("{PROFILES}/{}", gita["id"].as_str().unwrap());
        let token = log_in(&test, "gita@chautari.example", PASSWORD).await.ok()["token"].clone();
        let gita = test.bearer(token.as_str().unwrap());
        // Both at once: one of them stays.
        let (one, other) =
            tokio::join!(boss.put(&hers, moderator.clone()), gita.put(&own, moderator.clone()));
        let done = [&one, &other].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(done, 1, "{} {} {}", test.backend(), one.body, other.body);
        let stayed = if one.status.is_success() { &boss } else { &gita };
        let left = if one.status.is_success() { &gita } else { &boss };
        left.get("/api/v1/admin/me").await.problem(401, "unauthenticated");
        assert_eq!(stayed.get("/api/v1/admin/me").await.ok()["role"], "super_admin");
    }
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    for test in TestApp::on_each_backend().await {
        let here = test.bearer(token_of(&test, AdminRole::Admin).await);
        let there = test.bearer(token_of(&test, AdminRole::Admin).await);
        let path = "/api/v1/admin/me/password";
        let change = |old: &str, new: &str| json!({ "current_password": old, "new_password": new });
        here.post(path, change("not it", "a new password")).await.problem(422, "password_wrong");
        here.post(path, change(PASSWORD, "short")).await.problem(422, "validation_failed");
        assert_eq!(here.post(path, change(PASSWORD, "a new password")).await.status, 204);
        here.get("/api/v1/admin/me").await.ok();
        there.get("/api/v1/admin/me").await.problem(401, "unauthenticated");
        log_in(&test, "admin@chautari.example", PASSWORD).await.problem(401, "credentials_wrong");
        log_in(&test, "admin@chautari.example", "a new password").await.ok();
    }
}

#[tokio::test]
async fn the_logs_tell_who_did_what_newest_first() {
    for test in TestApp::on_each_backend().await {
        let boss = test.bearer(token_of(&test, AdminRole::SuperAdmin).await);
        let boss_id = id_of(&boss).await;
        for number in 0..3 {
            test.clock.advance_ms(1_000);
            let email = format!("colleague{number}@chautari.example");
            let new = json!({ "email": email, "password": PASSWORD, "role": "moderator" });
            boss.post(PROFILES, new).await.ok();
        }
        let path = "/api/v1/admin/logs/actions?action=staff.create&limit=2";
        let first = boss.get(path).await.ok();
        let next = boss.get(&format!("{path}&cursor={}", first["next_cursor"].as_str().unwrap())).await.ok();
        let times: Vec<&Value> = [&first, &next]
            .iter()
            .flat_map(|page| page["items"].as_array().unwrap())
            .map(|deed| &deed["created_at"])
            .collect();
        assert_eq!(times.len(), 3);
        assert!(times.windows(2).all(|pair| pair[0].as_str() > pair[1].as_str()), "{times:?}");
        let deed = &next["items"][0];
        assert_eq!((&deed["admin_id"], &deed["target_model"]), (&json!(boss_id), &json!("admin_profiles")));
        assert_eq!(deed["changes"], json!({ "role": [null, "moderator"] }));
        let target = deed["target_id"].as_str().unwrap();
        let about = boss.get(&format!("/api/v1/admin/logs/actions?target_id={target}")).await.ok();
        assert_eq!(about["items"].as_array().unwrap().len(), 1);
        let later = times[0].as_str().unwrap();
        let of_then =
            boss.get(&format!("/api/v1/admin/logs/actions?action=staff.create&from={later}")).await.ok();
        assert_eq!(of_then["items"].as_array().unwrap().len(), 1);
        let before =
            boss.get(&format!("/api/v1/admin/logs/actions?action=staff.create&to={later}")).await.ok();
        assert_eq!(before["items"].as_array().unwrap().len(), 2);

        let entered =
            boss.get(&format!("/api/v1/admin/logs/users?action=LOGIN&admin_id={boss_id}")).await.ok();
        assert_eq!(entered["items"].as_array().unwrap().len(), 1, "{entered}");
        assert!(entered["items"][0]["session_id"].is_string());
        boss.post("/api/v1/admin/logout", json!({})).await;
        let boss = test.bearer(token_of(&test, AdminRole::SuperAdmin).await);
        let left = boss.get(&format!("/api/v1/admin/logs/users?action=LOGOUT&admin_id={boss_id}")).await.ok();
        assert_eq!(left["items"].as_array().unwrap().len(), 1);

        let long = "x".repeat(101);
        boss.get(&format!("/api/v1/admin/logs/actions?action={long}"))
            .await
            .problem(422, "validation_failed");
        let moderator = test.bearer(token_of(&test, AdminRole::Moderator).await);
        for path in ["", "/actions", "/users"] {
            moderator.get(&format!("/api/v1/admin/logs{path}")).await.problem(403, "forbidden");
        }
    }
}
