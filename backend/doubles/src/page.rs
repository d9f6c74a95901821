//! The hosted pages: plain HTML that fits a phone and works without a script.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write;

/// What a payer sees.
#[derive(Debug)]
pub(crate) struct Pay<'a> {
    /// Whose page it is.
    pub(crate) provider: &'a str,
    /// Its colour in CSS.
    pub(crate) colour: &'a str,
    /// How much.
    pub(crate) amount_paisa: i64,
    /// What for.
    pub(crate) words: &'a str,
    /// What the form brings back with the button.
    pub(crate) hidden: &'a [(&'a str, &'a str)],
    /// Values and labels of `action`; none when nothing can be done any more. The first is the
    /// important one.
    pub(crate) buttons: &'a [(&'a str, &'a str)],
    /// Where the payment stands, in the provider's word.
    pub(crate) standing: &'a str,
}

impl Pay<'_> {
    /// The page.
    pub(crate) fn show(&self) -> Response {
        let rupees = format!("Rs. {}.{:02}", self.amount_paisa / 100, self.amount_paisa % 100);
        let mut form = String::new();
        for (name, value) in self.hidden {
            let _ = write!(form, "<input type=hidden name=\"{}\" value=\"{}\">", escape(name), escape(value));
        }
        for (number, (action, label)) in self.buttons.iter().enumerate() {
            let class = if number == 0 { "first" } else { "other" };
            let _ =
                write!(form, "<button class={class} name=action value={action}>{}</button>", escape(label));
        }
        let closed = if self.buttons.is_empty() { "<p>Nothing can be done here any more.</p>" } else { "" };
        let body = format!(
            "<p class=words>{}</p><p class=amount>{rupees}</p><p>Status: <b>{}</b></p>\
             <form method=post>{form}</form>{closed}\
             <p class=note>This is a double of {}. No money moves.</p>",
            escape(self.words),
            escape(self.standing),
            escape(self.provider),
        );
        Html(document(self.provider, self.colour, &body)).into_response()
    }
}

/// What a payer sees whose payment is not there.
pub(crate) fn gone(provider: &str) -> Response {
    let body = "<p class=words>This payment link is not valid, or its time is over.</p>";
    (StatusCode::NOT_FOUND, Html(document(provider, "#555", body))).into_response()
}

/// Sends the browser on.
pub(crate) fn found(url: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, url)]).into_response()
}

/// Puts words behind an address, percent-encoded.
pub(crate) fn with_query(url: &str, words: &[(&str, &str)]) -> String {
    let mut joined = url.to_owned();
    for (name, value) in words {
        joined.push(if joined.contains('?') { '&' } else { '?' });
        let _ = write!(joined, "{name}={}", encode(value));
    }
    joined
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn document(provider: &str, colour: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><title>{title}</title><style>\
         body{{margin:0;font:16px/1.5 system-ui,sans-serif;background:#f3f3f6;color:#222}}\
         header{{background:{colour};color:#fff;padding:20px;font-size:22px;font-weight:700;text-align:center}}\
         main{{max-width:420px;margin:24px auto;padding:24px;background:#fff;border-radius:14px;\
         box-shadow:0 2px 12px #0001;text-align:center}}\
         .amount{{font-size:34px;font-weight:700;margin:8px 0}}.words,.note{{color:#666}}.note{{font-size:13px}}\
         button{{display:block;width:100%;padding:14px;margin:12px 0;border-radius:10px;font:inherit;\
         font-weight:600;cursor:pointer}}.first{{background:{colour};color:#fff;border:0}}\
         .other{{background:#fff;color:{colour};border:1px solid {colour}}}\
         @media(max-width:480px){{main{{margin:16px}}}}</style></head>\
         <body><header>{title}</header><main>{body}</main></body></html>",
        title = escape(provider),
    )
}
