//! The gateway: holds the stations' sockets and stands between them and the backend.
//!
//! It keeps no durable state. Events go to the backend, telemetry to the store, and nothing is
//! acknowledged to a station before one of the two has it on disk; the two lanes never wait
//! for each other. Commands come over HTTP; each is written to a socket at most once, ever, and what is
//! said to be unsent never reaches one.
//!
//! ```text
//! stations ──TCP──► listener ─► worker: connection (one task each, drives the session machine)
//!                                  │ events        │ samples        ▲ commands
//!                               uplink ─► backend  telemetry ─► store  │
//!                                  └──── acknowledgements ────────► registry ◄── control ◄── backend
//! ```
//!
//! * A socket: `listener` → `worker` → `connection` (its turn; `received`: what frames mean; `flow`: when it is not read).
//! * Who may in: `admission`, `keyring`, `roster`, `service` (places).
//! * Who speaks for a station: `registry`, `presence`, `announcements`.
//! * To the backend and the store: `uplink`, `telemetry`; `lanes` (what found no room), `credit` (windows), `budget` (bytes),
//!   `pace` (shared rounds).
//! * From the backend: `control`, `commands`. To people: `metrics`, `reasons`, `lines`, `trace`. The end: `drain`.
//!
//! [`Gateway::start`] takes bound listeners and a stop signal; [`Gateway::join`] returns after the
//! graceful drain. `metrics::describe` belongs to whoever installs the recorder.

mod gateway;

pub mod budget;
pub mod config;
mod credit;
pub mod limits;
pub mod reasons;

pub mod codec;
mod connection;
mod lanes;
mod lines;
pub mod listener;
mod pace;
mod service;
mod worker;

pub mod admission;
pub mod keyring;
pub mod roster;

pub mod commands;
pub mod control;
pub mod presence;
pub mod registry;
pub mod trace;

pub mod announcements;
pub mod backend;
pub mod telemetry;
pub mod uplink;

pub mod drain;

pub mod crash;
pub mod metrics;

pub use config::Settings;
pub use connection::Transport;
pub use control::InternalKeys;
pub use drain::DrainReport;
pub use gateway::{Gateway, Health, Listeners, Parts, StartError};
pub use keyring::KeyRing;
