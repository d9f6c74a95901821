//! Aakash SMS, version 3: queues a text for the valid numbers and lists the others.

use crate::double::{Provider, Site};
use crate::sparrow::{Text, parts};
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What Aakash knows of one customer.
#[derive(Debug)]
pub struct Aakash {
    auth_token: String,
    credits: i64,
    unreachable: BTreeSet<String>,
    inbox: Vec<Text>,
}

impl Aakash {
    /// A customer with a hundred credits.
    pub fn new(auth_token: impl Into<String>) -> Self {
        let (credits, unreachable) = (100, BTreeSet::new());
        Self { auth_token: auth_token.into(), credits, unreachable, inbox: Vec::new() }
    }

    /// Every text that was queued, in order.
    pub fn inbox(&self) -> &[Text] {
        &self.inbox
    }

    /// From now on so many credits are left.
    pub fn set_credits(&mut self, credits: i64) {
        self.credits = credits;
    }

    /// That number is invalid from now on; ten digits.
    pub fn cut_off(&mut self, number: impl Into<String>) {
        self.unreachable.insert(number.into());
    }
}

impl Provider for Aakash {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new().route("/sms/v3/send", post(send)).route("/sms/v1/credit", post(credit))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new()
    }
}

async fn send(
    State(site): State<Arc<Site<Aakash>>>,
    Form(fields): Form<BTreeMap<String, String>>,
) -> Response {
    let field = |name: &str| fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
    for name in ["auth_token", "to", "text"] {
        if field(name).is_none() {
            return refuse(&format!("The {} field is required.", name.replace('_', " ")));
        }
    }
    let (to, text) = (field("to").unwrap_or_default(), field("text").unwrap_or_default());
    let id = site.world().text("0123456789", 7);
    let mut book = site.book();
    if field("auth_token") != Some(&book.auth_token) {
        return refuse("The provided Auth Token is not valid.");
    }
    let is_number = |number: &str| number.len() == 10 && number.bytes().all(|digit| digit.is_ascii_digit());
    let (valid, invalid): (Vec<&str>, Vec<&str>) = to
        .split(',')
        .map(str::trim)
        .partition(|number| is_number(number) && !book.unreachable.contains(*number));
    let credit = parts(text);
    let cost = i64::try_from(valid.len() * credit).unwrap_or(i64::MAX);
    if book.credits < cost {
        return refuse("Not enough balance.");
    }
    book.credits -= cost;
    let texts: Vec<Text> =
        valid.iter().map(|to| Text { to: (*to).to_owned(), text: text.to_owned() }).collect();
    book.inbox.extend(texts);
    let queued: Vec<Value> = valid
        .iter()
        .enumerate()
        .map(|(at, number)| {
            json!({
                "id": id.parse::<usize>().unwrap_or_default() + at, "mobile": format!("977{number}"), "text": text,
                "credit": credit, "network": network(number), "status": "queued",
            })
        })
        .collect();
    let aborted = |number: &&str| json!({ "mobile": *number, "text": text, "credit": 0, "network": "N/A", "status": "aborted" });
    let aborted: Vec<Value> = invalid.iter().map(aborted).collect();
    let message = format!("{} messages has been queued for delivery.", queued.len());
    Json(json!({ "error": false, "message": message, "data": { "valid": queued, "invalid": aborted } }))
        .into_response()
}

async fn credit(
    State(site): State<Arc<Site<Aakash>>>,
    Form(fields): Form<BTreeMap<String, String>>,
) -> Response {
    let book = site.book();
    if fields.get("auth_token") != Some(&book.auth_token) {
        return refuse("The provided Auth Token is not valid.");
    }
    let sent = book.inbox.len();
    Json(json!({ "available_credit": book.credits, "total_sms_sent": sent, "response_code": 202 }))
        .into_response()
}

fn network(number: &str) -> &'static str {
    match number.as_bytes() {
        [b'9', b'8', b'0' | b'1' | b'2', ..] => "ncell",
        _ => "ntc",
    }
}

fn refuse(message: &str) -> Response {
    Json(json!({ "error": true, "message": message, "data": [] })).into_response()
}
