//! Refunds: a rider asks, staff decide, and the money goes back to where it came from. A charge
//! goes back to the wallet; a top-up goes back through its provider, as far as the wallet holds it.
//!
//! [`machine`] is the rule, pure; `terms` says what can be given back; `case` does a step with
//! its money in one transaction; [`deliver`] is the job that speaks to providers.

pub mod machine;

pub(crate) mod audit;
pub(crate) mod case;
mod money;
pub(crate) mod terms;

pub mod deliver;
pub mod request;
pub mod staff;
