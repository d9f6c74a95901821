//! What riders are told: the inbox, and the ways out of it.

mod broadcast;
mod inbox;
mod push;
