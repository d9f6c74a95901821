//! Days as riders and staff live them: in Nepal, UTC+05:45, without daylight saving time.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Nepal's clocks are ahead of UTC by this, all the year.
pub const NEPAL_AHEAD_OF_UTC: TimeDelta = TimeDelta::minutes(5 * 60 + 45);

/// The day in Nepal at that moment.
pub fn day_in_nepal(moment: DateTime<Utc>) -> NaiveDate {
    (moment + NEPAL_AHEAD_OF_UTC).date_naive()
}

/// When that day begins in Nepal.
pub fn start_of_day_in_nepal(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc() - NEPAL_AHEAD_OF_UTC
}

/// When that day ends in Nepal, which is when the next one begins.
pub fn end_of_day_in_nepal(day: NaiveDate) -> DateTime<Utc> {
    start_of_day_in_nepal(day) + TimeDelta::days(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_a_quarter_before_midnight_of_the_hour() {
        for (moment, day) in [
            ("2026-11-22T18:14:59Z", "2026-11-22"),
            ("2026-11-22T18:15:00Z", "2026-11-23"),
            ("2026-11-23T18:14:59Z", "2026-11-23"),
        ] {
            let moment: DateTime<Utc> = moment.parse().unwrap();
            assert_eq!(day_in_nepal(moment).to_string(), day);
            let begins = start_of_day_in_nepal(day_in_nepal(moment));
            assert!(begins <= moment && moment < begins + TimeDelta::days(1));
        }
    }
}
