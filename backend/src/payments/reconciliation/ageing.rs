//! How long money has been waiting: at providers until they settle it, and in suspense until
//! somebody explains it. Every flow has to drain these accounts; old money in them needs a person.

use chrono::{DateTime, TimeDelta, Utc};
use entities::ledger_account::{self, LedgerAccountKind};
use entities::ledger_posting;
use entities::money::Paisa;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::Result;
use crate::limits::AGEING_WATCH_PAUSE;
use crate::money::Money;
use crate::payments::audit;
use crate::payments::book::account_id;
use crate::payments::ledger::Account;
use crate::payments::metrics::first_id_at;

/// What waits on an account, by how long. The four parts add up to the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ageing {
    /// What the account holds: for clearing what the provider owes us.
    pub balance: Money,
    /// Arrived within a day.
    pub up_to_1_day: Money,
    /// Arrived before that, within a week.
    pub up_to_7_days: Money,
    /// Arrived before that, within thirty days.
    pub up_to_30_days: Money,
    /// Older.
    pub older: Money,
}

/// The ends of the younger parts, days.
const AGES_DAYS: [i64; 3] = [1, 7, 30];

/// The age of what a provider has taken and not settled.
pub(crate) async fn of_clearing(
    db: &impl ConnectionTrait,
    provider: &str,
    now: DateTime<Utc>,
) -> Result<Ageing> {
    of(db, &Account::ProviderClearing(provider.to_owned()), now).await
}

/// The age of what nobody has explained. What we owe is above zero.
pub(crate) async fn of_suspense(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Ageing> {
    let ageing = of(db, &Account::Suspense, now).await?;
    let turned = |money: Money| Money::from(Paisa(-Paisa::from(money).0));
    Ok(Ageing {
        balance: turned(ageing.balance),
        up_to_1_day: turned(ageing.up_to_1_day),
        up_to_7_days: turned(ageing.up_to_7_days),
        up_to_30_days: turned(ageing.up_to_30_days),
        older: turned(ageing.older),
    })
}

/// Shows the operator what waits, until `shutdown`.
pub(crate) async fn watch(app: App, shutdown: CancellationToken) {
    loop {
        if let Err(error) = measure(&app).await {
            tracing::warn!(%error, "cannot see how old the money in clearing and suspense is");
        }
        tokio::select! {
            () = tokio::time::sleep(AGEING_WATCH_PAUSE) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn measure(app: &App) -> Result<()> {
    let now = app.clock.now();
    let clearing = ledger_account::Entity::find()
        .filter(ledger_account::Column::Kind.eq(LedgerAccountKind::ProviderClearing))
        .all(app.db.read())
        .await?;
    for provider in clearing.into_iter().filter_map(|account| account.provider) {
        let ageing = of_clearing(app.db.read(), &provider, now).await?;
        show("chautari_clearing_open_paisa", &provider, &ageing);
    }
    show("chautari_suspense_open_paisa", "none", &of_suspense(app.db.read(), now).await?);
    Ok(())
}

fn show(gauge: &'static str, provider: &str, ageing: &Ageing) {
    for (age, money) in [
        ("1d", ageing.up_to_1_day),
        ("7d", ageing.up_to_7_days),
        ("30d", ageing.up_to_30_days),
        ("older", ageing.older),
    ] {
        let labels = [("provider", provider.to_owned()), ("age", age.to_owned())];
        metrics::gauge!(gauge, &labels).set(Paisa::from(money).0 as f64);
    }
}

async fn of(db: &impl ConnectionTrait, account: &Account, now: DateTime<Utc>) -> Result<Ageing> {
    let posted = || {
        ledger_posting::Entity::find()
            .select_only()
            .column_as(audit::total(), "sum")
            .filter(ledger_posting::Column::AccountId.eq(account_id(account)))
    };
    let balance: Option<Option<i64>> = posted().into_tuple().one(db).await?;
    let balance = balance.flatten().unwrap_or(0);
    let mut arrived = [0; 3];
    let mut until = Uuid::max();
    for (days, arrived) in AGES_DAYS.into_iter().zip(&mut arrived) {
        let from = first_id_at(now - TimeDelta::days(days));
        let same_sign = if balance < 0 {
            ledger_posting::Column::AmountPaisa.lt(0)
        } else {
            ledger_posting::Column::AmountPaisa.gt(0)
        };
        let sum: Option<Option<i64>> = posted()
            .filter(same_sign)
            .filter(ledger_posting::Column::Id.gte(from))
            .filter(ledger_posting::Column::Id.lt(until))
            .into_tuple()
            .one(db)
            .await?;
        *arrived = sum.flatten().unwrap_or(0);
        until = from;
    }
    let [up_to_1_day, up_to_7_days, up_to_30_days, older] = spread(balance, arrived).map(Paisa);
    Ok(Ageing {
        balance: Paisa(balance).into(),
        up_to_1_day: up_to_1_day.into(),
        up_to_7_days: up_to_7_days.into(),
        up_to_30_days: up_to_30_days.into(),
        older: older.into(),
    })
}

/// The oldest money leaves first, so what is left is the youngest that arrived. `arrived` has the
/// sign of the balance, youngest part first.
fn spread(balance: i64, arrived: [i64; 3]) -> [i64; 4] {
    let mut left = balance;
    let mut parts = [0; 4];
    for (part, arrived) in parts.iter_mut().zip(arrived) {
        *part = if balance < 0 { left.max(arrived) } else { left.min(arrived) };
        left -= *part;
    }
    parts[3] = left;
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_youngest_that_arrived() {
        for (balance, arrived, parts) in [
            (0, [500, 0, 0], [0, 0, 0, 0]),
            (500, [500, 300, 0], [500, 0, 0, 0]),
            (700, [500, 300, 0], [500, 200, 0, 0]),
            (900, [500, 300, 50], [500, 300, 50, 50]),
            (900, [0, 0, 0], [0, 0, 0, 900]),
            (-900, [-500, 0, -100], [-500, 0, -100, -300]),
        ] {
            assert_eq!(spread(balance, arrived), parts, "{balance} {arrived:?}");
        }
    }
}
