//! Staff: sign in, make what riders use, and leave a trace of it.

use crate::test_app::{Answer, TestApp};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, header};
use backend::staff::{self, NewStaff};
use entities::admin_action_log;
use entities::admin_profile::AdminRole;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use std::net::SocketAddr;

const EMAIL: &str = "hari@chautari.example";
const PASSWORD: &str = "correct horse battery";

/// Signs a member of staff in, who is made the first time. A session lasts half a day.
pub(crate) async fn staff_token(test: &TestApp, role: AdminRole) -> String {
    let new = NewStaff { email: EMAIL.to_owned(), password: PASSWORD.to_owned(), role };
    if let Err(refused) = staff::create(&test.app, new).await {
        assert_eq!(refused.code(), Some("staff_email_taken"));
    }
    log_in(test, EMAIL, PASSWORD).await.ok()["token"].as_str().unwrap().to_owned()
}

/// A new session of the one that [`staff_token`] made.
pub(crate) async fn sign_in(test: &TestApp) -> String {
    try_sign_in(test).await.unwrap()
}

/// As [`sign_in`], if they exist.
pub(crate) async fn try_sign_in(test: &TestApp) -> Option<String> {
    let answer = log_in(test, EMAIL, PASSWORD).await;
    answer.body["token"].as_str().map(str::to_owned)
}

async fn log_in(test: &TestApp, email: &str, password: &str) -> Answer {
    test.anonymous_post("/api/v1/admin/login", json!({ "email": email, "password": password })).await
}

fn station(serial: &str) -> Value {
    json!({ "station_name": "Thamel", "serial_number": serial, "latitude": 27.7, "longitude": 85.3, "total_slots": 4 })
}

#[tokio::test]
async fn staff_make_stations_banks_and_packages_and_the_audit_shows_who_did() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let made = staff.post("/api/v1/admin/stations", station("KTM-9")).await;
        assert_eq!(made.status, 201);
        assert_eq!(made.ok()["key"].as_str().unwrap().len(), 64);
        staff.post("/api/v1/admin/stations", station("KTM-9")).await.problem(409, "serial_number_taken");
        let listed = staff.get("/api/v1/admin/stations").await.ok();
        assert_eq!(listed["items"][0]["serial_number"], "KTM-9");
        assert!(listed["items"][0].get("key").is_none(), "a key is shown once");

        let bank = json!({ "serial_number": "00a1b2c3d4e5f607", "model": "PB-10", "capacity_mah": 10_000 });
        let made = staff.post("/api/v1/admin/power-banks", bank.clone()).await.ok();
        assert_eq!(
            (&made["serial_number"], &made["status"]),
            (&json!("00A1B2C3D4E5F607"), &json!("missing"))
        );
        staff.post("/api/v1/admin/power-banks", bank).await.problem(409, "bank_serial_taken");
        assert_eq!(staff.get("/api/v1/admin/power-banks").await.ok()["items"].as_array().unwrap().len(), 1);

        let package = json!({
            "name": "Ten minutes", "duration_minutes": 10, "price": { "amount": "12.50", "currency": "NPR" },
            "package_type": "hourly", "payment_model": "prepaid",
        });
        staff.post("/api/v1/admin/packages", package).await.ok();
        let on_sale = test.anonymous().get("/api/v1/payments/packages").await.ok();
        assert_eq!(on_sale["items"][0]["price"], json!({ "amount": "12.50", "currency": "NPR" }));
        assert_eq!(test.anonymous().get("/api/v1/rentals/packages").await.ok(), on_sale);

        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        let mut actions: Vec<_> = notes.iter().map(|note| note.action.as_str()).collect();
        actions.sort_unstable();
        assert_eq!(actions, ["package.create", "power_bank.create", "station.create"]);
    }
}

#[tokio::test]
async fn what_staff_type_is_checked_field_by_field() {
    let test = TestApp::new().await;
    let staff = test.bearer(staff_token(&test, AdminRole::SuperAdmin).await);
    for (field, value) in [
        ("station_name", json!("  ")),
        ("serial_number", json!("a b")),
        ("serial_number", json!("x".repeat(33))),
        ("imei", json!("12")),
        ("latitude", json!(90.1)),
        ("longitude", json!(-180.1)),
        ("total_slots", json!(0)),
        ("total_slots", json!(256)),
        ("total_slots", json!("4")),
    ] {
        let mut wrong = station("KTM-9");
        wrong[field] = value;
        let problem = staff.post("/api/v1/admin/stations", wrong).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    for (field, value) in [
        ("serial_number", json!("00A1B2C3D4E5F60")),
        ("serial_number", json!("00A1B2C3D4E5F60G")),
        ("model", json!("")),
        ("capacity_mah", json!(0)),
    ] {
        let mut wrong = json!({ "serial_number": "00A1B2C3D4E5F607", "model": "PB", "capacity_mah": 1 });
        wrong[field] = value;
        let problem = staff.post("/api/v1/admin/power-banks", wrong).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    for amount in ["0.00", "-1.00", "100000.01"] {
        let package = json!({
            "name": "x", "duration_minutes": 10, "price": { "amount": amount, "currency": "NPR" },
            "package_type": "hourly", "payment_model": "prepaid",
        });
        let problem = staff.post("/api/v1/admin/packages", package).await.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/price/amount");
    }
}

#[tokio::test]
async fn a_moderator_may_look_and_not_change() {
    let test = TestApp::new().await;
    let moderator = test.bearer(staff_token(&test, AdminRole::Moderator).await);
    moderator.get("/api/v1/admin/stations").await.ok();
    moderator.post("/api/v1/admin/stations", station("KTM-9")).await.problem(403, "forbidden");
    let incident = "/api/v1/admin/incidents/01890f3e-7cc2-7000-8000-000000000001/resolve";
    moderator.post(incident, json!({})).await.problem(403, "forbidden");
    assert_eq!(test.anonymous().get("/api/v1/stations").await.ok()["items"], json!([]));
}

async fn log_in_from(test: &TestApp, address: &str, password: &str) -> Answer {
    let body = json!({ "email": EMAIL, "password": password }).to_string();
    let request = test.anonymous().request(Method::POST, "/api/v1/admin/login");
    let mut request =
        request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 4_000)));
    test.anonymous().send(request).await
}

#[tokio::test]
async fn wrong_credentials_are_one_answer_and_soon_too_many() {
    for test in TestApp::on_each_backend().await {
        staff_token(&test, AdminRole::Admin).await;
        log_in(&test, "nobody@chautari.example", PASSWORD).await.problem(401, "credentials_wrong");
        log_in(&test, EMAIL, "wrong password").await.problem(401, "credentials_wrong");
        log_in(&test, EMAIL, &"x".repeat(1_000)).await.problem(401, "credentials_wrong");
        for _ in 0..8 {
            log_in(&test, EMAIL, "guess").await.problem(401, "credentials_wrong");
        }
        let refused = log_in(&test, EMAIL, PASSWORD).await;
        assert_eq!(refused.headers["ratelimit-limit"], "10");
        assert_eq!(refused.headers["retry-after"], refused.headers["ratelimit-reset"]);
        refused.problem(429, "rate_limited");
        test.clock.advance_ms(31_000);
        log_in(&test, &EMAIL.to_uppercase(), PASSWORD).await.ok();
        // Right passwords are not counted as tries of the e-mail address.
        for _ in 0..12 {
            log_in(&test, EMAIL, PASSWORD).await.ok();
        }
    }
}

#[tokio::test]
async fn a_stranger_who_guesses_does_not_lock_staff_out() {
    let test = TestApp::new().await;
    staff_token(&test, AdminRole::Admin).await;
    // An IPv6 host has as many addresses as it likes, all in one /64.
    for number in 0..10 {
        let stranger = format!("2001:db8::{number}");
        log_in_from(&test, &stranger, "guess").await.problem(401, "credentials_wrong");
    }
    log_in_from(&test, "2001:db8::ffff", "guess").await.problem(429, "rate_limited");
    log_in_from(&test, "10.0.0.1", PASSWORD).await.ok();
    // Many strangers make it slow for everybody, and a right password passes all the same.
    for number in 0..20 {
        log_in_from(&test, &format!("10.0.1.{number}"), "guess").await.problem(401, "credentials_wrong");
    }
    let began = tokio::time::Instant::now();
    log_in_from(&test, "10.0.0.1", PASSWORD).await.ok();
    assert!(began.elapsed() >= backend::limits::STAFF_LOGIN_SLOWED_BY);
}

#[tokio::test]
async fn a_staff_session_ends_by_logout_and_by_time() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        assert_eq!(staff.post("/api/v1/admin/logout", json!({})).await.status, 204);
        staff.get("/api/v1/admin/stations").await.problem(401, "unauthenticated");
        let token = log_in(&test, EMAIL, PASSWORD).await.ok()["token"].as_str().unwrap().to_owned();
        test.bearer(&token).get("/api/v1/admin/incidents").await.ok();
        test.clock.advance_ms(12 * 3_600_000);
        test.bearer(&token).get("/api/v1/admin/incidents").await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn the_cookie_acts_only_for_our_own_page() {
    let test = TestApp::new().await;
    let token = staff_token(&test, AdminRole::Admin).await;
    let send = async |method: Method, site: Option<&str>| {
        let nobody = test.anonymous();
        let mut request = nobody
            .request(method, "/api/v1/admin/stations")
            .header(header::COOKIE, format!("chautari_staff={token}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        nobody.send(request.body(Body::from(station("KTM-9").to_string())).unwrap()).await.status.as_u16()
    };
    assert_eq!(send(Method::GET, Some("cross-site")).await, 200);
    assert_eq!(send(Method::POST, Some("cross-site")).await, 401);
    assert_eq!(send(Method::POST, Some("same-site")).await, 401);
    assert_eq!(send(Method::POST, None).await, 401);
    assert_eq!(send(Method::POST, Some("same-origin")).await, 201);
}

#[tokio::test]
async fn an_incident_is_resolved_once_and_by_somebody() {
    for test in TestApp::on_each_backend().await {
        let staff = test.bearer(staff_token(&test, AdminRole::Admin).await);
        let written = test.app.db.write(|tx| {
            Box::pin(async move {
                backend::jobs::enqueue(tx, "nobody.serves.this", &json!({}), tx.now(), None).await?;
                Ok(())
            })
        });
        written.await.unwrap();
        for _ in 0..backend::limits::JOB_ATTEMPTS_MAX {
            test.drain_jobs().await;
            test.clock.advance_ms(901_000);
        }
        let listed = staff.get("/api/v1/admin/incidents?state=open").await.ok();
        assert_eq!(listed["items"][0]["kind"], "job_dead");
        let path = format!("/api/v1/admin/incidents/{}/resolve", listed["items"][0]["id"].as_str().unwrap());
        assert_eq!(staff.post(&path, json!({})).await.ok()["state"], "resolved");
        assert_eq!(staff.post(&path, json!({})).await.ok()["state"], "resolved");
        assert_eq!(staff.get("/api/v1/admin/incidents?state=open").await.ok()["items"], json!([]));
        let notes = admin_action_log::Entity::find().all(test.app.db.read()).await.unwrap();
        assert_eq!(notes.len(), 1);
        staff.post("/api/v1/admin/incidents/x/resolve", json!({})).await.problem(404, "not_found");
        let unknown = "/api/v1/admin/incidents/01890f3e-7cc2-7000-8000-000000000001/resolve";
        staff.post(unknown, json!({})).await.problem(404, "incident_not_found");
    }
}
