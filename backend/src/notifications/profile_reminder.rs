//! Reminds riders of a profile that is not complete: a day, a week and a month after they signed up, late in the
//! morning. One job for each day, and each leaves the next day's job behind.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entities::id::UserId;
use entities::user::{self, UserStatus};
use entities::user_profile;
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::calendar::{day_in_nepal, end_of_day_in_nepal, start_of_day_in_nepal};
use crate::db::Tx;
use crate::error::Result;
use crate::jobs::{self, Job, Queue};
use crate::limits::{PROFILE_REMINDED_AFTER_DAYS, PROFILE_REMINDED_AT, PROFILES_REMINDED_AT_ONCE};
use crate::notifications::{notify, template};

/// Reminds riders.
pub const QUEUE: Queue =
    Queue { name: "notifications.remind_profiles", handler: |app, job| Box::pin(remind(app, job)) };

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Remind {
    day: NaiveDate,
    /// The last rider who was looked at.
    after: Option<UserId>,
}

/// Makes sure that today's riders are reminded. Called at every start of the program.
pub async fn keep_going(app: &App) -> Result<()> {
    let write = app.db.write(|tx| Box::pin(async move { schedule(tx, day_in_nepal(tx.now())).await }));
    write.await
}

async fn schedule(tx: &Tx, day: NaiveDate) -> Result<()> {
    let due_at = start_of_day_in_nepal(day) + PROFILE_REMINDED_AT;
    jobs::enqueue(tx, QUEUE.name, &Remind { day, after: None }, due_at, Some(day.to_string())).await?;
    Ok(())
}

async fn remind(app: App, job: Job) -> Result<()> {
    let remind: Remind = job.payload()?;
    let done = app.db.write(move |tx| {
        let job = job.clone();
        Box::pin(async move {
            let riders = next_riders(tx, remind).await?;
            for (profile, rider) in &riders {
                let data = serde_json::json!({ "missing": missing(rider, profile) });
                let key = format!("profile:{}:{}", rider.id, remind.day);
                notify(tx, rider.id, template::PROFILE_REMINDER, data, key).await?;
            }
            match riders.last() {
                Some((_, last)) if riders.len() as u64 == PROFILES_REMINDED_AT_ONCE => {
                    let more = Remind { after: Some(last.id), ..remind };
                    let key = format!("{} after {}", remind.day, last.id);
                    jobs::enqueue(tx, QUEUE.name, &more, tx.now(), Some(key)).await?;
                }
                _ => schedule(tx, remind.day + TimeDelta::days(1)).await?,
            }
            job.finish(tx).await
        })
    });
    done.await
}

/// Riders who signed up the right number of days ago and left something out, in the order of ids.
async fn next_riders(tx: &Tx, remind: Remind) -> Result<Vec<(user_profile::Model, user::Model)>> {
    let mut signed_up = Condition::any();
    for days in PROFILE_REMINDED_AFTER_DAYS {
        let (from, to) = bounds(remind.day - TimeDelta::days(days));
        signed_up = signed_up.add(user::Column::CreatedAt.gte(from).and(user::Column::CreatedAt.lt(to)));
    }
    let incomplete = Condition::any()
        .add(user::Column::FirstName.is_null())
        .add(user::Column::LastName.is_null())
        .add(user_profile::Column::City.is_null())
        .add(user_profile::Column::DateOfBirth.is_null());
    let mut riders = user_profile::Entity::find()
        .find_also_related(user::Entity)
        .filter(signed_up)
        .filter(incomplete)
        .filter(user::Column::Status.eq(UserStatus::Active))
        .filter(user::Column::DeletedAt.is_null())
        .order_by_asc(user::Column::Id)
        .limit(PROFILES_REMINDED_AT_ONCE);
    if let Some(after) = remind.after {
        riders = riders.filter(user::Column::Id.gt(after));
    }
    let riders = riders.all(tx).await?;
    Ok(riders.into_iter().filter_map(|(profile, rider)| Some((profile, rider?))).collect())
}

fn bounds(day: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
    (start_of_day_in_nepal(day), end_of_day_in_nepal(day))
}

/// What is left out, in words.
fn missing(rider: &user::Model, profile: &user_profile::Model) -> String {
    let names = [
        (rider.first_name.is_none() || rider.last_name.is_none(), "name"),
        (profile.city.is_none(), "city"),
        (profile.date_of_birth.is_none(), "date of birth"),
    ];
    let names: Vec<_> =
        names.into_iter().filter_map(|(is_missing, name)| is_missing.then_some(name)).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_are_those_of_nepal() {
        let (from, to) = bounds("2026-03-03".parse().unwrap());
        assert_eq!(from, "2026-03-03T00:00:00+05:45".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(to - from, TimeDelta::days(1));
    }
}
