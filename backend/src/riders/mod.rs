//! A rider as a whole: what no single domain knows. Stands right of all domains and reads from each.

pub mod me;

pub mod eligibility;
pub mod usage;

pub mod deletion;
mod forget;
mod forget_words;

use crate::app::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The operations of this room.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(usage::show))
        .routes(routes!(deletion::delete_account))
}

crate::refusals! {
    /// Why an account cannot be deleted yet, in order of precedence.
    pub enum Refusal {
        StaffAccount = 409 "staff_account" "This person works here; their account is closed by a colleague first.",
        RentalOpen = 409 "rental_open" "A rental is running; return the power bank first.",
        AmountDue = 409 "amount_due" "Something is still to be paid.",
        MoneyInFlight = 409 "money_in_flight" "Money is on its way; wait until it has arrived.",
        WalletNotEmpty = 409 "wallet_not_empty" "The wallet still holds money.",
    }
}
