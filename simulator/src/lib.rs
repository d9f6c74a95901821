//! Stations and riders that behave like real ones: for the demo, tests, load and benches.
//!
//! [`station`] joins the protocol's own session machine with a TCP socket and a [`cabinet`];
//! [`fleet`] is many of them; [`faults`] lets things go wrong on purpose; [`riders`] are the people in
//! the [`street`], who use the public REST API alone; [`load`] measures a gateway with stations that are
//! as light as they can be; [`explain`] shows what a station says.

pub mod fleet;
pub mod station;

pub mod explain;
pub mod load;

pub mod bank;
pub mod cabinet;
pub mod faults;
pub mod flash;
pub mod limits;
pub mod rest;
pub mod riders;
pub mod street;
pub mod tally;

mod saved;

pub use saved::SavedError;
