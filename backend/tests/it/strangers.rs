//! Every operation of the description is tried by strangers and with rubbish: none is forgotten.

use crate::identity::sign_in;
use crate::staff::staff_token;
use crate::test_app::{Caller, TestApp};
use axum::body::Body;
use axum::http::{Method, header};
use entities::admin_profile::AdminRole;
use serde_json::{Value, json};

/// Method, path with an id in it, and who is asked for.
fn operations() -> Vec<(Method, String, Option<String>)> {
    let all = crate::operations::operations().into_iter();
    all.map(|operation| {
        let path = operation.filled("01890f3e-7cc2-7000-8000-000000000001");
        (operation.method, path, operation.who)
    })
    .collect()
}

async fn send(caller: &Caller<'_>, method: &Method, path: &str, body: &str) -> crate::test_app::Answer {
    let request = caller
        .request(method.clone(), path)
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "a-key-for-this-test");
    caller.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn no_protected_operation_answers_a_stranger() {
    let test = TestApp::new().await;
    let mut protected = 0;
    for (method, path, who) in operations() {
        if who.is_none() {
            continue;
        }
        protected += 1;
        for caller in [test.anonymous(), test.bearer("00"), test.bearer(""), test.bearer("ä")] {
            let answer = send(&caller, &method, &path, "{}").await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
            answer.problem(401, "unauthenticated");
        }
    }
    assert!(protected >= 10, "only {protected} protected operations");
}

#[tokio::test]
async fn a_rider_is_a_stranger_to_staff_operations() {
    let test = TestApp::new().await;
    let token = sign_in(&test, "+9779841000001").await["access_token"].as_str().unwrap().to_owned();
    for (method, path, who) in operations() {
        if who.as_deref() == Some("staff") {
            send(&test.bearer(&token), &method, &path, "{}").await.problem(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn rubbish_is_refused_as_a_problem_and_never_breaks_anything() {
    let test = TestApp::new().await;
    let token = sign_in(&test, "+9779841000001").await["access_token"].as_str().unwrap().to_owned();
    let rider = test.bearer(&token);
    let staff = test.bearer(staff_token(&test, AdminRole::SuperAdmin).await);
    let deep = "[".repeat(10_000);
    let huge = format!("{{\"identifier\":\"{}\"}}", "9".repeat(backend::limits::BODY_MAX_BYTES));
    for (method, path, who) in operations() {
        if matches!(method, Method::GET | Method::DELETE) || path.ends_with("/logout") {
            continue;
        }
        let caller = if who.as_deref() == Some("staff") { &staff } else { &rider };
        for body in ["", "{", "null", "[]", "\"x\"", "{\"a\":1}", "\u{0}", deep.as_str(), huge.as_str()] {
            let answer = send(caller, &method, &path, body).await;
            assert_ne!(answer.status, 401, "{method} {path}");
            assert!(answer.status.as_u16() < 500, "{method} {path} {:.40}: {}", body, answer.body);
            if answer.status.is_client_error() {
                assert_eq!(
                    answer.headers[header::CONTENT_TYPE],
                    "application/problem+json",
                    "{method} {path}"
                );
            }
        }
    }
    let untyped = rider.request(Method::POST, "/api/v1/auth/otp/request").body(Body::from("{}")).unwrap();
    rider.send(untyped).await.problem(415, "unsupported_media_type");
    send(&rider, &Method::POST, "/api/v1/auth/otp/request", &huge).await.problem(413, "body_too_large");
    let problem = rider.post("/api/v1/auth/otp/request", json!({ "identifier": 5 })).await;
    assert_eq!(problem.problem(422, "validation_failed")["errors"][0]["pointer"], Value::from("/identifier"));
}
