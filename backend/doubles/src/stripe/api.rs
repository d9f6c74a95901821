//! What programs call of Stripe.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::double::Site;
use crate::stripe::answer::Failure;
use crate::stripe::form::Form;
use crate::stripe::{Session, SessionStatus, Stripe};

type Answer = Result<Value, Failure>;

/// The first answer to a key, and to what.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: String,
    form: Form,
    body: Value,
    at: DateTime<Utc>,
}

/// How long the first answer to a key is known.
const KEY_LIFE: TimeDelta = TimeDelta::hours(24);

pub(super) fn routes() -> Router<Arc<Site<Stripe>>> {
    Router::new()
        .route("/v1/checkout/sessions", post(create_session))
        .route("/v1/checkout/sessions/{id}", get(retrieve))
        .route("/v1/checkout/sessions/{id}/expire", post(expire_session))
        .route("/v1/payment_intents/{id}", get(retrieve))
        .route("/v1/charges/{id}", get(retrieve))
        .route("/v1/refunds", post(create_refund).get(list_refunds))
        .route("/v1/refunds/{id}", get(retrieve))
        .route("/v1/disputes", get(list_disputes))
}

async fn create_session(State(site): State<Arc<Site<Stripe>>>, headers: HeaderMap, body: String) -> Response {
    post_once(&site, &headers, "/v1/checkout/sessions", &body, |form| {
        form.only(&[
            "mode",
            "client_reference_id",
            "success_url",
            "cancel_url",
            "expires_at",
            "metadata[*",
            "payment_intent_data[metadata][*",
            "line_items[0][quantity]",
            "line_items[0][price_data][currency]",
            "line_items[0][price_data][unit_amount]",
            "line_items[0][price_data][product_data][name]",
            "customer_email",
            "locale",
        ])?;
        let session = new_session(&site, form)?;
        let id = session.id.clone();
        site.book().sessions.insert(id.clone(), session);
        Ok(shown(&site.book(), &id, &site.base_url()))
    })
}

fn new_session(site: &Site<Stripe>, form: &Form) -> Result<Session, Failure> {
    if form.required("mode")? != "payment" {
        return Err(Failure::invalid("parameter_invalid", "mode", "This double takes payments only."));
    }
    let currency = form.required("line_items[0][price_data][currency]")?;
    if !["npr", "usd", "gbp", "eur"].contains(&currency) {
        let message = format!("Invalid currency: {currency}.");
        return Err(Failure::invalid("parameter_invalid", "line_items[0][price_data][currency]", &message));
    }
    form.required("line_items[0][price_data][product_data][name]")?;
    let param = "line_items[0][price_data][unit_amount]";
    form.required(param)?;
    let amount =
        form.integer(param)?.unwrap_or_default() * form.integer("line_items[0][quantity]")?.unwrap_or(1);
    // About half a dollar.
    let least = if currency == "npr" { 7_000 } else { 50 };
    if amount < least || amount > 99_999_999 {
        let code = if amount < least { "amount_too_small" } else { "amount_too_large" };
        return Err(Failure::invalid(code, param, "The Checkout Session's total amount is out of bounds."));
    }
    for name in ["success_url", "cancel_url"] {
        if !form.required(name)?.starts_with("http") {
            return Err(Failure::invalid("url_invalid", name, "Not a valid URL"));
        }
    }
    let now = site.world().now();
    let expires_at = match form.integer("expires_at")? {
        Some(unix_s) => DateTime::from_timestamp(unix_s, 0).unwrap_or(now),
        None => now + TimeDelta::hours(24),
    };
    if expires_at < now + TimeDelta::minutes(30) || expires_at > now + TimeDelta::hours(24) {
        let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
        return Err(Failure::invalid("parameter_invalid", "expires_at", message));
    }
    let live = site.book().live;
    Ok(Session {
        id: site.new_id(if live { "cs_live" } else { "cs_test" }),
        amount,
        currency: currency.to_owned(),
        client_reference_id: form.text("client_reference_id").map(str::to_owned),
        metadata: form.map("metadata"),
        intent_metadata: form.map("payment_intent_data[metadata]"),
        status: SessionStatus::Open,
        paid: false,
        expires_at,
        created: now,
        livemode: live,
        intent: None,
        success_url: form.required("success_url")?.to_owned(),
        cancel_url: form.required("cancel_url")?.to_owned(),
    })
}

async fn expire_session(
    State(site): State<Arc<Site<Stripe>>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    post_once(&site, &headers, &format!("/v1/checkout/sessions/{id}/expire"), &body, |_| {
        site.expire_due();
        {
            let mut book = site.book();
            let session =
                book.sessions.get_mut(&id).ok_or_else(|| Failure::missing("checkout.session", &id))?;
            if session.status != SessionStatus::Open {
                let message = "Only Checkout Sessions with a status in [\"open\"] can be expired.";
                return Err(Failure::invalid("resource_invalid_state", "session", message));
            }
            session.status = SessionStatus::Expired;
        }
        site.tell("checkout.session.expired", &id);
        Ok(shown(&site.book(), &id, &site.base_url()))
    })
}

async fn create_refund(State(site): State<Arc<Site<Stripe>>>, headers: HeaderMap, body: String) -> Response {
    post_once(&site, &headers, "/v1/refunds", &body, |form| {
        form.only(&["payment_intent", "amount", "reason", "metadata[*"])?;
        let intent = form.required("payment_intent")?;
        let left = {
            let book = site.book();
            let charge = book.charges.values().find(|charge| charge.intent == intent);
            let charge = charge.ok_or_else(|| Failure::missing("payment_intent", intent))?;
            charge.amount - charge.amount_refunded
        };
        if left == 0 {
            return Err(Failure::invalid(
                "charge_already_refunded",
                "payment_intent",
                "Charge has already been refunded.",
            ));
        }
        let amount = form.integer("amount")?.unwrap_or(left);
        if amount <= 0 || amount > left {
            let message =
                format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(Failure::invalid("amount_too_large", "amount", &message));
        }
        Ok(site.give_back(intent, amount, form.map("metadata")).json())
    })
}

async fn list_refunds(
    State(site): State<Arc<Site<Stripe>>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    list(&site, &headers, query, |book, intent| {
        book.refunds
            .iter()
            .rev()
            .filter(|refund| refund.intent == intent)
            .map(|refund| refund.json())
            .collect()
    })
}

async fn list_disputes(
    State(site): State<Arc<Site<Stripe>>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    list(&site, &headers, query, |book, intent| {
        book.disputes
            .iter()
            .rev()
            .filter(|dispute| dispute.intent == intent)
            .map(|dispute| dispute.json())
            .collect()
    })
}

fn list(
    site: &Arc<Site<Stripe>>,
    headers: &HeaderMap,
    query: Option<String>,
    find: impl FnOnce(&Stripe, &str) -> Vec<Value>,
) -> Response {
    answer(authorized(site, headers).and_then(|()| {
        let query = Form::parse(&query.unwrap_or_default());
        query.only(&["payment_intent", "limit"])?;
        let data = find(&site.book(), query.required("payment_intent")?);
        Ok(json!({ "object": "list", "data": data, "has_more": false }))
    }))
}

async fn retrieve(
    State(site): State<Arc<Site<Stripe>>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    site.expire_due();
    answer(authorized(&site, &headers).and_then(|()| {
        let book = site.book();
        let mut object = shown(&book, &id, &site.base_url());
        if object.is_null() {
            return Err(Failure::missing("object", &id));
        }
        let query = query.unwrap_or_default();
        for path in query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("expand%5B%5D=").or_else(|| pair.strip_prefix("expand[]=")))
        {
            expand(&book, &mut object, path, &site.base_url());
        }
        Ok(object)
    }))
}

/// Replaces ids by their objects along `a.b.c`; a step that is null ends it.
fn expand(book: &Stripe, object: &mut Value, path: &str, base_url: &str) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(field) = object.get_mut(first) else { return };
    if let Some(id) = field.as_str().map(str::to_owned) {
        *field = shown(book, &id, base_url);
    }
    if !rest.is_empty() {
        expand(book, field, rest, base_url);
    }
}

/// The object of that id as JSON, or null.
pub(super) fn shown(book: &Stripe, id: &str, base_url: &str) -> Value {
    let of_charge = id.strip_prefix("txn_").map(|rest| format!("ch_{rest}"));
    if let Some(session) = book.sessions.get(id) {
        let url = (session.status == SessionStatus::Open).then(|| format!("{base_url}/c/pay/{id}"));
        return json!({
            "id": id, "object": "checkout.session", "amount_subtotal": session.amount, "amount_total": session.amount,
            "cancel_url": session.cancel_url, "client_reference_id": session.client_reference_id, "client_secret": null,
            "created": session.created.timestamp(), "currency": session.currency,
            "customer_details": session.paid.then(|| json!({ "email": "payer@example.com", "name": "A Payer" })),
            "expires_at": session.expires_at.timestamp(), "livemode": session.livemode, "metadata": session.metadata,
            "mode": "payment", "payment_intent": session.intent, "payment_method_types": ["card"],
            "payment_status": if session.paid { "paid" } else { "unpaid" }, "status": session.status,
            "success_url": session.success_url, "url": url,
        });
    }
    if let Some(intent) = book.intents.get(id) {
        let declined =
            json!({ "code": "card_declined", "decline_code": "generic_decline", "type": "card_error" });
        return json!({
            "id": id, "object": "payment_intent", "amount": intent.amount, "amount_capturable": 0,
            "amount_received": intent.amount_received, "capture_method": "automatic_async",
            "client_secret": format!("{id}_secret_of_the_payer"), "currency": intent.currency,
            "last_payment_error": intent.declined.then_some(declined), "latest_charge": intent.charge,
            "livemode": intent.livemode, "metadata": intent.metadata, "status": intent.status,
        });
    }
    if let Some(charge) = book.charges.get(id) {
        let mut shown = charge.json();
        shown["balance_transaction"] = json!(id.replacen("ch_", "txn_", 1));
        shown["metadata"] = json!(book.intents.get(&charge.intent).map(|intent| intent.metadata.clone()));
        return shown;
    }
    if let Some(charge) = of_charge.and_then(|charge| book.charges.get(&charge)) {
        let currency = book.intents.get(&charge.intent).map(|intent| intent.currency.clone());
        return json!({ "id": id, "object": "balance_transaction", "amount": charge.amount, "fee": charge.fee,
            "net": charge.amount - charge.fee, "currency": currency, "type": "charge" });
    }
    let refund = book.refunds.iter().find(|refund| refund.id == id).map(|refund| refund.json());
    let dispute = || book.disputes.iter().find(|dispute| dispute.id == id).map(|dispute| dispute.json());
    refund.or_else(dispute).unwrap_or(Value::Null)
}

/// Does a POST, or answers what was answered to its key before ("Stripe, idempotency"). What is refused before
/// anything happened is not kept.
fn post_once(
    site: &Arc<Site<Stripe>>,
    headers: &HeaderMap,
    path: &str,
    body: &str,
    work: impl FnOnce(&Form) -> Answer,
) -> Response {
    if let Err(failure) = authorized(site, headers) {
        return answer(Err(failure));
    }
    let form = Form::parse(body);
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let now = site.world().now();
    if let Some(key) = &key {
        let kept = site.book().answers.get(key).filter(|kept| now - kept.at < KEY_LIFE).cloned();
        match kept {
            Some(kept) if kept.path == path && kept.form == form => {
                let mut replayed = answer(Ok(kept.body));
                replayed.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
                return replayed;
            }
            Some(_) => return answer(Err(Failure::other_body())),
            None => {}
        }
    }
    let result = work(&form);
    if let (Some(key), Ok(body)) = (key, &result) {
        let kept = Kept { path: path.to_owned(), form, body: body.clone(), at: now };
        site.book().answers.insert(key, kept);
    }
    answer(result)
}

fn authorized(site: &Site<Stripe>, headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.strip_prefix("Bearer ") == Some(site.book().secret_key.as_str()) {
        Ok(())
    } else {
        Err(Failure::unauthorized())
    }
}

fn answer(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(failure) => (failure.status, failure.body),
    };
    let headers = [("content-type", "application/json"), ("request-id", "req_double")];
    (status, headers, body.to_string()).into_response()
}
