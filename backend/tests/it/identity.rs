//! Signing in: one code, one person, one session at a time; nothing to be learnt or guessed.

use crate::test_app::TestApp;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Method;
use entities::{otp_request, user, user_points, user_profile, wallet};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use std::net::SocketAddr;

const PHONE: &str = "+9779841000001";

async fn request_code(test: &TestApp, identifier: &str) -> String {
    let asked = test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": identifier })).await;
    test.app.otp_outbox.newest_code_for(asked.ok()["identifier"].as_str().unwrap()).unwrap()
}

/// Signs in a rider and gives the answer of `auth/otp/verify`.
pub(crate) async fn sign_in(test: &TestApp, identifier: &str) -> Value {
    let code = request_code(test, identifier).await;
    let proof = json!({ "identifier": identifier, "otp": code });
    test.anonymous().post("/api/v1/auth/otp/verify", proof).await.ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_stranger_becomes_a_rider_and_comes_back_as_the_same_one() {
    for test in TestApp::on_each_backend().await {
        let first = sign_in(&test, PHONE).await;
        assert_eq!((&first["is_new_user"], &first["expires_in"]), (&json!(true), &json!(900)));
        assert_eq!(first["user"]["phone_number"], PHONE);
        test.clock.advance_ms(61_000);
        let second = sign_in(&test, "9841000001").await;
        assert_eq!((&second["is_new_user"], &second["user"]["id"]), (&json!(false), &first["user"]["id"]));
        let me = test.bearer(text(&second["access_token"])).get("/api/v1/auth/me").await.ok();
        assert_eq!(me["id"], first["user"]["id"]);
        let db = test.app.db.read();
        assert_eq!(user::Entity::find().count(db).await.unwrap(), 1);
        assert_eq!(user_profile::Entity::find().count(db).await.unwrap(), 1);
        assert_eq!(wallet::Entity::find().count(db).await.unwrap(), 1);
        assert_eq!(user_points::Entity::find().count(db).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_address_signs_in_as_well() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, "sita@example.com").await;
        assert_eq!(signed_in["user"]["email"], "sita@example.com");
        assert_eq!(signed_in["user"]["phone_number"], Value::Null);
    }
}

#[tokio::test]
async fn a_code_works_once_and_only_for_whom_it_was_sent_to() {
    for test in TestApp::on_each_backend().await {
        let code = request_code(&test, PHONE).await;
        let other = json!({ "identifier": "+9779841000002", "otp": code });
        test.anonymous().post("/api/v1/auth/otp/verify", other).await.problem(422, "otp_invalid");
        let proof = json!({ "identifier": PHONE, "otp": code });
        let twice = [(), ()].map(|()| async {
            test.anonymous().post("/api/v1/auth/otp/verify", proof.clone()).await.status.as_u16()
        });
        let mut statuses = futures::future::join_all(twice).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "{}", test.backend());
    }
}

#[tokio::test]
async fn five_wrong_codes_spoil_the_right_one_and_nothing_else() {
    for test in TestApp::on_each_backend().await {
        let code = request_code(&test, PHONE).await;
        for number in 1..=5 {
            let wrong = json!({ "identifier": PHONE, "otp": another(&code) });
            let refusal = if number < 5 { "otp_invalid" } else { "otp_burned" };
            test.anonymous().post("/api/v1/auth/otp/verify", wrong).await.problem(422, refusal);
        }
        let right = json!({ "identifier": PHONE, "otp": code });
        test.anonymous().post("/api/v1/auth/otp/verify", right).await.problem(422, "otp_burned");
        // The owner of the number asks for a new code and is in, whatever a stranger guessed.
        test.clock.advance_ms(61_000);
        sign_in(&test, PHONE).await;
    }
}

#[tokio::test]
async fn wrong_guesses_of_a_day_do_not_lock_the_number() {
    for test in TestApp::on_each_backend().await {
        for _ in 0..backend::limits::OTP_PER_DAY - 1 {
            let code = request_code(&test, PHONE).await;
            for _ in 0..backend::limits::OTP_ATTEMPTS_MAX {
                let wrong = json!({ "identifier": PHONE, "otp": another(&code) });
                assert_eq!(test.anonymous().post("/api/v1/auth/otp/verify", wrong).await.status, 422);
            }
            test.clock.advance_ms(15 * 60_000);
        }
        sign_in(&test, PHONE).await;
    }
}

#[tokio::test]
async fn codes_of_a_day_are_counted_and_the_rider_is_told_why_and_until_when() {
    for test in TestApp::on_each_backend().await {
        for _ in 0..backend::limits::OTP_PER_DAY {
            request_code(&test, PHONE).await;
            test.clock.advance_ms(15 * 60_000);
        }
        let ask = || test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": PHONE }));
        let refused = ask().await;
        let wait_s: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        // The first of them was sent ten quarters of an hour ago.
        assert_eq!(wait_s, 24 * 3_600 - 10 * 15 * 60 + 1);
        assert_eq!(refused.headers["ratelimit-limit"], "10");
        assert_eq!(refused.headers["ratelimit-remaining"], "0");
        assert_eq!(refused.headers["ratelimit-reset"], wait_s.to_string());
        let problem = refused.problem(429, "otp_too_many");
        assert!(problem["detail"].as_str().unwrap().contains("within a day"), "{problem}");
        test.clock.advance_ms(wait_s * 1_000);
        ask().await.ok();
    }
}

#[tokio::test]
async fn an_old_code_and_a_replaced_code_are_worth_nothing() {
    for test in TestApp::on_each_backend().await {
        let old = request_code(&test, PHONE).await;
        test.clock.advance_ms(5 * 60_000);
        let late = json!({ "identifier": PHONE, "otp": old });
        test.anonymous().post("/api/v1/auth/otp/verify", late.clone()).await.problem(422, "otp_invalid");
        let newer = request_code(&test, PHONE).await;
        if newer != old {
            test.anonymous().post("/api/v1/auth/otp/verify", late).await.problem(422, "otp_invalid");
        }
        let right = json!({ "identifier": PHONE, "otp": newer });
        test.anonymous().post("/api/v1/auth/otp/verify", right).await.ok();
    }
}

#[tokio::test]
async fn codes_cannot_be_pumped() {
    for test in TestApp::on_each_backend().await {
        let ask = || test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": PHONE }));
        let at_once = futures::future::join_all((0..8).map(|_| ask())).await;
        assert_eq!(at_once.iter().filter(|answer| answer.status == 200).count(), 1, "{}", test.backend());
        let too_soon = at_once.into_iter().find(|answer| answer.status != 200).unwrap();
        assert!(too_soon.headers.contains_key("retry-after"));
        too_soon.problem(429, "otp_too_soon");
        for _ in 1..5 {
            test.clock.advance_ms(61_000);
            ask().await.ok();
        }
        test.clock.advance_ms(61_000);
        ask().await.problem(429, "otp_too_many");
        assert_eq!(otp_request::Entity::find().count(test.app.db.read()).await.unwrap(), 5);
    }
}

#[tokio::test]
async fn one_address_cannot_send_codes_to_the_whole_city() {
    let test = TestApp::new().await;
    // Each in a block of numbers of its own, which has a limit, too.
    let ask = async |number: u32, address: [u8; 4]| {
        let nobody = test.anonymous();
        let body = json!({ "identifier": format!("+9779841{:06}", number * 1_000) }).to_string();
        let request = nobody.request(Method::POST, "/api/v1/auth/otp/request");
        let mut request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 4000))));
        nobody.send(request).await
    };
    for number in 0..30 {
        test.clock.advance_ms(50);
        ask(number, [27, 34, 0, 1]).await.ok();
    }
    ask(90, [27, 34, 0, 1]).await.problem(429, "rate_limited");
    ask(91, [27, 34, 0, 2]).await.ok();
    test.clock.advance_ms(10_000);
    ask(92, [27, 34, 0, 1]).await.ok();
}

#[tokio::test]
async fn asking_for_a_code_tells_nothing_of_who_exists() {
    let test = TestApp::new().await;
    sign_in(&test, PHONE).await;
    test.clock.advance_ms(61_000);
    let ask = async |identifier: &str| {
        let answer =
            test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": identifier })).await;
        let mut body = answer.ok();
        body["identifier"] = Value::Null;
        body
    };
    assert_eq!(ask(PHONE).await, ask("+9779841000099").await);
}

#[tokio::test]
async fn the_book_never_holds_a_code_or_a_token() {
    let test = TestApp::new().await;
    let code = request_code(&test, PHONE).await;
    let rows = otp_request::Entity::find().all(test.app.db.read()).await.unwrap();
    assert!(!format!("{rows:?}").contains(&format!("\"{code}\"")));
    assert_eq!(rows[0].code_hash.len(), 64);
    let signed_in = test
        .anonymous()
        .post("/api/v1/auth/otp/verify", json!({ "identifier": PHONE, "otp": code }))
        .await
        .ok();
    let sessions = entities::user_session::Entity::find().all(test.app.db.read()).await.unwrap();
    for token in ["access_token", "refresh_token"] {
        assert!(!format!("{sessions:?}").contains(signed_in[token].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    for test in TestApp::on_each_backend().await {
        let first = sign_in(&test, PHONE).await;
        let refresh = async |token: &Value| {
            test.anonymous().post("/api/v1/auth/refresh", json!({ "refresh_token": token })).await
        };
        let second = refresh(&first["refresh_token"]).await.ok();
        test.bearer(text(&first["access_token"]))
            .get("/api/v1/auth/me")
            .await
            .problem(401, "unauthenticated");
        test.bearer(text(&second["access_token"])).get("/api/v1/auth/me").await.ok();
        refresh(&first["refresh_token"]).await.problem(401, "refresh_token_invalid");
        test.bearer(text(&second["access_token"]))
            .get("/api/v1/auth/me")
            .await
            .problem(401, "unauthenticated");
        refresh(&second["refresh_token"]).await.problem(401, "refresh_token_invalid");
        refresh(&json!("00")).await.problem(401, "refresh_token_invalid");
    }
}

#[tokio::test]
async fn sessions_end_by_time_and_by_logout() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, PHONE).await;
        let rider = test.bearer(text(&signed_in["access_token"]));
        test.clock.advance_ms(15 * 60_000);
        rider.get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        let token = json!({ "refresh_token": signed_in["refresh_token"] });
        let refreshed = test.anonymous_post("/api/v1/auth/refresh", token).await.ok();
        let rider = test.bearer(text(&refreshed["access_token"]));
        assert_eq!(rider.post("/api/v1/auth/logout", json!({})).await.status, 204);
        rider.get("/api/v1/auth/me").await.problem(401, "unauthenticated");
        test.clock.advance_ms(61_000);
        let again = sign_in(&test, PHONE).await;
        test.clock.advance_ms(30 * 24 * 3_600_000);
        let stale = json!({ "refresh_token": again["refresh_token"] });
        test.anonymous().post("/api/v1/auth/refresh", stale).await.problem(401, "refresh_token_invalid");
    }
}

#[tokio::test]
async fn a_profile_is_replaced_whole_and_checked() {
    for test in TestApp::on_each_backend().await {
        let signed_in = sign_in(&test, PHONE).await;
        let rider = test.bearer(text(&signed_in["access_token"]));
        assert_eq!(rider.get("/api/v1/users/profile").await.ok()["is_complete"], false);
        let profile = json!({ "first_name": " Sita ", "last_name": "Rai", "city": "Kathmandu", "date_of_birth": "2000-02-29", "gender": "female" });
        let shown = rider.put("/api/v1/users/profile", profile).await.ok();
        assert_eq!((&shown["first_name"], &shown["is_complete"]), (&json!("Sita"), &json!(true)));
        assert_eq!(rider.get("/api/v1/users/profile").await.ok(), shown);
        let emptied = rider.put("/api/v1/users/profile", json!({})).await.ok();
        assert_eq!((&emptied["first_name"], &emptied["is_complete"]), (&Value::Null, &json!(false)));
        for (wrong, pointer) in [
            (json!({ "gender": "x" }), "/gender"),
            (json!({ "date_of_birth": "2001-02-29" }), "/date_of_birth"),
            (json!({ "date_of_birth": "2999-01-01" }), "/date_of_birth"),
            (json!({ "first_name": "x".repeat(201) }), "/first_name"),
            (json!({ "city": "a\u{0}b" }), "/city"),
            (json!({ "profile_picture": "javascript:alert(1)" }), "/profile_picture"),
            (json!({ "status": "active" }), "/status"),
        ] {
            let problem = rider.put("/api/v1/users/profile", wrong).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], pointer);
        }
    }
}

#[tokio::test]
async fn without_a_carrier_nobody_signs_in() {
    let test = TestApp::with_settings(|settings| settings.sms.provider = None).await;
    let asked = test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": PHONE })).await;
    asked.problem(503, "sign_in_unavailable");
}
