//! Rentals through HTTP: riders at one end, a gateway with a memory at the other, on every database at hand.

mod analytics;
mod cancel;
mod crowd;
mod doubt;
mod dues;
mod extend;
mod figures;
mod giving_back;
mod inbox;
mod kills;
mod leaving;
mod lost;
mod orders;
mod paying;
mod preconditions;
mod returns;
mod rewards;
mod start;
mod swap;
mod telling;
mod watching;
mod world;

use crate::test_app::TestApp;
use entities::id::{RentalId, UserId};

/// A rider in the middle of a rental, for tests that look at riders from outside.
pub(crate) struct UnderWay {
    pub(crate) test: TestApp,
    pub(crate) rider: UserId,
    pub(crate) token: String,
    pub(crate) rental: RentalId,
}

/// The serial number of the station where it began.
pub(crate) const STATION: &str = "KTM-1";

/// One on each database at hand.
pub(crate) async fn under_way() -> Vec<UnderWay> {
    let mut all = Vec::new();
    for world in world::World::on_each_backend().await {
        world.station(STATION, &[Some(1), Some(2), None]).await;
        let rider = world.rider(500).await;
        let rental = world.start_and_eject(&rider, STATION).await;
        world.settle().await;
        all.push(UnderWay { test: world.test, rider: rider.id, token: rider.token, rental });
    }
    all
}
