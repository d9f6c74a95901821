//! The gateway: holds the stations' sockets and stands between them and the backend.
//!
//! It keeps no durable state. Events go to the backend, telemetry to the store, and nothing is
//! acknowledged to a station before one of the two has it on disk.

pub mod config;
pub mod limits;

pub mod backend;
pub mod commands;
pub mod control;
pub mod presence;
pub mod registry;
pub mod telemetry;
pub mod uplink;

pub mod crash;
pub mod metrics;
