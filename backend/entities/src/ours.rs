//! Our own tables, which the ER diagram does not have, in the groups of `migration/initial/`.

// Rentals.
pub mod late_fee_config;

// Money.
pub mod hold;
pub mod ledger_account;
pub mod ledger_balance;
pub mod ledger_entry;
pub mod ledger_posting;
pub mod payment_attempt;
pub mod reconciliation_line;
pub mod reconciliation_report;
pub mod sandbox_payment;
pub mod sandbox_refund;
pub mod tax_invoice;
pub mod tax_invoice_print;

// Work over many rows, and what days add up to.
pub mod batch_part;
pub mod batch_run;
pub mod daily_aggregate;

// Commands to stations, their events, jobs, sessions.
pub mod broadcast;
pub mod command;
pub mod device_sighting;
pub mod former_rider;
pub mod idempotency_key;
pub mod incident;
pub mod job;
pub mod otp_request;
pub mod otp_send_count;
pub mod staff_credential;
pub mod staff_recovery_code;
pub mod staff_session;
pub mod station_event;
pub mod station_inventory;
pub mod station_key;
pub mod user_session;
