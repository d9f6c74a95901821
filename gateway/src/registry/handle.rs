//! The part of a session that others reach through the registry.

use super::{Mailbox, locked};
use crate::commands::Tracked;
use crate::limits;
use futures::task::AtomicWaker;
use protocol::control::{Briefing, ProofOfLife, StationPresence};
use protocol::message::SamplePoint;
use protocol::types::{CommandId, Epoch, EventNo, StationId};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// The part of a session that others may touch: its inbox and its vital signs.
///
/// The connection's task is the only reader of the inbox. Whoever puts something in wakes it.
/// All entries are bounded: acknowledgements keep the highest number only, commands by the
/// table's limit per station, queries by [`limits::BRIEFING_QUERIES_MAX`].
pub struct SessionHandle {
    /// Who.
    pub station_id: StationId,
    /// Its rank.
    pub epoch: Epoch,
    /// Session start, Unix milliseconds.
    pub since_ms: u64,
    last_seen_ms: AtomicU64,
    rtt_ms: AtomicU32,
    /// Since when the station is suspect, Unix milliseconds; 0 while it is not.
    suspect_ms: AtomicU64,
    pending: AtomicBool,
    inbox: Mutex<Inbox>,
    waker: AtomicWaker,
    /// Of the worker that drives it.
    mailbox: Option<Arc<Mailbox>>,
}

/// What others ask of a session. Taken as a whole by its connection.
///
/// Acknowledgements are what mostly comes, so they have their place; what is rare takes memory while it is here.
#[derive(Default)]
pub struct Inbox {
    /// All events up to this one are stored; zero tells a station that lost its flash that none is.
    pub events_through: Option<EventNo>,
    /// All samples of a boot up to this one are stored.
    pub samples_through: Option<SamplePoint>,
    /// What the station is asked.
    pub asked: Option<Box<Asked>>,
    /// The session shall end.
    pub leave: Option<Leave>,
    closed: bool,
}

/// What a station is asked.
#[derive(Default)]
pub struct Asked {
    /// Commands to write, oldest first.
    pub commands: Vec<Arc<Tracked>>,
    /// Commands to ask for.
    pub queries: Vec<CommandId>,
    /// The station shall send its slot table.
    pub query_inventory: bool,
    /// What is stored of other boots than that of [`Inbox::samples_through`].
    pub samples_through: Vec<SamplePoint>,
}

impl Inbox {
    fn asked(&mut self) -> &mut Asked {
        self.asked.get_or_insert_default()
    }

    pub(super) fn acknowledge_events(&mut self, through: EventNo) {
        self.events_through = self.events_through.max(Some(through));
    }

    pub(super) fn brief(&mut self, briefing: &Briefing) {
        self.acknowledge_events(briefing.events_through);
        if briefing.queries.is_empty() && !briefing.query_inventory {
            return;
        }
        let asked = self.asked();
        for query in &briefing.queries {
            if asked.queries.len() < limits::BRIEFING_QUERIES_MAX && !asked.queries.contains(query) {
                asked.queries.push(*query);
            }
        }
        asked.query_inventory |= briefing.query_inventory;
    }

    pub(super) fn acknowledge_samples(&mut self, through: SamplePoint) {
        let first = self.samples_through.get_or_insert(through);
        let known = if first.boot_no == through.boot_no {
            Some(first)
        } else {
            let others = &mut self.asked.get_or_insert_default().samples_through;
            if others.iter().all(|known| known.boot_no != through.boot_no) {
                others.push(through);
            }
            others.iter_mut().find(|known| known.boot_no == through.boot_no)
        };
        if let Some(known) = known {
            known.sample_no = known.sample_no.max(through.sample_no);
        }
    }

    /// The commands, leaving the rest.
    pub fn take_commands(&mut self) -> Vec<Arc<Tracked>> {
        self.asked.as_mut().map(|asked| std::mem::take(&mut asked.commands)).unwrap_or_default()
    }
}

/// Why a session is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// A session with a higher epoch of the same station is here.
    TakenOver,
    /// The gateway drains: GOAWAY first, the socket closes at the deadline.
    Drained,
    /// The station may no longer log in.
    Revoked,
    /// Two devices use this identity.
    Quarantined,
    /// The gateway stops now.
    Stopped,
}

impl SessionHandle {
    /// A session that starts now.
    pub fn new(station_id: StationId, epoch: Epoch, since_ms: u64) -> Self {
        Self {
            station_id,
            epoch,
            since_ms,
            last_seen_ms: AtomicU64::new(since_ms),
            rtt_ms: AtomicU32::new(u32::MAX),
            suspect_ms: AtomicU64::new(0),
            pending: AtomicBool::new(false),
            inbox: Mutex::new(Inbox::default()),
            waker: AtomicWaker::new(),
            mailbox: None,
        }
    }

    /// Its worker can be told of many sessions at once.
    pub fn with_mailbox(self, mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox: Some(mailbox), ..self }
    }

    /// Queues a command. Gives it back if the session has ended.
    pub fn push_command(&self, command: Arc<Tracked>) -> Result<(), Arc<Tracked>> {
        let mut inbox = locked(&self.inbox);
        if inbox.closed {
            return Err(command);
        }
        inbox.asked().commands.push(command);
        drop(inbox);
        self.wake();
        Ok(())
    }

    /// Tells the station, soon, that its events up to `through` are stored.
    pub fn acknowledge_events(&self, through: EventNo) {
        self.put(|inbox| inbox.acknowledge_events(through));
    }

    /// Tells the station, soon, that its samples up to `through` are stored.
    pub fn acknowledge_samples(&self, through: SamplePoint) {
        self.put(|inbox| inbox.acknowledge_samples(through));
    }

    /// Tells what is stored, and asks for commands in doubt and, if wanted, for the slot table.
    pub fn brief(&self, briefing: &Briefing) {
        self.put(|inbox| inbox.brief(briefing));
    }

    /// Asks the session to end. A taken-over or revoked session stays so.
    pub fn leave(&self, why: Leave) {
        self.put(|inbox| {
            if matches!(inbox.leave, None | Some(Leave::Drained)) {
                inbox.leave = Some(why);
            }
        });
    }

    /// Wakes the connection's task, for example because a lane has room again.
    pub fn wake(&self) {
        self.pending.store(true, Ordering::Release);
        self.wake_task();
    }

    pub(super) fn wake_task(&self) {
        self.waker.wake();
    }

    pub(super) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        self.mailbox.as_ref()
    }

    /// Puts something in without waking the connection. Answers whether it has to be woken: not if it has ended, nor
    /// if it is about to look for what came before.
    pub(super) fn put_quietly(&self, change: impl FnOnce(&mut Inbox)) -> bool {
        let mut inbox = locked(&self.inbox);
        if inbox.closed {
            return false;
        }
        change(&mut inbox);
        !self.pending.swap(true, Ordering::AcqRel)
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        locked(&self.inbox).closed
    }

    /// When the station was last heard of, Unix milliseconds.
    pub fn last_seen_ms(&self) -> u64 {
        self.last_seen_ms.load(Ordering::Relaxed)
    }

    /// What followers are told of it.
    pub fn presence(&self) -> StationPresence {
        let suspect_ms = self.suspect_ms.load(Ordering::Relaxed);
        StationPresence {
            station_id: self.station_id,
            epoch: self.epoch,
            suspect: suspect_ms > 0,
            since_ms: if suspect_ms > 0 { suspect_ms } else { self.since_ms },
            last_seen_ms: self.last_seen_ms(),
            rtt_ms: self.round_trip_ms(),
        }
    }

    /// When it was last heard of.
    pub fn proof_of_life(&self) -> ProofOfLife {
        ProofOfLife {
            station_id: self.station_id,
            epoch: self.epoch,
            last_seen_ms: self.last_seen_ms(),
            rtt_ms: self.round_trip_ms(),
        }
    }

    fn round_trip_ms(&self) -> Option<u32> {
        Some(self.rtt_ms.load(Ordering::Relaxed)).filter(|rtt_ms| *rtt_ms != u32::MAX)
    }

    /// For the connection: be woken by the next entry.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// For the connection: whether [`Self::take`] would answer something.
    pub fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// For the connection: everything that came since the last call. Without `commands`
    /// these stay, because the socket takes no more bytes now. So they do in a session that must end, for the one
    /// that may follow it.
    pub fn take(&self, commands: bool) -> Option<Inbox> {
        if !self.pending.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut inbox = locked(&self.inbox);
        let mut taken = std::mem::take(&mut *inbox);
        inbox.closed = taken.closed;
        let ends = taken.leave.is_some_and(|leave| leave != Leave::Drained);
        if ends || !commands {
            let commands = taken.take_commands();
            if !commands.is_empty() {
                inbox.asked().commands = commands;
                self.pending.store(true, Ordering::Release);
            }
        }
        Some(taken)
    }

    /// For the connection: no more entries; answers the commands that were never written.
    pub fn close(&self) -> Vec<Arc<Tracked>> {
        let mut inbox = locked(&self.inbox);
        inbox.closed = true;
        inbox.take_commands()
    }

    /// The station was heard of at `at_ms`, Unix milliseconds.
    pub fn seen(&self, at_ms: u64) {
        self.last_seen_ms.store(at_ms, Ordering::Relaxed);
    }

    /// The last measured round trip.
    pub fn measured(&self, rtt_ms: u32) {
        self.rtt_ms.store(rtt_ms, Ordering::Relaxed);
    }

    /// A sign of life is overdue since `at_ms`, Unix milliseconds. Answers whether that is news.
    pub fn suspect(&self, at_ms: u64) -> bool {
        self.suspect_ms.compare_exchange(0, at_ms.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The station has answered. Answers whether that is news.
    pub fn trust(&self) -> bool {
        // Nearly always it was trusted, and a look is cheaper than a write.
        self.suspect_ms.load(Ordering::Relaxed) > 0 && self.suspect_ms.swap(0, Ordering::Relaxed) > 0
    }

    fn put(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = locked(&self.inbox);
        if inbox.closed {
            return;
        }
        change(&mut inbox);
        drop(inbox);
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: StationId = StationId([7; 16]);

    fn session(epoch: u64) -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(STATION, Epoch(epoch), 0))
    }

    #[test]
    fn a_session_that_must_end_takes_no_command_any_more() {
        let offer = protocol::control::CommandOffer {
            station_id: STATION,
            kind: protocol::control::CommandKind::Eject,
            slot: Some(1),
            bank: None,
            argument: 0,
            expires_at_ms: 1,
            max_clock_error_ms: 1,
            now_ms: 0,
        };
        for (leave, takes) in
            [(Leave::TakenOver, 0), (Leave::Quarantined, 0), (Leave::Revoked, 0), (Leave::Drained, 1)]
        {
            let session = session(1);
            let command = Arc::new(Tracked::new(CommandId([1; 16]), offer.clone(), 0));
            session.push_command(command).map_err(|_| "closed").unwrap();
            session.leave(leave);
            assert_eq!(session.take(true).unwrap().take_commands().len(), takes, "{leave:?}");
            assert_eq!(session.close().len(), 1 - takes, "{leave:?}: it finds the next session or is unsent");
        }
    }

    #[test]
    fn acknowledgements_keep_the_highest_number_only() {
        let session = session(1);
        session.acknowledge_events(EventNo(4));
        session.acknowledge_events(EventNo(3));
        session.acknowledge_samples(SamplePoint { boot_no: 1, sample_no: 9 });
        session.acknowledge_samples(SamplePoint { boot_no: 1, sample_no: 8 });
        session.acknowledge_samples(SamplePoint { boot_no: 2, sample_no: 1 });
        session.acknowledge_samples(SamplePoint { boot_no: 2, sample_no: 0 });
        let inbox = session.take(true).unwrap();
        assert_eq!(inbox.events_through, Some(EventNo(4)));
        assert_eq!(inbox.samples_through, Some(SamplePoint { boot_no: 1, sample_no: 9 }));
        assert_eq!(inbox.asked.unwrap().samples_through, [SamplePoint { boot_no: 2, sample_no: 1 }]);
        assert!(session.take(true).is_none());
    }
}
