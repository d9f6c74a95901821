//! The gateway: the real session, and around it the command table and the uplink of one process.

use super::station::whole;
use super::world::{BANK, CMD, EXPIRES_AT_MS, Item, Whose, body_of, moment_of};
use protocol::control::{DeliveryState, ReportedState, WithdrawOutcome};
use protocol::crypto::{LinkMode, StationKey};
use protocol::frame::{self, Flags, MessageType};
use protocol::message::{Command, CommandKind, JournalState, Message, Reconnect, Window};
use protocol::session::CloseReason;
use protocol::session::gateway::{GatewaySession, Output, Received, SCRATCH_BYTES, Terms};
use protocol::time::Now;
use protocol::types::{Epoch, EventNo};

const TERMS: Terms = Terms {
    keepalive_s: 900,
    payload_max_bytes: 2_048,
    ack_delay_ms: 0,
    event_window: Window { frames: 8, bytes: 8_192 },
    sample_window: Window { frames: 8, bytes: 8_192 },
    reconnect: Reconnect { min_ms: 0, max_ms: 0, spread_ms: 0 },
};

/// One process, and what it would lose with its memory.
#[derive(Clone)]
pub(super) struct Gateway {
    /// Grows with each process: its `instance_id`.
    pub(super) instance: u8,
    pub(super) session: Option<GatewaySession>,
    /// What the command table holds of the eject.
    pub(super) command: Option<Phase>,
    /// What waits for the backend.
    pub(super) uplink: Vec<Item>,
    accepted: Epoch,
}

/// The command table's entry: see `gateway::commands`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Queued,
    Sent,
    Received,
    Answered,
    Unsent,
}

impl Gateway {
    pub(super) fn start(instance: u8) -> Self {
        Self { instance, session: None, command: None, uplink: Vec::new(), accepted: Epoch(0) }
    }

    /// `PUT control/commands/{cmd_id}`: takes it once; "unsent" is a promise.
    pub(super) fn offer(&mut self, wall_ms: u64) -> DeliveryState {
        let phase = *self.command.get_or_insert(if wall_ms >= EXPIRES_AT_MS || self.session.is_none() {
            Phase::Unsent
        } else {
            Phase::Queued
        });
        match phase {
            Phase::Queued => DeliveryState::Queued,
            Phase::Sent => DeliveryState::Sent,
            Phase::Received => DeliveryState::Received,
            Phase::Answered => DeliveryState::Answered,
            Phase::Unsent => DeliveryState::Unsent,
        }
    }

    /// `DELETE control/commands/{cmd_id}`.
    pub(super) fn withdraw(&mut self) -> WithdrawOutcome {
        match self.command {
            None => WithdrawOutcome::Unknown,
            Some(Phase::Queued | Phase::Unsent) => {
                self.command = Some(Phase::Unsent);
                WithdrawOutcome::Withdrawn
            }
            Some(Phase::Sent | Phase::Received | Phase::Answered) => WithdrawOutcome::TooLate,
        }
    }

    /// The frame of the eject, if it may still be written.
    pub(super) fn write(&mut self, wall_ms: u64) -> Option<Vec<u8>> {
        if wall_ms >= EXPIRES_AT_MS {
            self.command = Some(Phase::Unsent);
            return None;
        }
        let frame = self.command_frame(wall_ms);
        self.command = Some(Phase::Sent);
        frame
    }

    /// The same without asking the table: for the faults that send a copy.
    pub(super) fn command_frame(&mut self, wall_ms: u64) -> Option<Vec<u8>> {
        let command = Command {
            cmd_id: CMD,
            epoch: Epoch(0),
            kind: CommandKind::Eject,
            slot: Some(1),
            bank: Some(BANK),
            argument: 0,
            expires_at_ms: EXPIRES_AT_MS,
            max_clock_error_ms: super::world::CLOCK_ERROR_MS,
            address: "",
        };
        let mut scratch = [0; SCRATCH_BYTES];
        let session = self.session.as_mut()?;
        session.send_command(&command, now(wall_ms), &mut scratch).ok().map(<[u8]>::to_vec)
    }

    /// ACK and CMD_QUERY after a login, or when the backend asks again.
    pub(super) fn brief(&mut self, events_through: EventNo, asks: bool, wall_ms: u64) -> Vec<Vec<u8>> {
        let Some(session) = self.session.as_mut() else { return Vec::new() };
        session.acknowledge_events(events_through, now(wall_ms));
        let mut frames = drain(session);
        if asks {
            let mut scratch = [0; SCRATCH_BYTES];
            frames.push(session.query(CMD, now(wall_ms), &mut scratch).unwrap().to_vec());
        }
        frames
    }

    pub(super) fn acknowledge(&mut self, through: EventNo, wall_ms: u64) -> Vec<Vec<u8>> {
        self.brief(through, false, wall_ms)
    }

    pub(super) fn accept(&mut self, wall_ms: u64) {
        self.session = Some(GatewaySession::new(LinkMode::Tls, [9; 16], now(wall_ms)));
    }

    /// A frame arrives; answers what the session says.
    pub(super) fn receive(&mut self, bytes: &[u8], key: &StationKey, wall_ms: u64) -> Vec<Vec<u8>> {
        let Some(mut session) = self.session.take() else { return Vec::new() };
        let frame = whole(bytes);
        match session.handle_frame(&frame, now(wall_ms)) {
            None | Some(Received::Telemetry(_) | Received::Goaway(_) | Received::Complaint(_)) => {}
            Some(Received::Hello(_)) => session.challenge(key),
            Some(Received::Proven { epoch, .. }) => {
                assert!(epoch > self.accepted, "a station's epochs rise");
                self.accepted = epoch;
                session.welcome(TERMS);
            }
            Some(Received::Event(event_no, message)) => {
                if matches!(message, Message::CmdResult(_)) {
                    self.command = self.command.map(|_| Phase::Answered);
                }
                let moment = moment_of(&message, wall_ms);
                self.uplink.push(Item::Event {
                    whose: Whose::Ejecting,
                    event_no,
                    moment,
                    body: body_of(&message),
                });
            }
            Some(Received::CommandReceipt(_)) => {
                if self.command == Some(Phase::Sent) {
                    self.command = Some(Phase::Received);
                }
                self.uplink.push(Item::Report { said: ReportedState::Received, received_at_ms: wall_ms });
            }
            Some(Received::CommandState(state)) => {
                let said = match state.state {
                    JournalState::Started => ReportedState::Started,
                    JournalState::Verdict(verdict) => ReportedState::Verdict { verdict: verdict.into() },
                    JournalState::NeverSeen => ReportedState::NeverSeen,
                    JournalState::Evicted => ReportedState::Evicted,
                };
                self.uplink.push(Item::Report { said, received_at_ms: wall_ms });
            }
        }
        let frames = drain(&mut session);
        self.session = Some(session);
        frames
    }

    /// The connection is gone: what was not written is proven unsent.
    pub(super) fn lose_link(&mut self) {
        self.session = None;
        if self.command == Some(Phase::Queued) {
            self.command = Some(Phase::Unsent);
        }
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.session.as_ref().map(GatewaySession::epoch)
    }
}

/// The same COMMAND with the stamp of the session before: what a gateway that slept would write.
pub(super) fn with_earlier_epoch(bytes: &[u8]) -> Vec<u8> {
    let frame = whole(bytes);
    let Ok(Message::Command(command)) = Message::decode(MessageType::COMMAND, frame.payload) else {
        panic!("no COMMAND")
    };
    let stamped = Message::Command(Command { epoch: Epoch(command.epoch.0 - 1), ..command });
    let mut out = vec![0; SCRATCH_BYTES];
    let header = frame::Header { flags: Flags::NONE, ..frame.header };
    let length = frame::encode(&header, None, &mut out, |writer| stamped.encode(writer)).unwrap();
    out.truncate(length);
    out
}

fn drain(session: &mut GatewaySession) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut scratch = [0; SCRATCH_BYTES];
    while let Some(output) = session.poll_output(&mut scratch) {
        match output {
            Output::Transmit { bytes, .. } => frames.push(bytes.to_vec()),
            Output::Suspect => {}
            Output::Close(reason) => assert!(
                matches!(reason, CloseReason::PeerClosed | CloseReason::LinkLost),
                "the gateway closes a healthy session: {reason:?}"
            ),
        }
    }
    frames
}

fn now(wall_ms: u64) -> Now {
    Now { monotonic_ms: wall_ms - super::world::BEGIN_MS, wall_ms }
}
