//! Checkout's page, and what its buttons do.

use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::response::Response;
use serde::Deserialize;

use crate::double::Site;
use crate::page::{self, Pay};
use crate::stripe::{Button, SessionStatus, Stripe};

/// The important one first.
const BUTTONS: [(&str, &str); 5] = [
    ("pay", "Pay by card"),
    ("pay_later", "Pay by bank, arrives later"),
    ("challenge", "Card with 3-D Secure"),
    ("decline", "Card that is declined"),
    ("cancel", "Back to the shop"),
];

/// What was pressed.
#[derive(Deserialize)]
pub(super) struct Pressed {
    action: Button,
}

pub(super) async fn show(State(site): State<Arc<Site<Stripe>>>, Path(id): Path<String>) -> Response {
    site.expire_due();
    let book = site.book();
    let Some(session) = book.sessions.get(&id) else { return page::gone("Stripe") };
    let (buttons, standing): (&[(&str, &str)], _) = match session.status {
        SessionStatus::Open => (&BUTTONS, "open"),
        SessionStatus::Complete => (&[], "complete"),
        SessionStatus::Expired => (&[], "expired"),
    };
    let words = format!("Checkout, {}", session.currency.to_uppercase());
    let page = Pay {
        provider: "Stripe",
        colour: "#635bff",
        amount_paisa: session.amount,
        words: &words,
        hidden: &[],
        buttons,
        standing,
    };
    page.show()
}

pub(super) async fn decide(
    State(site): State<Arc<Site<Stripe>>>,
    Path(id): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Response {
    match site.press(&id, pressed.action) {
        None => page::gone("Stripe"),
        Some(Some(back)) => page::found(&back),
        Some(None) => show(State(site), Path(id)).await,
    }
}
