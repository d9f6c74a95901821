//! What the state of a session costs, and what it tells.

use core::fmt::Debug;
use core::hash::Hash;

use protocol::crypto::MasterKey;
use protocol::session::gateway::GatewaySession;
use protocol::session::station::StationSession;

use super::pair::Pair;
use super::world::STATION_ID;

#[test]
fn a_gateway_session_needs_at_most_400_bytes() {
    let bytes = size_of::<GatewaySession>();
    assert!(bytes <= 400, "{bytes} bytes");
}

#[test]
fn a_station_without_samples_needs_at_most_1_500_bytes() {
    let bytes = size_of::<StationSession<0>>();
    assert!(bytes <= 1_500, "{bytes} bytes");
}

#[test]
fn states_can_be_copied_and_compared() {
    const fn is_comparable<State: Clone + Eq + Hash + Debug>() {}
    is_comparable::<GatewaySession>();
    is_comparable::<StationSession<0>>();
    let pair = Pair::open();
    assert_eq!(pair.station, pair.station.clone());
    assert_eq!(pair.gateway, pair.gateway.clone());
}

#[test]
fn no_key_shows_in_the_debug_text() {
    let pair = Pair::open();
    let text = format!("{:?} {:?} {:?}", pair.station, pair.gateway, pair.board.flash);
    let epoch = pair.station.epoch().unwrap();
    let key = MasterKey::from_bytes([1; 32]).station_key(STATION_ID, 0);
    let keys = key.session_keys(&[0xFE; 16], &[1; 16], epoch);
    for secret in [key.expose(), keys.to_gateway.expose(), keys.to_station.expose()] {
        let listed = format!("{secret:?}");
        assert!(!text.contains(&listed[1..listed.len() - 1]), "I13");
        assert!(!text.contains(&hex::encode(secret)), "I13");
    }
}
