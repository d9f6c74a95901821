//! The pure machines of a rental: no I/O, no clock, no randomness.
//!
//! [`rental::Rental::step`] takes what was learned and says what follows; the shell around it
//! loads, steps and applies in one transaction. The same code is walked exhaustively by the
//! model check.

pub mod command;
pub mod decision;
pub mod rental;
pub mod sight;
