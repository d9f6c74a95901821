//! Every label of refusals and closes: provoked at the socket and counted, or named with the reason why not here.

use crate::harness::numbers::{counted, labels};
use crate::harness::{Identity, Station, World, eventually, next_station_id};
use chautari_gateway::reasons::Reason;
use protocol::control::Admission;
use protocol::crypto::SessionKey;
use protocol::frame::MessageType;
use protocol::message::{Error, ErrorClass, ErrorCode, Hello, Message, Proof};
use std::collections::BTreeSet;
use tokio::io::AsyncWriteExt;

const REFUSALS: &str = "chautari_gateway_refusals_total";
const CLOSES: &str = "chautari_gateway_closes_total";

/// Refusals that the walk does not provoke, and where they are, or why nothing can.
const OTHER_REFUSALS: [(&str, &str); 9] = [
    ("bad_proof", "a wrong proof is closed without a word"),
    ("bytes_max", "bounds.rs"),
    ("connections_max", "fleet.rs"),
    ("handshakes_max", "the sum of what attacks.rs shows for one block"),
    ("no_descriptor", "descriptors.rs, in a process of its own"),
    ("quarantined", "registry.rs of the crate"),
    ("socket_failed", "the kernel's own failure"),
    ("unknown", "of a newer build"),
    ("worker_behind", "a thousand sockets within one poll of a worker"),
];

/// The same of closes.
const OTHER_CLOSES: [(&str, &str); 10] = [
    ("first_byte_timeout", "attacks.rs, the slow loris"),
    ("frame_timeout", "attacks.rs, the slow loris"),
    ("gateway_unproven", "said by stations only"),
    ("handshake_timeout", "the session machine's own tests: it takes 20 s"),
    ("internal", "a fault of the gateway itself"),
    ("link_lost", "a reset; whether one is seen is the kernel's affair"),
    ("over_budget", "bounds.rs"),
    ("rate_limited", "overload.rs"),
    ("silence", "the session machine's own tests: it takes 45 s"),
    ("slow_reader", "attacks.rs"),
];

#[tokio::test]
async fn every_label_is_there_from_the_start_and_there_is_no_other() {
    let world = World::new().await;
    let (_, mut station) = world.session().await;
    station.expect_alive().await;
    let words =
        |all: Vec<Reason>| all.iter().map(|reason| reason.label().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(labels(REFUSALS).into_iter().collect::<BTreeSet<_>>(), words(Reason::refusals().collect()));
    assert_eq!(labels(CLOSES).into_iter().collect::<BTreeSet<_>>(), words(Reason::closes().collect()));
}

/// What has been counted under each of these labels; the test fails if one of them does not grow.
struct Walk {
    name: &'static str,
    seen: BTreeSet<&'static str>,
}

impl Walk {
    fn new(name: &'static str) -> Self {
        Self { name, seen: BTreeSet::new() }
    }

    async fn provoke(&mut self, label: &'static str, deed: impl Future<Output = ()>) {
        let before = counted(self.name, label).unwrap_or(0);
        deed.await;
        eventually(label, || counted(self.name, label).unwrap_or(0) > before).await;
        self.seen.insert(label);
    }

    fn expect_all(mut self, all: impl Iterator<Item = Reason>, others: &[(&'static str, &str)]) {
        self.seen.extend(others.iter().map(|(label, _)| *label));
        let all: BTreeSet<_> = all.map(Reason::label).collect();
        assert_eq!(self.seen, all);
    }
}

#[tokio::test]
async fn refusals_have_their_labels() {
    let world = World::with(|settings| settings.block_handshakes_max = 50).await;
    let address = world.gateway.station_addr();
    let mut walk = Walk::new(REFUSALS);
    let refused = async |identity: Identity| {
        assert!(Station::log_in(address, &identity).await.is_err());
    };
    let fresh = async || Identity { conn_no: 1, ..world.approved_station().await };
    walk.provoke("not_approved", refused(Identity { conn_no: 1, ..Identity::new(next_station_id()) })).await;
    walk.provoke("unknown_key", refused(Identity { key_id: 77, ..fresh().await })).await;
    let old = fresh().await;
    world.backend.admit(old.station_id, Admission::Revoked, 0);
    world.backend.wait_until_followed(old.station_id).await;
    walk.provoke("revoked", refused(old)).await;
    let (identity, _station) = world.session().await;
    walk.provoke("stale_epoch", refused(identity.clone())).await;
    let modem = fresh().await;
    world.backend.expect_imei(modem.station_id, "356938035643809");
    world.backend.wait_until_followed(modem.station_id).await;
    let other = Hello { imei: "356938035643800", ..modem.hello() };
    walk.provoke("wrong_imei", async {
        assert!(!Station::connect(address).await.try_log_in_saying(other, &modem).await);
    })
    .await;
    let new = fresh().await;
    walk.provoke("version", async {
        let hello = Hello { version_min: 9, version_max: 9, ..new.hello() };
        assert!(!Station::connect(address).await.try_log_in_saying(hello, &new).await);
    })
    .await;
    walk.provoke("block_handshakes_max", async {
        // They stay until one was refused; other tests of this process are counted, too.
        let before = counted(REFUSALS, "block_handshakes_max");
        let mut silent = Vec::new();
        for _ in 0..=50 {
            silent.push(Station::connect(address).await);
        }
        eventually("one is closed", || counted(REFUSALS, "block_handshakes_max") > before).await;
    })
    .await;

    let narrow = World::with(|settings| {
        settings.admission.burst = 1;
        settings.admission.logins_per_s = 1;
    })
    .await;
    let first = Identity { conn_no: 1, ..narrow.approved_station().await };
    walk.provoke("busy", async {
        while Station::connect(narrow.gateway.station_addr()).await.try_log_in(&first).await {}
        assert!(!Station::connect(narrow.gateway.station_addr()).await.try_log_in(&first).await);
    })
    .await;
    let alone = World::without_backend().await;
    walk.provoke("unavailable", async {
        assert!(Station::log_in(alone.gateway.station_addr(), &first).await.is_err());
    })
    .await;
    let leaving = World::new().await;
    // A socket from before the drain: after it none is accepted.
    let mut early = Station::connect(leaving.gateway.station_addr()).await;
    eventually("accepted", || leaving.gateway.connections() == 1).await;
    leaving.gateway.drain();
    eventually("draining", || leaving.gateway.health().draining).await;
    walk.provoke("draining", async { assert!(!early.try_log_in(&first).await) }).await;
    walk.expect_all(Reason::refusals(), &OTHER_REFUSALS);
}

/// A station with a session that does one thing and is closed for it.
async fn session_that(world: &World, deed: impl AsyncFnOnce(&mut Station)) {
    let (_, mut station) = world.session().await;
    deed(&mut station).await;
    station.wait_for_close().await;
}

/// Bytes of a heartbeat with one of its header's bytes changed and a check that fits.
fn heartbeat_with(station: &mut Station, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = station.encode(Message::Heartbeat);
    bytes[at] = byte;
    let end = bytes.len() - 4;
    let check = protocol::frame::crc32c(&bytes[..end]).to_be_bytes();
    bytes[end..].copy_from_slice(&check);
    bytes
}

#[tokio::test]
async fn closes_have_their_labels() {
    let world = World::new().await;
    let mut walk = Walk::new(CLOSES);
    let header = [("unsupported_version", 2, 9), ("unsupported_flag", 4, 0x80), ("too_long", 6, 0xFF)];
    for (label, at, byte) in header {
        let deed = async |station: &mut Station| {
            let bytes = heartbeat_with(station, at, byte);
            station.write(&bytes).await;
        };
        walk.provoke(label, session_that(&world, deed)).await;
    }
    let broken = async |station: &mut Station| {
        let mut bytes = station.encode(Message::Heartbeat);
        *bytes.last_mut().unwrap() ^= 1;
        station.write(&bytes).await;
    };
    walk.provoke("bad_check", session_that(&world, broken)).await;
    let skipping = async |station: &mut Station| {
        station.seq_out += 1;
        station.send(Message::Heartbeat).await;
    };
    walk.provoke("bad_sequence", session_that(&world, skipping)).await;
    let backwards = async |station: &mut Station| {
        station.send_event(5).await;
        station.send_event(5).await;
    };
    walk.provoke("bad_event_order", session_that(&world, backwards)).await;
    let stuffed = async |station: &mut Station| station.send_raw(MessageType::HEARTBEAT, &[0, 1]).await;
    walk.provoke("malformed", session_that(&world, stuffed)).await;
    let critical = async |station: &mut Station| station.send_raw(MessageType::HEARTBEAT, &[0xFE, 0]).await;
    walk.provoke("unsupported_tlv", session_that(&world, critical)).await;
    let greeting = async |station: &mut Station| {
        let identity = Identity { conn_no: 9, ..Identity::new(next_station_id()) };
        station.send(Message::Hello(identity.hello())).await;
    };
    walk.provoke("unexpected", session_that(&world, greeting)).await;
    let forging = async |station: &mut Station| {
        station.keys.as_mut().unwrap().to_gateway = SessionKey::from_bytes([3; 32]);
        station.send_event(1).await;
    };
    walk.provoke("bad_mac", session_that(&world, forging)).await;
    let complaining = async |station: &mut Station| {
        let class = ErrorClass::Fatal;
        let error = Error {
            code: ErrorCode::Internal,
            class,
            ref_kind: MessageType(0),
            ref_seq: 0,
            retry_after_ms: 0,
            text: "",
        };
        station.send(Message::Error(error)).await;
    };
    walk.provoke("peer_error", session_that(&world, complaining)).await;
    walk.provoke("over_window", async {
        let (_, mut station) = world.session().await;
        world.backend.set_away(true);
        for event_no in 1..=9 {
            station.send_event(event_no).await;
        }
        station.wait_for_close().await;
        world.backend.set_away(false);
    })
    .await;
    walk.provoke(
        "bad_magic",
        session_that(&world, async |station: &mut Station| station.write(b"GET / HTTP/1.1").await),
    )
    .await;
    walk.provoke("bad_proof", async {
        let identity = Identity { conn_no: 1, ..world.approved_station().await };
        let mut station = Station::connect(world.gateway.station_addr()).await;
        station.send(Message::Hello(identity.hello())).await;
        station.next_of(MessageType::CHALLENGE).await;
        station.send(Message::Proof(Proof { proof: [1; 32] })).await;
        station.wait_for_close().await;
    })
    .await;
    walk.provoke("refused", async {
        let stranger = Identity { conn_no: 1, ..Identity::new(next_station_id()) };
        assert!(Station::log_in(world.gateway.station_addr(), &stranger).await.is_err());
    })
    .await;
    walk.provoke("peer_closed", async {
        let mut peer = Station::connect(world.gateway.station_addr()).await;
        peer.stream.shutdown().await.unwrap();
        peer.wait_for_close().await;
    })
    .await;
    walk.provoke("replaced", async {
        let (mut identity, mut first) = world.session().await;
        let _second = world.log_in(&mut identity).await;
        first.wait_for_close().await;
    })
    .await;
    walk.provoke("dismissed", async {
        let (identity, mut station) = world.session().await;
        world.backend.admit(identity.station_id, Admission::Revoked, 0);
        station.wait_for_close().await;
    })
    .await;
    walk.provoke("drained", async {
        let (_, mut station) = world.session().await;
        world.gateway.drain();
        station.wait_for_close().await;
    })
    .await;
    walk.expect_all(Reason::closes(), &OTHER_CLOSES);
}
