//! The state of the whole world, and the facts that never change in it.

use super::backend::Backend;
use super::check;
use super::explorer::System;
use super::gateway::Gateway;
use super::machine::rental::{Moment, Terms};
use super::station::{Station, Wants, whole};
use super::steps::{self, Step};
use chrono::{DateTime, TimeDelta, Utc};
use protocol::control::{self, EventBody, ReportedState};
use protocol::message::Message;
use protocol::session::outcome::{Row, Settlement};
use protocol::types::{BankSerial, CommandId, EventNo, SlotNumber, SlotState, StationId};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

pub(super) const STATION: StationId = StationId([7; 16]);
pub(super) const ELSEWHERE: StationId = StationId([8; 16]);
pub(super) const BANK: BankSerial = BankSerial([0xB0, 0, 0, 0, 0, 0, 0, 1]);
pub(super) const CLOCK_ERROR_MS: u32 = 2_000;
/// What the rider may buy once: a bank that would be lost on the next day is only late then.
pub(super) const EXTENSION: TimeDelta = TimeDelta::hours(13);
/// The station has been here for a minute before the rider comes.
pub(super) const BEGIN_MS: u64 = 1_790_000_000_000;
const REQUEST_MS: u64 = BEGIN_MS + 60_000;
pub(super) const EXPIRES_AT_MS: u64 = REQUEST_MS + 20_000;
/// A UUIDv7 of the moment of the request.
pub(super) const CMD: CommandId = command_id(REQUEST_MS);

const fn command_id(at_ms: u64) -> CommandId {
    let t = at_ms.to_be_bytes();
    CommandId([t[2], t[3], t[4], t[5], t[6], t[7], 0x70, 1, 0x80, 1, 1, 1, 1, 1, 1, 1])
}

/// What the rider and the backend agreed on.
pub(super) fn terms() -> Terms {
    Terms {
        cmd_id: CMD,
        station: STATION,
        slot: 1,
        created_at: time(REQUEST_MS),
        expires_at: time(EXPIRES_AT_MS),
        max_clock_error: TimeDelta::milliseconds(i64::from(CLOCK_ERROR_MS)),
        duration: TimeDelta::hours(1),
        lost_after: TimeDelta::hours(12),
    }
}

/// The five moments at which anything can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tick {
    /// The command lives.
    Fresh,
    /// It has just expired; a motor may still run.
    Expired,
    /// No motor can run for it any more; gateways still remember it.
    Settled,
    /// In doubt for two minutes.
    Doubted,
    /// A day later.
    Day,
}

impl Tick {
    pub(super) const fn wall_ms(self) -> u64 {
        REQUEST_MS
            + match self {
                Self::Fresh => 0,
                Self::Expired => 21_000,
                Self::Settled => 45_000,
                Self::Doubted => 160_000,
                Self::Day => 25 * 3_600_000,
            }
    }

    pub(super) fn now(self) -> DateTime<Utc> {
        time(self.wall_ms())
    }

    pub(super) fn is_expired(self) -> bool {
        self > Self::Fresh
    }

    pub(super) const fn next(self) -> Option<Self> {
        match self {
            Self::Fresh => Some(Self::Expired),
            Self::Expired => Some(Self::Settled),
            Self::Settled => Some(Self::Doubted),
            Self::Doubted => Some(Self::Day),
            Self::Day => None,
        }
    }
}

/// Everything that is.
///
/// Two states whose views ([`Hash`]) are equal are taken for one. Left out of it is what only counts frames:
/// sequence numbers, epochs, round trips. What a session still has to say is on the wire or in flash.
#[derive(Clone)]
pub(super) struct World {
    pub(super) tick: Tick,
    pub(super) faults_left: u8,
    pub(super) shell: Shell,
    pub(super) bank: BankIs,
    pub(super) station: Rc<Station>,
    pub(super) gateway: Rc<Gateway>,
    pub(super) wire: Wire,
    /// The second station's event: the bank was returned there.
    pub(super) elsewhere: Option<Item>,
    pub(super) backend: Rc<Backend>,
    pub(super) facts: Facts,
    pub(super) marks: Marks,
}

/// Whole frames on their way, in order; the link breaks with all of them or carries all of them.
#[derive(Clone, Default)]
pub(super) struct Wire {
    pub(super) is_up: bool,
    pub(super) to_station: VecDeque<Rc<[u8]>>,
    pub(super) to_gateway: VecDeque<Rc<[u8]>>,
}

/// Where the bank really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BankIs {
    In(SlotNumber),
    WithRider,
    Elsewhere,
}

/// What really happened, which no party of the world can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) motor_runs: u8,
    /// The bank left by the command.
    pub(super) left: bool,
    /// Staff decided against the truth: what follows is theirs to mend.
    pub(super) staff_erred: bool,
    /// The flash was lost: its journal may say less than happened.
    pub(super) flash_lost: bool,
    /// The flash was lost after the bank was back in its slot: with it went all evidence that it ever left.
    pub(super) evidence_lost: bool,
    pub(super) cancel_asked: bool,
    pub(super) has_failed: bool,
    /// The backend died before there was a rental.
    pub(super) is_over: bool,
    /// The first row of the outcome table on this path, if paths are told apart by it.
    pub(super) story: Option<Row>,
}

/// The backend's shell and the station: as built, or a mutant that the check must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shell {
    AsBuilt,
    /// The shell gives the hold back as soon as a command is in doubt.
    VoidsInDoubt,
    /// The station's journal does not survive a power cut.
    ForgetsJournal,
}

/// Rows of the outcome table that the steps since the last look have touched; no part of a state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    pub(super) rows: u64,
    pub(super) tells_stories: bool,
}

/// What a gateway brings to the backend.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Event { whose: Whose, event_no: EventNo, moment: Moment, body: Body },
    Report { said: ReportedState, received_at_ms: u64 },
}

/// Which of the two stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Whose {
    Ejecting,
    Other,
}

impl Whose {
    pub(super) const fn id(self) -> StationId {
        match self {
            Self::Ejecting => STATION,
            Self::Other => ELSEWHERE,
        }
    }
}

/// What an event says, as far as rentals go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Body {
    Result(control::Verdict),
    Inserted { slot: SlotNumber },
    Inventory { as_of: EventNo, names_command: bool, slots: Vec<Seen> },
    Other,
}

impl Body {
    /// Whether it tells of a bank that came or went.
    pub(super) const fn moves_bank(&self) -> bool {
        matches!(self, Self::Result(_) | Self::Inserted { .. })
    }
}

/// What a slot table says of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    Bank,
    Nothing,
    Unreadable,
}

impl World {
    /// A station with an open session and nothing left to say; the rider has not come yet.
    pub(super) fn new(faults: u8, shell: Shell) -> Self {
        let mut world = Self {
            tick: Tick::Fresh,
            faults_left: faults,
            shell,
            bank: BankIs::In(1),
            station: Rc::new(Station::new(BEGIN_MS)),
            gateway: Rc::new(Gateway::start(1)),
            wire: Wire::default(),
            elsewhere: None,
            backend: Rc::new(Backend::new()),
            facts: Facts::default(),
            marks: Marks::default(),
        };
        let settling = [Step::Connect, Step::CarryToGateway, Step::CarryToStation, Step::Post];
        while let Some(next) = settling.iter().find_map(|step| world.step(*step)) {
            world = next;
        }
        world
    }

    /// Tells states apart by the first row of the outcome table on their path.
    pub(super) fn telling_stories(mut self) -> Self {
        self.marks.tells_stories = true;
        self
    }

    pub(super) fn wall_ms(&self) -> u64 {
        self.tick.wall_ms()
    }

    pub(super) fn mark(&mut self, row: Row) {
        let place = Row::ALL.iter().position(|other| *other == row).unwrap();
        self.marks.rows |= 1 << place;
        // Without a fault nothing is told apart: what passes is a delay.
        let is_definite = matches!(row.settlement(), Settlement::Void | Settlement::Rented);
        if self.marks.tells_stories && self.facts.has_failed && is_definite {
            self.facts.story.get_or_insert(row);
        }
    }

    /// Lets the station speak, and carries out what it wants.
    pub(super) fn drain_station(&mut self) {
        let wall_ms = self.wall_ms();
        let may_move_until_ms = EXPIRES_AT_MS + u64::from(CLOCK_ERROR_MS);
        let Wants { frames, connect, close } =
            Rc::make_mut(&mut self.station).drain(wall_ms, may_move_until_ms);
        assert!(!close, "the station closes a healthy session");
        assert!(!connect, "nobody let it connect");
        if self.wire.is_up {
            self.wire.to_gateway.extend(frames.into_iter().map(Rc::from));
        }
    }

    pub(super) fn send_to_station(&mut self, frames: Vec<Vec<u8>>) {
        self.wire.to_station.extend(frames.into_iter().map(Rc::from));
    }

    /// The connection ends, and what it carried is lost.
    pub(super) fn lose_link(&mut self) {
        let wall_ms = self.wall_ms();
        self.wire = Wire::default();
        Rc::make_mut(&mut self.station).lose_link(wall_ms);
        Rc::make_mut(&mut self.gateway).lose_link();
        self.drain_station();
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.tick, self.faults_left, self.shell, self.bank, self.facts).hash(hasher);
        self.elsewhere.hash(hasher);
        self.wire.is_up.hash(hasher);
        for lane in [&self.wire.to_station, &self.wire.to_gateway] {
            lane.len().hash(hasher);
            for frame in lane {
                let frame = whole(frame);
                (frame.header.kind, frame.payload).hash(hasher);
            }
        }
        let station = &self.station;
        (&station.board, station.motor, station.moved_too_late, station.session.is_busy()).hash(hasher);
        let gateway = &self.gateway;
        (gateway.instance, gateway.command, &gateway.uplink).hash(hasher);
        let has_asked = self.backend.asked == Some((self.tick, gateway.epoch()));
        has_asked.hash(hasher);
        self.backend.hash(hasher);
    }
}

impl System for World {
    type Action = Step;

    fn actions() -> &'static [Step] {
        Step::ALL
    }

    fn is_progress(step: Step) -> bool {
        !matches!(step, Step::Extend | Step::Fault(_))
    }

    fn step(&self, step: Step) -> Option<Self> {
        let mut next = self.clone();
        steps::take(&mut next, step)?;
        // Only steps that really settle something count; what was learned before is no news.
        Some(next)
    }

    fn violation(&self) -> Option<String> {
        check::always(self)
    }

    fn violation_at_rest(&self) -> Option<String> {
        check::at_rest(self)
    }

    fn take_marks(&mut self) -> u64 {
        std::mem::take(&mut self.marks.rows)
    }
}

/// When an event happened, as the gateway and the inbox understand it.
pub(super) fn moment_of(message: &Message<'_>, arrival_ms: u64) -> Moment {
    let stamp = match message {
        Message::Event(event) => &event.stamp,
        Message::Alarm(alarm) => &alarm.stamp,
        Message::Inventory(inventory) => &inventory.stamp,
        Message::CmdResult(result) => &result.stamp,
        other => panic!("no event: {other:?}"),
    };
    let (happened_ms, quality) = stamp.happened_at(arrival_ms);
    let happened_ms =
        if quality == control::TimeQuality::Anchored { happened_ms.min(arrival_ms) } else { arrival_ms };
    Moment { happened_at: time(happened_ms), quality: Some(quality), event_no: Some(stamp.event_no) }
}

/// What an event says.
pub(super) fn body_of(message: &Message<'_>) -> Body {
    let body = match message {
        Message::Event(event) => EventBody::from(event),
        Message::Inventory(inventory) => EventBody::from(inventory),
        Message::CmdResult(result) => EventBody::from(result),
        _ => return Body::Other,
    };
    match body {
        EventBody::CommandResult { cmd_id, verdict } => {
            assert_eq!(cmd_id, CMD);
            Body::Result(verdict)
        }
        EventBody::BankInserted { slot, bank, .. } => {
            assert_eq!(bank, BANK);
            Body::Inserted { slot }
        }
        EventBody::Inventory(inventory) => Body::Inventory {
            as_of: inventory.as_of_event_no,
            names_command: inventory.last_cmd_id == Some(CMD),
            slots: inventory
                .slots
                .iter()
                .map(|slot| match slot.bank {
                    Some(_) => Seen::Bank,
                    None if SlotState(slot.state).has(SlotState::INSERTED) => Seen::Unreadable,
                    None => Seen::Nothing,
                })
                .collect(),
        },
        _ => Body::Other,
    }
}

pub(super) fn time(unix_ms: u64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(i64::try_from(unix_ms).unwrap()).unwrap()
}
