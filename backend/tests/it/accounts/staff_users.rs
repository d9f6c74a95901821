//! Riders as staff see them: found, shown, banned, given money; and a trace of all of it.

use super::{HARI, SITA, code_for, id_of, log_in, register, token_of, trail};
use crate::identity::sign_in;
use crate::staff::staff_token;
use crate::test_app::{Caller, TestApp};
use backend::payments::audit;
use entities::admin_profile::AdminRole;
use entities::{admin_action_log, admin_profile, user};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

async fn named(test: &TestApp, identifier: &str, username: &str, first_name: &str) -> Value {
    let code = code_for(test, identifier).await;
    let joined = register(test, identifier, &code, json!({ "username": username })).await.ok();
    let name = json!({ "first_name": first_name });
    test.bearer(token_of(&joined)).patch("/api/v1/users/profile", name).await.ok();
    joined
}

async fn found(staff: &Caller<'_>, query: &str) -> Vec<String> {
    let page = staff.get(&format!("/api/v1/admin/users?{query}")).await.ok();
    let names = page["items"].as_array().unwrap().iter();
    names.map(|item| item["username"].as_str().unwrap_or("-").to_owned()).collect()
}

#[tokio::test]
async fn riders_are_found_by_what_they_say_on_the_telephone() {
    for test in TestApp::on_each_backend().await {
        let sita = named(&test, SITA, "sita.rai", "Sita").await;
        let _hari = named(&test, "hari_b@example.com", "hari_b", "Hari").await;
        let _third = named(&test, HARI, "harisharan", "Om").await;
        // The member of staff is a person, too, and joined last.
        test.clock.advance_ms(1_000);
        let staff = test.bearer(staff_token(&test, AdminRole::Moderator).await);
        let id = sita["user"]["id"].as_str().unwrap();
        let referral = sita["user"]["referral_code"].as_str().unwrap();
        for (search, expected) in [
            ("9841000001", vec!["sita.rai"]),
            ("%2B9779841000001", vec!["sita.rai"]),
            ("HARI_B@example.com", vec!["hari_b"]),
            (id, vec!["sita.rai"]),
            (referral, vec!["sita.rai"]),
            ("SIT", vec!["sita.rai"]),
            ("om", vec!["harisharan"]),
            ("hari", vec!["harisharan", "hari_b"]),
            // What a pattern would match is only itself.
            ("hari_", vec!["hari_b"]),
            ("%25", vec![]),
            ("nobody", vec![]),
        ] {
            let found = found(&staff, &format!("search={search}")).await;
            assert_eq!(found, expected, "{}: {search}", test.backend());
        }
        assert_eq!(found(&staff, "kyc=none&status=active").await.len(), 4);
        assert_eq!(found(&staff, "kyc=approved").await.len(), 0);
        assert_eq!(found(&staff, "joined_from=2999-01-01T00:00:00Z").await.len(), 0);
        let first = staff.get("/api/v1/admin/users?limit=3").await.ok();
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = staff.get(&format!("/api/v1/admin/users?limit=3&cursor={cursor}")).await.ok();
        assert_eq!(second["items"][0]["username"], "sita.rai");
        assert_eq!(second.get("next_cursor"), None);
        staff.get("/api/v1/admin/users?search=a%00b").await.problem(422, "validation_failed");
        staff.get("/api/v1/admin/users?sort=name").await.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_rider_is_shown_whole() {
    for test in TestApp::on_each_backend().await {
        let sita = named(&test, SITA, "sita.rai", "Sita").await;
        let device = json!({ "device_id": "installation-1", "device_type": "ios", "fcm_token": "token-1" });
        test.bearer(token_of(&sita)).post("/api/v1/auth/device", device).await.ok();
        let staff = test.bearer(staff_token(&test, AdminRole::Moderator).await);
        let shown = staff.get(&format!("/api/v1/admin/users/{}", id_of(&sita))).await.ok();
        assert_eq!(
            (&shown["username"], &shown["profile"]["first_name"]),
            (&json!("sita.rai"), &json!("Sita"))
        );
        assert_eq!((&shown["open_sessions"], &shown["staff_role"]), (&json!(1), &Value::Null));
        assert_eq!(shown["devices"][0]["device_id"], "…on-1", "who knows it whole could register it");
        assert_eq!(shown["usage"]["total_rentals"], 0);
        assert_eq!(shown["rental_eligibility"]["can_rent"], true);
        assert!(!shown.to_string().contains("token-1"), "a push token is nobody's business");
        let nobody = "/api/v1/admin/users/01890f3e-7cc2-7000-8000-000000000001";
        staff.get(nobody).await.problem(404, "user_not_found");
        staff.get("/api/v1/admin/users/me").await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_ban_ends_every_session_until_it_is_lifted() {
    for test in TestApp::on_each_backend().await {
        let sita = sign_in(&test, SITA).await;
        let rider = test.bearer(token_of(&sita));
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let path = format!("/api/v1/admin/users/{}/status", id_of(&sita));
        let ban = json!({ "status": "banned", "reason": "Took three power banks home." });
        staff
            .post(&path, json!({ "status": "banned", "reason": "why" }))
            .await
            .problem(422, "validation_failed");
        let shown = staff.post(&path, ban.clone()).await.ok();
        assert_eq!((&shown["status"], &shown["open_sessions"]), (&json!("banned"), &json!(0)));
        staff.post(&path, ban).await.ok();
        rider.get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        let code = code_for(&test, SITA).await;
        log_in(&test, SITA, &code).await.problem(403, "account_inactive");
        staff.post(&path, json!({ "status": "active", "reason": "They came back." })).await.ok();
        log_in(&test, SITA, &code).await.ok();
        rider.get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        let notes = admin_action_log::Entity::find()
            .filter(admin_action_log::Column::Action.eq("user.status"))
            .all(test.app.db.read())
            .await
            .unwrap();
        assert_eq!(notes.len(), 2, "saying it twice is one deed");
        let rows = trail(&test, id_of(&sita)).await;
        let by_staff: Vec<_> = rows.iter().filter(|row| row.admin_id.is_some()).collect();
        assert_eq!(by_staff.len(), 2);
        assert_eq!(by_staff[0].old_values, Some(json!({ "status": "active" })));
        assert_eq!(by_staff[0].new_values.as_ref().unwrap()["status"], "banned");
    }
}

#[tokio::test]
async fn nobody_decides_about_themselves_or_their_betters() {
    for test in TestApp::on_each_backend().await {
        let moderator = test.bearer(staff_token(&test, AdminRole::Moderator).await);
        let sita = sign_in(&test, SITA).await;
        let ban = json!({ "status": "banned", "reason": "Not amused." });
        let of = |id: &str| format!("/api/v1/admin/users/{id}/status");
        moderator
            .post(&of(sita["user"]["id"].as_str().unwrap()), ban.clone())
            .await
            .problem(403, "forbidden");

        let boss = backend::staff::NewStaff {
            email: "boss@chautari.example".to_owned(),
            password: "correct horse battery".to_owned(),
            role: AdminRole::Admin,
        };
        backend::staff::create(&test.app, boss).await.unwrap();
        let body = json!({ "email": "boss@chautari.example", "password": "correct horse battery" });
        let token = test.anonymous_post("/api/v1/admin/login", body).await.ok()["token"].clone();
        let boss = test.bearer(token.as_str().unwrap());
        let colleagues = admin_profile::Entity::find().all(test.app.db.read()).await.unwrap();
        let (own, other): (Vec<_>, Vec<_>) =
            colleagues.into_iter().partition(|admin| admin.role == AdminRole::Admin);
        boss.post(&of(&own[0].user_id.to_string()), ban.clone()).await.problem(403, "own_status");
        boss.post(&of(&other[0].user_id.to_string()), ban.clone()).await.problem(403, "colleague_status");
        assert_eq!(test.bearer(token_of(&sita)).delete("/api/v1/auth/account").await.status, 204);
        boss.post(&of(sita["user"]["id"].as_str().unwrap()), ban).await.problem(409, "account_deleted");
    }
}

#[tokio::test]
async fn money_is_given_once_with_a_reason_and_the_books_show_where_it_came_from() {
    for test in TestApp::on_each_backend().await {
        let sita = sign_in(&test, SITA).await;
        let rider = test.bearer(token_of(&sita));
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let path = format!("/api/v1/admin/users/{}/add-balance", id_of(&sita));
        let gift =
            json!({ "amount": { "amount": "150.00", "currency": "NPR" }, "reason": "The bank was empty." });
        staff.post(&path, gift.clone()).await.problem(400, "idempotency_key_missing");
        let given = staff.post_once("a-gift-for-sita", &path, gift.clone()).await;
        assert_eq!(given.status, 201);
        assert_eq!(given.ok()["balance"]["amount"], "150.00");
        let again = staff.post_once("a-gift-for-sita", &path, gift.clone()).await;
        assert_eq!(again.headers["idempotency-replayed"], "true");
        let wallet = rider.get("/api/v1/users/wallet").await.ok();
        assert_eq!(wallet["balance"]["amount"], "150.00");
        assert_eq!(wallet["total_topup"]["amount"], "0.00", "a present is no top-up");
        let findings = audit::audit(test.app.db.read()).await.unwrap();
        assert!(findings.is_empty(), "{}: {findings:?}", test.backend());
        test.drain_jobs().await;
        let told = rider.get("/api/v1/notifications").await.ok();
        let texts: Vec<_> = told["items"].as_array().unwrap().iter().map(|item| &item["message"]).collect();
        assert!(texts.contains(&&json!("NPR 150.00 is in your wallet: The bank was empty.")), "{texts:?}");
        let points = rider.get("/api/v1/points/summary").await.ok();
        assert_eq!(points["current"], 50, "a present earns nothing: {points}");
        let rows = trail(&test, id_of(&sita)).await;
        assert!(rows.iter().any(|row| row.entity_type == "Wallet" && row.admin_id.is_some()));
        let notes = admin_action_log::Entity::find()
            .filter(admin_action_log::Column::Action.eq("user.add_balance"))
            .all(test.app.db.read())
            .await
            .unwrap();
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].changes["reason"], "The bank was empty.");
    }
}

#[tokio::test]
async fn a_gift_has_bounds_and_a_receiver() {
    for test in TestApp::on_each_backend().await {
        let sita = sign_in(&test, SITA).await;
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let to = |id: &str| format!("/api/v1/admin/users/{id}/add-balance");
        let gift =
            |amount: &str| json!({ "amount": { "amount": amount, "currency": "NPR" }, "reason": "Because." });
        let path = to(&id_of(&sita).to_string());
        for amount in ["0.00", "-1.00", "10000.01"] {
            staff.post_once("a-gift-for-sita", &path, gift(amount)).await.problem(422, "validation_failed");
        }
        let nobody = to("01890f3e-7cc2-7000-8000-000000000001");
        staff.post_once("a-gift-for-nobody", &nobody, gift("1.00")).await.problem(404, "rider_not_found");
        let own = admin_profile::Entity::find().one(test.app.db.read()).await.unwrap().unwrap().user_id;
        staff
            .post_once("a-gift-for-me", &to(&own.to_string()), gift("1.00"))
            .await
            .problem(403, "own_wallet");
        let moderator = test.bearer(moderator_token(&test).await);
        moderator.post_once("not-my-money", &path, gift("1.00")).await.problem(403, "forbidden");
        assert_eq!(test.bearer(token_of(&sita)).delete("/api/v1/auth/account").await.status, 204);
        staff.post_once("a-gift-too-late", &path, gift("1.00")).await.problem(409, "account_closed");
        let riders = user::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(riders.len(), 3);
    }
}

async fn moderator_token(test: &TestApp) -> String {
    let (email, password) = ("moderator@chautari.example".to_owned(), "correct horse battery".to_owned());
    let new = backend::staff::NewStaff {
        email: email.clone(),
        password: password.clone(),
        role: AdminRole::Moderator,
    };
    backend::staff::create(&test.app, new).await.unwrap();
    let body = json!({ "email": email, "password": password });
    test.anonymous_post("/api/v1/admin/login", body).await.ok()["token"].as_str().unwrap().to_owned()
}
