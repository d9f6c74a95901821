//! The backend from its edges: HTTP requests in, answers and books out, on every database at hand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod achievements;
mod authorization;
mod books;
mod colleagues;
mod content;
mod conventions;
mod crowds;
mod doors;
mod explain;
mod given_back;
mod idempotency;
mod identity;
mod invariants;
mod invoices;
mod jobs;
mod kills;
mod leaderboard;
mod ledger;
mod moody_provider;
mod notifications;
mod openapi;
mod operations;
mod payments;
mod permissions;
mod permutations;
mod places;
mod points;
mod promotions;
mod providers;
mod reconciliation;
mod refunds;
mod rentals;
mod retry;
mod riders;
mod running;
mod second_factor;
mod staff;
mod statements;
mod stations;
mod strangers;
mod system;
mod test_app;
mod tour;
