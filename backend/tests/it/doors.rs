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
    assert_eq!(refused.headers["ratelimit-limit"], backend::limits::REQUESTS_BURST_PER_IP.to_string());
    assert_eq!(refused.headers["ratelimit-remaining"], "0");
    assert_eq!(refused.headers["ratelimit-reset"], refused.headers["retry-after"]);
    refused.problem(429, "rate_limited");
    assert_eq!(ask(2).await.status, StatusCode::OK, "another address is not touched");
    test.clock.advance_ms(2_000);
    assert_eq!(ask(1).await.status, StatusCode::OK, "time heals");
}

/// How many requests from these addresses are answered before one is refused; so many at most.
async fn allowed(test: &TestApp, addresses: impl Iterator<Item = String>, forwarded: Option<&str>) -> usize {
    let mut allowed = 0;
    for address in addresses {
        let mut request = test.anonymous().request(Method::GET, "/healthz");
        if let Some(forwarded) = forwarded {
            // What the caller claims comes in a line of its own, before the proxy's.
            request = request.header("x-forwarded-for", format!("203.0.113.{}", allowed % 250));
            request = request.header("x-forwarded-for", forwarded);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let address = std::net::SocketAddr::new(address.parse().unwrap(), 4000);
        request.extensions_mut().insert(axum::extract::ConnectInfo(address));
        if test.anonymous().send(request).await.status != StatusCode::OK {
            break;
        }
        allowed += 1;
    }
    allowed
}

#[tokio::test]
async fn a_host_is_counted_as_one_whatever_addresses_it_makes_up() {
    let burst = backend::limits::REQUESTS_BURST_PER_IP.get() as usize;
    let limited = || TestApp::with_settings(|settings| settings.backend.requests_per_minute_per_ip = 60);
    let test = limited().await;
    let in_one_block = (0..).map(|number: u32| format!("2001:db8:0:1::{number:x}"));
    assert_eq!(allowed(&test, in_one_block.take(500), None).await, burst);
    let others = (0..).map(|number: u32| format!("2001:db8:0:{:x}::1", number + 2));
    assert_eq!(allowed(&test, others.take(500), None).await, 500, "other blocks are not touched");
    let mapped = (0..)
        .map(|number: u32| if number.is_multiple_of(2) { "10.0.0.1" } else { "::ffff:10.0.0.1" }.to_owned());
    assert_eq!(allowed(&test, mapped.take(500), None).await, burst, "one host in two forms");
}

#[tokio::test]
async fn this_machine_is_free_only_where_no_proxy_speaks_for_others() {
    let burst = backend::limits::REQUESTS_BURST_PER_IP.get() as usize;
    let local = || (0..500).map(|_| "127.0.0.1".to_owned());
    let test = TestApp::with_settings(|settings| settings.backend.requests_per_minute_per_ip = 60).await;
    assert_eq!(allowed(&test, local(), None).await, 500);
    assert_eq!(allowed(&test, local(), Some("10.0.0.1")).await, 500, "that header is anybody's word");
    let behind_proxy = TestApp::with_settings(|settings| {
        settings.backend.requests_per_minute_per_ip = 60;
        settings.backend.trust_forwarded_for = true;
    });
    let test = behind_proxy.await;
    assert_eq!(allowed(&test, local(), Some("10.0.0.1")).await, burst);
    assert_eq!(allowed(&test, local(), Some("127.0.0.1")).await, burst);
    assert_eq!(allowed(&test, local(), None).await, 0, "the same caller as before");
}
