//! Who gets a session, and which session wins.

use crate::harness::{Identity, Refused, Station, World, eventually, master, next_station_id};
use chautari_gateway::config::UnknownStations;
use chautari_gateway::reasons::Reason;
use protocol::clock::ManualClock;
use protocol::control::Admission;
use protocol::frame::MessageType;
use protocol::message::{Message, RetryReason};
use protocol::types::Epoch;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_known_station_logs_in_and_the_backend_is_told() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    assert_eq!(station.epoch, Epoch::from_parts(1, 1, 1).unwrap());
    station.expect_alive().await;
    assert_eq!(world.gateway.sessions(), 1);
    eventually("the announcement", || !world.backend.sessions(identity.station_id).is_empty()).await;
    let told = &world.backend.sessions(identity.station_id)[0];
    assert_eq!((told.epoch, told.firmware.as_str(), told.slots), (station.epoch, "test 1.0", Some(8)));
    assert_eq!(told.instance_id, world.gateway.instance_id());
}

#[tokio::test]
async fn a_station_may_come_another_way_than_through_the_listener() {
    let world = World::with(|settings| settings.connections_max = 1).await;
    let mut identity = world.approved_station().await;
    identity.conn_no += 1;
    let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, peer) = (tunnel.local_addr().unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (near, mut far) = tokio::io::duplex(256);
    world.gateway.attach(Box::new(near), peer).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = tunnel.accept().await.unwrap();
        tokio::io::copy_bidirectional(&mut stream, &mut far).await
    });
    let mut station = Station::log_in(address, &identity).await.unwrap();
    station.expect_alive().await;
    let (other, _far) = tokio::io::duplex(256);
    assert_eq!(world.gateway.attach(Box::new(other), peer), Err(Reason::ConnectionsMax));
    drop(station);
    eventually("its place is free again", || world.gateway.connections() == 0).await;
}

#[tokio::test]
async fn an_unknown_station_with_a_right_key_is_pending() {
    let world = World::new().await;
    let identity = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
    let refused = Station::log_in(world.gateway.station_addr(), &identity).await.err().unwrap();
    assert_eq!((refused.reason, refused.is_proven), (RetryReason::NotApproved, true));
    assert_eq!(world.gateway.sessions(), 0);
}

#[tokio::test]
async fn a_load_test_may_let_unknown_stations_in_and_nobody_else() {
    let world = World::with(|settings| {
        settings.listen = "127.0.0.1:0".parse().unwrap();
        settings.unknown_stations = UnknownStations::Accept;
    })
    .await;
    let stranger = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
    let mut station = Station::log_in(world.gateway.station_addr(), &stranger).await.unwrap();
    station.expect_alive().await;
    let refusal_of = async |identity: Identity| {
        Station::log_in(world.gateway.station_addr(), &identity).await.err().map(|refused| refused.reason)
    };
    let other_master = Identity { key_id: 99, conn_no: 1, ..Identity::new(next_station_id()) };
    assert_eq!(refusal_of(other_master).await, Some(RetryReason::UnknownKey));
    let revoked = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
    world.backend.admit(revoked.station_id, Admission::Revoked, 0);
    world.backend.wait_until_followed(revoked.station_id).await;
    assert_eq!(refusal_of(revoked).await, Some(RetryReason::Revoked));
    let (known, mut session) = world.session().await;
    session.expect_alive().await;
    eventually("the announcement", || !world.backend.sessions(known.station_id).is_empty()).await;
    assert!(world.backend.sessions(stranger.station_id).is_empty(), "the backend knows nothing to tell it");
}

#[tokio::test]
async fn a_revoked_station_loses_its_session_and_gets_no_other() {
    let world = World::new().await;
    let (mut identity, mut station) = world.session().await;
    world.backend.admit(identity.station_id, Admission::Revoked, 0);
    assert!(station.wait_for_close().await.contains(&MessageType::GOAWAY));
    identity.conn_no += 1;
    let refused = Station::log_in(world.gateway.station_addr(), &identity).await.err().unwrap();
    assert_eq!((refused.reason, refused.is_proven), (RetryReason::Revoked, false));
}

#[tokio::test]
async fn an_older_key_generation_is_refused_after_a_new_one_is_required() {
    let world = World::new().await;
    let (mut identity, mut station) = world.session().await;
    world.backend.admit(identity.station_id, Admission::Approved, 2);
    station.wait_for_close().await;
    identity.conn_no += 1;
    let refused = Station::log_in(world.gateway.station_addr(), &identity).await.err().unwrap();
    assert_eq!(refused.reason, RetryReason::Revoked);
    identity = Identity { key_gen: 2, key: master().station_key(identity.station_id, 2), ..identity };
    assert!(Station::log_in(world.gateway.station_addr(), &identity).await.is_ok());
}

#[tokio::test]
async fn a_wrong_key_gets_no_further_than_the_proof() {
    let world = World::new().await;
    let mut identity = world.approved_station().await;
    identity.conn_no = 1;
    let unknown_master = Identity { key_id: 99, ..identity.clone() };
    let refused = Station::log_in(world.gateway.station_addr(), &unknown_master).await.err().unwrap();
    assert_eq!(refused.reason, RetryReason::UnknownKey);
    assert!(Station::log_in(world.gateway.station_addr(), &identity).await.is_ok(), "no epoch was spent");
}

#[tokio::test]
async fn the_higher_epoch_takes_over_and_a_lower_one_is_refused() {
    let world = World::new().await;
    let (mut identity, mut first) = world.session().await;
    let mut second = world.log_in(&mut identity).await;
    assert!(first.wait_for_close().await.contains(&MessageType::GOAWAY), "the old one is told");
    second.expect_alive().await;
    let late = Identity { conn_no: 1, ..identity.clone() };
    let refused = Station::log_in(world.gateway.station_addr(), &late).await.err().unwrap();
    assert_eq!((refused.reason, refused.is_proven), (RetryReason::StaleEpoch, true));
    second.expect_alive().await;
    assert_eq!(world.gateway.sessions(), 1);
}

#[tokio::test]
async fn before_the_first_roster_stations_are_told_to_come_again() {
    let world = World::without_backend().await;
    let identity = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
    let refused = Station::log_in(world.gateway.station_addr(), &identity).await.err().unwrap();
    assert_eq!((refused.reason, refused.is_proven), (RetryReason::Unavailable, false));
    world.backend.set_away(false);
    world.backend.approve(identity.station_id);
    eventually("the roster", || world.gateway.health().roster).await;
    world.backend.wait_until_followed(identity.station_id).await;
    assert!(Station::log_in(world.gateway.station_addr(), &identity).await.is_ok());
}

#[tokio::test]
async fn a_login_storm_is_answered_with_computed_waits() {
    let world = World::with_clock(Arc::new(ManualClock::at(1_800_000_000_000)), |settings| {
        settings.admission.logins_per_s = 1;
        settings.admission.burst = 2;
    })
    .await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        let mut identity = world.approved_station().await;
        identity.conn_no = 1;
        answers.push(Station::log_in(world.gateway.station_addr(), &identity).await.map(drop));
    }
    let busy =
        |answer: &&Result<(), Refused>| matches!(answer, Err(refused) if refused.reason == RetryReason::Busy);
    assert_eq!(answers.iter().filter(busy).count(), 4);
    for refused in answers.iter().filter_map(|answer| answer.err()) {
        assert!((1_000..8_000).contains(&refused.retry_after_ms), "{refused:?}");
    }
}

#[tokio::test]
async fn who_cannot_prove_a_key_takes_no_turn_of_those_who_can() {
    let world = World::with_clock(Arc::new(ManualClock::at(1_800_000_000_000)), |settings| {
        settings.admission.logins_per_s = 1;
        settings.admission.burst = 2;
        settings.admission.block_burst = 2;
    })
    .await;
    // Ids are no secret: anybody can say that he is this station.
    let mut identity = world.approved_station().await;
    for conn_no in 1..=10 {
        let mut peer = Station::connect(world.gateway.station_addr()).await;
        let hello = peer.encode(Message::Hello(Identity { conn_no, ..identity.clone() }.hello()));
        peer.write(&hello).await;
        peer.next_of(MessageType::CHALLENGE).await;
        drop(peer);
        eventually("it is gone", || world.gateway.connections() == 0).await;
    }
    world.log_in(&mut identity).await.expect_alive().await;
}

#[tokio::test]
async fn twins_with_one_identity_are_both_quarantined() {
    let world = World::new().await;
    let address = world.gateway.station_addr();
    let mut first = world.approved_station().await;
    first.conn_no = 5;
    let mut second = Identity { conn_no: 1, ..first.clone() };
    let mut last = Station::log_in(address, &first).await.unwrap();
    // Each device knows only its own counter and comes again until it is let in.
    let verdict = loop {
        let refused = Station::log_in(address, &second).await.err().unwrap();
        if refused.reason != RetryReason::StaleEpoch {
            break refused;
        }
        second.conn_no = first.conn_no + 1;
        let taken_over = Station::log_in(address, &second).await.unwrap();
        last.wait_for_close().await;
        last = taken_over;
        std::mem::swap(&mut first, &mut second);
    };
    assert_eq!((verdict.reason, verdict.is_proven), (RetryReason::Quarantined, true));
    last.wait_for_close().await;
    first.conn_no += 100;
    let refused = Station::log_in(address, &first).await.err().unwrap();
    assert_eq!(refused.reason, RetryReason::Quarantined);
}
