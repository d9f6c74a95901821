//! A gateway and the backend behind it, as small as they can be: the real machine, a socket, a book.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::clock::{Clock, SystemClock};
use protocol::crypto::{LinkMode, MasterKey, StationKey};
use protocol::frame::{self, Decoded};
use protocol::message::{
    Command, CommandKind, JournalState, Message, Reconnect, RetryReason, SamplePoint, Verdict, Window,
};
use protocol::session::CloseReason;
use protocol::session::gateway::{GatewaySession, Output, Received, SCRATCH_BYTES, Terms};
use protocol::session::station::Settings;
use protocol::time::Now;
use protocol::types::{BankSerial, CommandId, Epoch, EventNo, SlotNumber, StationId};
use simulator::bank::PowerBank;
use simulator::load::LoadSpec;
use simulator::station::{StationSettings, StationSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Longer than this nothing in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const TERMS: Terms = Terms {
    keepalive_s: 2,
    payload_max_bytes: 2_048,
    ack_delay_ms: 5,
    event_window: Window { frames: 8, bytes: 8_192 },
    sample_window: Window { frames: 8, bytes: 8_192 },
    reconnect: RECONNECT,
};
const RECONNECT: Reconnect = Reconnect { min_ms: 20, max_ms: 200, spread_ms: 20 };

/// What the backend has learned.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) accepted: HashMap<StationId, Epoch>,
    pub(crate) events: BTreeMap<(StationId, EventNo), String>,
    pub(crate) duplicates: usize,
    pub(crate) verdicts: HashMap<CommandId, Verdict>,
    pub(crate) never_seen: Vec<CommandId>,
    pub(crate) in_doubt: HashMap<CommandId, StationId>,
    pub(crate) inventories: HashMap<StationId, Vec<Option<BankSerial>>>,
    pub(crate) samples: HashMap<StationId, u64>,
    pub(crate) sessions: usize,
    pub(crate) closes: Vec<CloseReason>,
    lines: HashMap<StationId, mpsc::Sender<Command<'static>>>,
}

/// A listening gateway; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) clock: Arc<dyn Clock>,
    book: Arc<Mutex<Book>>,
}

impl Gateway {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gateway = Self { address, clock: Arc::new(SystemClock::new()), book: Arc::default() };
        let accepting = gateway.clone();
        tokio::spawn(async move {
            for number in 0_u64.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Connection::new(accepting.clone(), number).serve(stream));
            }
        });
        gateway
    }

    pub(crate) fn book<T>(&self, read: impl FnOnce(&mut Book) -> T) -> T {
        read(&mut self.book.lock().unwrap())
    }

    /// Hurried stations with small waits.
    pub(crate) fn settings(&self) -> StationSettings {
        let session = Settings { reconnect: RECONNECT, ..Settings::default() };
        StationSettings {
            motor_ms: 30,
            sample_interval_ms: 200,
            samples_per_batch: 2,
            power_off_ms: 20,
            session,
            ..StationSettings::new(self.address.clone())
        }
    }

    /// Offers an eject, once the station is online. Returns its id.
    pub(crate) async fn eject(&self, station_id: StationId, number: u8, slot: SlotNumber) -> CommandId {
        let wall_ms = self.clock.wall_ms();
        let command = Command {
            cmd_id: command_id(wall_ms, number),
            epoch: Epoch(0),
            kind: CommandKind::Eject,
            slot: Some(slot),
            bank: Some(bank(station_number(station_id), slot)),
            argument: 0,
            expires_at_ms: wall_ms + 20_000,
            max_clock_error_ms: 2_000,
            address: "",
        };
        self.book(|book| book.in_doubt.insert(command.cmd_id, station_id));
        self.until(|book| book.lines.get(&station_id).is_some_and(|line| line.try_send(command).is_ok()))
            .await;
        command.cmd_id
    }

    /// Waits until the book says so.
    pub(crate) async fn until(&self, mut is_so: impl FnMut(&mut Book) -> bool) {
        let wait = async {
            while !self.book(&mut is_so) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "it never came: {:#?}", self.book.lock().unwrap());
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.clock.monotonic_ms(), wall_ms: self.clock.wall_ms() }
    }
}

/// One accepted connection.
struct Connection {
    gateway: Gateway,
    session: GatewaySession,
    outbox: Vec<u8>,
    orders: mpsc::Sender<Command<'static>>,
    inbox: mpsc::Receiver<Command<'static>>,
    is_over: bool,
}

impl Connection {
    fn new(gateway: Gateway, number: u64) -> Self {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        let session = GatewaySession::new(LinkMode::Clear, nonce, gateway.now());
        let (orders, inbox) = mpsc::channel(8);
        Self { gateway, session, outbox: Vec::new(), orders, inbox, is_over: false }
    }

    async fn serve(mut self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            self.drain();
            if stream.write_all(&std::mem::take(&mut self.outbox)).await.is_err() || self.is_over {
                return;
            }
            let now_ms = self.gateway.now().monotonic_ms;
            let wait_ms = self.session.next_timeout_ms().unwrap_or(now_ms).saturating_sub(now_ms);
            tokio::select! {
                read = stream.read_buf(&mut bytes) => match read {
                    Ok(0) | Err(_) => self.session.handle_closed(CloseReason::PeerClosed),
                    Ok(_) => self.hear(&mut bytes),
                },
                Some(command) = self.inbox.recv() => {
                    let mut scratch = [0; SCRATCH_BYTES];
                    let now = self.gateway.now();
                    if let Ok(frame) = self.session.send_command(&command, now, &mut scratch) {
                        self.outbox.extend_from_slice(frame);
                    }
                }
                () = sleep(Duration::from_millis(wait_ms)) => self.session.handle_timeout(self.gateway.now()),
            }
        }
    }

    fn hear(&mut self, bytes: &mut Vec<u8>) {
        let received = std::mem::take(bytes);
        let mut rest = received.as_slice();
        while !self.is_over {
            match frame::decode(rest, self.session.payload_max_bytes()) {
                Ok(Decoded::Complete { frame, consumed }) => {
                    let received = self.session.handle_frame(&frame, self.gateway.now());
                    if let Some(received) = received {
                        self.answer(received);
                    }
                    self.drain();
                    rest = &rest[consumed..];
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(error) => return self.session.handle_broken_frame(error, self.gateway.now()),
            }
        }
        bytes.extend_from_slice(rest);
    }

    fn answer(&mut self, received: Received<'_>) {
        let now = self.gateway.now();
        let station_id = self.session.station_id();
        match received {
            Received::Hello(hello) => self.session.challenge(&key(hello.station_id, hello.key_gen)),
            Received::Proven { epoch, .. } => {
                let accepted = self.gateway.book(|book| book.accepted.get(&station_id).copied());
                if accepted.is_some_and(|accepted| epoch <= accepted) {
                    return self.session.refuse(RetryReason::StaleEpoch, 100);
                }
                self.session.welcome(TERMS);
                self.drain();
                self.brief(epoch);
            }
            Received::Telemetry(telemetry) => {
                let point = SamplePoint { boot_no: telemetry.boot_no, sample_no: telemetry.last_sample_no() };
                self.session.acknowledge_samples(point, now);
                let count = u64::from(telemetry.records.record_count());
                self.gateway.book(|book| *book.samples.entry(station_id).or_default() += count);
            }
            Received::Event(event_no, message) => {
                self.gateway.book(|book| book.store(station_id, event_no, &message));
                self.session.acknowledge_events(event_no, now);
            }
            Received::CommandState(state) => self.gateway.book(|book| match state.state {
                JournalState::Verdict(verdict) => book.settle(state.cmd_id, verdict),
                JournalState::NeverSeen => {
                    book.never_seen.push(state.cmd_id);
                    book.in_doubt.remove(&state.cmd_id);
                }
                JournalState::Started | JournalState::Evicted => {}
            }),
            Received::CommandReceipt(_) | Received::Goaway(_) | Received::Complaint(_) => {}
        }
    }

    /// After the login: what is stored, and what is in doubt.
    fn brief(&mut self, epoch: Epoch) {
        let (station_id, now) = (self.session.station_id(), self.gateway.now());
        let orders = self.orders.clone();
        let (through, doubts) = self.gateway.book(|book| {
            book.accepted.insert(station_id, epoch);
            book.sessions += 1;
            let of_station = (station_id, EventNo(0))..=(station_id, EventNo::MAX);
            let through = book.events.range(of_station).next_back().map(|((_, number), _)| *number);
            let doubts = book.in_doubt.iter().filter(|(_, of)| **of == station_id).map(|(id, _)| *id);
            // A command that was never written to a socket is not in doubt: it will be offered here.
            let doubts: Vec<_> = doubts.filter(|_| book.lines.contains_key(&station_id)).collect();
            book.lines.insert(station_id, orders);
            (through.unwrap_or_default(), doubts)
        });
        self.session.acknowledge_events(through, now);
        for cmd_id in doubts {
            let mut scratch = [0; SCRATCH_BYTES];
            if let Ok(frame) = self.session.query(cmd_id, now, &mut scratch) {
                self.outbox.extend_from_slice(frame);
            }
        }
    }

    fn drain(&mut self) {
        let mut scratch = [0; SCRATCH_BYTES];
        while let Some(output) = self.session.poll_output(&mut scratch) {
            match output {
                Output::Transmit { bytes, .. } => self.outbox.extend_from_slice(bytes),
                Output::Suspect => {}
                Output::Close(reason) => {
                    self.is_over = true;
                    self.gateway.book(|book| book.closes.push(reason));
                }
            }
        }
    }
}

impl Book {
    fn store(&mut self, station_id: StationId, event_no: EventNo, message: &Message<'_>) {
        let text = match message {
            Message::Inventory(inventory) => {
                let banks = inventory.table.iter().map(|(_, reading)| reading.bank).collect();
                self.inventories.insert(station_id, banks);
                String::from("inventory")
            }
            Message::CmdResult(result) => {
                self.settle(result.cmd_id, result.verdict);
                format!("{:?}: {:?}", result.cmd_id, result.verdict)
            }
            Message::Event(event) => format!("{:?}", event.kind),
            other => format!("{other:?}"),
        };
        match self.events.get(&(station_id, event_no)) {
            None => {
                self.events.insert((station_id, event_no), text);
            }
            Some(known) => {
                assert_eq!(*known, text, "I5: event {event_no} came again with another content");
                self.duplicates += 1;
            }
        }
    }

    fn settle(&mut self, cmd_id: CommandId, verdict: Verdict) {
        let first = *self.verdicts.entry(cmd_id).or_insert(verdict);
        assert_eq!(first, verdict, "I3: two verdicts on {cmd_id}");
        self.in_doubt.remove(&cmd_id);
    }
}

// The fleet's papers

/// Station `number` with `slots` slots, of which all but the last hold a bank.
pub(crate) fn spec(number: u16, slots: u8) -> StationSpec {
    let station_id = station_id(number);
    StationSpec {
        station_id,
        serial: format!("SIM-{number:04}"),
        key: key(station_id, 1),
        key_id: 1,
        key_gen: 1,
        slots,
        banks: (1..slots).map(|slot| PowerBank::new(bank(number, slot), 0.6)).collect(),
    }
}

pub(crate) fn load_spec(number: u16) -> LoadSpec {
    let station_id = station_id(number);
    LoadSpec { number: number.into(), station_id, key: key(station_id, 1), key_id: 1, key_gen: 1 }
}

pub(crate) const fn station_id(number: u16) -> StationId {
    let [high, low] = number.to_be_bytes();
    StationId([7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, high, low])
}

const fn station_number(station_id: StationId) -> u16 {
    u16::from_be_bytes([station_id.0[14], station_id.0[15]])
}

/// The bank that begins in this slot.
pub(crate) const fn bank(station: u16, slot: SlotNumber) -> BankSerial {
    let [high, low] = station.to_be_bytes();
    BankSerial([0xBA, 0, 0, 0, 0, high, low, slot])
}

fn key(station_id: StationId, key_gen: u16) -> StationKey {
    MasterKey::from_bytes([9; 32]).station_key(station_id, key_gen)
}

/// A UUIDv7 of this moment.
fn command_id(wall_ms: u64, number: u8) -> CommandId {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&wall_ms.to_be_bytes()[2..]);
    id[6] = 0x70;
    id[8] = 0x80;
    id[15] = number;
    CommandId(id)
}
