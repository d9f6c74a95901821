//! What an operator reads in the log: each login, refusal and close with its reason.

use crate::harness::{Identity, Station, World, eventually, next_station_id};
use protocol::frame::MessageType;
use protocol::message::Message;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once};
use tracing::field::{Field, Visit};
use tracing::span;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps every line of this process; workers are threads of their own, so it cannot be told apart by thread.
struct Recorder;

impl tracing::Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

async fn line_of(identity: &Identity, what: &str, reason: &str) {
    let station_id = identity.station_id.to_string();
    eventually(what, || {
        let lines = LINES.lock().unwrap();
        let found: Vec<_> = lines
            .iter()
            .filter(|line| line.contains(&station_id) && line.contains(what) && line.contains(reason))
            .collect();
        assert!(found.len() <= 1, "{found:?}");
        found.iter().any(|line| line.contains("peer=127.0.0.1") && line.contains("left_out=0"))
    })
    .await;
}

#[tokio::test]
async fn a_session_leaves_a_line_when_it_opens_and_one_when_it_ends() {
    record();
    let world = World::new().await;
    let (identity, station) = world.session().await;
    line_of(&identity, "session opened", "epoch=").await;
    drop(station);
    // A socket that ends with unread bytes counts as lost.
    line_of(&identity, "session closed", "reason=\"").await;
}

#[tokio::test]
async fn a_refused_login_leaves_one_line_with_its_reason() {
    record();
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
    assert_eq!(
        LINES.lock().unwrap().iter().filter(|line| line.contains(&id) && line.contains("peer=")).count(),
        1
    );
}
