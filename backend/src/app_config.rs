//! What staff may set while the system runs: the closed list of keys, with type, default, bounds and unit.
//!
//! A row of `app_configs` that is absent or switched off means the default. `content::settings` lets staff
//! write the rows and shows the public ones to the app, with what is fixed beside them.

use entities::app_config::ConfigDataType;
use rust_decimal::Decimal;
use serde_json::Value;
use std::str::FromStr;

/// The switch with which operators require a second factor of super admins; only they turn it.
pub const REQUIRED_OF_SUPER_ADMINS: &str = "SUPER_ADMIN_TOTP_REQUIRED";

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// As the row has it.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds without a row.
    pub default: &'static str,
    /// What the number counts; empty for a switch.
    pub unit: &'static str,
    /// Whether the app may know it.
    pub public: bool,
    /// What it is for.
    pub says: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// A number with at most two decimal places, within these whole bounds.
    Decimal(i64, i64),
    /// `true` or `false`.
    Switch,
}

use Kind::{Decimal as Fraction, Switch, Whole};

macro_rules! keys {
    ($($name:ident: $kind:expr, $default:literal, $unit:literal, $public:ident, $says:literal;)+) => {
        /// Every setting that there is.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            kind: $kind,
            default: $default,
            unit: $unit,
            public: keys!(@$public),
            says: $says,
        },)+];
    };
    (@public) => { true };
    (@staff) => { false };
}

keys! {
    // Rentals.
    POSTPAID_MINIMUM_BALANCE: Fraction(0, 100_000), "50", "NPR", public, "What a wallet must hold to start a postpaid rental";
    NEED_RENTALS_PROFILE_COMPLETE: Switch, "false", "", public, "Riders must complete their profile before a rental";
    NEED_RENTALS_KYC_VERIFIED: Switch, "false", "", public, "Riders must have an approved KYC before a rental";
    NO_CHARGE_RENTAL_CANCELLATION_TIME: Whole(0, 60), "5", "minutes", public, "How long a cancellation is free";
    SWAPPING_MAX_TIME: Whole(0, 60), "5", "minutes", public, "How long a power bank can be swapped";
    MAX_RENTAL_EXTENSIONS: Whole(0, 100), "3", "extensions", public, "How often a rental can be extended";
    LOST_AFTER_HOURS: Whole(1, 8_760), "24", "hours", public, "Overdue for so long, a power bank counts as lost";
    LOST_FEE: Fraction(0, 100_000), "5000", "NPR", public, "What a lost power bank costs; given back when it returns";
    // Staff.
    SUPER_ADMIN_TOTP_REQUIRED: Switch, "false", "", staff, "Super admins must sign in with an authenticator app";
    // Notifications.
    QUIET_HOURS_FROM: Whole(0, 23), "22", "o'clock", public, "From this hour on nothing rings at riders' that is not critical";
    QUIET_HOURS_UNTIL: Whole(0, 23), "7", "o'clock", public, "Until this hour; the same as the other for no quiet hours";
    // Points.
    POINTS_SIGNUP: Whole(0, 10_000), "50", "points", public, "For signing up";
    POINTS_REFERRAL_INVITER: Whole(0, 10_000), "100", "points", public, "For bringing a rider who rents";
    POINTS_REFERRAL_INVITEE: Whole(0, 10_000), "50", "points", public, "For coming by a referral and renting";
    POINTS_KYC: Whole(0, 10_000), "30", "points", public, "For an approved KYC";
    POINTS_PROFILE: Whole(0, 10_000), "20", "points", public, "For a complete profile";
    POINTS_RENTAL_COMPLETE: Whole(0, 10_000), "5", "points", public, "For a completed rental";
    POINTS_TIMELY_RETURN: Whole(0, 10_000), "50", "points", public, "For a return in time";
    POINTS_TOPUP: Whole(0, 10_000), "10", "points", public, "For each POINTS_TOPUP_PER_NPR rupees of a top-up";
    POINTS_TOPUP_PER_NPR: Whole(1, 100_000), "100", "NPR", public, "Rupees of a top-up that give POINTS_TOPUP points";
    POINTS_EXPIRE_AFTER_DAYS: Whole(0, 3_650), "365", "days", public, "How long points live; for ever if zero";
    POINTS_EXPIRY_NOTICE_DAYS: Whole(0, 365), "7", "days", public, "So long before at least riders are told; never if zero";
}

/// VAT in Nepal, in percent of the net price.
pub const VAT_PERCENT: i128 = 13;

/// Points are worth money: this many make one rupee.
pub const POINTS_PER_NPR: i32 = 10;

/// What the books are built upon and nobody sets, for the app: in the same form as the settings beside it.
pub fn fixed() -> [(&'static str, Value); 2] {
    [
        ("PLATFORM_VAT_PERCENT", Value::from(VAT_PERCENT.to_string())),
        ("POINTS_PER_NPR", Value::from(POINTS_PER_NPR)),
    ]
}

/// The setting of that name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// The word in the row's `data_type`.
    pub fn data_type(&self) -> ConfigDataType {
        match self.kind {
            Whole(..) => ConfigDataType::Integer,
            Fraction(..) => ConfigDataType::Decimal,
            Switch => ConfigDataType::Boolean,
        }
    }

    /// What a value must be, for people.
    pub fn must_be(&self) -> String {
        match self.kind {
            Whole(least, most) => format!("must be a whole number, {least} to {most}"),
            Fraction(least, most) => {
                format!("must be a number with at most two decimal places, {least} to {most}")
            }
            Switch => "must be `true` or `false`".to_owned(),
        }
    }

    /// The value as JSON: a number, a switch, or for decimals their exact text. Nothing if it is not acceptable.
    pub fn parse(&self, text: &str) -> Option<Value> {
        match self.kind {
            Whole(least, most) => {
                let number = i64::from_str(text).ok().filter(|number| (least..=most).contains(number))?;
                Some(Value::from(number))
            }
            Fraction(least, most) => {
                let number = Decimal::from_str_exact(text).ok()?;
                let fits = number >= Decimal::from(least) && number <= Decimal::from(most);
                (fits && number.scale() <= 2).then(|| Value::from(number.to_string()))
            }
            Switch => bool::from_str(text).ok().map(Value::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_acceptable() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(key.parse(key.default).is_some(), "{}", key.name);
            assert!(KEYS[..at].iter().all(|other| other.name != key.name), "{} twice", key.name);
        }
    }

    #[test]
    fn values_are_read_by_their_type() {
        for (name, text, value) in [
            ("MAX_RENTAL_EXTENSIONS", "3", Some(Value::from(3))),
            ("MAX_RENTAL_EXTENSIONS", "101", None),
            ("MAX_RENTAL_EXTENSIONS", "2.5", None),
            ("POINTS_TOPUP_PER_NPR", "0", None),
            ("LOST_FEE", "13.05", Some(Value::from("13.05"))),
            ("LOST_FEE", "13.005", None),
            ("LOST_FEE", "-1", None),
            ("LOST_FEE", "1e1", None),
            ("LOST_FEE", "", None),
            ("NEED_RENTALS_KYC_VERIFIED", "true", Some(Value::from(true))),
            ("NEED_RENTALS_KYC_VERIFIED", "yes", None),
        ] {
            assert_eq!(key(name).unwrap().parse(text), value, "{name} = {text}");
        }
    }
}
