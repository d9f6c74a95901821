//! The station's end of a session, from boot to power cut.
//!
//! ```text
//! boot → Offline ─Connect→ Connecting ─handle_connected→ HELLO … CHALLENGE … PROOF … WELCOME → Open
//!           ↑                                                                                   │
//!           └──────── waits as the gateway said: back-off, RETRY, GOAWAY ←──── Close ───────────┘
//! ```
//!
//! The machine lives as long as the power. What must survive is in [`Flash`]; a driver may drop the
//! machine at any moment and boot a new one.

mod events;
mod identity;
mod link;
mod receive;
mod transmit;

pub use events::Happening;
pub use identity::{Identity, ShortText};

use super::commands::{self, Actuation, ActuationOutcome, Commands, Next};
use super::flash::{Counters, Flash};
use super::samples::SampleLane;
use super::sensors::SlotSensors;
use super::timers::{Backoff, Dice, StationClock};
use super::{CloseReason, Deadline, Priority};
use crate::crypto::{LinkMode, Nonce};
use crate::frame::{EncodeError, Frame, FrameError, MessageType};
use crate::limits::PAYLOAD_UNAUTHENTICATED_MAX_BYTES;
use crate::message::{DisconnectReason, JournalState, Reconnect, ResetReason, Telemetry};
use crate::time::Anchor;
use crate::types::{CommandId, Epoch, EventNo};
use link::{Link, Login};

/// A scratch buffer of this size takes any frame that a station sends.
pub const SCRATCH_BYTES: usize = 2_048;
/// RAM for telemetry batches, unless the type says otherwise.
pub const SAMPLE_BYTES: usize = 2_048;

/// What the machine works on and the caller owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Board<F, S> {
    /// Survives a power cut.
    pub flash: F,
    /// The slots.
    pub sensors: S,
}

/// A station from boot to power cut, over all its connections.
///
/// Drive it as [the module](super) says. `uptime_ms` counts from the boot and never goes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StationSession<const SAMPLES: usize = SAMPLE_BYTES> {
    identity: Identity,
    settings: Settings,
    boot_no: u32,
    /// The part of the epoch that follows `boot_no` should a boot ever use up its connection numbers.
    epoch_boot_no: u32,
    conn_no: u32,
    last_event: EventNo,
    events_reserved: EventNo,
    events_lost: bool,
    is_stranger_reported: bool,
    uptime_ms: u64,
    clock: StationClock,
    dice: Dice,
    backoff: Backoff,
    commands: Commands,
    actuation: Option<Actuation>,
    say: Option<Say>,
    samples: SampleLane<SAMPLES>,
    link: Link,
    ending: Option<Ending>,
    last_disconnect: DisconnectReason,
    counts: Counts,
}

/// How a station behaves where the protocol leaves it free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How the bytes travel.
    pub link: LinkMode,
    /// The most that the controller's oscillator may be wrong, parts per million.
    pub drift_ppm: u32,
    /// How often the gateway is asked for the time.
    pub time_interval_ms: u64,
    /// How often the whole slot table is sent, beside each reconnect.
    pub inventory_interval_ms: u64,
    /// How to wait until the first WELCOME says otherwise.
    pub reconnect: Reconnect,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            link: LinkMode::Clear,
            drift_ppm: 100,
            time_interval_ms: 15 * 60_000,
            inventory_interval_ms: 4 * 3_600_000,
            reconnect: Reconnect { min_ms: 1_000, max_ms: 300_000, spread_ms: 2_000 },
        }
    }
}

/// What the driver has to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'s> {
    /// Open a connection, then call [`StationSession::handle_connected`] or [`StationSession::handle_closed`].
    Connect,
    /// Write these bytes.
    Transmit {
        /// One whole frame, in the scratch buffer.
        bytes: &'s [u8],
        /// How urgent.
        priority: Priority,
    },
    /// Do this now, then call [`StationSession::handle_actuated`]. The journal holds STARTED.
    Actuate(Actuation),
    /// Write what is left, then close the connection. Another one follows by [`Output::Connect`].
    Close(CloseReason),
}

/// What a station has counted since its boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Connections that were tried.
    pub connections: u32,
    /// Sessions that were opened.
    pub sessions: u32,
    /// Frames that were handled.
    pub frames_in: u32,
    /// Frames that were written.
    pub frames_out: u32,
    /// Frames of a type that this build does not know: skipped.
    pub frames_skipped: u32,
    /// Events that found no place in flash.
    pub events_lost: u32,
    /// Telemetry batches that found no place in RAM.
    pub batches_lost: u32,
}

/// An answer that waits for the next drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Say {
    Receipt { cmd_id: CommandId },
    State { cmd_id: CommandId, state: JournalState, duplicate: bool },
}

/// How the connection ends, decided and not yet carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ending {
    reason: CloseReason,
    kind: MessageType,
    seq: u32,
    is_told: bool,
    /// The wait that the other end asked for.
    wait_ms: Option<u32>,
}

impl<const SAMPLES: usize> StationSession<SAMPLES> {
    /// The power came: counts the boot, settles what a power cut left open, and waits to connect.
    ///
    /// `entropy` spreads stations apart in time; it needs to differ, not to be secret.
    pub fn boot<F: Flash, S: SlotSensors>(
        identity: Identity,
        settings: Settings,
        reset: ResetReason,
        entropy: u64,
        board: &mut Board<F, S>,
        uptime_ms: u64,
    ) -> Self {
        let counters = board.flash.counters();
        let boot_no = counters.boot_no + 1;
        let events_reserved = EventNo(counters.events_reserved.0 + events::RESERVED_AT_ONCE);
        board.flash.store_counters(Counters { boot_no, events_reserved });
        let mut dice = Dice(entropy);
        let connect_at = Deadline::after(uptime_ms, dice.below(u64::from(settings.reconnect.min_ms) + 1));
        let mut session = Self {
            identity,
            settings,
            boot_no,
            epoch_boot_no: boot_no,
            conn_no: 0,
            last_event: counters.events_reserved,
            events_reserved,
            events_lost: false,
            is_stranger_reported: false,
            uptime_ms,
            clock: StationClock::default(),
            dice,
            backoff: Backoff::new(settings.reconnect),
            commands: Commands::default(),
            actuation: None,
            say: None,
            samples: SampleLane::new(),
            link: Link::Offline { connect_at },
            ending: None,
            last_disconnect: DisconnectReason::None,
            counts: Counts::default(),
        };
        while let Some((cmd_id, verdict)) = commands::recover(&mut board.flash, &board.sensors) {
            session.push_event(Happening::CommandResult { cmd_id, verdict }, &mut board.flash);
        }
        session.push_event(Happening::Booted { reason: reset }, &mut board.flash);
        session
    }

    // Inputs

    /// The connection that [`Output::Connect`] asked for is open. `nonce_s` is 16 fresh random bytes.
    pub fn handle_connected(&mut self, nonce_s: Nonce, uptime_ms: u64) {
        self.uptime_ms = uptime_ms;
        if let Link::Connecting { .. } = self.link {
            let login = Login::new(nonce_s, uptime_ms);
            self.link = Link::Hello(login);
        }
    }

    /// A whole frame arrived.
    pub fn handle_frame<F: Flash, S: SlotSensors>(
        &mut self,
        frame: &Frame<'_>,
        board: &mut Board<F, S>,
        uptime_ms: u64,
    ) {
        self.uptime_ms = uptime_ms;
        if self.ending.is_some() {
            return;
        }
        if let Err(reason) = self.receive(frame, board) {
            self.end(reason, frame.header.kind, frame.header.seq);
        }
    }

    /// The bytes are not a frame.
    pub fn handle_broken_frame(&mut self, error: FrameError, uptime_ms: u64) {
        self.uptime_ms = uptime_ms;
        self.end(error.into(), MessageType(0), 0);
    }

    /// The connection is gone, or never came about.
    pub fn handle_closed(&mut self, reason: CloseReason, uptime_ms: u64) {
        self.uptime_ms = uptime_ms;
        if !matches!(self.link, Link::Offline { .. }) {
            let reason = self.ending.map_or(reason, |ending| ending.reason);
            self.go_offline(reason);
        }
    }

    /// The hardware did what [`Output::Actuate`] asked for, or did not. The slots must already read as they are now.
    pub fn handle_actuated<F: Flash, S: SlotSensors>(
        &mut self,
        cmd_id: CommandId,
        outcome: ActuationOutcome,
        board: &mut Board<F, S>,
        uptime_ms: u64,
    ) {
        self.uptime_ms = uptime_ms;
        let verdicted = self.commands.actuated(&cmd_id, outcome, &mut board.flash, &board.sensors);
        if let Some((cmd_id, verdict)) = verdicted {
            self.push_event(Happening::CommandResult { cmd_id, verdict }, &mut board.flash);
            self.start_next_command(board);
        }
    }

    /// Something happened at the station: it goes to flash, and from there to the gateway.
    ///
    /// The slots must already read as they are now.
    pub fn report<F: Flash, S>(&mut self, happening: Happening, board: &mut Board<F, S>, uptime_ms: u64) {
        self.uptime_ms = uptime_ms;
        self.push_event(happening, &mut board.flash);
    }

    /// A batch of samples was cut. Without room in RAM the oldest unsent batch is lost and counted.
    pub fn push_samples(&mut self, telemetry: &Telemetry<'_>, uptime_ms: u64) -> Result<(), EncodeError> {
        self.uptime_ms = uptime_ms;
        self.counts.batches_lost += u32::from(self.samples.push(telemetry)?);
        Ok(())
    }

    /// Time has passed; call it at [`next_timeout_ms`](Self::next_timeout_ms).
    pub fn handle_timeout(&mut self, uptime_ms: u64) {
        self.uptime_ms = uptime_ms;
        if self.ending.is_none()
            && let Some(reason) = self.link.handle_timeout(uptime_ms)
        {
            self.end(reason, MessageType(0), 0);
        }
    }

    // Facts

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        let next = self.link.next_deadline();
        next.is_set().then_some(next.0)
    }

    /// The cap for the frame decoder.
    pub const fn payload_max_bytes(&self) -> u16 {
        match &self.link {
            Link::Open(open) => open.payload_max_bytes,
            _ => PAYLOAD_UNAUTHENTICATED_MAX_BYTES,
        }
    }

    /// Whether a session is open.
    pub const fn is_open(&self) -> bool {
        matches!(self.link, Link::Open(_)) && self.ending.is_none()
    }

    /// Whether an actuation runs or waits.
    pub fn is_busy(&self) -> bool {
        self.commands.is_busy()
    }

    /// The number of this boot.
    pub const fn boot_no(&self) -> u32 {
        self.boot_no
    }

    /// The epoch of the present or last connection; `None` before the first.
    pub const fn epoch(&self) -> Option<Epoch> {
        if self.conn_no == 0 {
            return None;
        }
        Epoch::from_parts(self.identity.key_gen, self.epoch_boot_no, self.conn_no)
    }

    /// Unix milliseconds and their greatest error, as far as the station knows; `None` before the first TIME.
    pub fn wall_clock(&self, uptime_ms: u64) -> Option<(u64, u32)> {
        self.clock.read(uptime_ms, self.settings.drift_ppm)
    }

    /// The anchor of this boot, for the batches that the driver cuts.
    pub fn anchor<F: Flash, S>(&self, board: &Board<F, S>) -> Option<Anchor> {
        board.flash.anchor(self.boot_no)
    }

    /// What was counted since the boot.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    // Shared by the parts

    /// Starts commands in line until one acts or none is left.
    fn start_next_command<F: Flash, S: SlotSensors>(&mut self, board: &mut Board<F, S>) {
        let clock = self.wall_clock(self.uptime_ms);
        while let Some(next) = self.commands.start_next(clock, &mut board.flash, &board.sensors) {
            match next {
                Next::Actuate(actuation) => self.actuation = Some(actuation),
                Next::Verdict(cmd_id, verdict) => {
                    self.push_event(Happening::CommandResult { cmd_id, verdict }, &mut board.flash);
                }
            }
        }
    }

    fn end(&mut self, reason: CloseReason, kind: MessageType, seq: u32) {
        if self.ending.is_none() && !matches!(self.link, Link::Offline { .. }) {
            self.say = None;
            self.ending = Some(Ending { reason, kind, seq, is_told: false, wait_ms: None });
        }
    }

    /// The other end said that it closes and when to come back: no ERROR is needed.
    fn end_politely(&mut self, reason: CloseReason, wait_ms: Option<u32>) {
        if self.ending.is_none() {
            self.ending = Some(Ending { reason, kind: MessageType(0), seq: 0, is_told: true, wait_ms });
        }
    }

    fn go_offline(&mut self, reason: CloseReason) {
        let asked_ms = self.ending.take().and_then(|ending| ending.wait_ms);
        let wait_ms = match asked_ms {
            // Nobody may make a station knock without a pause.
            Some(wait_ms) => u64::from(wait_ms).max(self.backoff.shortest_ms()),
            None if matches!(self.link, Link::Open(_)) => self.backoff.after_session_ms(&mut self.dice),
            None => self.backoff.after_failure_ms(&mut self.dice),
        };
        self.say = None;
        self.last_disconnect = reason.disconnect_reason();
        self.link = Link::Offline { connect_at: Deadline::after(self.uptime_ms, wait_ms) };
    }
}
