//! Both ends of a session.

mod commands;
mod exhaustive;
mod hostile;
mod lanes;
mod login;
mod pair;
mod power;
mod random;
mod state;
mod wire;
mod world;
