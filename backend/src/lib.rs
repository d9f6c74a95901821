//! The backend of Chautari: REST API, jobs and the books of the rental network.
//!
//! Read in this order: [`app`] says what exists and who listens to whom, a domain's `mod.rs` lists its use
//! cases, and a use case is one file. Domains call only to their left in the list below and pass the
//! caller's transaction; news to the right travels as jobs.

pub mod app;

pub mod achievements;
pub mod aggregates;
mod analytics;
pub mod content;
pub mod exports;
pub mod identity;
pub mod media;
pub mod notifications;
pub mod payments;
pub mod points;
pub mod promotions;
pub mod referrals;
pub mod rentals;
pub mod riders;
pub mod staff;
pub mod stations;

mod console;

pub mod api;
pub mod app_config;
pub mod audit;
pub mod auth;
pub mod batch;
pub mod cache;
pub mod calendar;
pub mod clock;
pub mod config;
pub mod crash;
pub mod csv;
pub mod db;
pub mod error;
pub mod extract;
pub mod housekeeping;
pub mod http;
pub mod idempotency;
mod incidents;
pub mod jobs;
pub mod limits;
mod metrics;
pub mod money;
pub mod news;
pub mod nightly;
pub mod outside;
pub mod page;
pub mod random;
pub mod rate;
pub mod resource;
mod server;
pub mod system_log;
