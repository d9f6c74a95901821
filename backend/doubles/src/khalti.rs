//! Khalti's web checkout, KPG-2, as documented: initiate, lookup and refund with their exact words
//! of success and failure, and a hosted page that is driven by a person or by a POST.

use crate::double::{Provider, Site};
use crate::page;
use axum::body::Bytes;
use axum::extract::{Form, Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Khalti's names are made of these: none that people confuse.
const ALPHABET: &str = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Letters of a name.
const NAME_LETTERS: usize = 22;
/// Rs 10.
const LEAST_PAISA: i64 = 1_000;
/// Khalti writes times of Nepal: UTC+5:45.
const NEPAL_S: i32 = 5 * 3_600 + 45 * 60;

/// Khalti's book for one merchant.
#[derive(Debug)]
pub struct Khalti {
    secret_key: String,
    link_life: TimeDelta,
    orders: BTreeMap<String, Order>,
}

/// One page that was opened. The same order of a merchant may have many.
#[derive(Clone, Debug)]
pub struct Order {
    /// Khalti's name for it.
    pub pidx: String,
    /// What is to be paid.
    pub amount_paisa: i64,
    /// The merchant's name for it.
    pub purchase_order_id: String,
    /// The merchant's words for it.
    pub purchase_order_name: String,
    /// Where the payer goes afterwards.
    pub return_url: String,
    /// What lookup says; with [`Order::expires_at`] in the past, an open one says `Expired`.
    pub status: String,
    /// Once money has moved.
    pub transaction_id: Option<String>,
    /// What went back to the payer.
    pub refunded_paisa: i64,
    /// When the page stops taking money.
    pub expires_at: DateTime<Utc>,
    /// The merchant's own words, passed back in the return.
    pub merchant_words: BTreeMap<String, String>,
}

/// What a payer does on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// The money moves.
    Pay,
    /// The bank has not decided yet.
    Pending,
    /// Nothing is paid.
    Cancel,
}

impl Khalti {
    /// A merchant with this key; pages live for an hour, as in production.
    pub fn new(secret_key: impl Into<String>) -> Self {
        Self { secret_key: secret_key.into(), link_life: TimeDelta::minutes(60), orders: BTreeMap::new() }
    }

    /// Pages that live for another time.
    pub fn with_link_life(self, link_life: TimeDelta) -> Self {
        Self { link_life, ..self }
    }

    /// The merchant has another key from now on.
    pub fn change_key(&mut self, secret_key: impl Into<String>) {
        self.secret_key = secret_key.into();
    }

    /// Every page that was opened.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// One of them, to be read or falsified.
    pub fn order(&mut self, pidx: &str) -> Option<&mut Order> {
        self.orders.get_mut(pidx)
    }
}

impl Order {
    fn status_at(&self, now: DateTime<Utc>) -> &str {
        match self.status.as_str() {
            "Initiated" if now >= self.expires_at => "Expired",
            status => status,
        }
    }
}

impl Site<Khalti> {
    /// Presses a button of the page. Answers where the browser is sent, or nothing when the page
    /// is closed to that.
    pub fn press(&self, pidx: &str, button: Button) -> Option<String> {
        let (now, transaction_id) = (self.world().now(), self.world().text(ALPHABET, NAME_LETTERS));
        let mut book = self.book();
        let order = book.orders.get_mut(pidx)?;
        match (order.status_at(now), button) {
            ("Initiated" | "Pending", Button::Pay) => {
                order.status = "Completed".to_owned();
                order.transaction_id = Some(transaction_id);
            }
            ("Initiated", Button::Pending) => order.status = "Pending".to_owned(),
            ("Initiated", Button::Cancel) => order.status = "User canceled".to_owned(),
            // The back button, and pressing again: the browser is sent where it was sent before.
            ("Completed" | "Pending" | "User canceled", _) => {}
            _ => return None,
        }
        Some(back_url(order))
    }

    /// A payment that was on its way when the page closed arrives all the same.
    pub fn pay_late(&self, pidx: &str) {
        let transaction_id = self.world().text(ALPHABET, NAME_LETTERS);
        if let Some(order) = self.book().orders.get_mut(pidx) {
            order.status = "Completed".to_owned();
            order.transaction_id.get_or_insert(transaction_id);
        }
    }

    /// The merchant gives money back in Khalti's dashboard, past our API.
    pub fn give_back(&self, pidx: &str, paisa: i64) {
        if let Some(order) = self.book().orders.get_mut(pidx) {
            give_back(order, paisa);
        }
    }
}

impl Provider for Khalti {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new()
            .route("/api/v2/epayment/initiate/", post(initiate))
            .route("/api/v2/epayment/lookup/", post(lookup))
            .route("/api/merchant-transaction/{transaction_id}/refund/", post(refund))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new().route("/", get(show).post(decide))
    }
}

async fn initiate(State(site): State<Arc<Site<Khalti>>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(no) = authenticate(&site, &headers) {
        return no;
    }
    let Ok(Value::Object(asked)) = serde_json::from_slice(&body) else {
        return refused(StatusCode::BAD_REQUEST, json!({ "detail": "JSON parse error" }));
    };
    let amount_paisa = match validate(&asked) {
        Ok(paisa) => paisa,
        Err(mut errors) => {
            errors.insert("error_key".to_owned(), "validation_error".into());
            return refused(StatusCode::BAD_REQUEST, errors.into());
        }
    };
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pidx = site.world().text(ALPHABET, NAME_LETTERS);
    let mut book = site.book();
    let expires_at = site.world().now() + book.link_life;
    let words = asked.iter().filter(|(name, _)| name.starts_with("merchant_"));
    let words = words.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let order = Order {
        pidx: pidx.clone(),
        amount_paisa,
        purchase_order_id: text("purchase_order_id"),
        purchase_order_name: text("purchase_order_name"),
        return_url: text("return_url"),
        status: "Initiated".to_owned(),
        transaction_id: None,
        refunded_paisa: 0,
        expires_at,
        merchant_words: words.collect(),
    };
    let answer = json!({
        "pidx": pidx, "payment_url": format!("{}/?pidx={pidx}", site.base_url()),
        "expires_at": nepal_time(expires_at), "expires_in": book.link_life.num_seconds(),
    });
    book.orders.insert(pidx, order);
    Json(answer).into_response()
}

async fn lookup(State(site): State<Arc<Site<Khalti>>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(no) = authenticate(&site, &headers) {
        return no;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let now = site.world().now();
    let book = site.book();
    let Some(order) = asked["pidx"].as_str().and_then(|pidx| book.orders.get(pidx)) else {
        return not_found();
    };
    let status = order.status_at(now);
    // Two words come with a code that elsewhere means a mistake of the caller.
    let code = match status {
        "Expired" | "User canceled" => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let answer = json!({
        "pidx": order.pidx, "total_amount": order.amount_paisa, "status": status,
        "transaction_id": order.transaction_id, "fee": 0, "refunded": order.refunded_paisa > 0,
    });
    (code, Json(answer)).into_response()
}

async fn refund(
    State(site): State<Arc<Site<Khalti>>>,
    Path(transaction_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(no) = authenticate(&site, &headers) {
        return no;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut book = site.book();
    let wanted = Some(transaction_id.as_str());
    let Some(order) = book.orders.values_mut().find(|order| order.transaction_id.as_deref() == wanted) else {
        return not_found();
    };
    let left_paisa = order.amount_paisa - order.refunded_paisa;
    let paisa = match asked.get("amount") {
        None => order.amount_paisa,
        Some(amount) => amount.as_i64().unwrap_or(0),
    };
    if !matches!(order.status.as_str(), "Completed" | "Partially Refunded" | "Partially refunded") {
        return refused(StatusCode::BAD_REQUEST, json!({ "detail": "Transaction cannot be refunded." }));
    }
    if paisa <= 0 || paisa > left_paisa {
        let detail = "Refund amount is greater than the remaining amount.";
        return refused(
            StatusCode::BAD_REQUEST,
            json!({ "detail": detail, "error_key": "validation_error" }),
        );
    }
    give_back(order, paisa);
    Json(json!({ "detail": "Transaction refund successful." })).into_response()
}

fn give_back(order: &mut Order, paisa: i64) {
    order.refunded_paisa += paisa;
    let all = order.refunded_paisa >= order.amount_paisa;
    order.status = if all { "Refunded" } else { "Partially Refunded" }.to_owned();
}

#[expect(clippy::result_large_err, reason = "the refusal is the answer")]
fn authenticate(site: &Site<Khalti>, headers: &HeaderMap) -> Result<(), Response> {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, key) = sent.split_once(' ').unwrap_or_default();
    let detail = match (scheme.eq_ignore_ascii_case("key"), key == site.book().secret_key) {
        (true, true) => return Ok(()),
        (true, false) => json!({ "detail": "Invalid token.", "status_code": 401 }),
        (false, _) => {
            json!({ "detail": "Authentication credentials were not provided.", "status_code": 401 })
        }
    };
    Err(refused(StatusCode::UNAUTHORIZED, detail))
}

/// Checks an order as "Khalti KPG-2, initiate" says; gives the amount in paisa or the complaints.
fn validate(asked: &Map<String, Value>) -> Result<i64, Map<String, Value>> {
    let mut errors = Map::new();
    let mut complain = |field: &str, words: &str| {
        errors.insert(field.to_owned(), json!([words]));
    };
    for field in ["return_url", "website_url", "purchase_order_id", "purchase_order_name"] {
        match asked.get(field).and_then(Value::as_str) {
            None | Some("") => complain(field, "This field may not be blank."),
            Some(url) if field.ends_with("_url") && !url.starts_with("http") => {
                complain(field, "Enter a valid URL.");
            }
            Some(_) => {}
        }
    }
    let amount = match asked.get("amount") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    match amount {
        None => complain("amount", "A valid integer is required."),
        Some(paisa) if paisa < LEAST_PAISA => {
            complain("amount", "Amount should be greater than Rs. 10, that is 1000 paisa.");
        }
        Some(paisa) => {
            let parts = asked.get("amount_breakdown").and_then(Value::as_array);
            let sum = parts.map(|parts| parts.iter().filter_map(|part| part["amount"].as_i64()).sum::<i64>());
            if sum.is_some_and(|sum| sum != paisa) {
                complain("amount", "Amount Breakdown mismatch.");
            }
        }
    }
    match (errors.is_empty(), amount) {
        (true, Some(paisa)) => Ok(paisa),
        _ => Err(errors),
    }
}

fn refused(code: StatusCode, body: Value) -> Response {
    (code, Json(body)).into_response()
}

fn not_found() -> Response {
    refused(StatusCode::NOT_FOUND, json!({ "detail": "Not found.", "error_key": "validation_error" }))
}

fn nepal_time(moment: DateTime<Utc>) -> String {
    match FixedOffset::east_opt(NEPAL_S) {
        Some(nepal) => moment.with_timezone(&nepal).to_rfc3339_opts(SecondsFormat::Micros, false),
        None => moment.to_rfc3339(),
    }
}

/// The way back, with words that nobody signed.
fn back_url(order: &Order) -> String {
    let transaction = order.transaction_id.as_deref().unwrap_or_default();
    let paid = order.transaction_id.is_some();
    let amount = order.amount_paisa.to_string();
    let mut words = vec![
        ("pidx", order.pidx.as_str()),
        ("transaction_id", transaction),
        ("tidx", transaction),
        ("amount", &amount),
        ("total_amount", &amount),
        // Masked by Khalti itself, so that the query tells nobody's number.
        ("mobile", if paid { "98XXXXX000" } else { "" }),
        ("status", &order.status),
        ("purchase_order_id", &order.purchase_order_id),
        ("purchase_order_name", &order.purchase_order_name),
    ];
    if paid {
        words.push(("txnId", transaction));
    }
    words.extend(order.merchant_words.iter().map(|(name, word)| (name.as_str(), word.as_str())));
    page::with_query(&order.return_url, &words)
}

#[derive(Deserialize)]
struct Asked {
    pidx: String,
}

async fn show(State(site): State<Arc<Site<Khalti>>>, Query(asked): Query<Asked>) -> Response {
    let book = site.book();
    let Some(order) = book.orders.get(&asked.pidx) else { return page::gone("Khalti") };
    let status = order.status_at(site.world().now());
    let pay = page::Pay {
        provider: "Khalti",
        colour: "#5c2d91",
        amount_paisa: order.amount_paisa,
        words: &order.purchase_order_name,
        hidden: &[("pidx", &order.pidx)],
        buttons: match status {
            "Initiated" => &[("pay", "Pay"), ("pending", "Bank decides later"), ("cancel", "Cancel")],
            _ => &[],
        },
        standing: status,
    };
    pay.show()
}

#[derive(Deserialize)]
struct Pressed {
    pidx: String,
    action: Button,
}

async fn decide(State(site): State<Arc<Site<Khalti>>>, Form(pressed): Form<Pressed>) -> Response {
    match site.press(&pressed.pidx, pressed.action) {
        Some(back) => page::found(&back),
        None => page::gone("Khalti"),
    }
}
