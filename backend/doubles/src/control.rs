//! What a developer may do to any running double from a shell.
//!
//! ```text
//! curl localhost:7501/_double
//! curl localhost:7501/_double/misbehave --json '{"what":"fails","status":503,"times":3}'
//! curl -X POST localhost:7501/_double/behave
//! ```

use crate::double::{Provider, Site};
use crate::misbehaviour::Plan;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;

pub(crate) fn routes<P: Provider>() -> Router<Arc<Site<P>>> {
    Router::new()
        .route("/_double", get(show))
        .route("/_double/misbehave", post(misbehave))
        .route("/_double/behave", post(behave))
}

#[derive(Serialize)]
struct Shown {
    base_url: String,
    misbehaviour: Vec<Plan>,
    received: Vec<Call>,
}

#[derive(Serialize)]
struct Call {
    at: String,
    method: String,
    uri: String,
    body: String,
}

async fn show<P: Provider>(State(site): State<Arc<Site<P>>>) -> Json<Shown> {
    let received = site.received().into_iter().map(|call| Call {
        at: call.at.to_rfc3339(),
        method: call.method.to_string(),
        uri: call.uri.to_string(),
        body: String::from_utf8_lossy(&call.body).into_owned(),
    });
    let received = received.collect();
    Json(Shown { base_url: site.base_url(), misbehaviour: site.temper().0.clone(), received })
}

async fn misbehave<P: Provider>(State(site): State<Arc<Site<P>>>, Json(plan): Json<Plan>) {
    site.order(plan);
}

async fn behave<P: Provider>(State(site): State<Arc<Site<P>>>) {
    site.behave();
}
