//! Our payments beside each provider's own book, day by day (L15), and what is still open between us.
//!
//! A report asks the provider for every payment that was opened on one day in Kathmandu, whatever
//! we think of it. [`compare`] says how the two books agree, pure; [`run`] is the job that asks, a
//! few payments at a time, and goes on where it stopped; `line` writes what it hears of one; [`daily`] starts one for each provider
//! every night. Money that the provider has and we had not credited is credited on the way.
//! [`ageing`] says how long money has been waiting in clearing and in suspense.

pub mod ageing;
pub mod compare;
pub mod daily;
pub mod download;
mod line;
pub mod report;
pub mod run;
pub mod staff;
