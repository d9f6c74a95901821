//! Fills the texts that riders read. The texts are rows of `notification_templates`, which staff
//! edit; the data comes from the listeners beside this file.

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use crate::limits::{NOTIFICATION_MESSAGE_MAX, NOTIFICATION_TITLE_MAX};

/// A rental's bank is out: `rental_code, station_name, due_at`.
pub const RENTAL_STARTED: &str = "rental-started";
/// A rental's bank is back and charged: `rental_code, station_name, amount`.
pub const RENTAL_COMPLETED: &str = "rental-completed";
/// A rental did not happen: `rental_code, reason`.
pub const RENTAL_CANCELLED: &str = "rental-cancelled";
/// A rental's time is over: `rental_code, due_at`.
pub const RENTAL_OVERDUE: &str = "rental-overdue";
/// A rental's time is over soon: `rental_code, due_at`.
pub const RENTAL_ENDING_SOON: &str = "rental-ending-soon";
/// A rider bought more time: `rental_code, minutes, amount, due_at`.
pub const RENTAL_EXTENDED: &str = "rental-extended";
/// Staff have dealt with what a rider reported: `rental_code, note`.
pub const RENTAL_ISSUE_RESOLVED: &str = "rental-issue-resolved";
/// What was open of a rental is paid: `rental_code, amount`.
pub const RENTAL_DUE_PAID: &str = "rental-due-paid";
/// A rental that was paid at a provider did not start: `reason`.
pub const PAID_START_REFUSED: &str = "paid-start-refused";
/// A rental's bank counts as lost and is charged: `rental_code, fee, due`.
pub const RENTAL_LOST: &str = "rental-lost";
/// A bank that was charged as lost is back: `rental_code, station_name, amount, given_back, due`.
pub const LOST_BANK_FOUND: &str = "lost-bank-found";
/// Nobody knows whether a rental began: `rental_code`.
pub const RENTAL_IN_DOUBT: &str = "rental-in-doubt";
/// A top-up arrived: `amount, payment_method`.
pub const PAYMENT_RECEIVED: &str = "payment-received";
/// Staff put money into a wallet: `amount, reason`.
pub const BALANCE_ADDED: &str = "balance-added";
/// A refund is on its way to the provider: `amount`.
pub const REFUND_APPROVED: &str = "refund-approved";
/// Staff said no to a refund: `amount, note`.
pub const REFUND_REJECTED: &str = "refund-rejected";
/// A refund arrived: `amount, destination`.
pub const REFUND_PROCESSED: &str = "refund-processed";
/// A provider did not give a refund; the wallet has it: `amount`.
pub const REFUND_FAILED: &str = "refund-failed";
/// A profile is not complete: `missing`.
pub const PROFILE_REMINDER: &str = "profile-reminder";
/// Points were given: `points, reason`.
pub const POINTS_EARNED: &str = "points-earned";
/// Points end soon: `points, last_day`.
pub const POINTS_EXPIRING: &str = "points-expiring";
/// An achievement was reached: `achievement, points`.
pub const ACHIEVEMENT_UNLOCKED: &str = "achievement-unlocked";
/// Staff confirmed who a rider is.
pub const KYC_APPROVED: &str = "kyc-approved";
/// Staff found a rider's papers wrong: `reason`.
pub const KYC_REJECTED: &str = "kyc-rejected";
/// Staff resolved what a rider had reported of a station: `station_name`.
pub const STATION_ISSUE_RESOLVED: &str = "station-issue-resolved";

/// Fills title and message. A name that the data lacks is an error, not a hole; what is too long
/// is cut.
pub fn render(
    title: &str,
    message: &str,
    data: &serde_json::Value,
) -> Result<(String, String), minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let data = Value::from(Serde(data));
    let title = environment.render_str(title, data.clone())?;
    let message = environment.render_str(message, data)?;
    Ok((cut(title, NOTIFICATION_TITLE_MAX), cut(message, NOTIFICATION_MESSAGE_MAX)))
}

fn cut(mut text: String, max_characters: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(max_characters) {
        text.truncate(at);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_filled() {
        let (title, message) = render(
            "{{ points }} points",
            "{{ reason }}{% if due %} Due.{% endif %}",
            &json!({ "points": 5, "reason": "Thanks.", "due": null }),
        )
        .unwrap();
        assert_eq!((title.as_str(), message.as_str()), ("5 points", "Thanks."));
    }

    #[test]
    fn a_missing_name_is_an_error() {
        assert!(render("{{ nobody }}", "", &json!({})).is_err());
        assert!(render("{{ broken", "", &json!({})).is_err());
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_at_a_character() {
        let (title, _) = render(&"चौ".repeat(NOTIFICATION_TITLE_MAX), "", &json!({})).unwrap();
        assert_eq!(title.chars().count(), NOTIFICATION_TITLE_MAX);
    }

    #[test]
    fn nothing_is_escaped_for_the_web() {
        assert_eq!(render("{{ a }}", "", &json!({ "a": "Tom & Ann" })).unwrap().0, "Tom & Ann");
    }
}
