//! Rentals: one power bank out for one rider, one correct charge.
//!
//! Read in this order: [`machine`] decides, [`pricing`] prices, both pure. `case` loads a rental with
//! its command and hold, lets the machine decide and writes what follows. The rest are the ways
//! in: [`start`] by a rider, [`delivery`] to the station, [`inbox`] from it ([`outcome`] of a
//! command, [`returns`] of a bank), [`overdue`] by time, [`dues`] and [`on_payments`] by money,
//! [`staff`] by people. [`forgotten`] mends what no job took care of. [`audit`] checks that the
//! books agree.

pub mod machine;
pub mod pricing;

mod bank_history;
mod bills;
mod case;
mod places;
pub(crate) mod preconditions;
mod settings;

pub mod direct;
pub mod start;

pub mod cancel;
pub mod extend;
pub mod swap;

pub mod delivery;
pub mod gateway_client;

pub mod inbox;
pub mod outcome;
pub mod returns;

pub mod dues;
pub mod on_payments;

pub mod forgotten;
pub mod overdue;
pub mod remind;
pub mod reward;

pub mod options;

pub mod active;
pub mod detail;
pub mod events;
pub mod history;
pub mod late_fees;
pub mod stats;

pub mod issues;
pub mod location;

pub mod remote;
pub mod staff;
pub mod staff_detail;
pub mod staff_issues;

pub mod apply_again;

pub mod audit;
pub mod metrics;

use crate::app::App;
use crate::{news, refusals};
use axum::Router;
use chrono::{DateTime, Utc};
use entities::id::{RentalId, StationId, UserId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What others may want to know of rentals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// The bank is out.
    Started {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// Where, in people's words.
        station_name: String,
        /// When the bank left.
        started_at: DateTime<Utc>,
        /// When it must be back.
        due_at: DateTime<Utc>,
    },
    /// The bank never left; what was set aside is given back.
    Cancelled {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// Why.
        reason: CancelReason,
    },
    /// The bank is back and the rental charged.
    Completed {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// Where it came back; none if staff said so.
        station: Option<StationId>,
        /// Where it ended, in people's words.
        station_name: String,
        /// What it cost.
        total_paisa: i64,
        /// Of that, what could not be paid.
        due_paisa: i64,
        /// Whether it was back in time.
        on_time: bool,
        /// What was given back of the charge for a lost bank; none if it was never lost.
        #[serde(default)]
        given_back_paisa: Option<i64>,
    },
    /// The bank has been out for so long that the rider has bought it. It may still come back.
    Lost {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// What the bank costs.
        fee_paisa: i64,
        /// Of the whole bill, what could not be paid.
        due_paisa: i64,
    },
    /// Its time is over and the bank is not back.
    Overdue {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// When it must have been back.
        due_at: DateTime<Utc>,
    },
    /// Its time is over soon.
    EndingSoon {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// When it must be back.
        due_at: DateTime<Utc>,
    },
    /// The rider has bought more time.
    Extended {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// How much more time.
        minutes: u32,
        /// What that costs.
        cost_paisa: i64,
        /// When it must be back now.
        due_at: DateTime<Utc>,
    },
    /// What was open after its bill is paid.
    DuePaid {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// How much it was.
        amount_paisa: i64,
    },
    /// A start that was paid at a provider did not happen; the money is in the wallet.
    PaidStartRefused {
        /// Whose.
        user: UserId,
        /// Which payment, as riders know it.
        intent_id: String,
        /// Why, for programs.
        code: String,
        /// Why, for people.
        reason: String,
    },
    /// Staff have dealt with what the rider reported.
    IssueResolved {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
        /// What staff did about it.
        note: String,
    },
    /// Nobody knows whether the bank is out; the rider may rent another one meanwhile.
    InDoubt {
        /// Which rental.
        rental: RentalId,
        /// Whose.
        user: UserId,
        /// Its code for people.
        code: String,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "rentals";
}

/// Why a rental came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The eject never reached the station.
    StationUnreachable,
    /// The station refused the eject before anything moved.
    StationRefused,
    /// The station tried, and the bank is still in its slot.
    EjectFailed,
    /// The rider called it off in time.
    Withdrawn,
    /// Staff found that the bank never left.
    DecidedByStaff,
}

impl CancelReason {
    /// For people, after "nothing was charged:".
    pub const fn words(self) -> &'static str {
        match self {
            Self::StationUnreachable => "the station could not be reached",
            Self::StationRefused => "the station could not give out that power bank",
            Self::EjectFailed => "the power bank stayed in its slot",
            Self::Withdrawn => "you called it off",
            Self::DecidedByStaff => "our staff found the power bank in its slot",
        }
    }

    /// The code on the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StationUnreachable => "station_unreachable",
            Self::StationRefused => "station_refused",
            Self::EjectFailed => "eject_failed",
            Self::Withdrawn => "withdrawn",
            Self::DecidedByStaff => "decided_by_staff",
        }
    }
}

refusals! {
    /// What riders and staff are refused, in order of precedence.
    pub enum Refusal {
        RentalNotFound = 404 "rental_not_found" "There is no such rental.",
        LateFeeConfigNotFound = 404 "late_fee_config_not_found" "There is no such version of late fees.",
        RentalIssueNotFound = 404 "rental_issue_not_found" "There is no such report.",
        CommandNotFound = 404 "command_not_found" "There is no such order to this station.",
        PackageNotFound = 422 "package_not_found" "There is no such package.",
        PrerequisitesNotMet = 403 "rental_prerequisites_not_met" "The profile must be completed, and verified, before a rental.",
        OverdueRentalExists = 409 "overdue_rental_exists" "A power bank is overdue; return it first.",
        ActiveRentalExists = 409 "active_rental_exists" "A rental is running already.",
        UnpaidRentalExists = 409 "unpaid_rental_exists" "An earlier rental is not paid.",
        StationMaintenance = 409 "station_maintenance" "The station is being repaired.",
        StationOffline = 503 "station_offline" "The station cannot be reached right now.",
        StationBusy = 503 "station_busy" "The station has too many orders on their way.",
        SlotNotOccupied = 409 "slot_not_occupied" "No power bank is in that slot.",
        BankInRental = 409 "powerbank_in_rental" "That power bank belongs to a rental.",
        NoPowerBanks = 409 "no_powerbanks_available" "No charged power bank is free at this station.",
        RequestedPowerBankUnavailable = 409 "requested_powerbank_unavailable" "That power bank is not free at this station.",
        PaymentModeNotSupported = 422 "payment_mode_not_supported" "This way of paying is not possible here.",
        PaymentRequired = 402 "payment_required" "It must be paid first.",
        PaidTooLate = 409 "paid_too_late" "The payment came too late to start a rental with it.",
        InsufficientPostpaidBalance = 402 "insufficient_postpaid_balance" "The wallet holds less than a postpaid rental needs.",
        RentalNotStarted = 409 "rental_not_started" "The power bank is not out yet.",
        RentalOverdue = 409 "rental_overdue" "The rental is overdue; return the power bank.",
        MaxExtensionsReached = 409 "max_extensions_reached" "The rental cannot become longer any more.",
        PowerBankStationMismatch = 409 "powerbank_station_mismatch" "The power bank was returned at another station.",
        SwapWindowExpired = 409 "swap_window_expired" "It is too late to swap the power bank.",
        RentalRefunded = 409 "rental_refunded" "Money of this rental went back, or was asked back; it cannot go on with another power bank.",
        AlreadySwapped = 409 "already_swapped" "The power bank was swapped already.",
        SwapLimitExceeded = 409 "swap_limit_exceeded" "Too many power banks were swapped at this station today.",
        NoSwapPowerBank = 409 "no_swap_powerbank_available" "No other power bank is free at this station.",
        PowerBankNotReturned = 409 "powerbank_not_returned" "The power bank is out; return it to end the rental.",
        NoDueAmount = 409 "no_due_amount" "Nothing is open for this rental.",
        PaymentAmountMismatch = 422 "payment_amount_mismatch" "Another amount is open; it is paid whole or not at all.",
        ParkedEventNotFound = 404 "parked_event_not_found" "There is no parked event with such an incident.",
        EventNotApplicable = 409 "event_not_applicable" "The event still cannot be applied.",
        OwnRental = 403 "own_rental" "Nobody decides about a rental of their own.",
        IssueAlreadyReported = 409 "rental_issue_already_reported" "That was reported already; our staff are looking at it.",
        IssueAlreadyResolved = 409 "rental_issue_already_resolved" "That report is dealt with already.",
        LocationTooSoon = 429 "location_too_soon" "A place was noted a moment ago.",
        TooManyStreams = 429 "too_many_streams" "This rider watches enough rentals already.",
        InvalidRentalStatus = 409 "invalid_rental_status" "The rental is not in a state that allows this.",
    }
}

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start::start))
        .routes(routes!(start::start_as_payment))
        .routes(routes!(options::calculate))
        .routes(routes!(cancel::cancel))
        .routes(routes!(extend::extend))
        .routes(routes!(swap::swap))
        .routes(routes!(dues::pay_due))
        .routes(routes!(dues::pay_due_as_payment))
        .routes(routes!(active::show))
        .routes(routes!(history::list))
        .routes(routes!(detail::show))
        .routes(routes!(events::watch))
        .routes(routes!(stats::show))
        .routes(routes!(location::record))
        .routes(routes!(issues::report))
        .routes(routes!(issues::report_as_issue, issues::list))
        .routes(routes!(late_fees::list, late_fees::create))
        .routes(routes!(late_fees::activate))
        .routes(routes!(late_fees::trial::test_calculation))
        .routes(routes!(bank_history::bank_history))
        .routes(routes!(staff::list))
        .routes(routes!(staff_detail::show))
        .routes(routes!(staff::decide))
        .routes(routes!(staff::force_complete))
        .routes(routes!(remote::order))
        .routes(routes!(remote::view::list))
        .routes(routes!(remote::view::show))
        .routes(routes!(staff_issues::list))
        .routes(routes!(staff_issues::resolve))
        .routes(routes!(apply_again::apply_again))
}

/// What gateways call.
pub fn internal_routes() -> Router<App> {
    inbox::routes()
}

/// Takes up what the last process left: commands on their way, events that wait.
pub(crate) fn take_up(app: &App, tracker: &TaskTracker, shutdown: &CancellationToken) {
    metrics::describe();
    let resumed = app.clone();
    tracker.spawn(async move {
        if let Err(error) = delivery::resume(&resumed).await {
            tracing::error!(%error, "commands on their way could not be taken up; they are checked at their expiry");
        }
    });
    tracker.spawn(inbox::sweep(app.clone(), shutdown.clone()));
    tracker.spawn(metrics::watch(app.clone(), shutdown.clone()));
    tracker.spawn(forgotten::watch(app.clone(), shutdown.clone()));
}
