//! CSP/1, the Chautari Station Protocol.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "std")]
extern crate std;

pub mod types;

#[cfg(feature = "std")]
pub mod clock;
#[cfg(feature = "std")]
pub mod control;
#[cfg(feature = "std")]
pub mod crash;
