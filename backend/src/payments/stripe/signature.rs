//! Who signed a webhook ("Stripe, webhook signature").
//!
//! ```text
//! Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>][,v0=<hex>]
//! v1 = HMAC-SHA256(secret with its whsec_ prefix, "<t>.<raw body>")
//! ```

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::STRIPE_SIGNATURE_TOLERANCE;

/// Whether one of `secrets` made one of the header's signatures, not long before or after `now`.
///
/// While a secret is being rolled Stripe sends a signature of each, and we know both: any pair that
/// fits is enough, whatever their order. Schemes other than v1 prove nothing.
pub fn holds<'a>(
    header: &str,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'a str>,
    now: DateTime<Utc>,
) -> bool {
    let Some(header) = Header::parse(header) else { return false };
    let Some(signed_at) = DateTime::from_timestamp(header.signed_at_s, 0) else { return false };
    if (now - signed_at).abs() > STRIPE_SIGNATURE_TOLERANCE {
        return false;
    }
    secrets.into_iter().filter_map(|secret| mac(secret, header.signed_at, body)).any(|mac| {
        // `verify_slice` takes the same time wherever the difference is.
        header.signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    })
}

fn mac(secret: &str, signed_at: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(signed_at.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

struct Header<'a> {
    /// As it was signed, to the letter.
    signed_at: &'a str,
    signed_at_s: i64,
    signatures: Vec<Vec<u8>>,
}

impl<'a> Header<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut signed_at = None;
        let mut signatures = Vec::new();
        for (name, value) in header.split(',').filter_map(|part| part.trim().split_once('=')) {
            match name {
                // Two times would leave open which one is meant.
                "t" if signed_at.is_some() => return None,
                "t" => signed_at = Some(value),
                "v1" => signatures.extend(hex::decode(value)),
                _ => {}
            }
        }
        let signed_at = signed_at.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Self { signed_at, signed_at_s: signed_at.parse().ok()?, signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B1: &str = r#"{"account":"acct_123","api_version":"2017-05-25","created":1533204620,"data":{"object":{"amount":1000,"currency":"usd","customer":"cus_123","date":1533204620,"description":"Test Invoice Item","discountable":false,"id":"ii_123","invoice":"in_123","livemode":false,"metadata":{},"object":"invoiceitem","period":{"end":1533204620,"start":1533204620},"proration":false,"quantity":3,"quantity_decimal":"0"}},"id":"evt_123","livemode":false,"object":"event","pending_webhooks":1,"request":{"id":"req_123","idempotency_key":"idempotency-key-123"},"type":"invoiceitem.created"}"#;
    const B2: &str = r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}"#;
    const NEW: &str = "eb1fdbdef5d190254cbe8d9cc33598d25f29761932c71a6d272c315fb057640e";
    const OLD: &str = "3ce3deb03ce8afeae8ca77ba9591d26dc4568a4f7975ec65242cda7fda976bfa";

    fn at(unix_s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(unix_s, 0).unwrap()
    }

    #[test]
    fn published_signatures_hold() {
        for (secret, t, body, v1) in [
            ("secret", 1_533_204_620, B1, "d7373bc68f4bd320b253cd7461f87af6e1cdf1b4d7db1614d8d1d746972d2d0a"),
            (
                "whsec_test_secret",
                1_492_774_577,
                r#"{"id":"evt_test_webhook","object":"event"}"#,
                "88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a",
            ),
            ("whsec_new", 1_700_000_000, B2, NEW),
            ("whsec_old", 1_700_000_000, B2, OLD),
        ] {
            let header = format!("t={t},v1={v1}");
            assert!(holds(&header, body.as_bytes(), [secret], at(t)), "{secret}");
            assert!(!holds(&header, format!("{body} ").as_bytes(), [secret], at(t)), "{secret}, other body");
            assert!(!holds(&header, body.as_bytes(), ["another"], at(t)), "{secret}, other secret");
            assert!(
                !holds(&format!("t={},v1={v1}", t + 1), body.as_bytes(), [secret], at(t)),
                "{secret}, other time"
            );
        }
    }

    #[test]
    fn a_rotation_holds_in_both_orders_with_either_secret() {
        for header in [
            format!("t=1700000000,v1={OLD},v1={NEW}"),
            format!("t=1700000000,v1={NEW},v1={OLD}"),
            format!("t=1700000000,v0=00,v1={NEW},v1={OLD},v0=zz"),
        ] {
            for secrets in
                [vec!["whsec_old"], vec!["whsec_new"], vec!["whsec_old", "whsec_new"], vec!["x", "whsec_new"]]
            {
                assert!(
                    holds(&header, B2.as_bytes(), secrets.clone(), at(1_700_000_000)),
                    "{header} {secrets:?}"
                );
            }
        }
        let one = format!("t=1700000000,v1={NEW}");
        assert!(holds(&one, B2.as_bytes(), ["whsec_old", "whsec_new"], at(1_700_000_000)));
        assert!(holds(&one, B2.as_bytes(), ["whsec_new", "whsec_old"], at(1_700_000_000)));
    }

    #[test]
    fn a_signature_holds_for_five_minutes() {
        let header = format!("t=1700000000,v1={NEW}");
        for (now, expected) in
            [(1_699_999_699, false), (1_699_999_700, true), (1_700_000_300, true), (1_700_000_301, false)]
        {
            assert_eq!(holds(&header, B2.as_bytes(), ["whsec_new"], at(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_header_without_a_good_v1_proves_nothing() {
        for header in [
            String::new(),
            "t=1700000000".to_owned(),
            format!("v1={NEW}"),
            format!("t=1700000000,v0={NEW}"),
            format!("t=1700000000,v1={}", &NEW[..62]),
            "t=1700000000,v1=".to_owned(),
            format!("t=,v1={NEW}"),
            format!("t=-1700000000,v1={NEW}"),
            format!("t=1700000000,t=1700000000,v1={NEW}"),
            format!("t=99999999999999999999,v1={NEW}"),
            format!("t=9223372036854775807,v1={NEW}"),
        ] {
            assert!(!holds(&header, B2.as_bytes(), ["whsec_new"], at(1_700_000_000)), "{header}");
        }
    }
}
