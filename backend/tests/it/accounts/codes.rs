//! One-time codes cost money and open accounts: neither is to be had by asking often.

use super::{HARI, SITA, code_for, log_in};
use crate::identity::sign_in;
use crate::test_app::{Answer, TestApp};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Method;
use backend::config::SmsProvider;
use backend::limits;
use entities::otp_send_count;
use sea_orm::{EntityTrait, IntoActiveModel, PaginatorTrait};
use serde_json::json;
use std::net::SocketAddr;

async fn ask(test: &TestApp, identifier: &str) -> Answer {
    test.anonymous_post("/api/v1/auth/otp/request", json!({ "identifier": identifier })).await
}

#[tokio::test]
async fn a_block_of_numbers_cannot_be_pumped() {
    for test in TestApp::on_each_backend().await {
        sign_in(&test, SITA).await;
        let for_strangers = limits::OTP_PER_BLOCK_PER_HOUR / 2;
        for number in 1..for_strangers {
            ask(&test, &format!("+97798410001{number:02}")).await.ok();
            test.clock.advance_ms(1_000);
        }
        let refused = ask(&test, "+9779841000999").await;
        assert_eq!(refused.headers["ratelimit-limit"], for_strangers.to_string());
        let wait_s: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=3_600).contains(&wait_s), "{wait_s}");
        refused.problem(429, "otp_too_many");
        assert!(test.app.otp_outbox.newest_code_for("+9779841000999").is_none(), "nothing was sent");
        ask(&test, "+9779841001999").await.ok();
        // Strangers leave the other half to riders.
        test.clock.advance_ms(61_000);
        ask(&test, SITA).await.ok();
        test.clock.advance_ms(wait_s * 1_000);
        ask(&test, "+9779841000999").await.ok();
    }
}

#[tokio::test]
async fn a_crowd_of_requests_does_not_slip_past_the_cap() {
    for test in TestApp::on_each_backend().await {
        let numbers: Vec<String> = (0..60).map(|number| format!("+9779841000{number:03}")).collect();
        let asked = futures::future::join_all(numbers.iter().map(|number| ask(&test, number))).await;
        let sent = asked.iter().filter(|answer| answer.status == 200).count();
        // The buckets of the process may refuse some before the book is asked; the book lets no more through.
        assert!(sent as u32 <= limits::OTP_PER_BLOCK_PER_HOUR && sent > 0, "{}: {sent}", test.backend());
        assert!(asked.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 429)), "{}", test.backend());
    }
}

#[tokio::test]
async fn a_day_has_so_many_codes_for_everybody() {
    let test = TestApp::with_settings(|settings| settings.sms.codes_per_day = 3).await;
    sign_in(&test, SITA).await;
    ask(&test, "+9779841010000").await.ok();
    // Strangers have their half.
    ask(&test, "+9779841080000").await.problem(429, "otp_too_many");
    test.clock.advance_ms(61_000);
    ask(&test, SITA).await.ok();
    test.clock.advance_ms(61_000);
    ask(&test, SITA).await.problem(429, "otp_too_many");
    let refused = ask(&test, "+9779841090000").await;
    let wait_s: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    refused.problem(429, "otp_too_many");
    ask(&test, "sita@example.com").await.ok();
    test.clock.advance_ms(wait_s * 1_000);
    ask(&test, "+9779841090000").await.ok();
    // What is over is swept away.
    test.clock.advance_ms(2 * 24 * 3_600_000);
    backend::housekeeping::sweep(&test.app).await.unwrap();
    assert_eq!(otp_send_count::Entity::find().count(test.app.db.read()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_network_has_so_many_codes_in_a_day() {
    for test in TestApp::on_each_backend().await {
        let from = async |address: [u8; 4], number: u32| {
            let body = json!({ "identifier": format!("+97798410{number:05}") });
            test.anonymous().post_from(address, "/api/v1/auth/otp/request", body).await
        };
        from([27, 34, 7, 1], 1_000).await.ok();
        let spent = otp_send_count::Entity::find().all(test.app.db.read()).await.unwrap();
        let network = spent.into_iter().find(|row| row.scope.starts_with("network:27.34.7.0@")).unwrap();
        let written = test.app.db.write(move |tx| {
            let mut spent = network.clone().into_active_model();
            spent.sent = sea_orm::Set(limits::OTP_PER_NETWORK_PER_DAY as i32);
            Box::pin(async move {
                otp_send_count::Entity::update(spent).exec(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
        from([27, 34, 7, 200], 2_000).await.problem(429, "otp_too_many");
        from([27, 34, 8, 1], 3_000).await.ok();
    }
}

#[tokio::test]
async fn a_customer_with_many_networks_has_no_more_codes_than_one() {
    for test in TestApp::on_each_backend().await {
        let from = async |address: &str, number: u32| {
            let caller = test.anonymous();
            let body = json!({ "identifier": format!("+97798410{number:05}") });
            let request = caller.request(Method::POST, "/api/v1/auth/otp/request");
            let request = request.header("content-type", "application/json");
            let mut request = request.body(Body::from(body.to_string())).unwrap();
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 4_000)));
            caller.send(request).await
        };
        from("2400:1a00:b:1::1", 1_000).await.ok();
        let spent = otp_send_count::Entity::find().all(test.app.db.read()).await.unwrap();
        let site = spent.into_iter().find(|row| row.scope.starts_with("site:2400:1a00:b::@")).unwrap();
        let written = test.app.db.write(move |tx| {
            let mut spent = site.clone().into_active_model();
            spent.sent = sea_orm::Set(limits::OTP_PER_NETWORK_PER_DAY as i32);
            Box::pin(async move {
                otp_send_count::Entity::update(spent).exec(tx).await?;
                Ok(())
            })
        });
        written.await.unwrap();
        from("2400:1a00:b:2::1", 2_000).await.problem(429, "otp_too_many");
        from("2400:1a00:c:1::1", 3_000).await.ok();
    }
}

#[tokio::test]
async fn one_address_cannot_try_the_codes_of_many_numbers() {
    let test = TestApp::new().await;
    let guess = async |address: [u8; 4], number: u32| {
        let body = json!({ "identifier": format!("+97798410{number:05}"), "otp": "123456" });
        let door = if number.is_multiple_of(2) { "login" } else { "otp/verify" };
        test.anonymous().post_from(address, &format!("/api/v1/auth/{door}"), body).await
    };
    for number in 0..limits::OTP_GUESSES_BURST_PER_IP.get() {
        guess([27, 34, 0, 1], number).await.problem(422, "otp_invalid");
    }
    guess([27, 34, 0, 1], 90).await.problem(429, "rate_limited");
    guess([27, 34, 0, 2], 91).await.problem(422, "otp_invalid");
    test.clock.advance_ms(5_000);
    guess([27, 34, 0, 1], 92).await.problem(422, "otp_invalid");
    guess([27, 34, 0, 1], 93).await.problem(429, "rate_limited");
}

#[tokio::test]
async fn right_codes_are_no_guesses() {
    let test = TestApp::new().await;
    sign_in(&test, SITA).await;
    for _ in 0..3 {
        for _ in 0..3 {
            let code = code_for(&test, SITA).await;
            let body = json!({ "identifier": SITA, "otp": code });
            test.anonymous().post_from([27, 34, 0, 1], "/api/v1/auth/login", body).await.ok();
        }
        test.clock.advance_ms(3_600_000);
    }
    let guess = json!({ "identifier": SITA, "otp": "123456" });
    for _ in 0..limits::OTP_GUESSES_BURST_PER_IP.get() {
        let guessed = test.anonymous().post_from([27, 34, 0, 1], "/api/v1/auth/login", guess.clone()).await;
        assert_eq!(guessed.status, 422, "all of the bucket was left");
    }
}

#[tokio::test]
async fn each_way_to_a_person_needs_its_own_carrier() {
    let texts_only = TestApp::with_settings(|settings| settings.mail.provider = None).await;
    ask(&texts_only, "sita@example.com").await.problem(503, "sign_in_unavailable");
    ask(&texts_only, SITA).await.ok();
    let mail_only = TestApp::with_settings(|settings| settings.sms.provider = None::<SmsProvider>).await;
    ask(&mail_only, SITA).await.problem(503, "sign_in_unavailable");
    ask(&mail_only, "sita@example.com").await.ok();
    let code = mail_only.app.otp_outbox.newest_code_for("sita@example.com").unwrap();
    log_in(&mail_only, "sita@example.com", &code).await.problem(404, "account_unknown");
    log_in(&mail_only, HARI, &code).await.problem(422, "otp_invalid");
}
