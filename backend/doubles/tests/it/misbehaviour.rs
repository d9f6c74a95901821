//! What every double can be told to do wrong.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use doubles::{Double, Misbehaviour, Provider, Site, World};
use protocol::clock::ManualClock;
use std::sync::Arc;
use std::time::Duration;

/// The smallest provider: it counts.
struct Counter(u32);

impl Provider for Counter {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new().route("/count", post(count))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new()
    }
}

async fn count(State(site): State<Arc<Site<Counter>>>) -> String {
    let mut book = site.book();
    book.0 += 1;
    format!("{{\"count\":{}}}", book.0)
}

async fn started() -> (Double<Counter>, reqwest::Client) {
    let double = Double::start(Counter(0), World::new(Arc::new(ManualClock::at(0)), 1)).await.unwrap();
    (double, reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap())
}

async fn call(double: &Double<Counter>, client: &reqwest::Client) -> Option<(u16, String)> {
    let answer = client.post(format!("{}/count", double.base_url())).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

#[tokio::test]
async fn each_misbehaviour_is_seen_from_outside_and_ends() {
    let (double, client) = started().await;
    for (what, answer, counts) in [
        (Misbehaviour::Slow { delay_ms: 1 }, Some((200, "{\"count\":1}")), 1),
        (Misbehaviour::LosesAnswer, None, 1),
        (Misbehaviour::HangsUp, None, 0),
        (Misbehaviour::HtmlPage { status: 502 }, Some((502, "<!DOCTYPE")), 0),
        (Misbehaviour::Fails { status: 503 }, Some((503, "{\"code\":0,")), 0),
        (Misbehaviour::BreaksJson, Some((200, "{\"cou")), 1),
        (Misbehaviour::Floods { bytes: 100_000 }, Some((200, "\"xxx")), 0),
    ] {
        double.book().0 = 0;
        double.misbehave(what, 1);
        let got = call(&double, &client).await;
        match (&got, answer) {
            (Some((status, body)), Some((expected, begin))) => {
                assert_eq!(*status, expected, "{what:?}");
                assert!(body.starts_with(begin), "{what:?}: {body:.100}");
            }
            (None, None) => {}
            _ => panic!("{what:?} answered {got:.100?}"),
        }
        assert_eq!(double.book().0, counts, "{what:?}");
        double.book().0 = 0;
        assert_eq!(call(&double, &client).await, Some((200, "{\"count\":1}".to_owned())), "after {what:?}");
    }
    assert_eq!(double.received().len(), 14);
}

#[tokio::test]
async fn a_stalling_double_has_done_what_it_was_asked() {
    let (double, _) = started().await;
    let hasty = reqwest::Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
    double.misbehave(Misbehaviour::Stalls, 1);
    assert_eq!(call(&double, &hasty).await, None);
    assert_eq!(double.book().0, 1);
}

#[tokio::test]
async fn a_developer_misbehaves_it_by_http() {
    let (double, client) = started().await;
    let base = double.base_url();
    let order = client.post(format!("{base}/_double/misbehave"));
    let order = order.header("content-type", "application/json");
    let order =
        order.body("{\"what\":\"fails\",\"status\":500,\"times\":2,\"path\":\"/count\"}").send().await;
    assert!(order.unwrap().status().is_success());
    let statuses = [call(&double, &client).await, call(&double, &client).await, call(&double, &client).await];
    assert_eq!(statuses.map(|answer| answer.unwrap().0), [500, 500, 200]);
    let shown = client.get(format!("{base}/_double")).send().await.unwrap().text().await.unwrap();
    assert_eq!(shown.matches("/count").count(), 3, "{shown}");
}

#[test]
fn the_same_seed_gives_the_same_ids() {
    let text = |seed| World::new(Arc::new(ManualClock::at(0)), seed).text("abcdef", 22);
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}
