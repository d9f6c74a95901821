//! Every interleaving of one eject with a few faults: a search over all states of both machines.
//!
//! The wire delivers frame by frame, in any order between the two directions. The connection may break,
//! the power may go, also between any two writes to flash and between the motor and its report, the
//! command may be sent and asked for again: each as often as the budget says, at any point.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::crypto::{LinkMode, MasterKey, StationKey};
use protocol::message::{
    Command, CommandKind, JournalState, Message, Reconnect, ResetReason, RetryReason, SlotReading, Verdict,
    Window,
};
use protocol::session::CloseReason;
use protocol::session::commands::{Actuation, ActuationOutcome};
use protocol::session::flash::{Flash, MemoryFlash};
use protocol::session::gateway::{self, GatewaySession, Received, Terms};
use protocol::session::station::{self, Board, Settings, StationSession};
use protocol::time::Now;
use protocol::types::{CommandId, Epoch};

use super::world::{START_WALL_MS, STATION_ID, Slots, bank, command_id, holding, identity, whole};

const TERMS: Terms = Terms {
    keepalive_s: 900,
    payload_max_bytes: 2_048,
    ack_delay_ms: 0,
    event_window: Window { frames: 8, bytes: 8_192 },
    sample_window: Window { frames: 8, bytes: 8_192 },
    reconnect: Reconnect { min_ms: 1, max_ms: 1, spread_ms: 0 },
};

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    sends: u8,
    queries: u8,
    link_cuts: u8,
    power_cuts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Connect,
    DeliverUp,
    DeliverDown,
    Send,
    Query,
    CutLink,
    CutPower,
    /// The power goes after so many more writes to flash.
    CutPowerAfter(u32),
    /// The motor runs; nobody knows yet.
    RunMotor,
    /// The motor reports.
    ReportMotor,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    station: StationSession<0>,
    board: Board<MemoryFlash, Slots>,
    gateway: Option<GatewaySession>,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    actuation: Option<Actuation>,
    has_run: bool,
    /// Runs of the motor, for ever.
    runs: u8,
    accepted: Option<Epoch>,
    verdict: Option<Verdict>,
    is_void: bool,
    uptime_ms: u64,
    wall_ms: u64,
    connections: u8,
    budget: Budget,
}

fn key() -> StationKey {
    MasterKey::from_bytes([1; 32]).station_key(STATION_ID, 0)
}

fn the_command() -> CommandId {
    command_id(START_WALL_MS, 1)
}

impl World {
    fn new(budget: Budget) -> Self {
        let sensors = Slots { readings: vec![holding(bank(1))], version: 1 };
        let mut board = Board { flash: MemoryFlash::provisioned(), sensors };
        let station = boot(&mut board);
        Self {
            station,
            board,
            gateway: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            actuation: None,
            has_run: false,
            runs: 0,
            accepted: None,
            verdict: None,
            is_void: false,
            uptime_ms: 0,
            wall_ms: START_WALL_MS,
            connections: 0,
            budget,
        }
    }

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let is_open = self.gateway.as_ref().is_some_and(GatewaySession::is_open);
        if self.gateway.is_none() {
            actions.push(Action::Connect);
        }
        if !self.up.is_empty() {
            actions.push(Action::DeliverUp);
        }
        if !self.down.is_empty() {
            actions.push(Action::DeliverDown);
        }
        if is_open && self.budget.sends > 0 {
            actions.push(Action::Send);
        }
        if is_open && self.budget.queries > 0 {
            actions.push(Action::Query);
        }
        if self.gateway.is_some() && self.budget.link_cuts > 0 {
            actions.push(Action::CutLink);
        }
        if self.budget.power_cuts > 0 {
            actions.push(Action::CutPower);
            actions.extend((0..4).map(Action::CutPowerAfter));
        }
        if self.actuation.is_some() {
            actions.push(if self.has_run { Action::ReportMotor } else { Action::RunMotor });
        }
        actions
    }

    fn step(&mut self, action: Action) {
        match action {
            Action::Connect => self.connect(),
            Action::DeliverUp => self.deliver_up(),
            Action::DeliverDown => self.deliver_down(),
            Action::Send => {
                self.budget.sends -= 1;
                self.send();
            }
            Action::Query => {
                self.budget.queries -= 1;
                self.query();
            }
            Action::CutLink => {
                self.budget.link_cuts -= 1;
                self.lose_link();
            }
            Action::CutPower => {
                self.budget.power_cuts -= 1;
                self.lose_power();
            }
            Action::CutPowerAfter(writes) => {
                self.budget.power_cuts -= 1;
                self.board.flash.cut_after(writes);
            }
            Action::RunMotor => {
                self.has_run = true;
                self.runs += 1;
                self.board.sensors.readings[0] = SlotReading::default();
            }
            Action::ReportMotor => {
                self.has_run = false;
                if let Some(actuation) = self.actuation.take() {
                    let outcome = ActuationOutcome::Finished;
                    self.station.handle_actuated(actuation.cmd_id, outcome, &mut self.board, self.uptime_ms);
                    self.drain_station();
                }
            }
        }
        self.check();
    }

    /// What must be true in every state.
    fn check(&self) {
        assert!(self.runs <= 1, "I1");
        assert!(!(self.is_void && self.runs > 0), "void, and the bank is out");
        let journaled = self.board.flash.journal(&the_command()).and_then(|entry| entry.verdict());
        if let Some(verdict) = self.verdict {
            assert_eq!(Some(verdict), journaled, "I3");
        }
        match journaled {
            Some(Verdict::Done(_)) => assert_eq!(self.runs, 1, "DONE, and no motor ran"),
            Some(Verdict::Failed(_) | Verdict::Rejected(_)) => assert_eq!(self.runs, 0, "undone, and it ran"),
            Some(Verdict::Uncertain(_)) => panic!("no fault of this search makes a slot unreadable"),
            None => {}
        }
    }

    fn connect(&mut self) {
        self.connections += 1;
        loop {
            let wait_ms =
                self.station.next_timeout_ms().map_or(0, |at_ms| at_ms.saturating_sub(self.uptime_ms));
            self.uptime_ms += wait_ms;
            self.wall_ms += wait_ms;
            self.station.handle_timeout(self.uptime_ms);
            let mut scratch = [0; station::SCRATCH_BYTES];
            let output = self.station.poll_output(&mut self.board, &mut scratch);
            match output {
                Some(station::Output::Connect) => break,
                Some(station::Output::Actuate(actuation)) => self.actuation = Some(actuation),
                Some(station::Output::Close(_)) => {}
                other => assert_eq!(other, None),
            }
        }
        self.gateway = Some(GatewaySession::new(LinkMode::Clear, [self.connections; 16], self.now()));
        self.station.handle_connected([self.connections ^ 0xFF; 16], self.uptime_ms);
        self.drain_station();
    }

    fn deliver_up(&mut self) {
        let (Some(bytes), Some(mut gateway)) = (self.up.pop_front(), self.gateway.take()) else { return };
        match gateway.handle_frame(&whole(&bytes), self.now()) {
            Some(Received::Hello(_)) => gateway.challenge(&key()),
            Some(Received::Proven { epoch, .. }) => {
                if self.accepted.is_some_and(|accepted| epoch <= accepted) {
                    gateway.refuse(RetryReason::StaleEpoch, 1);
                } else {
                    self.accepted = Some(epoch);
                    gateway.welcome(TERMS);
                }
            }
            Some(Received::Event(event_no, message)) => {
                if let Message::CmdResult(result) = message {
                    self.learn(result.verdict);
                }
                gateway.acknowledge_events(event_no, self.now());
            }
            Some(Received::CommandState(state)) => match state.state {
                JournalState::Verdict(verdict) => self.learn(verdict),
                JournalState::NeverSeen => self.is_void = true,
                JournalState::Started => {}
                JournalState::Evicted => panic!("nothing is forgotten here"),
            },
            _ => {}
        }
        self.gateway = Some(gateway);
        self.drain_gateway();
    }

    fn deliver_down(&mut self) {
        let Some(bytes) = self.down.pop_front() else { return };
        self.station.handle_frame(&whole(&bytes), &mut self.board, self.uptime_ms);
        self.drain_station();
    }

    fn learn(&mut self, verdict: Verdict) {
        assert!(self.verdict.is_none_or(|known| known == verdict), "I3: two verdicts");
        self.verdict = Some(verdict);
        self.is_void |= matches!(verdict, Verdict::Rejected(_) | Verdict::Failed(_));
    }

    fn send(&mut self) {
        let command = Command {
            cmd_id: the_command(),
            epoch: Epoch(0),
            kind: CommandKind::Eject,
            slot: Some(1),
            bank: Some(bank(1)),
            argument: 0,
            expires_at_ms: START_WALL_MS + 600_000,
            max_clock_error_ms: 60_000,
            address: "",
        };
        let (now, mut scratch) = (self.now(), [0; gateway::SCRATCH_BYTES]);
        if let Some(Ok(bytes)) = self.gateway.as_mut().map(|it| it.send_command(&command, now, &mut scratch))
        {
            self.down.push_back(bytes.to_vec());
        }
    }

    fn query(&mut self) {
        let (now, mut scratch) = (self.now(), [0; gateway::SCRATCH_BYTES]);
        if let Some(Ok(bytes)) = self.gateway.as_mut().map(|it| it.query(the_command(), now, &mut scratch)) {
            self.down.push_back(bytes.to_vec());
        }
    }

    fn lose_link(&mut self) {
        self.gateway = None;
        self.up.clear();
        self.down.clear();
        self.station.handle_closed(CloseReason::LinkLost, self.uptime_ms);
    }

    fn lose_power(&mut self) {
        self.lose_link();
        self.board.flash.restore_power();
        self.actuation = None;
        self.has_run = false;
        self.uptime_ms = 0;
        self.station = boot(&mut self.board);
    }

    fn drain_station(&mut self) {
        loop {
            let mut scratch = [0; station::SCRATCH_BYTES];
            let output = self.station.poll_output(&mut self.board, &mut scratch);
            if self.board.flash.is_cut() {
                return self.lose_power();
            }
            match output {
                Some(station::Output::Transmit { bytes, .. }) => self.up.push_back(bytes.to_vec()),
                Some(station::Output::Actuate(actuation)) => self.actuation = Some(actuation),
                Some(station::Output::Close(reason)) => {
                    panic!("no fault of this search is a reason: {reason:?}")
                }
                Some(station::Output::Connect) => panic!("it is connected"),
                None => return,
            }
        }
    }

    fn drain_gateway(&mut self) {
        while let Some(gateway) = &mut self.gateway {
            let mut scratch = [0; gateway::SCRATCH_BYTES];
            match gateway.poll_output(&mut scratch) {
                Some(gateway::Output::Transmit { bytes, .. }) => self.down.push_back(bytes.to_vec()),
                Some(gateway::Output::Close(reason)) => {
                    panic!("no fault of this search is a reason: {reason:?}")
                }
                Some(gateway::Output::Suspect) | None => return,
            }
        }
    }

    /// Faults are over: the world must come to rest with an answer.
    fn settle(mut self) {
        self.board.flash.restore_power();
        self.budget = Budget { sends: 0, queries: 0, link_cuts: 0, power_cuts: 0 };
        for _ in 0..2 {
            while let Some(action) = self.actions().first().copied() {
                self.step(action);
            }
            // In doubt: the session's briefing asks.
            if self.verdict.is_none() && !self.is_void {
                self.query();
            }
        }
        assert!(self.verdict.is_some() || self.is_void, "I8: still in doubt");
        assert_eq!(self.runs == 1, !self.is_void, "the answer is the truth");
        assert!(self.board.flash.events().next().is_none(), "I4");
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.wall_ms - START_WALL_MS, wall_ms: self.wall_ms }
    }

    fn fingerprint(&self) -> u128 {
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            self.hash(&mut hasher);
            hasher.finish()
        };
        u128::from(half(1)) << 64 | u128::from(half(2))
    }
}

fn boot(board: &mut Board<MemoryFlash, Slots>) -> StationSession<0> {
    let settings = Settings { reconnect: TERMS.reconnect, ..Settings::default() };
    StationSession::boot(identity(&key()), settings, ResetReason::PowerOn, 1, board, 0)
}

/// Visits every state that the budget allows and gives their number.
fn explore(budget: Budget) -> usize {
    let mut seen = HashSet::new();
    let mut stack = vec![World::new(budget)];
    seen.insert(stack[0].fingerprint());
    while let Some(world) = stack.pop() {
        for action in world.actions() {
            let mut next = world.clone();
            next.step(action);
            if seen.insert(next.fingerprint()) {
                if seen.len() % 16 == 0 {
                    next.clone().settle();
                }
                stack.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn one_eject_keeps_its_promises_in_every_state() {
    for budget in [
        Budget { sends: 2, queries: 1, link_cuts: 1, power_cuts: 0 },
        Budget { sends: 1, queries: 1, link_cuts: 0, power_cuts: 1 },
    ] {
        let states = explore(budget);
        println!("{states} states with {budget:?}");
        assert!(states > 500, "the search ended early: {states}");
    }
}
