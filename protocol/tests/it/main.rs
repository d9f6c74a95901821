//! The protocol from outside: bytes, messages, the text of SPEC.md.

#[cfg(feature = "std")]
mod contract;
mod corruption;
mod golden;
mod inverse;
mod keys;
mod session;
mod strictness;
mod telemetry;
