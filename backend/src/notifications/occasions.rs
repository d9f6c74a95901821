//! What can be told to riders: the closed list of occasions, with an example of the data that each one has.
//!
//! A text that staff write must render with the example: a name that the data lacks would be found only
//! when a rider is to be told.

use crate::notifications::template;
use serde_json::{Value, json};

/// An example of the data of an occasion, by the template's slug.
pub(super) fn example(slug: &str) -> Option<Value> {
    let rental = "R7K2MQ";
    let due_at = "18:45 on 3 March";
    Some(match slug {
        template::RENTAL_STARTED => {
            json!({ "rental_code": rental, "station_name": "Thamel Chowk", "due_at": due_at })
        }
        template::RENTAL_COMPLETED => {
            json!({ "rental_code": rental, "station_name": "Thamel Chowk", "amount": "50.00", "due": "12.00" })
        }
        template::RENTAL_CANCELLED => json!({ "rental_code": rental, "reason": "you called it off" }),
        template::PAID_START_REFUSED => json!({ "reason": "the station cannot be reached" }),
        template::RENTAL_ENDING_SOON => json!({ "rental_code": rental, "due_at": due_at }),
        template::RENTAL_EXTENDED => {
            json!({ "rental_code": rental, "minutes": 60, "amount": "50.00", "due_at": due_at })
        }
        template::RENTAL_ISSUE_RESOLVED => {
            json!({ "rental_code": rental, "note": "The power bank was replaced." })
        }
        template::RENTAL_OVERDUE => json!({ "rental_code": rental, "due_at": due_at }),
        template::RENTAL_IN_DOUBT => json!({ "rental_code": rental }),
        template::RENTAL_LOST => json!({ "rental_code": rental, "fee": "5000.00", "due": "4500.00" }),
        template::LOST_BANK_FOUND => json!({
            "rental_code": rental, "station_name": "Thamel Chowk", "amount": "250.00", "given_back": "5000.00", "due": "12.00",
        }),
        template::RENTAL_DUE_PAID => json!({ "rental_code": rental, "amount": "12.00" }),
        template::REFUND_APPROVED
        | template::REFUND_REJECTED
        | template::REFUND_PROCESSED
        | template::REFUND_FAILED => {
            json!({ "amount": "500.00", "note": "as you asked", "destination": "wallet" })
        }
        template::PAYMENT_RECEIVED => json!({ "amount": "500.00", "payment_method": "Khalti" }),
        template::BALANCE_ADDED => json!({ "amount": "100.00", "reason": "The power bank was empty." }),
        template::PROFILE_REMINDER => json!({ "missing": "city and date of birth" }),
        template::POINTS_EARNED => json!({ "points": 50, "reason": "welcome to Chautari" }),
        template::POINTS_EXPIRING => {
            json!({ "points": 120, "last_day": "3 March", "expires_at_iso": "2026-03-03T18:15:00Z" })
        }
        template::ACHIEVEMENT_UNLOCKED => json!({ "achievement": "First Rental", "points": 50 }),
        template::KYC_APPROVED => json!({}),
        template::KYC_REJECTED => json!({ "reason": "The back cannot be read." }),
        template::STATION_ISSUE_RESOLVED => json!({ "station_name": "Thamel Chowk" }),
        _ => return None,
    })
}

/// The names that a text of this occasion may use.
pub(super) fn variables(example: &Value) -> String {
    let names = example.as_object().into_iter().flat_map(|fields| fields.keys());
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
