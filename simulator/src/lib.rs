//! Stations and riders that behave like real ones: for the demo, tests, load and benches.

pub mod bank;
pub mod cabinet;
pub mod rest;
pub mod riders;
