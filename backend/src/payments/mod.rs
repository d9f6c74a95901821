//! Money: the ledger, holds for rentals, and what riders pay through providers.
//!
//! Read in this order: [`ledger`], [`split`] and [`machine`] are the rules, pure. [`book`], [`holds`] and [`dues`]
//! write the ledger; the domain of rentals calls [`holds`], [`dues`] and [`intent`]. [`provider`] is what a payment
//! provider is to us, [`sandbox`] the built-in one; [`khalti`], [`esewa`] and [`stripe`] are called through
//! [`outside`](crate::outside). [`intent`] opens a payment at one of them; [`verify`], [`webhook`] and [`reconcile`] make us ask
//! about it; [`truth`] is what the answer means, [`sync`] does what follows, `given_back` where the payer has the
//! money again. [`refunds`], [`invoices`] and [`reconciliation`] have a folder each. The rest is a file per operation.

pub mod ledger;
pub mod machine;
pub mod split;

pub mod book;
pub mod dues;
pub mod holds;
mod incidents;

pub mod outside;
pub mod provider;
pub mod providers;
pub mod sandbox;

pub mod esewa;
pub mod khalti;
pub mod stripe;

mod hints;
pub mod sync;
pub mod truth;

mod given_back;
pub mod invoices;
pub mod reconciliation;
pub mod settlement;

pub mod intent;
pub mod refunds;

mod add_balance;
pub mod cancel;
pub mod methods;
pub mod reconcile;
pub mod retry;
mod staff_methods;
pub mod statement;
pub mod status;
pub mod topup;
pub mod transactions;
pub mod verify;
pub mod wallet;
pub mod webhook;

pub mod audit;
pub mod metrics;

use entities::id::{LedgerEntryId, PaymentAttemptId, PaymentIntentId, RefundId, RentalId, UserId};
use entities::payment_intent::PaymentIntentType;
use entities::refund::{RefundDestination, RefundStatus};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::{news, resource};

pub use hints::Hints;
pub use ledger::{Bill, Captured};

/// What others may want to know of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// A top-up arrived in a wallet.
    WalletToppedUp {
        /// Whose.
        user: UserId,
        /// Through which attempt; once for each.
        attempt: PaymentAttemptId,
        /// Which payment, as riders know it.
        intent_id: String,
        /// How much, paisa.
        amount_paisa: i64,
        /// The method's name for people.
        method: String,
        /// What the wallet holds then, paisa.
        balance_paisa: i64,
    },
    /// Staff put money of the network into a wallet.
    BalanceAdded {
        /// Whose.
        user: UserId,
        /// The entry in the books; once for each.
        entry: LedgerEntryId,
        /// How much, paisa.
        amount_paisa: i64,
        /// What the wallet holds then, paisa.
        balance_paisa: i64,
        /// Why, in words of staff.
        reason: String,
    },
    /// What a rider wanted to pay through a provider is in the wallet now: use it for that.
    IntentPaid {
        /// Whose.
        user: UserId,
        /// Which intent.
        intent: PaymentIntentId,
        /// Through which attempt; once for each.
        attempt: PaymentAttemptId,
        /// What for. Never a plain top-up.
        purpose: PaymentIntentType,
        /// The rental with the open amount, for that purpose.
        rental: Option<RentalId>,
    },
    /// A refund was approved, rejected, processed, or failed.
    RefundMoved {
        /// Whose.
        user: UserId,
        /// Which.
        refund: RefundId,
        /// How much, paisa.
        amount_paisa: i64,
        /// Where the money goes.
        destination: RefundDestination,
        /// Where it stands now.
        status: RefundStatus,
        /// What staff said.
        note: Option<String>,
    },
}

impl news::News for News {
    const DOMAIN: &'static str = "payments";
}

crate::refusals! {
    /// What riders and staff are refused where money is concerned.
    pub enum Refusal {
        TransactionNotFound = 404 "transaction_not_found" "There is no such transaction.",
        ReportNotFound = 404 "report_not_found" "There is no such report.",
        IntentNotFound = 404 "intent_not_found" "There is no such payment.",
        RefundNotFound = 404 "refund_not_found" "There is no such refund.",
        RiderNotFound = 404 "rider_not_found" "There is no such rider.",
        OwnWallet = 403 "own_wallet" "Nobody puts money into their own wallet.",
        AccountClosed = 409 "account_closed" "This account is not in use.",
        OwnRefund = 403 "own_refund" "Nobody decides about a refund of their own.",
        TransactionNotRefundable = 409 "transaction_not_refundable" "Nothing of this transaction can be given back.",
        RentalIsLost = 409 "rental_lost" "The power bank counts as lost: its return may still turn this charge round.",
        RentalWentOn = 409 "rental_swapped" "The rental went on with another power bank, for which this charge pays.",
        DuplicateRefund = 409 "duplicate_refund" "A refund of this transaction is open already.",
        RefundTooHigh = 422 "refund_exceeds_payment" "So much was not paid, or is given back already.",
        RefundExceedsBalance = 409 "refund_exceeds_balance" "The wallet does not hold so much any more.",
        TopupPointsSpent = 409 "topup_points_spent" "The points that came with this top-up are spent.",
        InvalidRefundStatus = 409 "invalid_refund_status" "The refund does not stand where that is possible.",
        MethodNotFound = 422 "payment_method_not_found" "There is no such payment method.",
        MethodRequired = 422 "payment_method_required" "This way of paying needs a payment method.",
        SplitMismatch = 422 "split_total_mismatch" "The points asked for do not fit the amount and the way of paying.",
        AmountTooLow = 422 "amount_too_low" "The amount is below the method's minimum.",
        AmountTooHigh = 422 "amount_too_high" "The amount is above the method's maximum.",
        IntentCompleted = 409 "intent_completed" "The payment has arrived already.",
        TooManyAttempts = 409 "too_many_attempts" "This payment was tried too often; begin a new one.",
        TooManyOpenPayments = 409 "too_many_open_payments" "Too many payments are open; finish or cancel one of them.",
        InvalidIntentStatus = 409 "invalid_intent_status" "The payment is not open any more.",
        ProviderRefused = 502 "provider_refused" "The payment provider did not take the order.",
        ProviderUnavailable = 503 "provider_unavailable" "The payment provider does not answer; try again.",
    }
}

/// Starts what this domain does beside requests.
pub(crate) fn start(app: &App, tracker: &TaskTracker, shutdown: &CancellationToken) {
    metrics::describe();
    tracker.spawn(metrics::watch_ledger(app.clone(), shutdown.clone()));
    tracker.spawn(reconciliation::ageing::watch(app.clone(), shutdown.clone()));
    let app = app.clone();
    tracker.spawn(async move {
        if let Err(error) = reconciliation::daily::keep_going(&app).await {
            tracing::error!(%error, "today will not be reconciled by itself");
        }
    });
}

/// The operations of this domain.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(methods::list))
        .routes(routes!(topup::create))
        .routes(routes!(verify::verify))
        .routes(routes!(verify::came_back))
        .routes(routes!(webhook::receive))
        .routes(routes!(retry::retry))
        .routes(routes!(status::status))
        .routes(routes!(cancel::cancel))
        .routes(routes!(transactions::list))
        .routes(routes!(wallet::show))
        .routes(routes!(statement::show))
        .routes(routes!(invoices::receipt::show))
        .routes(routes!(reconciliation::staff::list, reconciliation::staff::start))
        .routes(routes!(reconciliation::staff::show))
        .routes(routes!(reconciliation::download::download))
        .routes(routes!(settlement::settle))
        .routes(routes!(add_balance::add_balance))
        .routes(routes!(refunds::request::list))
        .routes(routes!(refunds::request::request))
        .routes(routes!(refunds::staff::list))
        .routes(routes!(refunds::staff::pending))
        .routes(routes!(refunds::staff::approve))
        .routes(routes!(refunds::staff::reject))
        .routes(routes!(refunds::staff::process))
        .merge(resource::routes::<staff_methods::PaymentMethodFields>())
}
