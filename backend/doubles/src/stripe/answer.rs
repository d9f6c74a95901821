//! How Stripe answers: objects as JSON, and errors in their one form.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A no of Stripe's ("Stripe, errors").
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Failure {
    pub(super) fn invalid(code: &str, param: &str, message: &str) -> Self {
        let error =
            json!({ "type": "invalid_request_error", "code": code, "param": param, "message": message });
        Self { status: StatusCode::BAD_REQUEST, body: json!({ "error": error }) }
    }

    pub(super) fn missing(what: &str, id: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        let error = json!({ "type": "invalid_request_error", "code": "resource_missing", "param": "id", "message": message });
        Self { status: StatusCode::NOT_FOUND, body: json!({ "error": error }) }
    }

    pub(super) fn unauthorized() -> Self {
        let error =
            json!({ "type": "invalid_request_error", "message": "Invalid API Key provided: sk_****" });
        Self { status: StatusCode::UNAUTHORIZED, body: json!({ "error": error }) }
    }

    pub(super) fn other_body() -> Self {
        let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        let error = json!({ "type": "idempotency_error", "message": message });
        Self { status: StatusCode::BAD_REQUEST, body: json!({ "error": error }) }
    }
}
