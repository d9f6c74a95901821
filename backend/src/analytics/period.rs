//! Which days or months are looked at, without I/O.

use crate::calendar::{day_in_nepal, end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::Problem;
use crate::limits;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The days that are looked at unless the caller says otherwise, today included.
const DAYS_DEFAULT: u64 = 30;

/// How long each step of a series is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Interval {
    /// A day in Kathmandu.
    #[default]
    Day,
    /// A calendar month in Kathmandu.
    Month,
}

/// From which day to which, in Kathmandu, both included.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Period {
    /// The first day; thirty days up to `to` if absent.
    #[param(example = "2026-11-01")]
    pub(crate) from: Option<NaiveDate>,
    /// The last day; today if absent.
    #[param(example = "2026-11-30")]
    pub(crate) to: Option<NaiveDate>,
    /// `day` (at most 92 of them) or `month` (at most 36); `day` if absent.
    #[serde(default)]
    pub(crate) interval: Interval,
}

/// One step of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Its first day.
    pub(crate) day: NaiveDate,
    /// Its first moment.
    pub(crate) begins: DateTime<Utc>,
    /// The first moment after it.
    pub(crate) ends: DateTime<Utc>,
}

impl Period {
    /// Its first and its last day.
    pub(crate) fn days(&self, now: DateTime<Utc>) -> Result<(NaiveDate, NaiveDate), Problem> {
        let to = self.to.unwrap_or_else(|| day_in_nepal(now));
        let too_early = || Problem::invalid("from", "is before the calendar begins");
        let from = match self.from {
            Some(from) => from,
            None => to.checked_sub_days(Days::new(DAYS_DEFAULT - 1)).ok_or_else(too_early)?,
        };
        if from > to {
            return Err(Problem::invalid("to", "must not be before `from`"));
        }
        // The first system of this kind is younger, and ids carry no time before 1970.
        let years = limits::ANALYTICS_YEARS;
        if !years.contains(&from.year()) || !years.contains(&to.year()) {
            let detail = format!("must be in the years {} to {}", years.start(), years.end());
            return Err(Problem::invalid("from", detail));
        }
        Ok((from, to))
    }

    /// All of it as one.
    pub(crate) fn whole(&self, now: DateTime<Utc>) -> Result<Bucket, Problem> {
        let (from, to) = self.days(now)?;
        if (to - from).num_days() >= limits::ANALYTICS_MONTHS_MAX * 31 {
            return Err(too_long(limits::ANALYTICS_MONTHS_MAX, "months"));
        }
        Ok(bucket(from, to))
    }

    /// Its steps, the first day first. The first and the last month are cut to the days that were asked for.
    pub(crate) fn buckets(&self, now: DateTime<Utc>) -> Result<Vec<Bucket>, Problem> {
        let (from, to) = self.days(now)?;
        let (most, unit) = match self.interval {
            Interval::Day => (limits::ANALYTICS_DAYS_MAX, "days"),
            Interval::Month => (limits::ANALYTICS_MONTHS_MAX, "months"),
        };
        let mut buckets = Vec::new();
        let mut day = from;
        while day <= to {
            if buckets.len() as i64 >= most {
                return Err(too_long(most, unit));
            }
            let last = last_day_of_step(day, self.interval).min(to);
            buckets.push(bucket(day, last));
            let Some(next) = last.succ_opt() else { break };
            day = next;
        }
        Ok(buckets)
    }
}

fn last_day_of_step(day: NaiveDate, interval: Interval) -> NaiveDate {
    match interval {
        Interval::Day => day,
        Interval::Month => {
            let next = day.with_day(1).and_then(|first| first.checked_add_months(Months::new(1)));
            next.and_then(|next| next.pred_opt()).unwrap_or(day)
        }
    }
}

fn bucket(first: NaiveDate, last: NaiveDate) -> Bucket {
    Bucket { day: first, begins: start_of_day_in_nepal(first), ends: end_of_day_in_nepal(last) }
}

fn too_long(most: i64, unit: &str) -> Problem {
    Problem::invalid("from", format!("the period may have at most {most} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T18:15:00Z".parse().unwrap()
    }

    fn period(from: &str, to: &str, interval: Interval) -> Period {
        let day = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Period { from: day(from), to: day(to), interval }
    }

    #[test]
    fn thirty_days_up_to_today_in_kathmandu_unless_said_otherwise() {
        let buckets = period("", "", Interval::Day).buckets(now()).unwrap();
        assert_eq!(buckets.len(), 30);
        // A quarter past six in the evening in UTC is midnight in Kathmandu.
        assert_eq!(buckets.last().unwrap().day.to_string(), "2026-11-23");
        assert_eq!(buckets.last().unwrap().begins, now());
        assert!(buckets.windows(2).all(|pair| pair[0].ends == pair[1].begins));
    }

    #[test]
    fn months_are_calendar_months_cut_to_the_days_asked_for() {
        let buckets = period("2025-12-20", "2026-02-03", Interval::Month).buckets(now()).unwrap();
        let days: Vec<_> = buckets.iter().map(|bucket| bucket.day.to_string()).collect();
        assert_eq!(days, ["2025-12-20", "2026-01-01", "2026-02-01"]);
        let whole = period("2025-12-20", "2026-02-03", Interval::Month).whole(now()).unwrap();
        assert_eq!((whole.begins, whole.ends), (buckets[0].begins, buckets[2].ends));
    }

    #[test]
    fn a_period_has_bounds() {
        for (from, to, interval, is_fine) in [
            ("2026-01-01", "2026-04-02", Interval::Day, true),
            ("2026-01-01", "2026-04-03", Interval::Day, false),
            ("2024-01-01", "2026-12-31", Interval::Month, true),
            ("2024-01-01", "2027-01-01", Interval::Month, false),
            ("2026-01-02", "2026-01-01", Interval::Day, false),
            ("1969-12-31", "1969-12-31", Interval::Day, false),
            ("+262142-12-31", "+262142-12-31", Interval::Day, false),
        ] {
            assert_eq!(period(from, to, interval).buckets(now()).is_ok(), is_fine, "{from} {to}");
        }
    }
}
