//! The protocol from outside: bytes, messages, the text of SPEC.md.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "std")]
mod contract;
mod corruption;
#[cfg(feature = "std")]
mod fuzz_smoke;
mod golden;
mod inverse;
mod keys;
mod session;
mod spec;
mod strictness;
mod telemetry;
