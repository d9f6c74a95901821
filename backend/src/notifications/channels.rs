//! Which ways a notification goes, and when it may leave: pure.
//!
//! The rule of its class opens the ways. The inbox gets it at once. What rings at the rider's side waits
//! for the morning, unless the class is critical.

use chrono::{DateTime, TimeDelta, Utc};
use entities::notification::NotificationChannel;
use entities::notification_rule;

use crate::calendar::{day_in_nepal, start_of_day_in_nepal};

/// The ways that a class's rule opens.
pub fn opened_by(rule: &notification_rule::Model) -> Vec<NotificationChannel> {
    [
        (rule.send_in_app, NotificationChannel::InApp),
        (rule.send_push, NotificationChannel::Push),
        (rule.send_sms, NotificationChannel::Sms),
        (rule.send_email, NotificationChannel::Email),
    ]
    .into_iter()
    .filter_map(|(is_open, channel)| is_open.then_some(channel))
    .collect()
}

/// The hours of the day in Nepal in which riders sleep; none if both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// The hour in which quiet begins, 0 to 23.
    pub from: i64,
    /// The hour in which it ends, 0 to 23.
    pub until: i64,
}

impl Default for QuietHours {
    fn default() -> Self {
        Self { from: 22, until: 7 }
    }
}

impl QuietHours {
    /// When something may leave that is ready now.
    pub fn leaves_at(self, now: DateTime<Utc>, is_critical: bool) -> DateTime<Utc> {
        if is_critical || self.from == self.until {
            return now;
        }
        let midnight = start_of_day_in_nepal(day_in_nepal(now));
        let hour = (now - midnight).num_hours();
        let overnight = self.from > self.until;
        let is_quiet = match overnight {
            true => hour >= self.from || hour < self.until,
            false => hour >= self.from && hour < self.until,
        };
        match is_quiet {
            false => now,
            true if overnight && hour >= self.from => midnight + TimeDelta::hours(24 + self.until),
            true => midnight + TimeDelta::hours(self.until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_critical_waits_for_the_morning_in_nepal() {
        let night = QuietHours::default();
        for (quiet, now, is_critical, leaves_at) in [
            (night, "2026-03-03T10:00:00+05:45", false, "2026-03-03T10:00:00+05:45"),
            (night, "2026-03-03T21:59:59+05:45", false, "2026-03-03T21:59:59+05:45"),
            (night, "2026-03-03T22:00:00+05:45", false, "2026-03-04T07:00:00+05:45"),
            (night, "2026-03-03T22:00:00+05:45", true, "2026-03-03T22:00:00+05:45"),
            (night, "2026-03-04T00:30:00+05:45", false, "2026-03-04T07:00:00+05:45"),
            (night, "2026-03-04T06:59:59+05:45", false, "2026-03-04T07:00:00+05:45"),
            (night, "2026-03-04T07:00:00+05:45", false, "2026-03-04T07:00:00+05:45"),
            (
                QuietHours { from: 12, until: 14 },
                "2026-03-04T13:10:00+05:45",
                false,
                "2026-03-04T14:00:00+05:45",
            ),
            (
                QuietHours { from: 12, until: 14 },
                "2026-03-04T14:10:00+05:45",
                false,
                "2026-03-04T14:10:00+05:45",
            ),
            (
                QuietHours { from: 0, until: 0 },
                "2026-03-04T00:10:00+05:45",
                false,
                "2026-03-04T00:10:00+05:45",
            ),
        ] {
            let moment = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
            assert_eq!(quiet.leaves_at(moment(now), is_critical), moment(leaves_at), "{quiet:?} {now}");
        }
    }
}
