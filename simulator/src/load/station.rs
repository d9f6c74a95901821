//! A station of a load: the real session machine and a socket, without anything that a load does not need.

use std::collections::VecDeque;
use std::future::pending;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::clock::Clock;
use protocol::crypto::StationKey;
use protocol::frame::{self, Decoded, Frame, MessageType};
use protocol::message::{Ack, Body, Capabilities, Reconnect, ResetReason};
use protocol::session::CloseReason;
use protocol::session::commands::{Action, Actuation, ActuationOutcome};
use protocol::session::flash::{Counters, Flash, MemoryFlash};
use protocol::session::station::{
    Board, Happening, Identity, Output, SCRATCH_BYTES, Settings, ShortText, StationSession,
};
use protocol::types::{EventNo, SlotNumber, SlotState, StationId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::counts::{Counts, Sends};
use super::plan::{self, Schedule, Window};
use super::slots::{LoadSlots, SLOTS, push_batch};
use crate::limits::{LOAD_SAMPLE_BYTES, LOAD_UNACKNOWLEDGED_MAX, OUTBOX_MAX_BYTES, READ_BYTES, SLEEP_MAX_MS};

/// Who a station is.
#[derive(Clone, Debug)]
pub struct LoadSpec {
    /// Its number among all stations of all loads: what its banks are called.
    pub number: u32,
    /// Its id.
    pub station_id: StationId,
    /// Its key.
    pub key: StationKey,
    /// Which master the key comes from.
    pub key_id: u16,
    /// Which generation of the key.
    pub key_gen: u16,
}

/// What all stations of a load share.
pub(super) struct Common {
    pub(super) target: SocketAddr,
    pub(super) stations: u32,
    pub(super) telemetry_per_s: f64,
    pub(super) events_per_s: f64,
    pub(super) samples_per_batch: u8,
    pub(super) boot_no: u32,
    pub(super) seed: u64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counts: Counts,
}

/// One station.
pub(super) struct Station {
    common: Arc<Common>,
    /// Of 0 to 1.
    place: f64,
    source: Option<Ipv4Addr>,
    identity: Identity,
    board: Board<MemoryFlash, LoadSlots>,
    session: StationSession<LOAD_SAMPLE_BYTES>,
    random: SmallRng,
    booted_at_us: u64,
    window: watch::Receiver<Option<Window>>,
    telemetry: Schedule,
    events: Schedule,
    storm_at_us: Option<u64>,
    socket: Option<TcpStream>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    is_online: bool,
    /// When the login that is not over yet was planned, and whether the storm asked for it.
    login: Option<(u64, bool)>,
    next_sample_no: u32,
    samples_waiting: VecDeque<(u32, u64)>,
    events_waiting: VecDeque<(EventNo, u64)>,
}

impl Station {
    /// The station in this place of the load, which will be switched on at `on_at_us`.
    pub(super) fn new(
        common: &Arc<Common>,
        place: u32,
        spec: LoadSpec,
        source: Option<Ipv4Addr>,
        window: watch::Receiver<Option<Window>>,
        on_at_us: u64,
    ) -> Self {
        let mut flash = MemoryFlash::provisioned();
        // Above everything that an earlier load of these stations has used.
        let events_reserved = EventNo(u64::from(common.boot_no) << 24);
        flash.store_counters(Counters { boot_no: common.boot_no, events_reserved });
        let mut board = Board { flash, sensors: LoadSlots::new(spec.number) };
        let mut random = SmallRng::seed_from_u64(
            common.seed
                ^ u64::from(common.boot_no) << 32
                ^ u64::from(spec.number).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        );
        let identity = identity(&spec);
        let session = boot(identity.clone(), &mut board, &mut random);
        Self {
            common: Arc::clone(common),
            place: plan::place(place),
            source,
            identity,
            board,
            session,
            random,
            booted_at_us: on_at_us,
            window,
            telemetry: Schedule::NEVER,
            events: Schedule::NEVER,
            storm_at_us: None,
            socket: None,
            inbox: Vec::new(),
            outbox: Vec::new(),
            is_online: false,
            login: Some((on_at_us, false)),
            next_sample_no: 0,
            samples_waiting: VecDeque::new(),
            events_waiting: VecDeque::new(),
        }
    }

    /// Works until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.live() => {}
        }
        self.set_online(false);
    }

    async fn live(&mut self) {
        let on_in_us = self.booted_at_us.saturating_sub(self.now_us());
        sleep(Duration::from_micros(on_in_us)).await;
        loop {
            self.pass_time();
            if self.drain() {
                self.connect().await;
                continue;
            }
            let wait_us = self.next_wake_us().saturating_sub(self.now_us());
            let Self { socket, window, outbox, .. } = self;
            tokio::select! {
                biased;
                is_readable = ready(socket.as_ref(), !outbox.is_empty()) => if is_readable { self.read() },
                () = changed(window) => self.plan(),
                () = sleep(Duration::from_micros(wait_us)) => {}
            }
        }
    }

    fn next_wake_us(&self) -> u64 {
        let session_us = self.session.next_timeout_ms().map(|due_ms| self.booted_at_us + due_ms * 1_000);
        let others = [session_us, self.telemetry.next_us(), self.events.next_us(), self.storm_at_us];
        others.into_iter().flatten().fold(self.now_us() + SLEEP_MAX_MS * 1_000, u64::min)
    }

    // What is planned

    fn plan(&mut self) {
        let Some(window) = *self.window.borrow_and_update() else { return };
        let (place, stations) = (self.place, self.common.stations);
        self.telemetry = Schedule::new(&window, self.common.telemetry_per_s, stations, place);
        self.events = Schedule::new(&window, self.common.events_per_s, stations, place);
        self.storm_at_us = window.storm_at_us(place);
    }

    fn pass_time(&mut self) {
        let now_us = self.now_us();
        if let Some(at_us) = self.storm_at_us
            && at_us <= now_us
        {
            self.storm_at_us = None;
            self.lose_power(at_us);
        }
        while let Some(due_us) = self.telemetry.take_due(now_us) {
            self.send_samples(due_us, now_us);
        }
        while let Some(due_us) = self.events.take_due(now_us) {
            self.send_event(due_us, now_us);
        }
        let uptime_ms = self.uptime_ms();
        if self.session.next_timeout_ms().is_some_and(|due_ms| due_ms <= uptime_ms) {
            self.session.handle_timeout(uptime_ms);
        }
    }

    /// The power is back at once, everything in RAM is gone, and nobody was told.
    fn lose_power(&mut self, at_us: u64) {
        self.socket = None;
        self.set_online(false);
        (self.inbox, self.outbox) = (Vec::new(), Vec::new());
        self.common.counts.telemetry.lost.many(self.samples_waiting.len() as u64);
        self.samples_waiting.clear();
        self.next_sample_no = 0;
        self.booted_at_us = self.now_us();
        self.session = boot(self.identity.clone(), &mut self.board, &mut self.random);
        self.login = Some((at_us, true));
    }

    fn send_samples(&mut self, due_us: u64, now_us: u64) {
        let counts = &self.common.counts;
        counts.telemetry.made.one();
        counts.lag.record_us(now_us - due_us);
        let samples = self.common.samples_per_batch;
        // It may have booted a moment after it looked at the clock.
        let (first, uptime_ms) = (self.next_sample_no, now_us.saturating_sub(self.booted_at_us) / 1_000);
        let lost = push_batch(&mut self.session, &self.board.sensors, first, samples, uptime_ms);
        self.next_sample_no += u32::from(samples);
        counts.telemetry.lost.many(lost.into());
        // Which of them were lost only the machine knows; those that stay are measured, the longest wait among them.
        for _ in 0..lost {
            self.samples_waiting.pop_front();
        }
        self.samples_waiting.push_back((self.next_sample_no - 1, due_us));
        if self.samples_waiting.len() > LOAD_UNACKNOWLEDGED_MAX {
            self.samples_waiting.pop_front();
        }
    }

    fn send_event(&mut self, due_us: u64, now_us: u64) {
        let counts = &self.common.counts;
        counts.events.made.one();
        counts.lag.record_us(now_us - due_us);
        let slot = self.random.random_range(1..=SLOTS);
        let state = SlotState(SlotState::INSERTED | SlotState::LOCKED);
        self.report(Happening::SlotState { slot, state });
        // A full flash takes no event: its newest one is then older.
        match self
            .newest_event()
            .filter(|newest| self.events_waiting.back().is_none_or(|last| *newest > last.0))
        {
            Some(event_no) => self.events_waiting.push_back((event_no, due_us)),
            None => self.common.counts.events.lost.one(),
        }
    }

    fn newest_event(&self) -> Option<EventNo> {
        self.board.flash.events().last().map(|event| event.event_no)
    }

    fn report(&mut self, happening: Happening) {
        let uptime_ms = self.uptime_ms();
        self.session.report(happening, &mut self.board, uptime_ms);
    }

    // The machine's outputs

    /// Lets the machine say what it has to say; whether it wants a connection.
    fn drain(&mut self) -> bool {
        let mut scratch = [0; SCRATCH_BYTES];
        let mut wants_connection = false;
        while let Some(output) = self.session.poll_output(&mut self.board, &mut scratch) {
            match output {
                Output::Connect => wants_connection = true,
                Output::Transmit { bytes, .. } => {
                    self.common.counts.frames_out.one();
                    self.common.counts.bytes_out.many(bytes.len() as u64);
                    self.outbox.extend_from_slice(bytes);
                }
                Output::Actuate(actuation) => self.act(actuation),
                Output::Close(reason) => {
                    self.flush();
                    if reason == CloseReason::Refused {
                        self.common.counts.refused.one();
                    } else {
                        self.common.counts.closes.one(reason);
                    }
                    self.hang_up();
                }
            }
        }
        self.flush();
        wants_connection
    }

    /// The motor takes no time, and somebody puts the bank back at once: a rental and its return.
    fn act(&mut self, actuation: Actuation) {
        let uptime_ms = self.uptime_ms();
        let outcome = match actuation.action {
            Action::Eject { slot, .. } => {
                self.count_motor(&actuation);
                self.board.sensors.take(slot);
                ActuationOutcome::Finished
            }
            Action::SetVolume(_) | Action::Ring => ActuationOutcome::Finished,
            Action::SetSlotDisabled { .. } | Action::Reboot => ActuationOutcome::DidNotStart,
        };
        self.session.handle_actuated(actuation.cmd_id, outcome, &mut self.board, uptime_ms);
        if let Action::Eject { slot, bank } = actuation.action {
            self.board.sensors.put_back();
            self.report(Happening::BankInserted { slot, bank, level_percent: 90 });
        }
    }

    fn count_motor(&self, actuation: &Actuation) {
        let counts = &self.common.counts;
        counts.ejected.one();
        if let Some(planned_us) = counts.take_planned(&actuation.cmd_id) {
            counts.motor.record_us(self.now_us().saturating_sub(planned_us));
        }
    }

    // The link

    async fn connect(&mut self) {
        match connect(self.source, self.common.target).await {
            Ok(stream) => {
                self.socket = Some(stream);
                let (nonce, uptime_ms) = (self.random.random(), self.uptime_ms());
                self.session.handle_connected(nonce, uptime_ms);
            }
            Err(_) => self.lose_link(CloseReason::LinkLost),
        }
    }

    fn read(&mut self) {
        let Some(socket) = &self.socket else { return };
        let mut buffer = [0; READ_BYTES];
        match socket.try_read(&mut buffer) {
            Ok(0) => self.lose_link(CloseReason::PeerClosed),
            Ok(length) => {
                self.common.counts.bytes_in.many(length as u64);
                self.take_bytes(&buffer[..length]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.lose_link(CloseReason::LinkLost),
        }
    }

    fn take_bytes(&mut self, arrived: &[u8]) {
        let mut gathered = std::mem::take(&mut self.inbox);
        gathered.extend_from_slice(arrived);
        let mut rest = gathered.as_slice();
        while self.socket.is_some() {
            match frame::decode(rest, self.session.payload_max_bytes()) {
                Ok(Decoded::Complete { frame, consumed }) => {
                    self.take_frame(&frame);
                    rest = &rest[consumed..];
                }
                Ok(Decoded::Incomplete { .. }) => {
                    // Nothing is kept while nothing is missing.
                    self.inbox = rest.to_vec();
                    return;
                }
                Err(error) => {
                    let uptime_ms = self.uptime_ms();
                    self.session.handle_broken_frame(error, uptime_ms);
                    self.drain();
                    return;
                }
            }
        }
    }

    fn take_frame(&mut self, frame: &Frame<'_>) {
        let uptime_ms = self.uptime_ms();
        self.common.counts.frames_in.one();
        self.session.handle_frame(frame, &mut self.board, uptime_ms);
        if frame.header.kind == MessageType::ACK && self.session.is_open() {
            // The machine has checked its MAC, or the session would not be open any more.
            let payload = frame.split_mac().map_or(frame.payload, |(payload, _)| payload);
            if let Ok(ack) = Ack::decode(payload) {
                self.count_acknowledged(&ack);
            }
        }
        if self.session.is_open() && !self.is_online {
            self.set_online(true);
        }
        self.drain();
    }

    fn count_acknowledged(&mut self, ack: &Ack) {
        let now_us = self.now_us();
        let counts = &self.common.counts;
        if let Some(through) = ack.samples_through.filter(|point| point.boot_no == self.session.boot_no()) {
            count_through(&mut self.samples_waiting, through.sample_no, &counts.telemetry, now_us);
        }
        if let Some(through) = ack.events_through {
            count_through(&mut self.events_waiting, through, &counts.events, now_us);
        }
    }

    fn set_online(&mut self, is_online: bool) {
        if is_online == self.is_online {
            return;
        }
        self.is_online = is_online;
        let counts = &self.common.counts;
        if !is_online {
            return counts.went_offline();
        }
        counts.went_online();
        counts.sessions.one();
        if let Some((planned_us, is_storm)) = self.login.take() {
            let latencies = if is_storm { &counts.storm_login } else { &counts.login };
            latencies.record_us(self.now_us().saturating_sub(planned_us));
        }
    }

    fn flush(&mut self) {
        let Some(socket) = &self.socket else { return self.outbox.clear() };
        let mut written = 0;
        while written < self.outbox.len() {
            match socket.try_write(&self.outbox[written..]) {
                Ok(length) => written += length,
                // A broken connection shows itself at the next read.
                Err(_) => break,
            }
        }
        self.outbox.drain(..written);
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        } else if self.outbox.len() > OUTBOX_MAX_BYTES {
            self.lose_link(CloseReason::LinkLost);
        }
    }

    fn lose_link(&mut self, reason: CloseReason) {
        let uptime_ms = self.uptime_ms();
        self.common.counts.closes.one(reason);
        self.hang_up();
        self.session.handle_closed(reason, uptime_ms);
    }

    fn hang_up(&mut self) {
        self.socket = None;
        (self.inbox, self.outbox) = (Vec::new(), Vec::new());
        self.set_online(false);
    }

    fn now_us(&self) -> u64 {
        self.common.clock.monotonic_us()
    }

    fn uptime_ms(&self) -> u64 {
        self.now_us().saturating_sub(self.booted_at_us) / 1_000
    }
}

fn count_through<N: Ord + Copy>(waiting: &mut VecDeque<(N, u64)>, through: N, sends: &Sends, now_us: u64) {
    while let Some((_, planned_us)) = waiting.pop_front_if(|(number, _)| *number <= through) {
        sends.acknowledged.one();
        sends.latency.record_us(now_us.saturating_sub(planned_us));
    }
    if waiting.is_empty() {
        *waiting = VecDeque::new();
    }
}

fn boot(
    identity: Identity,
    board: &mut Board<MemoryFlash, LoadSlots>,
    random: &mut SmallRng,
) -> StationSession<LOAD_SAMPLE_BYTES> {
    // When it connects is the plan's to say, not the machine's.
    let reconnect = Reconnect { min_ms: 1, max_ms: 5_000, spread_ms: 1_000 };
    let settings = Settings { reconnect, ..Settings::default() };
    StationSession::boot(identity, settings, ResetReason::PowerOn, random.random(), board, 0)
}

fn identity(spec: &LoadSpec) -> Identity {
    Identity {
        station_id: spec.station_id,
        key_id: spec.key_id,
        key_gen: spec.key_gen,
        key: spec.key.clone(),
        firmware: ShortText::new(concat!("chautari-load ", env!("CARGO_PKG_VERSION"))).unwrap_or_default(),
        hardware: ShortText::new("load").unwrap_or_default(),
        imei: ShortText::default(),
        iccid: ShortText::default(),
        capabilities: Capabilities::default(),
    }
}

async fn connect(source: Option<Ipv4Addr>, target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        // Ports of connections that a storm has just closed are used again.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    }
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether there is something to read; it also returns when waiting bytes may be written.
async fn ready(socket: Option<&TcpStream>, is_full: bool) -> bool {
    let Some(socket) = socket else { return pending().await };
    let interest = if is_full { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
    // What is wrong with a socket shows itself when it is read.
    socket.ready(interest).await.is_ok_and(|ready| ready.is_readable() || ready.is_read_closed())
}

async fn changed(window: &mut watch::Receiver<Option<Window>>) {
    if window.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// The slot that a command with this number is about.
pub(super) fn slot_of(number: u64) -> SlotNumber {
    (number % u64::from(SLOTS)) as SlotNumber + 1
}
