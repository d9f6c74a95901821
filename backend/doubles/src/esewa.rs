//! eSewa's ePay v2, as documented and as seen: the signed form, the hosted page, the signed way
//! back, and the unsigned status. Its signatures are computed here by themselves, so that a mistake
//! of the client is not repeated.

use crate::double::{Provider, Site};
use crate::page;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The product that everybody may test with.
pub const TEST_PRODUCT: &str = "EPAYTEST";
/// Its key, as published.
pub const TEST_KEY: &str = "8gBm/:&EnhH.1/q";
/// After this an unpaid order is not known any more.
const SESSION: TimeDelta = TimeDelta::minutes(5);
/// What the form must bring, all of it filled.
const FIELDS: [&str; 11] = [
    "amount",
    "tax_amount",
    "product_service_charge",
    "product_delivery_charge",
    "total_amount",
    "transaction_uuid",
    "product_code",
    "success_url",
    "failure_url",
    "signed_field_names",
    "signature",
];
/// What the way back signs; the list signs itself.
const SIGNED_BACK: &str =
    "transaction_code,status,total_amount,transaction_uuid,product_code,signed_field_names";

/// eSewa's book for one merchant.
#[derive(Debug)]
pub struct Esewa {
    product_code: String,
    secret_key: String,
    style: AmountStyle,
    payments: BTreeMap<String, Payment>,
}

/// How the way back writes amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmountStyle {
    /// `"1000.0"`, as today.
    #[default]
    Text,
    /// `"1,000.0"`, as seen in production in 2024.
    Comma,
    /// `1000.0`, as the documentation shows.
    Number,
}

/// One order that a browser brought.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The merchant's name for it.
    pub transaction_uuid: String,
    /// The merchant's account.
    pub product_code: String,
    /// The text of the form; the status is asked with the same text.
    pub total_amount: String,
    /// The same, counted.
    pub amount_paisa: i64,
    /// Where the payer goes who paid.
    pub success_url: String,
    /// Where the payer goes who did not.
    pub failure_url: String,
    /// What the status says, until a test writes something else.
    pub status: String,
    /// eSewa's name for the movement of money.
    pub ref_id: Option<String>,
    /// When the browser came.
    pub started_at: DateTime<Utc>,
}

/// What a payer does on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// The money moves.
    Pay,
    /// Nothing is paid.
    Cancel,
}

impl Esewa {
    /// The published test merchant.
    pub fn new() -> Self {
        Self::merchant(TEST_PRODUCT, TEST_KEY)
    }

    /// A merchant of one's own.
    pub fn merchant(product_code: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            product_code: product_code.into(),
            secret_key: secret_key.into(),
            style: AmountStyle::default(),
            payments: BTreeMap::new(),
        }
    }

    /// Writes amounts in another way from now on.
    pub fn write_amounts(&mut self, style: AmountStyle) {
        self.style = style;
    }

    /// Every order that a browser brought.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// One of them, to be read or falsified.
    pub fn payment(&mut self, transaction_uuid: &str) -> Option<&mut Payment> {
        self.payments.get_mut(transaction_uuid)
    }
}

impl Default for Esewa {
    fn default() -> Self {
        Self::new()
    }
}

impl Payment {
    fn status_at(&self, now: DateTime<Utc>) -> &str {
        match self.status.as_str() {
            "PENDING" if now >= self.started_at + SESSION => "NOT_FOUND",
            status => status,
        }
    }
}

impl Site<Esewa> {
    /// Presses a button of the page. Answers where the browser is sent, or nothing when the page is
    /// closed to that.
    pub fn press(&self, transaction_uuid: &str, button: Button) -> Option<String> {
        let (now, code) = (self.world().now(), self.code());
        let mut book = self.book();
        let (key, style) = (book.secret_key.clone(), book.style);
        let payment = book.payments.get_mut(transaction_uuid)?;
        match (payment.status_at(now), button) {
            ("PENDING", Button::Pay) => {
                payment.status = "COMPLETE".to_owned();
                payment.ref_id = Some(code);
            }
            ("PENDING", Button::Cancel) => payment.status = "CANCELED".to_owned(),
            ("COMPLETE" | "CANCELED", _) => {}
            _ => return None,
        }
        Some(match payment.status.as_str() {
            "COMPLETE" => success_url(payment, &key, style),
            _ => payment.failure_url.clone(),
        })
    }

    /// A payment that was on its way when its session ended arrives all the same.
    pub fn pay_late(&self, transaction_uuid: &str) {
        let code = self.code();
        if let Some(payment) = self.book().payments.get_mut(transaction_uuid) {
            payment.status = "COMPLETE".to_owned();
            payment.ref_id.get_or_insert(code);
        }
    }

    /// The browser's form, checked and taken up as the server does it; answers the page's address.
    pub fn take_form(&self, form: &BTreeMap<String, String>) -> Result<String, String> {
        let now = self.world().now();
        let mut book = self.book();
        let payment = check_form(&book, form, now)?;
        let page = format!("{}/epay/{}", self.base_url(), payment.transaction_uuid);
        book.payments.insert(payment.transaction_uuid.clone(), payment);
        Ok(page)
    }

    fn code(&self) -> String {
        format!("000{}", self.world().text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4))
    }
}

impl Provider for Esewa {
    fn api() -> Router<Arc<Site<Self>>> {
        Router::new()
            .route("/api/epay/main/v2/form", post(form))
            .route("/api/epay/transaction/status/", get(status))
    }

    fn pages() -> Router<Arc<Site<Self>>> {
        Router::new().route("/epay/{transaction_uuid}", get(show).post(decide))
    }
}

/// The signature of a text, in base64.
pub fn signature(key: &str, text: &str) -> String {
    // A key of any length is one for HMAC.
    Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            BASE64.encode(mac.finalize().into_bytes())
        },
    )
}

/// The `data` of the way back, signed with `key`; `amount` is the JSON literal.
pub fn data(key: &str, code: &str, status: &str, amount: &str, uuid: &str, product: &str) -> String {
    let text = amount.trim_matches('"');
    let signed = format!(
        "transaction_code={code},status={status},total_amount={text},transaction_uuid={uuid},\
         product_code={product},signed_field_names={SIGNED_BACK}"
    );
    let json = format!(
        r#"{{"transaction_code":"{code}","status":"{status}","total_amount":{amount},"transaction_uuid":"{uuid}","product_code":"{product}","signed_field_names":"{SIGNED_BACK}","signature":"{}"}}"#,
        signature(key, &signed)
    );
    BASE64.encode(json)
}

/// Put behind whatever is there, with a question mark in any case, as eSewa does it.
fn success_url(payment: &Payment, key: &str, style: AmountStyle) -> String {
    let amount = match style {
        AmountStyle::Text => format!("\"{}\"", decimal(payment.amount_paisa)),
        AmountStyle::Comma => format!("\"{}\"", with_commas(&decimal(payment.amount_paisa))),
        AmountStyle::Number => decimal(payment.amount_paisa),
    };
    let code = payment.ref_id.as_deref().unwrap_or_default();
    let data = data(key, code, &payment.status, &amount, &payment.transaction_uuid, &payment.product_code);
    format!("{}?data={data}", payment.success_url)
}

async fn form(State(site): State<Arc<Site<Esewa>>>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    match site.take_form(&form) {
        Ok(page) => page::found(&page),
        Err(words) => {
            let body = json!({ "error_message": words, "code": 0 });
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
    }
}

fn check_form(book: &Esewa, form: &BTreeMap<String, String>, now: DateTime<Utc>) -> Result<Payment, String> {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if let Some(name) = FIELDS.iter().find(|name| field(name).is_empty()) {
        return Err(format!("{name} is required."));
    }
    if field("product_code") != book.product_code {
        return Err("Unable to fetch merchant key. Please try again later.".to_owned());
    }
    let signed: Vec<String> =
        field("signed_field_names").split(',').map(|name| format!("{name}={}", field(name))).collect();
    if field("signature") != signature(&book.secret_key, &signed.join(",")) {
        return Err("ES104: Invalid payload signature.".to_owned());
    }
    let covered: Vec<&str> = field("signed_field_names").split(',').collect();
    if !["total_amount", "transaction_uuid", "product_code"].iter().all(|name| covered.contains(name)) {
        return Err("ES104: Invalid payload signature.".to_owned());
    }
    let parts = ["amount", "tax_amount", "product_service_charge", "product_delivery_charge"];
    let parts: Option<Vec<i64>> = parts.iter().map(|name| paisa(field(name))).collect();
    let total = paisa(field("total_amount")).filter(|total| *total > 0);
    let (Some(parts), Some(amount_paisa)) = (parts, total) else {
        return Err("Invalid amount.".to_owned());
    };
    if parts.iter().sum::<i64>() != amount_paisa {
        return Err("total_amount is not the sum of its parts.".to_owned());
    }
    let uuid = field("transaction_uuid");
    if !uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("transaction_uuid must be alphanumeric and hyphen only.".to_owned());
    }
    if book.payments.contains_key(uuid) {
        return Err("Duplicate transaction UUID.".to_owned());
    }
    Ok(Payment {
        transaction_uuid: uuid.to_owned(),
        product_code: book.product_code.clone(),
        total_amount: field("total_amount").to_owned(),
        amount_paisa,
        success_url: field("success_url").to_owned(),
        failure_url: field("failure_url").to_owned(),
        status: "PENDING".to_owned(),
        ref_id: None,
        started_at: now,
    })
}

#[derive(Deserialize)]
struct Asked {
    product_code: String,
    total_amount: String,
    transaction_uuid: String,
}

/// All three must fit, the amount to the letter; the answer is not signed.
async fn status(State(site): State<Arc<Site<Esewa>>>, Query(asked): Query<Asked>) -> Response {
    let now = site.world().now();
    let book = site.book();
    let found = book.payments.get(&asked.transaction_uuid).filter(|payment| {
        payment.product_code == asked.product_code && payment.total_amount == asked.total_amount
    });
    let (status, ref_id) = found.map_or(("NOT_FOUND", None), |payment| {
        (payment.status_at(now), payment.ref_id.as_deref().filter(|_| payment.status != "PENDING"))
    });
    let amount_paisa = found.map_or_else(|| paisa(&asked.total_amount), |payment| Some(payment.amount_paisa));
    let amount = decimal(amount_paisa.unwrap_or(0));
    let ref_id = ref_id.map_or_else(|| "null".to_owned(), |id| format!("\"{id}\""));
    let body = format!(
        r#"{{"product_code":{},"transaction_uuid":{},"total_amount":{amount},"status":"{status}","ref_id":{ref_id}}}"#,
        json!(asked.product_code),
        json!(asked.transaction_uuid),
    );
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn show(State(site): State<Arc<Site<Esewa>>>, Path(uuid): Path<String>) -> Response {
    let book = site.book();
    let Some(payment) = book.payments.get(&uuid) else { return page::gone("eSewa") };
    let standing = payment.status_at(site.world().now());
    let pay = page::Pay {
        provider: "eSewa",
        colour: "#3c9a2e",
        amount_paisa: payment.amount_paisa,
        words: &format!("{} · {}", payment.product_code, payment.transaction_uuid),
        hidden: &[],
        buttons: if standing == "PENDING" { &[("pay", "Pay"), ("cancel", "Cancel")] } else { &[] },
        standing,
    };
    pay.show()
}

#[derive(Deserialize)]
struct Pressed {
    action: Button,
}

async fn decide(
    State(site): State<Arc<Site<Esewa>>>,
    Path(uuid): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Response {
    match site.press(&uuid, pressed.action) {
        Some(back) => page::found(&back),
        None => page::gone("eSewa"),
    }
}

/// Reads `600`, `600.5`, `600.50`.
fn paisa(text: &str) -> Option<i64> {
    let (rupees, part) = text.split_once('.').unwrap_or((text, "0"));
    let part: i64 = match part.len() {
        1 => part.parse::<i64>().ok()?.checked_mul(10)?,
        2 => part.parse().ok()?,
        _ => return None,
    };
    rupees.parse::<i64>().ok()?.checked_mul(100)?.checked_add(part)
}

/// Writes `600.0`, `600.5`, `600.55`.
fn decimal(paisa: i64) -> String {
    match paisa % 100 {
        part if part % 10 == 0 => format!("{}.{}", paisa / 100, part / 10),
        part => format!("{}.{part:02}", paisa / 100),
    }
}

/// Groups of three from the right.
fn with_commas(text: &str) -> String {
    let (rupees, part) = text.split_once('.').unwrap_or((text, "0"));
    let mut grouped = String::new();
    for (place, digit) in rupees.chars().enumerate() {
        if place > 0 && (rupees.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "eSewa ePay v2, signature": the samples of the documentation, ours, and the wrong one.
    #[test]
    fn published_signatures_are_made() {
        for (amount, uuid, expected) in [
            ("110", "241028", "i94zsd3oXF6ZsSr/kGqT4sSzYQzjj1W/waxjWyRwaME="),
            ("100", "11-201-13", "5DZywcrTKD0gia/rsSMcrRHmJl+4Tbol6S+lWgdJ94E="),
            ("600.50", "topup-0002", "5ZvCg3FBhEdFVMPDFY5xihQwlP94EE0qt9RdsB+eEmU="),
            ("500", "topup-0001", "AC5EMdqZDq7JbP4dtY+NCVfk5ryXqS5IJn4IpU5JH/4="),
        ] {
            let text = format!("total_amount={amount},transaction_uuid={uuid},product_code=EPAYTEST");
            assert_eq!(signature(TEST_KEY, &text), expected);
            assert_ne!(signature(TEST_KEY, &text), "4Ov7pCI1zIOdwtV2BRMUNjz1upIlT/COTxfLhWvVurE=");
        }
    }

    /// The documented answer, two captured in eSewa's sandbox, and the shape of production.
    #[test]
    fn published_ways_back_are_made() {
        for (code, amount, uuid, expected) in [
            ("000AWEO", "1000.0", "250610-162413", "62GcfZTmVkzhtUeh+QJ1AqiJrjoWWGof3U+eTPTZ7fA="),
            ("0006TY3", "\"133.0\"", "1234567890", "MFEcMZ/30WVezanVZHH4H1nIV8pGwyzZxggtkye2VXw="),
            ("000DX7T", "\"2500.0\"", "TXN-1769092167-9499", "LbDksWHyXJ1MsgaDs9VSCpGvQ+kcX+DT06Nnyz90xfU="),
            ("000TES2", "\"1,234.5\"", "topup-0003", "ZaNqWKZ+F5yvyaxxW/9TZs7x1uWbIsj+80oLkIC7q6g="),
        ] {
            let data = data(TEST_KEY, code, "COMPLETE", amount, uuid, TEST_PRODUCT);
            let json = String::from_utf8(BASE64.decode(data).unwrap()).unwrap();
            assert!(json.contains(expected), "{json}");
            assert!(json.contains(&format!("\"total_amount\":{amount},")), "{json}");
        }
    }

    #[test]
    fn amounts_are_written_as_esewa_does() {
        for (paisa_count, text, commas) in [
            (60_000, "600.0", "600.0"),
            (60_055, "600.55", "600.55"),
            (123_450, "1234.5", "1,234.5"),
            (100_000_000, "1000000.0", "1,000,000.0"),
        ] {
            assert_eq!(decimal(paisa_count), text);
            assert_eq!(with_commas(text), commas);
            assert_eq!(paisa(text), Some(paisa_count));
        }
        assert_eq!(paisa("600.505"), None);
    }
}
