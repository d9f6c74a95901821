//! How many one-time codes leave this installation, counted in the book: over all processes and restarts.
//!
//! A code costs money and any stranger can ask for one. Who earns from the texts (SMS pumping) asks for many numbers
//! of one block, from few networks. Each cap is one conditional statement: of many requests at once none slips by.

use crate::app::App;
use crate::db::Tx;
use crate::error::{Problem, Result};
use crate::identity::Refusal;
use crate::identity::identifier::Identifier;
use crate::limits;
use crate::rate::{AddressBlock, ClientAddress};
use chrono::TimeDelta;
use entities::otp_send_count;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{EntityTrait, Set};

/// Who a code is counted for.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    /// The caller's network, and for IPv6 also the greater one that a single customer may have whole.
    networks: [Option<AddressBlock>; 2],
    /// This machine's own requests (simulated riders, operators) meet no cap.
    is_free: bool,
    per_day: u32,
}

impl Counted {
    /// Looks at the caller and at what the operator allows for this kind of identifier.
    pub(super) fn of(app: &App, address: ClientAddress, to: &Identifier) -> Self {
        let limited = address.limited(app);
        let per_day = match to {
            Identifier::Phone(_) => app.settings.sms.codes_per_day,
            Identifier::Email(_) => app.settings.mail.codes_per_day,
        };
        Self {
            networks: [
                limited.and(address.0).map(AddressBlock::network),
                limited.and(address.0).and_then(AddressBlock::site),
            ],
            is_free: address.0.is_some() && limited.is_none(),
            per_day,
        }
    }
}

/// Takes one code from every cap, or says which one is reached and until when. A refusal undoes the transaction, so
/// what is refused is not counted. People without an account get at most half of what everybody shares: strangers who
/// ask for many codes leave the other half to riders.
pub(super) async fn take(tx: &Tx, to: &Identifier, counted: &Counted, is_known: bool) -> Result<()> {
    if counted.is_free {
        return Ok(());
    }
    let day = TimeDelta::days(1);
    if let Identifier::Phone(number) = to {
        let block = &number[..number.len().saturating_sub(limits::OTP_BLOCK_DIGITS)];
        let most = limits::OTP_PER_BLOCK_PER_HOUR;
        let (shared, whom) = (format!("numbers:{block}"), "numbers like this one");
        count_shared(tx, &shared, most, TimeDelta::hours(1), whom, is_known).await?;
    }
    for (kind, network) in ["network", "site"].into_iter().zip(counted.networks) {
        let Some(network) = network else { continue };
        let most = limits::OTP_PER_NETWORK_PER_DAY;
        count(tx, &format!("{kind}:{network}"), most, day, "your network").await?;
    }
    let kind = match to {
        Identifier::Phone(_) => "texts",
        Identifier::Email(_) => "mails",
    };
    if counted.per_day > 0 {
        let shared = format!("all:{kind}");
        count_shared(tx, &shared, counted.per_day, day, "everybody", is_known).await?;
    }
    Ok(())
}

async fn count_shared(
    tx: &Tx,
    what: &str,
    most: u32,
    window: TimeDelta,
    whom: &str,
    is_known: bool,
) -> Result<()> {
    if !is_known {
        count(tx, &format!("{what}:new"), most.div_ceil(2), window, whom).await?;
    }
    count(tx, what, most, window, whom).await
}

async fn count(tx: &Tx, what: &str, most: u32, window: TimeDelta, whom: &str) -> Result<()> {
    let now_s = tx.now().timestamp();
    let into_s = now_s.rem_euclid(window.num_seconds());
    let left = window - TimeDelta::seconds(into_s);
    let row = otp_send_count::ActiveModel {
        scope: Set(format!("{what}@{}", now_s - into_s)),
        sent: Set(1),
        expires_at: Set(tx.now() + left),
    };
    let sent = (otp_send_count::Entity, otp_send_count::Column::Sent);
    let one_more = OnConflict::column(otp_send_count::Column::Scope)
        .value(otp_send_count::Column::Sent, Expr::col(sent).add(1))
        .action_and_where(Expr::col(sent).lt(i64::from(most)))
        .to_owned();
    let counted =
        otp_send_count::Entity::insert(row).on_conflict(one_more).exec_without_returning(tx).await?;
    if counted == 1 {
        return Ok(());
    }
    tracing::warn!(what, most, "no more one-time codes for now");
    let wait_s = u64::try_from(left.num_seconds()).unwrap_or(1);
    let problem: Problem = Refusal::OtpTooMany.into();
    let detail = format!("Too many codes were sent for {whom}; try again later.");
    Err(problem.detail(detail).retry_after_s(wait_s).limit(u64::from(most)).into())
}
