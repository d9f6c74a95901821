//! The gateway from the outside: real sockets, a backend that keeps its state, a store in memory.

mod harness;

mod attacks;
mod commands;
mod control;
mod events;
mod fleet;
mod login;
mod telemetry;
