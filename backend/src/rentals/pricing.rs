//! What a rental costs: one pure function for the quote before and the bill after (R6).
//!
//! All amounts are whole paisa with VAT inside. Time is counted in minutes, a begun minute counts;
//! amounts are rounded down to the paisa, in the rider's favour.
//!
//! | part | formula |
//! |---|---|
//! | free | nothing, if the bank is back within the package's free minutes |
//! | prepaid | the package's price, however short the rental |
//! | postpaid | price × minutes until due / minutes of the package, at least one minute |
//! | late fee | nothing within the grace; after it, for `m` minutes beyond due and grace `g`: |
//! | – multiplier | price a minute × percent / 100 × (m − g) |
//! | – flat rate | flat per hour × (m − g) / 60 |
//! | – compound | the sum of both |
//! | – cap | at most `cap per day` for each begun day of lateness, 1 440 minutes each |
//! | – lost | never more than a lost bank costs: bringing it back is never dearer than keeping it |
//! | more time | its own price, paid when it is bought: due moves, the rate of lateness stays |
//! | another bank | a rental that goes on with another bank costs what both together cost, less what the first one cost |
//! | daily cap | both parts together at most this for each begun day since the start; a price that is held in advance stays |
//! | lost bank | the whole base and the fee of a lost bank, no late fee ([`lost`]) |
//!
//! The minutes before due and those after it are never counted twice.

use crate::payments::ledger::{self, VatSplit};
use chrono::{DateTime, TimeDelta, Utc};
use entities::late_fee_config::{self, LateFeeType};
use entities::money::Paisa;
use entities::rental_package::{self, PaymentModel};
use serde::{Deserialize, Serialize};

/// The version of the rules in this file; a rental keeps the one that it was quoted with.
pub const RULES_VERSION: i32 = 1;

const MINUTES_PER_DAY: i128 = 1_440;

/// All that a price depends on, as it was when the rider agreed. Stored with the rental.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageSnapshot {
    /// The package's name.
    pub name: String,
    /// What was bought, minutes, at least 1.
    pub duration_minutes: u32,
    /// Its price, VAT inside.
    pub price_paisa: i64,
    /// When it is paid.
    pub payment: Payment,
    /// A bank that is back within so many minutes costs nothing.
    pub free_minutes: u32,
    /// The most that a begun day costs, lateness included.
    pub daily_cap_paisa: Option<i64>,
    /// What lateness costs.
    pub late_fee: LateFeeRule,
    /// Which version of staff's late fees that is; none where they had configured nothing.
    pub late_fee_version: Option<i32>,
    /// When a bank counts as lost, and what it costs then.
    pub lost: LostRule,
    /// Time that was bought while it ran, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// What came before, where it goes on with another bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
}

/// More time, bought while a rental ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// How much, minutes.
    pub minutes: u32,
    /// What it costs, VAT inside, however much of it is used.
    pub price_paisa: i64,
}

/// What a rental that goes on with another bank has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// Begun minutes with the banks before.
    pub used_minutes: u32,
    /// What was charged for the time with them, VAT inside.
    pub charged_paisa: i64,
}

/// When a bank counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRule {
    /// So long after due.
    pub after_minutes: u32,
    /// What the rider pays for it then, VAT inside.
    pub fee_paisa: i64,
}

/// When a package is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payment {
    /// The whole price, held at the start.
    Prepaid,
    /// For the minutes used, at the return.
    Postpaid,
}

/// What lateness costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateFeeRule {
    /// How it is counted.
    pub rate: LateFeeRate,
    /// Free minutes after due.
    pub grace_minutes: u32,
    /// At most this for each begun day of lateness.
    pub cap_per_day_paisa: Option<i64>,
}

/// How lateness is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LateFeeRate {
    /// The package's own rate, multiplied.
    Multiplier {
        /// 200 is twice.
        percent: u32,
    },
    /// An amount an hour.
    FlatRate {
        /// For 60 minutes.
        per_hour_paisa: i64,
    },
    /// Both together.
    Compound {
        /// 200 is twice.
        percent: u32,
        /// For 60 minutes.
        per_hour_paisa: i64,
    },
}

impl LateFeeRule {
    /// What holds where staff configured nothing: twice the package's rate, at once, without a cap.
    pub const DEFAULT: Self =
        Self { rate: LateFeeRate::Multiplier { percent: 200 }, grace_minutes: 0, cap_per_day_paisa: None };
}

/// What a rental costs and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Which rules made it.
    pub rules_version: i32,
    /// When the bank must have been back.
    pub due_at: DateTime<Utc>,
    /// Begun minutes until the return, or until due if that was first.
    pub minutes: i64,
    /// Begun minutes beyond due.
    pub late_minutes: i64,
    /// The bank was back before due, or within the grace after it.
    pub on_time: bool,
    /// For the time agreed.
    pub base: Paisa,
    /// For the time beyond it.
    pub late_fee: Paisa,
    /// For the bank, if it did not come back.
    pub lost_bank: Paisa,
    /// Of the total, what is the network's and what the state's.
    pub split: VatSplit,
    /// What the rider pays: all of it.
    pub total: Paisa,
}

impl Bill {
    /// The bill as the ledger takes it.
    pub fn for_ledger(&self) -> ledger::Bill {
        ledger::Bill { rental: self.base, late_fee: self.late_fee, lost_bank: self.lost_bank }
    }

    /// One sentence a line, for people.
    pub fn lines(&self, package: &PackageSnapshot) -> Vec<(String, Paisa)> {
        let more: i64 = package.extensions.iter().map(|extension| extension.price_paisa).sum();
        // A free rental, and one whose time was paid with the bank before, costs less than its parts.
        let more = if more > self.base.0 { 0 } else { more };
        let base = match package.payment {
            Payment::Prepaid => package.name.clone(),
            Payment::Postpaid => format!("{}: {} min", package.name, self.minutes),
        };
        let mut lines = vec![(base, Paisa(self.base.0 - more))];
        if more > 0 {
            let bought = package.extensions.iter().filter(|extension| extension.price_paisa > 0);
            lines.extend(bought.map(|extension| {
                (format!("More time: {} min", extension.minutes), Paisa(extension.price_paisa))
            }));
        }
        if self.late_fee > Paisa(0) {
            lines.push((format!("Late return: {} min", self.late_minutes), self.late_fee));
        }
        if self.lost_bank > Paisa(0) {
            lines.push(("Power bank that was not returned".to_owned(), self.lost_bank));
        }
        lines
    }
}

/// What is set aside when a rental starts; postpaid packages need `postpaid_minimum`.
pub fn hold(package: &PackageSnapshot, postpaid_minimum: Paisa) -> Paisa {
    match package.payment {
        Payment::Prepaid => paisa((base(package, 0) - charged_before(package)).max(0)),
        Payment::Postpaid => postpaid_minimum,
    }
}

/// What a rental of this length would cost: [`bill`] with a return that is only imagined.
pub fn quote(package: &PackageSnapshot, started_at: DateTime<Utc>, length: TimeDelta) -> Bill {
    bill(package, started_at, started_at + length)
}

/// What a rental costs. A return before the start counts as one at the start.
pub fn bill(package: &PackageSnapshot, started_at: DateTime<Utc>, ended_at: DateTime<Utc>) -> Bill {
    let ended_at = ended_at.max(started_at);
    let duration = i128::from(package.duration_minutes.max(1));
    let due_at = due_at(package, started_at);
    let before = used_before(package);
    let used = before + begun_minutes(ended_at - started_at).max(1);
    let minutes = begun_minutes(ended_at.min(due_at) - started_at).max(1);
    let late_minutes = begun_minutes(ended_at - due_at);

    let (base, late_fee) = if late_minutes == 0 && used <= i128::from(package.free_minutes) {
        (0, 0)
    } else {
        let base = (base(package, before + minutes) - charged_before(package)).max(0);
        let late_fee =
            late_fee(&package.late_fee, i128::from(package.price_paisa.max(0)), duration, late_minutes)
                .min(i128::from(package.lost.fee_paisa.max(0)));
        match package.daily_cap_paisa {
            None => (base, late_fee),
            Some(cap) => {
                let left = days_cap(cap, used) - charged_before(package) - base;
                (base, late_fee.min(left.max(0)))
            }
        }
    };
    let on_time = late_minutes <= i128::from(package.late_fee.grace_minutes);
    made(due_at, minutes, late_minutes, on_time, [base, late_fee, 0])
}

/// Until when a bank that comes back costs nothing; nothing if no time is free.
pub fn free_until(package: &PackageSnapshot, started_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let left = i64::try_from(i128::from(package.free_minutes) - used_before(package)).ok();
    let left = left.filter(|left| *left > 0)?;
    Some((started_at + TimeDelta::minutes(left)).min(due_at(package, started_at)))
}

/// What a rental costs whose bank did not come back: the time agreed, and the bank. No late fee:
/// if the bank comes back after all, [`bill`] says what its lateness costs instead.
pub fn lost(package: &PackageSnapshot, started_at: DateTime<Utc>) -> Bill {
    let base = (base(package, whole_time(package)) - charged_before(package)).max(0);
    let amounts = [base, 0, i128::from(package.lost.fee_paisa.max(0))];
    let (minutes, late) = (minutes_left(package), i128::from(package.lost.after_minutes));
    made(due_at(package, started_at), minutes, late, false, amounts)
}

fn due_at(package: &PackageSnapshot, started_at: DateTime<Utc>) -> DateTime<Utc> {
    started_at + package.time()
}

/// What so many minutes cost in all, with any bank.
fn base(package: &PackageSnapshot, minutes: i128) -> i128 {
    let price = i128::from(package.price_paisa.max(0));
    let more: i128 = package.extensions.iter().map(|bought| i128::from(bought.price_paisa.max(0))).sum();
    let duration = i128::from(package.duration_minutes.max(1));
    let minutes = minutes.min(duration);
    more + match (package.payment, package.daily_cap_paisa) {
        (Payment::Prepaid, _) => price,
        (Payment::Postpaid, cap) => {
            let used = price * minutes / duration;
            cap.map_or(used, |cap| used.min(days_cap(cap, minutes)))
        }
    }
}

/// All minutes that were bought.
fn whole_time(package: &PackageSnapshot) -> i128 {
    let more: i128 = package.extensions.iter().map(|bought| i128::from(bought.minutes)).sum();
    i128::from(package.duration_minutes.max(1)) + more
}

/// Those of them that are left for this bank; one at least.
fn minutes_left(package: &PackageSnapshot) -> i128 {
    (whole_time(package) - used_before(package)).max(1)
}

fn used_before(package: &PackageSnapshot) -> i128 {
    package.continues.map_or(0, |before| i128::from(before.used_minutes))
}

fn charged_before(package: &PackageSnapshot) -> i128 {
    package.continues.map_or(0, |before| i128::from(before.charged_paisa.max(0)))
}

/// What all begun days of so many minutes may cost.
fn days_cap(cap_paisa: i64, minutes: i128) -> i128 {
    i128::from(cap_paisa.max(0)) * ((minutes + MINUTES_PER_DAY - 1) / MINUTES_PER_DAY)
}

fn made(
    due_at: DateTime<Utc>,
    minutes: i128,
    late_minutes: i128,
    on_time: bool,
    [base, late_fee, lost_bank]: [i128; 3],
) -> Bill {
    let [base, late_fee, lost_bank] = [paisa(base), paisa(late_fee), paisa(lost_bank)];
    let total = Paisa(base.0 + late_fee.0 + lost_bank.0);
    // The ledger splits each line by itself, so the shown split is the sum of theirs.
    let split = sum([base, late_fee, lost_bank]);
    Bill {
        rules_version: RULES_VERSION,
        due_at,
        minutes: i64::try_from(minutes).unwrap_or(i64::MAX),
        late_minutes: i64::try_from(late_minutes).unwrap_or(i64::MAX),
        on_time,
        base,
        late_fee,
        lost_bank,
        split,
        total,
    }
}

fn late_fee(rule: &LateFeeRule, price: i128, duration: i128, late_minutes: i128) -> i128 {
    let charged = late_minutes - i128::from(rule.grace_minutes);
    if charged <= 0 {
        return 0;
    }
    let multiplied = |percent: u32| price * i128::from(percent) * charged / (duration * 100);
    let flat = |per_hour_paisa: i64| i128::from(per_hour_paisa.max(0)) * charged / 60;
    let fee = match rule.rate {
        LateFeeRate::Multiplier { percent } => multiplied(percent),
        LateFeeRate::FlatRate { per_hour_paisa } => flat(per_hour_paisa),
        LateFeeRate::Compound { percent, per_hour_paisa } => multiplied(percent) + flat(per_hour_paisa),
    };
    match rule.cap_per_day_paisa {
        None => fee,
        Some(cap) => {
            let begun_days = (late_minutes + MINUTES_PER_DAY - 1) / MINUTES_PER_DAY;
            fee.min(i128::from(cap.max(0)) * begun_days)
        }
    }
}

fn begun_minutes(time: TimeDelta) -> i128 {
    let minute_us: i128 = 60_000_000;
    let time_us = i128::from(time.num_microseconds().unwrap_or(i64::MAX).max(0));
    (time_us + minute_us - 1) / minute_us
}

/// An absurd amount is the greatest of which an entry can hold three, with room to add.
fn paisa(amount: i128) -> Paisa {
    Paisa(i64::try_from(amount).unwrap_or(i64::MAX).min(i64::MAX / 8))
}

fn sum(lines: [Paisa; 3]) -> VatSplit {
    let mut split = VatSplit { net: Paisa(0), vat: Paisa(0) };
    for line in lines {
        // Amounts here are neither negative nor too large, so the ledger takes them apart.
        let part = ledger::vat_inside(line).unwrap_or(VatSplit { net: line, vat: Paisa(0) });
        split = VatSplit { net: Paisa(split.net.0 + part.net.0), vat: Paisa(split.vat.0 + part.vat.0) };
    }
    split
}

/// A row that cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPriceable {
    /// No time, or more than fits.
    #[error("the package has no usable duration")]
    Duration,
    /// Below zero.
    #[error("a price is below zero")]
    Price,
    /// The free time or the cap of a day is below zero.
    #[error("the free time or the cap is below zero")]
    Cap,
    /// The late-fee row lacks what its type needs.
    #[error("the late fee lacks a rate")]
    LateFee,
}

impl PackageSnapshot {
    /// From the start until due.
    pub fn time(&self) -> TimeDelta {
        TimeDelta::minutes(i64::try_from(minutes_left(self)).unwrap_or(i64::MAX / 120_000))
    }

    /// What a rider agrees to now; without an active late-fee row [`LateFeeRule::DEFAULT`] holds.
    pub fn take(
        package: &rental_package::Model,
        late_fee: Option<&late_fee_config::Model>,
        lost: LostRule,
    ) -> Result<Self, NotPriceable> {
        let duration_minutes = u32::try_from(package.duration_minutes).map_err(|_| NotPriceable::Duration)?;
        if duration_minutes == 0 {
            return Err(NotPriceable::Duration);
        }
        if package.price_paisa.0 < 0 {
            return Err(NotPriceable::Price);
        }
        Ok(Self {
            name: package.name.clone(),
            duration_minutes,
            price_paisa: package.price_paisa.0,
            payment: match package.payment_model {
                PaymentModel::Prepaid => Payment::Prepaid,
                PaymentModel::Postpaid => Payment::Postpaid,
            },
            free_minutes: u32::try_from(package.free_minutes).map_err(|_| NotPriceable::Cap)?,
            daily_cap_paisa: match package.daily_cap_paisa {
                Some(cap) if cap.is_negative() => return Err(NotPriceable::Cap),
                cap => cap.map(|cap| cap.0),
            },
            late_fee: late_fee.map_or(Ok(LateFeeRule::DEFAULT), LateFeeRule::try_from)?,
            late_fee_version: late_fee.map(|late_fee| late_fee.version),
            lost,
            extensions: Vec::new(),
            continues: None,
        })
    }
}

impl TryFrom<&late_fee_config::Model> for LateFeeRule {
    type Error = NotPriceable;

    fn try_from(row: &late_fee_config::Model) -> Result<Self, NotPriceable> {
        let percent = || {
            row.multiplier_percent
                .and_then(|percent| u32::try_from(percent).ok())
                .ok_or(NotPriceable::LateFee)
        };
        let per_hour_paisa = || match row.flat_rate_per_hour_paisa {
            Some(Paisa(rate)) if rate >= 0 => Ok(rate),
            Some(_) | None => Err(NotPriceable::LateFee),
        };
        Ok(Self {
            rate: match row.fee_type {
                LateFeeType::Multiplier => LateFeeRate::Multiplier { percent: percent()? },
                LateFeeType::FlatRate => LateFeeRate::FlatRate { per_hour_paisa: per_hour_paisa()? },
                LateFeeType::Compound => {
                    LateFeeRate::Compound { percent: percent()?, per_hour_paisa: per_hour_paisa()? }
                }
            },
            grace_minutes: u32::try_from(row.grace_minutes).map_err(|_| NotPriceable::LateFee)?,
            cap_per_day_paisa: row.cap_per_day_paisa.map(|cap| cap.0),
        })
    }
}

#[cfg(test)]
mod tests;
