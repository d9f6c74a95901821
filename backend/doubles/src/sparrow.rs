//! Sparrow SMS, version 2: queues texts, counts credits, and answers in its own numbers.

use crate::double::{Provider, Site};
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What Sparrow knows of one customer.
#[derive(Debug)]
pub struct Sparrow {
    token: String,
    identity: String,
    credits: i64,
    consumed: i64,
    unreachable: BTreeSet<String>,
    inbox: Vec<Text>,
}

/// A text that was queued for a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Ten digits.
    pub to: String,
    /// What.
    pub text: String,
}

impl Sparrow {
    /// A customer with a hundred credits.
    pub fn new(token: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            identity: identity.into(),
            credits: 100,
            consumed: 0,
            unreachable: BTreeSet::new(),
            inbox: Vec::new(),
        }
    }

    /// Every text that was queued, in order.
    pub fn inbox(&self) -> &[Text] {
        &self.inbox
    }

    /// The credits that are left.
    pub fn credits(&self) -> i64 {
        self.credits
    }

    /// From now on so many are left.
    pub fn set_credits(&mut self, credits: i64) {
        self.credits = credits;
    }

    /// That number is no receiver from now on; ten digits.
    pub fn cut_off(&mut self, number: impl Into<String>) {
        self.unreachable.insert(number.into());
    }
}

impl Provider for Sparrow {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new().route("/sms/", post(send)).route("/credit/", get(credit))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new()
    }
}

async fn send(
    State(site): State<Arc<Site<Sparrow>>>,
    Form(fields): Form<BTreeMap<String, String>>,
) -> Response {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let (Some(token), Some(from), Some(to), Some(text)) =
        (field("token"), field("from"), field("to"), field("text"))
    else {
        return refuse(1000, "A required field is missing");
    };
    let mut book = site.book();
    if token != book.token {
        return refuse(1002, "Invalid Token");
    }
    if from != book.identity {
        return refuse(1008, "Invalid Sender");
    }
    if text.is_empty() {
        return refuse(1010, "Text cannot be empty");
    }
    let is_number = |number: &&str| number.len() == 10 && number.bytes().all(|digit| digit.is_ascii_digit());
    let numbers: Vec<&str> = to.split(',').map(str::trim).collect();
    if !numbers.iter().all(is_number) {
        return refuse(1007, "Invalid Receiver");
    }
    let reached: Vec<&str> =
        numbers.into_iter().filter(|number| !book.unreachable.contains(*number)).collect();
    if reached.is_empty() {
        return refuse(1011, "No valid receiver");
    }
    let cost = i64::try_from(reached.len() * parts(text)).unwrap_or(i64::MAX);
    match book.credits {
        0 => return refuse(1012, "No Credits Available"),
        credits if credits < cost => return refuse(1013, "Insufficient Credits"),
        _ => {}
    }
    book.credits -= cost;
    book.consumed += cost;
    let count = reached.len();
    let texts: Vec<Text> =
        reached.into_iter().map(|to| Text { to: to.to_owned(), text: text.to_owned() }).collect();
    book.inbox.extend(texts);
    // The spelling is Sparrow's own.
    let response = format!("{count} mesages has been queued for delivery");
    Json(json!({ "count": count, "response_code": 200, "response": response })).into_response()
}

async fn credit(
    State(site): State<Arc<Site<Sparrow>>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let book = site.book();
    if query.get("token") != Some(&book.token) {
        return refuse(1002, "Invalid Token");
    }
    let (left, used) = (book.credits, book.consumed);
    Json(json!({ "credits_available": left, "credits_consumed": used, "response_code": 200 })).into_response()
}

fn refuse(code: u32, words: &str) -> Response {
    (StatusCode::FORBIDDEN, Json(json!({ "response_code": code, "response": words }))).into_response()
}

/// How many messages a text is on the air: 160 letters of ASCII, or 70 of others; a little less in several parts.
pub(crate) fn parts(text: &str) -> usize {
    let (letters, one, each) = match text.is_ascii() {
        true => (text.len(), 160, 153),
        false => (text.encode_utf16().count(), 70, 67),
    };
    if letters <= one { 1 } else { letters.div_ceil(each) }
}
