//! What holds for all operations alike: pages, keys, limits with their headers, other origins, request ids.

use crate::operations::{Operation, operations};
use crate::riders::{Rider, rider_with};
use crate::staff::staff_token;
use crate::test_app::{Answer, Caller, TestApp};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, header};
use entities::admin_profile::AdminRole;
use std::collections::BTreeMap;
use std::net::SocketAddr;

const SOME_ID: &str = "01890f3e-7cc2-7000-8000-000000000001";
const PAGE_OF_OURS: &str = "https://app.example";

/// The right caller for each operation.
struct People {
    rider: Rider,
    staff: String,
}

impl People {
    async fn of(test: &TestApp) -> Self {
        let staff = staff_token(test, AdminRole::SuperAdmin).await;
        Self { rider: rider_with(&test.app, 100_000).await, staff }
    }

    fn caller<'a>(&self, test: &'a TestApp, operation: &Operation) -> Caller<'a> {
        match operation.who.as_deref() {
            Some("staff") => test.bearer(&self.staff),
            Some(_) => test.bearer(&self.rider.token),
            None => test.anonymous(),
        }
    }
}

#[tokio::test]
async fn every_page_has_the_same_bounds() {
    let test = TestApp::new().await;
    let people = People::of(&test).await;
    let mut lists = 0;
    for operation in operations() {
        let parameters = operation.description["parameters"].as_array().into_iter().flatten();
        let names: Vec<&str> = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
        if operation.method != Method::GET || !names.contains(&"limit") || operation.path.contains('{') {
            continue;
        }
        lists += 1;
        let caller = people.caller(&test, &operation);
        let query = operation.example_query();
        let and = if query.is_empty() { "?".to_owned() } else { format!("{query}&") };
        let mut wrong = vec!["limit=0", "limit=101", "limit=-1", "limit=x"];
        if names.contains(&"cursor") {
            wrong.extend(["cursor=", "cursor=zz", "cursor=00"]);
        }
        for wrong in wrong {
            let answer = caller.get(&format!("{}{and}{wrong}", operation.path)).await;
            let name = wrong.split('=').next().unwrap();
            assert_eq!(answer.status, 422, "{} {wrong}: {}", operation.name(), answer.body);
            assert_eq!(answer.problem(422, "validation_failed")["errors"][0]["pointer"], name);
        }
        let page = caller.get(&format!("{}{and}limit=1", operation.path)).await.ok();
        // A statement has its page between two balances.
        let items = page["items"].as_array().or(page["lines"]["items"].as_array());
        assert!(items.is_some_and(|items| items.len() <= 1), "{}: {page}", operation.name());
    }
    assert!(lists >= 20, "only {lists} lists");
}

#[tokio::test]
async fn no_key_no_deed() {
    let test = TestApp::new().await;
    let people = People::of(&test).await;
    let mut keyed = 0;
    for operation in operations().iter().filter(|operation| operation.needs_header("Idempotency-Key")) {
        keyed += 1;
        let caller = people.caller(&test, operation);
        for key in [None, Some("short"), Some("has a space in it"), Some(&*"k".repeat(129))] {
            let request = caller.request(operation.method.clone(), &operation.filled(SOME_ID));
            let request =
                key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let body = Body::from(operation.example_body().to_string());
            let answer = caller.send(request.body(body).unwrap()).await;
            assert_eq!(answer.body["code"], "idempotency_key_missing", "{} {key:?}", operation.name());
        }
    }
    assert!(keyed >= 8, "only {keyed} operations need a key");
}

#[tokio::test]
async fn every_answer_names_its_request_and_says_how_long_it_may_be_kept() {
    let test = TestApp::new().await;
    let people = People::of(&test).await;
    let mut ids = std::collections::BTreeSet::new();
    for operation in operations().iter().filter(|operation| operation.method == Method::GET) {
        let path = operation.filled(SOME_ID) + &operation.example_query();
        let answer = people.caller(&test, operation).get(&path).await;
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(ids.insert(header("x-request-id")), "{}", operation.name());
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{}", operation.name());
        let kept = header("cache-control").unwrap_or_default();
        assert!(kept == "no-store" || operation.who.is_none(), "{} may be kept: {kept}", operation.name());
    }
    assert!(!ids.contains(&None));
}

#[tokio::test]
async fn pages_of_other_hosts_may_call_only_where_the_operator_says_so() {
    let closed = TestApp::new().await;
    let open = TestApp::with_settings(|settings| {
        settings.backend.cors_origins = vec![PAGE_OF_OURS.to_owned()];
    })
    .await;
    for operation in operations() {
        for (test, origin, allowed) in [
            (&closed, PAGE_OF_OURS, false),
            (&open, PAGE_OF_OURS, true),
            (&open, "https://evil.example", false),
        ] {
            let answer = preflight(test, &operation, origin).await;
            let allows = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allows.is_some_and(|value| value == origin), allowed, "{} {origin}", operation.name());
            assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
            if allowed {
                let methods = answer.headers[header::ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
                assert!(methods.contains(operation.method.as_str()), "{}: {methods}", operation.name());
            }
        }
    }
    let request =
        open.anonymous().request(Method::GET, "/api/v1/stations").header(header::ORIGIN, PAGE_OF_OURS);
    let answer = open.anonymous().send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], PAGE_OF_OURS);
    let exposed = answer.headers[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap().to_owned();
    assert!(exposed.contains("x-request-id") && exposed.contains("ratelimit-remaining"), "{exposed}");
}

async fn preflight(test: &TestApp, operation: &Operation, origin: &str) -> Answer {
    let request = test
        .anonymous()
        .request(Method::OPTIONS, &operation.filled(SOME_ID))
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, operation.method.as_str())
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type,idempotency-key");
    test.anonymous().send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_kind_of_operation_says_how_much_of_the_limit_is_left() {
    let test = TestApp::with_settings(|_| {}).await;
    let people = People::of(&test).await;
    // One of each tag and method: reading, writing, signing in, staff.
    let mut classes = BTreeMap::new();
    for operation in operations() {
        classes
            .entry((operation.description["tags"][0].to_string(), operation.method.to_string()))
            .or_insert(operation);
    }
    assert!(classes.len() >= 15, "only {} kinds", classes.len());
    for (number, operation) in classes.values().enumerate() {
        let ask = async || {
            let address = SocketAddr::from(([203, 0, 113, number as u8 + 1], 4_000));
            let caller = people.caller(&test, operation);
            let request = caller.request(operation.method.clone(), &operation.filled(SOME_ID));
            let request =
                request.header(header::CONTENT_TYPE, "application/json").extension(ConnectInfo(address));
            caller.send(request.body(Body::from("{}")).unwrap()).await
        };
        let left = |answer: &Answer, name: &str| answer.headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
        let burst = backend::limits::REQUESTS_BURST_PER_IP.get();
        let first = ask().await;
        assert_eq!(left(&first, "ratelimit-limit"), Some(burst), "{}", operation.name());
        assert_eq!(left(&first, "ratelimit-remaining"), Some(burst - 1), "{}", operation.name());
        assert!(left(&first, "ratelimit-reset").is_some_and(|seconds| seconds >= 1), "{}", operation.name());
        let mut last = first;
        for _ in 1..=burst {
            last = ask().await;
        }
        for name in ["retry-after", "ratelimit-reset"] {
            assert!(left(&last, name).is_some_and(|seconds| seconds >= 1), "{} {name}", operation.name());
        }
        assert_eq!(left(&last, "ratelimit-remaining"), Some(0), "{}", operation.name());
        last.problem(429, "rate_limited");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_can_read_it() {
    let test = TestApp::new().await;
    for (accepted, expected) in [("gzip", Some("gzip")), ("identity", None)] {
        let request = test.anonymous().request(Method::GET, "/api/v1/content/terms-of-service");
        let request = request.header(header::ACCEPT_ENCODING, accepted).body(Body::empty()).unwrap();
        let answer = test.anonymous().send(request).await;
        assert_eq!(answer.status, 200);
        let encoding = answer.headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap());
        assert_eq!(encoding, expected);
    }
}
