//! What a webhook of Stripe says: an event's envelope and the name of the order that it is about.
//! Nothing else of it is read, because the rest is a hint ("Stripe, event envelope").

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::payments::provider::{WebhookAbout, WebhookError, WebhookNotice};
use crate::payments::stripe::METADATA_KEY;

/// Reads a body whose signature holds. An event of the other mode (`livemode`) is about no order of ours.
pub fn read(body: &[u8], live: bool) -> Result<WebhookNotice, WebhookError> {
    let event: Event =
        serde_json::from_slice(body).map_err(|error| WebhookError::Malformed(form_of(&error)))?;
    if !is_name(&event.id) || !is_name(&event.kind) {
        return Err(WebhookError::Malformed("the event has no usable id or type".to_owned()));
    }
    let object = &event.data.object;
    let about = if event.livemode == live { about(&event.kind, object) } else { None };
    // A payer's name, address and card are in the rest; nobody here needs them.
    let payload = json!({
        "id": event.id, "type": event.kind, "created": event.created, "livemode": event.livemode,
        "object": {
            "object": object.object, "id": object.id, "status": object.status, "amount": object.amount,
            "payment_status": object.payment_status, "payment_intent": object.payment_intent,
        },
    });
    Ok(WebhookNotice { signed: true, event_key: event.id, event_type: event.kind, about, payload })
}

/// The order that an event names; none for events that say nothing about one.
fn about(kind: &str, object: &Object) -> Option<WebhookAbout> {
    let ours = || object.metadata.get(METADATA_KEY).cloned().map(WebhookAbout::OurReference);
    let movement = || object.payment_intent.clone().map(WebhookAbout::TransactionId);
    match kind {
        "checkout.session.completed"
        | "checkout.session.async_payment_succeeded"
        | "checkout.session.async_payment_failed"
        | "checkout.session.expired" => {
            object.client_reference_id.clone().map(WebhookAbout::OurReference).or_else(ours)
        }
        "payment_intent.succeeded"
        | "payment_intent.payment_failed"
        | "payment_intent.canceled"
        | "payment_intent.processing"
        | "payment_intent.requires_action" => ours(),
        "charge.refunded" => ours().or_else(movement),
        // These carry metadata of their own, or none; all name the payment.
        "refund.created"
        | "refund.updated"
        | "refund.failed"
        | "charge.refund.updated"
        | "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.closed"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => movement(),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    created: i64,
    livemode: bool,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    object: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    amount: Option<i64>,
    #[serde(default)]
    payment_status: Option<String>,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    client_reference_id: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Where the form is broken, without quoting what came.
fn form_of(error: &serde_json::Error) -> String {
    format!("it is not an event of Stripe, at line {} column {}", error.line(), error.column())
}

/// Stripe's names are short words of letters, digits, dots and underscores.
fn is_name(text: &str) -> bool {
    let fits = (1..=255).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, object: serde_json::Value) -> Vec<u8> {
        json!({ "id": "evt_1", "type": kind, "livemode": false, "data": { "object": object } })
            .to_string()
            .into()
    }

    #[test]
    fn an_event_names_the_order_or_nothing() {
        use WebhookAbout::{OurReference, TransactionId};
        let session = json!({ "id": "cs_1", "client_reference_id": "ours", "payment_intent": "pi_1" });
        let intent = json!({ "id": "pi_1", "metadata": { "attempt_id": "ours" } });
        let foreign = json!({ "id": "pi_1", "metadata": {} });
        let dispute = json!({ "id": "dp_1", "payment_intent": "pi_1", "metadata": {} });
        for (kind, object, expected) in [
            ("checkout.session.completed", &session, Some(OurReference("ours".into()))),
            ("checkout.session.expired", &session, Some(OurReference("ours".into()))),
            ("payment_intent.succeeded", &intent, Some(OurReference("ours".into()))),
            ("payment_intent.succeeded", &foreign, None),
            ("charge.refunded", &dispute, Some(TransactionId("pi_1".into()))),
            ("refund.failed", &dispute, Some(TransactionId("pi_1".into()))),
            ("charge.dispute.created", &dispute, Some(TransactionId("pi_1".into()))),
            ("customer.created", &intent, None),
            ("a.type.of.tomorrow", &session, None),
        ] {
            let notice = read(&event(kind, object.clone()), false).unwrap();
            assert_eq!(notice.about, expected, "{kind} {object}");
            assert_eq!(
                read(&event(kind, object.clone()), true).unwrap().about,
                None,
                "{kind} of the other mode"
            );
        }
    }

    #[test]
    fn what_a_payer_told_stripe_is_not_kept() {
        let object = json!({ "id": "cs_1", "client_reference_id": "ours", "client_secret": "cs_1_secret_x",
            "customer_details": { "email": "payer@example.com" } });
        let kept = read(&event("checkout.session.completed", object), false).unwrap().payload.to_string();
        assert!(!kept.contains("secret") && !kept.contains("payer@"), "{kept}");
    }

    #[test]
    fn what_is_no_event_is_refused_without_quoting_it() {
        let deep = "[".repeat(10_000);
        for body in ["", "{}", "[]", "null", r#"{"id":"evt_1","type":"x"}"#, "\u{0}", deep.as_str()] {
            assert!(matches!(read(body.as_bytes(), false), Err(WebhookError::Malformed(_))), "{body:.20}");
        }
        let nameless = br#"{"id":"","type":"x","livemode":false,"data":{"object":{}}}"#;
        assert!(matches!(read(nameless, false), Err(WebhookError::Malformed(_))));
    }
}
