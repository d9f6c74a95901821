//! Commands that the backend offered to this process: what became of each, and never twice.

mod tracked;

pub use tracked::Tracked;

use crate::crash;
use crate::limits;
use crate::metrics::CommandMetrics;
use crate::registry::{Registry, SessionHandle, locked};
use protocol::clock::Clock;
use protocol::control::{
    CLOCK_SKEW_MAX_MS, CommandAnswer, CommandOffer, DeliveryState, InstanceId, UnsentReason, WithdrawAnswer,
    WithdrawOutcome,
};
use protocol::types::{CommandId, StationId};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracked::Phase;

/// The commands of this instance, in memory only.
///
/// "Unsent" is a promise: once answered, the command is never written to a socket, however
/// often it is offered again. The change from queued to sent is a compare-and-set that the
/// connection makes before it writes, so a withdrawal and a write cannot both win.
pub struct CommandTable {
    instance_id: InstanceId,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
    metrics: CommandMetrics,
    draining: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    commands: HashMap<CommandId, Arc<Tracked>>,
    open: HashMap<StationId, Vec<Arc<Tracked>>>,
    /// Monotonic milliseconds at which an entry is looked at to be forgotten.
    forget: BinaryHeap<Reverse<(u64, CommandId)>>,
}

/// Why an offer is not accepted into the table. Nothing is known of the command then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferRefusal {
    /// The id is known with another body.
    BodyDiffers,
    /// The body contradicts its kind, or its life is too long.
    Impossible(&'static str),
    /// The table is full.
    TableFull,
}

impl CommandTable {
    /// An empty table of this instance.
    pub fn new(instance_id: InstanceId, clock: Arc<dyn Clock>, registry: Arc<Registry>) -> Self {
        Self {
            instance_id,
            clock,
            registry,
            metrics: CommandMetrics::new(),
            draining: AtomicBool::new(false),
            table: Mutex::new(Table::default()),
        }
    }

    /// Takes a command for delivery, or answers what is known of it already.
    pub fn offer(&self, id: CommandId, offer: CommandOffer) -> Result<CommandAnswer, OfferRefusal> {
        let wall_ms = self.clock.wall_ms();
        let mut table = locked(&self.table);
        if let Some(known) = table.commands.get(&id) {
            return if known.is_offer(&offer) {
                Ok(self.answer(known))
            } else {
                Err(OfferRefusal::BodyDiffers)
            };
        }
        possible(&offer, wall_ms)?;
        if table.commands.len() >= limits::COMMANDS_KEPT_MAX {
            return Err(OfferRefusal::TableFull);
        }
        let session = self.registry.route(&offer.station_id);
        let open = table
            .open
            .get(&offer.station_id)
            .map_or(0, |open| open.iter().filter(|command| command.is_open(wall_ms)).count());
        let refusal = if offer.now_ms.abs_diff(wall_ms) > CLOCK_SKEW_MAX_MS {
            Some(UnsentReason::ClockSkew)
        } else if offer.expires_at_ms <= wall_ms {
            Some(UnsentReason::Expired)
        } else if self.draining.load(Ordering::Acquire) {
            Some(UnsentReason::Draining)
        } else if session.is_none() {
            Some(UnsentReason::NoSession)
        } else if open >= limits::COMMANDS_OPEN_PER_STATION_MAX {
            Some(UnsentReason::Busy)
        } else {
            None
        };
        let command = Arc::new(Tracked::new(id, offer, self.clock.monotonic_ms()));
        let life_left_ms = command.offer.expires_at_ms.saturating_sub(wall_ms);
        let forget_ms = self.clock.monotonic_ms() + life_left_ms + limits::COMMAND_RETENTION_MS;
        table.forget.push(Reverse((forget_ms, id)));
        table.commands.insert(id, command.clone());
        if let Some(reason) = refusal {
            if reason == UnsentReason::ClockSkew {
                let skew_ms = command.offer.now_ms.abs_diff(wall_ms);
                tracing::error!(skew_ms, "the clocks of backend and gateway differ: no command is sent");
            }
            self.unsent(&command, reason);
            return Ok(self.answer(&command));
        }
        table.open.entry(command.offer.station_id).or_default().push(command.clone());
        drop(table);

        self.metrics.queued();
        if let Some(session) = session {
            self.deliver(&session, command.clone());
        }
        protocol::crash::point(crash::AFTER_OFFER_ACCEPTED);
        Ok(self.answer(&command))
    }

    /// What is known of a command.
    pub fn state(&self, id: &CommandId) -> CommandAnswer {
        match self.find(id) {
            Some(command) => self.answer(&command),
            None => CommandAnswer {
                instance_id: self.instance_id,
                state: DeliveryState::Unknown,
                unsent_reason: None,
            },
        }
    }

    /// Waits until the command is answered or unsent, at most `wait`, then answers its state.
    pub async fn wait(&self, id: &CommandId, wait: Duration) -> CommandAnswer {
        if let Some(command) = self.find(id) {
            let finished = async {
                loop {
                    let changed = command.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    if command.is_ended() {
                        return;
                    }
                    changed.await;
                }
            };
            let _ = tokio::time::timeout(wait, finished).await;
        }
        self.state(id)
    }

    /// Takes a command back if it has not been written.
    pub fn withdraw(&self, id: &CommandId) -> WithdrawAnswer {
        let outcome = match self.find(id) {
            None => WithdrawOutcome::Unknown,
            Some(command) => {
                self.unsent(&command, UnsentReason::Withdrawn);
                match command.phase() {
                    Phase::Unsent(_) => WithdrawOutcome::Withdrawn,
                    Phase::Queued | Phase::Sent | Phase::Received | Phase::Answered => {
                        WithdrawOutcome::TooLate
                    }
                }
            }
        };
        WithdrawAnswer { instance_id: self.instance_id, outcome }
    }

    /// From now on no offer is accepted for delivery.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the gateway drains.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether a command of this station may still move something.
    pub fn has_open(&self, station_id: &StationId) -> bool {
        let wall_ms = self.clock.wall_ms();
        let table = locked(&self.table);
        table.open.get(station_id).is_some_and(|open| open.iter().any(|command| command.is_open(wall_ms)))
    }

    /// How many commands may still move something.
    pub fn open_count(&self) -> usize {
        let wall_ms = self.clock.wall_ms();
        let table = locked(&self.table);
        table.open.values().flatten().filter(|command| command.is_open(wall_ms)).count()
    }

    /// For the connection, right before it writes: `true` gives it the sole right to do so.
    pub fn begin_send(&self, command: &Tracked) -> bool {
        if command.offer.expires_at_ms <= self.clock.wall_ms() {
            self.unsent(command, UnsentReason::Expired);
            return false;
        }
        let begun = command.advance(Phase::Queued, Phase::Sent);
        if begun {
            command.sent_at_ms.store(self.clock.monotonic_ms(), Ordering::Relaxed);
            self.metrics.sent();
        }
        begun
    }

    /// For the connection: its session takes no commands any more.
    pub fn give_up(&self, command: &Tracked) {
        let reason = if self.is_draining() { UnsentReason::Draining } else { UnsentReason::NoSession };
        self.unsent(command, reason);
    }

    /// The station sent CMD_RECEIPT.
    pub fn received(&self, station_id: &StationId, id: &CommandId) {
        let Some(command) = self.find_of(station_id, id) else { return };
        if command.advance(Phase::Sent, Phase::Received) {
            self.metrics.received(self.since_sent_ms(&command));
        }
    }

    /// The station sent a verdict.
    pub fn answered(&self, station_id: &StationId, id: &CommandId) {
        let Some(command) = self.find_of(station_id, id) else { return };
        if command.advance(Phase::Received, Phase::Answered) || command.advance(Phase::Sent, Phase::Answered)
        {
            command.ended_at_ms.store(self.clock.monotonic_ms(), Ordering::Relaxed);
            self.metrics.answered(self.since_sent_ms(&command));
        }
    }

    /// Commands that a session could not write when it ended: they go to the session that
    /// took over, or are proven unsent.
    pub fn hand_over(&self, commands: Vec<Arc<Tracked>>) {
        for command in commands {
            match self.registry.route(&command.offer.station_id) {
                Some(session) => self.deliver(&session, command),
                None => self.unsent(&command, UnsentReason::NoSession),
            }
        }
    }

    /// Looks for commands that expired in the queue and forgets old ones, for ever.
    pub async fn sweep_for_ever(self: Arc<Self>) {
        let mut tick = tokio::time::interval(Duration::from_millis(limits::COMMAND_SWEEP_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.sweep();
        }
    }

    /// One round of [`Self::sweep_for_ever`].
    pub fn sweep(&self) {
        let (wall_ms, now_ms) = (self.clock.wall_ms(), self.clock.monotonic_ms());
        let mut table = locked(&self.table);
        table.open.retain(|_, open| {
            for command in open.iter().filter(|command| command.offer.expires_at_ms <= wall_ms) {
                self.unsent(command, UnsentReason::Expired);
            }
            open.retain(|command| command.is_open(wall_ms));
            !open.is_empty()
        });
        while let Some(Reverse((at_ms, id))) = table.forget.peek().copied() {
            if at_ms > now_ms {
                break;
            }
            table.forget.pop();
            let Some(command) = table.commands.get(&id) else { continue };
            let keep_until_ms = if command.is_ended() {
                command.ended_at_ms.load(Ordering::Relaxed) + limits::COMMAND_RETENTION_MS
            } else {
                let sent_at_ms = command.sent_at_ms.load(Ordering::Relaxed);
                sent_at_ms + limits::COMMAND_LIFE_MAX_MS + limits::COMMAND_UNANSWERED_RETENTION_MS
            };
            if keep_until_ms > now_ms {
                table.forget.push(Reverse((keep_until_ms, id)));
            } else {
                table.commands.remove(&id);
            }
        }
        self.metrics.kept(table.commands.len());
    }

    fn deliver(&self, session: &SessionHandle, command: Arc<Tracked>) {
        if let Err(command) = session.push_command(command) {
            self.unsent(&command, UnsentReason::NoSession);
        }
    }

    fn unsent(&self, command: &Tracked, reason: UnsentReason) {
        // The end is noted first: whoever sees an ended command may read it.
        let now_ms = self.clock.monotonic_ms();
        if command.advance(Phase::Queued, Phase::Unsent(reason)) {
            command.ended_at_ms.store(now_ms, Ordering::Relaxed);
            self.metrics.unsent(reason);
        }
    }

    fn since_sent_ms(&self, command: &Tracked) -> u64 {
        self.clock.monotonic_ms().saturating_sub(command.sent_at_ms.load(Ordering::Relaxed))
    }

    fn find_of(&self, station_id: &StationId, id: &CommandId) -> Option<Arc<Tracked>> {
        self.find(id).filter(|command| command.offer.station_id == *station_id)
    }

    fn find(&self, id: &CommandId) -> Option<Arc<Tracked>> {
        locked(&self.table).commands.get(id).cloned()
    }

    fn answer(&self, command: &Tracked) -> CommandAnswer {
        let (state, unsent_reason) = match command.phase() {
            Phase::Queued => (DeliveryState::Queued, None),
            Phase::Sent => (DeliveryState::Sent, None),
            Phase::Received => (DeliveryState::Received, None),
            Phase::Answered => (DeliveryState::Answered, None),
            Phase::Unsent(reason) => (DeliveryState::Unsent, Some(reason)),
        };
        CommandAnswer { instance_id: self.instance_id, state, unsent_reason }
    }
}

fn possible(offer: &CommandOffer, wall_ms: u64) -> Result<(), OfferRefusal> {
    use protocol::control::CommandKind::{Eject, EjectForService, LockSlot, UnlockSlot};
    let names_a_slot = matches!(offer.kind, Eject | EjectForService | LockSlot | UnlockSlot);
    if names_a_slot != offer.slot.is_some() || offer.slot == Some(0) {
        return Err(OfferRefusal::Impossible("slot does not fit the kind"));
    }
    if matches!(offer.kind, Eject | EjectForService) && offer.bank.is_none() {
        return Err(OfferRefusal::Impossible("an eject names its power bank"));
    }
    if offer.expires_at_ms > wall_ms.saturating_add(limits::COMMAND_LIFE_MAX_MS) {
        return Err(OfferRefusal::Impossible("expires_at_ms is too far away"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FlappingSettings;
    use crate::presence::PresenceHub;
    use protocol::clock::ManualClock;
    use protocol::control::CommandKind;
    use protocol::types::{BankSerial, Epoch};

    const NOW_MS: u64 = 1_800_000_000_000;
    const STATION: StationId = StationId([1; 16]);

    struct Bench {
        clock: Arc<ManualClock>,
        registry: Arc<Registry>,
        table: CommandTable,
    }

    impl Bench {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::at(NOW_MS));
            let registry = Arc::new(Registry::new(Arc::new(PresenceHub::new()), FlappingSettings::default()));
            let table = CommandTable::new(InstanceId::nil(), clock.clone(), registry.clone());
            Self { clock, registry, table }
        }

        fn log_in(&self, epoch: u64) -> Arc<SessionHandle> {
            let session = Arc::new(SessionHandle::new(STATION, Epoch(epoch), NOW_MS));
            self.registry.accept(&session, 0).unwrap();
            session
        }

        fn offer(&self, id: u8) -> CommandAnswer {
            self.table.offer(command_id(id), eject(self.clock.wall_ms())).unwrap()
        }
    }

    fn command_id(id: u8) -> CommandId {
        CommandId([id; 16])
    }

    fn eject(now_ms: u64) -> CommandOffer {
        CommandOffer {
            station_id: STATION,
            kind: CommandKind::Eject,
            slot: Some(3),
            bank: Some(BankSerial([9; 8])),
            argument: 0,
            expires_at_ms: now_ms + 20_000,
            max_clock_error_ms: 2_000,
            now_ms,
        }
    }

    #[test]
    fn refusals_in_order_of_precedence_are_proven_unsent_for_ever() {
        let bench = Bench::new();
        let cases = [
            (1, CommandOffer { now_ms: NOW_MS - 2_001, ..eject(NOW_MS) }, UnsentReason::ClockSkew),
            (2, CommandOffer { expires_at_ms: NOW_MS, ..eject(NOW_MS) }, UnsentReason::Expired),
            (3, eject(NOW_MS), UnsentReason::NoSession),
        ];
        for (id, offer, reason) in &cases {
            let answer = bench.table.offer(command_id(*id), offer.clone()).unwrap();
            assert_eq!((answer.state, answer.unsent_reason), (DeliveryState::Unsent, Some(*reason)));
        }
        let session = bench.log_in(1);
        for (id, offer, reason) in &cases {
            let again = bench.table.offer(command_id(*id), offer.clone()).unwrap();
            assert_eq!(again.unsent_reason, Some(*reason));
        }
        assert!(session.take(true).is_none(), "nothing may reach the socket");
    }

    #[test]
    fn the_same_id_with_another_body_is_refused() {
        let bench = Bench::new();
        bench.log_in(1);
        bench.offer(1);
        let later = CommandOffer { now_ms: NOW_MS + 5, ..eject(NOW_MS) };
        assert_eq!(bench.table.offer(command_id(1), later).unwrap().state, DeliveryState::Queued);
        let other = CommandOffer { slot: Some(4), ..eject(NOW_MS) };
        assert_eq!(bench.table.offer(command_id(1), other), Err(OfferRefusal::BodyDiffers));
    }

    #[test]
    fn withdrawal_and_write_cannot_both_win() {
        let bench = Bench::new();
        let session = bench.log_in(1);
        bench.offer(1);
        bench.offer(2);
        assert_eq!(bench.table.withdraw(&command_id(1)).outcome, WithdrawOutcome::Withdrawn);
        let commands = session.take(true).unwrap().take_commands();
        assert!(!bench.table.begin_send(&commands[0]));
        assert!(bench.table.begin_send(&commands[1]));
        assert_eq!(bench.table.withdraw(&command_id(2)).outcome, WithdrawOutcome::TooLate);
        assert_eq!(bench.table.withdraw(&command_id(3)).outcome, WithdrawOutcome::Unknown);
    }

    #[test]
    fn a_command_that_expires_in_the_queue_is_proven_unsent() {
        let bench = Bench::new();
        let session = bench.log_in(1);
        bench.offer(1);
        bench.clock.advance_ms(20_000);
        bench.table.sweep();
        let answer = bench.table.state(&command_id(1));
        assert_eq!(
            (answer.state, answer.unsent_reason),
            (DeliveryState::Unsent, Some(UnsentReason::Expired))
        );
        assert!(!bench.table.begin_send(&session.take(true).unwrap().take_commands()[0]));
    }

    #[test]
    fn commands_of_an_ended_session_go_to_the_one_that_took_over() {
        let bench = Bench::new();
        let old = bench.log_in(1);
        bench.offer(1);
        bench.offer(2);
        let new = bench.log_in(2);
        bench.table.hand_over(old.close());
        assert_eq!(new.take(true).unwrap().take_commands().len(), 2);
        bench.registry.remove(&new, "test", NOW_MS);
        bench.offer(3);
        assert_eq!(bench.table.state(&command_id(3)).unsent_reason, Some(UnsentReason::NoSession));
    }

    #[test]
    fn a_station_has_a_bounded_number_of_open_commands() {
        let bench = Bench::new();
        bench.log_in(1);
        for id in 0..limits::COMMANDS_OPEN_PER_STATION_MAX as u8 {
            assert_eq!(bench.offer(id).state, DeliveryState::Queued);
        }
        assert_eq!(bench.offer(99).unsent_reason, Some(UnsentReason::Busy));
        bench.table.withdraw(&command_id(0));
        assert_eq!(bench.offer(100).state, DeliveryState::Queued);
    }

    #[test]
    fn finished_commands_are_remembered_long_enough() {
        let bench = Bench::new();
        let session = bench.log_in(1);
        bench.offer(1);
        bench.offer(2);
        for command in session.take(true).unwrap().take_commands() {
            bench.table.begin_send(&command);
        }
        bench.table.received(&StationId([0xEE; 16]), &command_id(1));
        assert_eq!(bench.table.state(&command_id(1)).state, DeliveryState::Sent, "another station's word");
        bench.table.received(&STATION, &command_id(1));
        assert_eq!(bench.table.state(&command_id(1)).state, DeliveryState::Received);
        bench.table.answered(&STATION, &command_id(1));
        bench.clock.advance_ms(limits::COMMAND_RETENTION_MS + 19_000);
        bench.table.sweep();
        assert_eq!(bench.table.state(&command_id(1)).state, DeliveryState::Answered);
        bench.clock.advance_ms(2_000);
        bench.table.sweep();
        assert_eq!(bench.table.state(&command_id(1)).state, DeliveryState::Unknown);
        assert_eq!(bench.table.state(&command_id(2)).state, DeliveryState::Sent, "only the station knows");
    }
}
