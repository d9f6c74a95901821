//! What riders are told: the inbox, and the ways out of it.

mod broadcast;
mod carriers;
mod inbox;
mod mail;
mod push;
mod texts;
