//! Every door answers strangers in one form, and nothing they send hurts.

use crate::test_app::TestApp;
use axum::body::Body;
use axum::http::{Method, StatusCode};

#[tokio::test]
async fn probes_and_health_answer() {
    let test = TestApp::new().await;
    for path in ["/healthz", "/readyz", "/api/v1/app/health"] {
        let answer = test.anonymous().get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_in_json() {
    let test = TestApp::new().await;
    test.anonymous().get("/api/v1/nothing").await.problem(404, "not_found");
    test.anonymous().get("/nothing").await.problem(404, "not_found");
    let deleted = test.anonymous().request(Method::DELETE, "/api/v1/app/health").body(Body::empty()).unwrap();
    test.anonymous().send(deleted).await.problem(405, "method_not_allowed");
    test.gateway().get("/internal/v1/nothing").await.problem(404, "not_found");
    test.internal("wrong").get("/internal/v1/nothing").await.problem(404, "not_found");
    let unknown = test.bearer("00");
    let body = serde_json::json!({});
    unknown.post("/api/v1/nothing", body.clone()).await.problem(404, "not_found");
    unknown.put("/api/v1/nothing", body.clone()).await.problem(404, "not_found");
    unknown.post_once("a-key-of-mine", "/api/v1/nothing", body).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_description_lists_every_problem_code_once() {
    let codes: Vec<&str> = backend::api::problem_codes().iter().map(|kind| kind.code).collect();
    let mut unique = codes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), codes.len(), "{codes:?}");
    let openapi = backend::api::openapi().to_json().unwrap();
    assert!(openapi.contains("/api/v1/app/health") && openapi.contains("idempotency_key_reused"));
    let test = TestApp::new().await;
    assert_eq!(test.anonymous().get("/api/openapi.json").await.ok()["openapi"], "3.1.0");
    let page = test.anonymous().get("/api/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let test = TestApp::with_settings(|settings| settings.backend.requests_per_minute_per_ip = 60).await;
    let ask = async |last_octet: u8| {
        let address = std::net::SocketAddr::from(([10, 0, 0, last_octet], 4000));
        let mut request = test.anonymous().request(Method::GET, "/healthz").body(Body::empty()).unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(address));
        test.anonymous().send(request).await
    };
    let mut allowed = 0;
    let refused = loop {
        let answer = ask(1).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        allowed += 1;
    };
    assert_eq!(allowed, backend::limits::REQUESTS_BURST_PER_IP.get());
    assert!(refused.headers.contains_key("retry-after"));
    refused.problem(429, "rate_limited");
    assert_eq!(ask(2).await.status, StatusCode::OK, "another address is not touched");
    test.clock.advance_ms(2_000);
    assert_eq!(ask(1).await.status, StatusCode::OK, "time heals");
}
