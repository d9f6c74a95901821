//! Content: what staff write, riders read a moment later; the generic resource keeps its promises for every entity.

mod neighbours;
mod public;
mod resources;
mod settings;

use crate::test_app::{Answer, Caller};
use axum::body::Body;
use axum::http::{Method, header};
use serde_json::Value;

async fn delete(caller: &Caller<'_>, path: &str) -> Answer {
    caller.send(caller.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
}

/// A GET by somebody who has the answer of that `ETag`.
async fn get_unless(caller: &Caller<'_>, path: &str, etag: &str) -> Answer {
    let request = caller.request(Method::GET, path).header(header::IF_NONE_MATCH, etag);
    caller.send(request.body(Body::empty()).unwrap()).await
}

fn etag(answer: &Answer) -> String {
    answer.headers[header::ETAG].to_str().unwrap().to_owned()
}

/// The values of one field of a list.
fn each<'a>(answer: &'a Value, field: &str) -> Vec<&'a str> {
    answer["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}
