//! What an operator reads in the log: each login, refusal and close with its reason.

use crate::harness::{Identity, Station, World, eventually, lines_of, next_station_id};
use protocol::frame::MessageType;
use protocol::message::Message;

async fn line_of(identity: &Identity, what: &str, reason: &str) {
    let station_id = identity.station_id.to_string();
    eventually(what, || {
        let found = lines_of(&[&station_id, what, reason]);
        assert!(found.len() <= 1, "{found:?}");
        found.iter().any(|line| line.contains("peer=127.0.0.1") && line.contains("left_out="))
    })
    .await;
}

#[tokio::test]
async fn a_session_leaves_a_line_when_it_opens_and_one_when_it_ends() {
    let world = World::new().await;
    let (identity, station) = world.session().await;
    line_of(&identity, "session opened", "epoch=").await;
    drop(station);
    // A socket that ends with unread bytes counts as lost.
    line_of(&identity, "session closed", "reason=\"").await;
}

#[tokio::test]
async fn a_refused_login_leaves_one_line_with_its_reason() {
    let world = World::new().await;
    let stranger = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
    assert!(Station::log_in(world.gateway.station_addr(), &stranger).await.is_err());
    line_of(&stranger, "login refused", "reason=\"not_approved\"").await;
    // A wrong proof is answered by nothing but the close.
    let forger = Identity { conn_no: 1, ..world.approved_station().await };
    let mut forging = Station::connect(world.gateway.station_addr()).await;
    let hello = forging.encode(Message::Hello(forger.hello()));
    forging.write(&hello).await;
    forging.next_of(MessageType::CHALLENGE).await;
    let proof = forging.encode(Message::Proof(protocol::message::Proof { proof: [1; 32] }));
    forging.write(&proof).await;
    forging.wait_for_close().await;
    line_of(&forger, "closed before its login", "reason=\"bad_proof\"").await;
    eventually("all sockets are gone", || world.gateway.connections() == 0).await;
    let id = stranger.station_id.to_string();
    assert_eq!(lines_of(&[&id, "peer="]).len(), 1);
}
