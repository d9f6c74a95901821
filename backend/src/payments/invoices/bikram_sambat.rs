//! Nepal's calendar and its fiscal year. Pure.
//!
//! The months of a Bikram Sambat year have 29 to 32 days, which no formula gives: a committee
//! publishes them for each year. Only years whose official calendar has appeared are built in;
//! tables that circulate for later years were wrong for each of 2081, 2082 and 2083. The operator
//! adds a year when it is published.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;

/// Days of each month, Baisakh first.
type Months = [u8; 12];

/// 1 Baisakh 2080 was 14 April 2023. Checked with the new years of 2081 (13 April 2024), 2082
/// (14 April 2025) and 2083 (14 April 2026).
const FIRST_YEAR: u16 = 2080;
const BUILT_IN: [Months; 4] = [
    [31, 32, 31, 32, 31, 30, 30, 30, 29, 29, 30, 30],
    [31, 32, 31, 32, 31, 30, 30, 30, 29, 30, 29, 31],
    [31, 31, 32, 31, 31, 31, 30, 29, 30, 29, 30, 30],
    [31, 31, 32, 31, 31, 31, 30, 29, 30, 29, 30, 30],
];
/// The month in which the fiscal year begins.
const SHRAWAN: u8 = 4;

/// The years whose months are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BikramSambat {
    years: Vec<Months>,
}

/// A day in Bikram Sambat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NepaliDate {
    /// About 57 ahead of the common era.
    pub year: u16,
    /// From 1, Baisakh.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

/// A fiscal year of Nepal, from 1 Shrawan to the end of Ashadh; named by the year it begins in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FiscalYear(pub u16);

/// Why added years are not a calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// A year is left out, or was known before.
    #[error("the Bikram Sambat year {0} does not follow the last known one, {1}")]
    NotNext(u16, u16),
    /// Not twelve months of 29 to 32 days that make 365 or 366.
    #[error("the months of the Bikram Sambat year {0} are not those of a year")]
    NotAYear(u16),
}

impl BikramSambat {
    /// The built-in years and those that the operator has added.
    pub fn with(added: &BTreeMap<u16, Vec<u8>>) -> Result<Self, CalendarError> {
        let mut years = BUILT_IN.to_vec();
        for (year, months) in added {
            let last = FIRST_YEAR + u16::try_from(years.len()).unwrap_or(u16::MAX) - 1;
            if *year != last + 1 {
                return Err(CalendarError::NotNext(*year, last));
            }
            let months: Months = months.as_slice().try_into().map_err(|_| CalendarError::NotAYear(*year))?;
            let fits = months.iter().all(|days| (29..=32).contains(days));
            if !fits || !(365..=366).contains(&days_in(&months)) {
                return Err(CalendarError::NotAYear(*year));
            }
            years.push(months);
        }
        Ok(Self { years })
    }

    /// What day that is; nothing outside of the known years.
    pub fn date(&self, day: NaiveDate) -> Option<NepaliDate> {
        let first = NaiveDate::from_ymd_opt(2023, 4, 14)?;
        let mut left = u64::try_from((day - first).num_days()).ok()?;
        for (year, months) in (FIRST_YEAR..).zip(&self.years) {
            if left >= days_in(months) {
                left -= days_in(months);
                continue;
            }
            for (month, days) in (1..).zip(months) {
                match u8::try_from(left) {
                    Ok(past) if past < *days => return Some(NepaliDate { year, month, day: past + 1 }),
                    _ => left -= u64::from(*days),
                }
            }
        }
        None
    }
}

impl NepaliDate {
    /// The fiscal year that the day is in.
    pub fn fiscal_year(self) -> FiscalYear {
        FiscalYear(if self.month >= SHRAWAN { self.year } else { self.year - 1 })
    }
}

/// As on invoices: `2082-10-01`.
impl fmt::Display for NepaliDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// As people write it: `2082/83`.
impl fmt::Display for FiscalYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:02}", self.0, (self.0 + 1) % 100)
    }
}

fn days_in(months: &Months) -> u64 {
    months.iter().map(|days| u64::from(*days)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> BikramSambat {
        BikramSambat::with(&BTreeMap::new()).unwrap()
    }

    fn say(calendar: &BikramSambat, day: &str) -> Option<(String, String)> {
        let date = calendar.date(day.parse().unwrap())?;
        Some((date.to_string(), date.fiscal_year().to_string()))
    }

    #[test]
    fn known_days_and_the_ends_of_fiscal_years() {
        for (day, date, fiscal_year) in [
            ("2023-04-14", "2080-01-01", "2079/80"),
            ("2024-04-12", "2080-12-30", "2080/81"),
            ("2024-04-13", "2081-01-01", "2080/81"),
            ("2024-07-15", "2081-03-31", "2080/81"),
            ("2024-07-16", "2081-04-01", "2081/82"),
            ("2025-04-13", "2081-12-31", "2081/82"),
            ("2025-04-14", "2082-01-01", "2081/82"),
            ("2025-07-16", "2082-03-32", "2081/82"),
            ("2025-07-17", "2082-04-01", "2082/83"),
            ("2026-01-15", "2082-10-01", "2082/83"),
            ("2026-04-14", "2083-01-01", "2082/83"),
            ("2026-07-16", "2083-03-32", "2082/83"),
            ("2026-07-17", "2083-04-01", "2083/84"),
            ("2027-04-13", "2083-12-30", "2083/84"),
        ] {
            assert_eq!(say(&built_in(), day), Some((date.to_owned(), fiscal_year.to_owned())), "{day}");
        }
    }

    #[test]
    fn every_day_of_the_known_years_follows_the_one_before() {
        let calendar = built_in();
        let mut day = NaiveDate::from_ymd_opt(2023, 4, 14).unwrap();
        let mut before = calendar.date(day).unwrap();
        let mut days = 1;
        while let Some(date) = day.succ_opt().and_then(|next| calendar.date(next)) {
            let follows = (date.day == before.day + 1 && date.month == before.month)
                || (date.day == 1 && date.month == before.month % 12 + 1 && before.day >= 29);
            assert!(follows, "{before} {date}");
            (day, before, days) = (day.succ_opt().unwrap(), date, days + 1);
        }
        assert_eq!(days, 365 + 366 + 365 + 365);
    }

    #[test]
    fn a_year_that_is_not_known_is_not_guessed() {
        assert_eq!(say(&built_in(), "2023-04-13"), None);
        assert_eq!(say(&built_in(), "2027-04-14"), None);
    }

    #[test]
    fn the_operator_adds_the_next_year_and_no_other() {
        let months = vec![31, 32, 31, 32, 31, 30, 30, 30, 29, 29, 30, 30];
        let with = |year: u16, months: &[u8]| BikramSambat::with(&BTreeMap::from([(year, months.to_vec())]));
        let longer = with(2084, &months).unwrap();
        assert_eq!(say(&longer, "2027-04-14").unwrap().0, "2084-01-01");
        assert_eq!(with(2085, &months), Err(CalendarError::NotNext(2085, 2083)));
        assert_eq!(with(2083, &months), Err(CalendarError::NotNext(2083, 2083)));
        assert_eq!(with(2084, &months[1..]), Err(CalendarError::NotAYear(2084)));
        assert_eq!(with(2084, &[31; 12]), Err(CalendarError::NotAYear(2084)));
        assert_eq!(
            with(2084, &[33, 30, 31, 32, 31, 30, 30, 30, 29, 29, 30, 30]),
            Err(CalendarError::NotAYear(2084))
        );
    }
}
