//! Top-ups through the providers' doubles, over real HTTP: whatever the providers and their
//! visitors do, what was paid is credited once.

mod esewa;
mod every_provider;
mod khalti;
mod outages;
mod stripe;
pub(crate) mod stripe_world;
mod webhooks;
pub(crate) mod world;
