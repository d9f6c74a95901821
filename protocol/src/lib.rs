//! CSP/1, the Chautari Station Protocol: frame → message → session.
//!
//! The normative text is `SPEC.md` beside this crate. Nothing here does I/O or reads a clock, and
//! decoding allocates nothing.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod frame;
pub mod message;
pub mod session;

pub mod crypto;
pub mod limits;
pub mod time;
pub mod types;

#[cfg(feature = "std")]
pub mod clock;
#[cfg(feature = "std")]
pub mod control;
#[cfg(feature = "std")]
pub mod crash;
#[cfg(feature = "std")]
pub mod explain;
