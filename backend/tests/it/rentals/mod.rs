//! Rentals through HTTP: riders at one end, a gateway with a memory at the other, on every database at hand.

mod analytics;
mod cancel;
mod crowd;
mod doubt;
mod dues;
mod figures;
mod giving_back;
mod inbox;
mod kills;
mod lost;
mod orders;
mod paying;
mod returns;
mod start;
mod telling;
mod world;
