//! What each step does to the world; `None` where it is not possible.

use super::backend::{SLOT_1, SLOT_ELSEWHERE, elsewhere};
use super::gateway::{self, Gateway, Phase};
use super::machine::command::State;
use super::machine::rental::{StaffDecision, Status};
use super::station::{Motor, whole};
use super::world::{BankIs, Body, EXPIRES_AT_MS, Item, Shell, Tick, Whose, World};
use protocol::control::{DeliveryState, ReportedState, WithdrawOutcome};
use protocol::frame::MessageType;
use protocol::message::{RejectReason, Verdict};
use protocol::session::commands::{ActuationOutcome, Step as JournalStep};
use protocol::session::flash::Flash;
use protocol::session::outcome::Row;
use protocol::types::{EventNo, SlotNumber};
use std::rc::Rc;

// The backend's steps

pub(super) fn start(w: &mut World) -> Option<()> {
    when(w.backend.rental.is_none() && w.gateway.session.is_some())?;
    Rc::make_mut(&mut w.backend).start();
    Some(())
}

pub(super) fn begin_offer(w: &mut World) -> Option<()> {
    let waits = w.backend.command() == Some(State::New) && !w.tick.is_expired();
    when(waits && w.gateway.session.is_some())?;
    let (instance, tick) = (w.gateway.instance, w.tick);
    Rc::make_mut(&mut w.backend).begin_offer(instance, tick);
    Some(())
}

pub(super) fn offer(w: &mut World, answer_is_lost: bool) -> Option<()> {
    when(w.backend.offers)?;
    let (wall_ms, tick) = (w.wall_ms(), w.tick);
    let is_first = w.gateway.command.is_none();
    let gateway = Rc::make_mut(&mut w.gateway);
    let (state, instance) = (gateway.offer(wall_ms), gateway.instance);
    if is_first && state == DeliveryState::Unsent {
        w.mark(Row::OfferRefused);
    }
    if answer_is_lost {
        w.mark(Row::OfferLost);
    } else {
        Rc::make_mut(&mut w.backend).answered(instance, state, tick);
    }
    Some(())
}

pub(super) fn never_offered(w: &mut World) -> Option<()> {
    when(w.backend.command() == Some(State::New) && w.tick.is_expired())?;
    let tick = w.tick;
    Rc::make_mut(&mut w.backend).never_offered(tick);
    Some(())
}

pub(super) fn settle_doubt(w: &mut World) -> Option<()> {
    let is_open = matches!(w.backend.command(), Some(State::Offered | State::Received));
    let now = Some((w.tick, w.gateway.epoch()));
    when(is_open && w.tick.is_expired() && !w.backend.offers && w.backend.asked != now)?;
    let (tick, wall_ms) = (w.tick, w.wall_ms());
    Rc::make_mut(&mut w.backend).asked = now;
    // A gateway remembers a command for a minute after its expiry.
    if w.backend.command() == Some(State::Offered) && tick <= Tick::Settled {
        withdraw(w);
    }
    let (through, asks) = (w.backend.events_through(Whose::Ejecting), w.backend.asks_for_command(tick));
    let frames = Rc::make_mut(&mut w.gateway).brief(through, asks, wall_ms);
    w.send_to_station(frames);
    Rc::make_mut(&mut w.backend).age(tick);
    Some(())
}

/// Asks the gateway process that the command was offered to, if it still lives.
pub(super) fn withdraw(w: &mut World) {
    let (tick, wall_ms, instance) = (w.tick, w.wall_ms(), w.gateway.instance);
    let offered_to = w.backend.rental.and_then(|rental| rental.command.instance);
    if offered_to != Some(uuid::Uuid::from_u128(u128::from(instance))) {
        return;
    }
    let gateway = Rc::make_mut(&mut w.gateway);
    let outcome = gateway.withdraw();
    let answer = match outcome {
        WithdrawOutcome::Unknown if tick.is_expired() => Some(gateway.offer(wall_ms)),
        WithdrawOutcome::Unknown | WithdrawOutcome::Withdrawn | WithdrawOutcome::TooLate => None,
    };
    match outcome {
        WithdrawOutcome::Withdrawn => w.mark(Row::Withdrawn),
        WithdrawOutcome::TooLate => w.mark(Row::WithdrawnTooLate),
        WithdrawOutcome::Unknown => {}
    }
    let backend = Rc::make_mut(&mut w.backend);
    match answer {
        Some(state) => backend.answered(instance, state, tick),
        None => backend.withdrawal(instance, outcome, tick),
    }
}

pub(super) fn rider_cancels(w: &mut World) -> Option<()> {
    when(w.backend.status() == Some(Status::Pending) && !w.facts.cancel_asked)?;
    w.facts.cancel_asked = true;
    let tick = w.tick;
    if Rc::make_mut(&mut w.backend).cancel_asked(tick) {
        withdraw(w);
    }
    Some(())
}

/// The machine is asked in every state, and agrees in some.
pub(super) fn extend(w: &mut World) -> Option<()> {
    when(!w.backend.extended)?;
    let tick = w.tick;
    when(Rc::make_mut(&mut w.backend).extend(tick))
}

/// How far the backend gets with a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PostEnds {
    BeforeCommit,
    AfterCommit,
    Unanswered,
    Parked,
    Answered,
}

pub(super) fn post(w: &mut World, ends: PostEnds) -> Option<()> {
    when(!w.gateway.uplink.is_empty())?;
    let (tick, wall_ms) = (w.tick, w.wall_ms());
    let items = w.gateway.uplink.clone();
    if ends == PostEnds::BeforeCommit {
        w.mark(Row::BackendBeforeInboxCommit);
        Rc::make_mut(&mut w.backend).restart();
        return Some(());
    }
    let backend = Rc::make_mut(&mut w.backend);
    backend.store(&items);
    if ends == PostEnds::AfterCommit {
        backend.waiting()?;
        backend.restart();
        w.mark(Row::BackendBeforeApply);
        return Some(());
    }
    if ends == PostEnds::Parked {
        let key = items.iter().find_map(|item| match item {
            Item::Event { whose, event_no, body, .. } if body.moves_bank() => Some((*whose, *event_no)),
            Item::Event { .. } | Item::Report { .. } => None,
        })?;
        when(backend.inbox[&key].state == super::backend::RowState::Waits)?;
        backend.park(key);
    }
    backend.apply_all(tick);
    backend.apply_reports(&items, tick);
    match ends {
        PostEnds::Parked => w.mark(Row::EventParked),
        PostEnds::Unanswered => {
            w.mark(Row::AcknowledgementLost);
            return Some(());
        }
        PostEnds::BeforeCommit | PostEnds::AfterCommit | PostEnds::Answered => {}
    }
    if items.iter().any(|item| matches!(item, Item::Report { said: ReportedState::Evicted, .. })) {
        w.mark(Row::JournalEvicted);
    }
    let gateway = Rc::make_mut(&mut w.gateway);
    gateway.uplink.clear();
    let through = items.iter().filter_map(|item| match item {
        Item::Event { event_no, .. } => Some(*event_no),
        Item::Report { .. } => None,
    });
    if let Some(through) = through.max() {
        let frames = gateway.acknowledge(through, wall_ms);
        let is_alone = w.wire.to_station.is_empty();
        w.send_to_station(frames);
        // Nobody waits for an ACK but the flash: it travels with the answer, unless something is before it.
        if is_alone && !w.wire.to_station.is_empty() {
            carry_to_station(w, None)?;
        }
    }
    Some(())
}

pub(super) fn post_elsewhere(w: &mut World, is_parked: bool) -> Option<()> {
    let item = w.elsewhere.take()?;
    let tick = w.tick;
    let backend = Rc::make_mut(&mut w.backend);
    backend.store(std::slice::from_ref(&item));
    if is_parked {
        backend.park((Whose::Other, EventNo(1)));
        w.mark(Row::EventParked);
    } else {
        backend.apply_all(tick);
    }
    Some(())
}

/// What the backend has just learned, told by the rows of the table.
pub(super) fn note_learned(w: &mut World) {
    let learned = w.backend.learned;
    if learned == super::backend::Learned::default() {
        return;
    }
    Rc::make_mut(&mut w.backend).learned = super::backend::Learned::default();
    match learned.by_table {
        Some(Status::Cancelled) => w.mark(Row::InventoryShowsBank),
        Some(Status::Active) => w.mark(Row::InventoryShowsGone),
        Some(Status::Pending | Status::Overdue | Status::Lost | Status::Completed) | None => {}
    }
    if learned.by_return {
        w.mark(Row::BankReturned);
    }
    if learned.late {
        w.mark(Row::LateEvidence);
    }
}

// The gateway's and the link's steps

pub(super) fn write(w: &mut World, is_of_earlier_session: bool) -> Option<()> {
    when(w.gateway.command == Some(Phase::Queued) && w.gateway.session.is_some())?;
    let wall_ms = w.wall_ms();
    match Rc::make_mut(&mut w.gateway).write(wall_ms) {
        Some(frame) if is_of_earlier_session => {
            w.send_to_station(vec![gateway::with_earlier_epoch(&frame)]);
        }
        Some(frame) => w.send_to_station(vec![frame]),
        None if is_of_earlier_session => return None,
        None => w.mark(Row::Withdrawn),
    }
    Some(())
}

pub(super) fn carry_to_gateway(w: &mut World) -> Option<()> {
    when(!w.wire.to_gateway.is_empty())?;
    let (wall_ms, key) = (w.wall_ms(), w.station.key());
    while let Some(frame) = w.wire.to_gateway.pop_front() {
        let frames = Rc::make_mut(&mut w.gateway).receive(&frame, &key, wall_ms);
        w.send_to_station(frames);
    }
    Some(())
}

pub(super) fn gateway_dies(w: &mut World) {
    match w.gateway.command {
        Some(Phase::Queued) => w.mark(Row::GatewayBeforeWrite),
        Some(Phase::Sent | Phase::Received) => w.mark(Row::GatewayAfterWrite),
        Some(Phase::Answered | Phase::Unsent) | None => {}
    }
    let is_result = |item: &Item| matches!(item, Item::Event { body: Body::Result(_), .. });
    if w.gateway.uplink.iter().any(is_result) {
        w.mark(Row::GatewayBeforeUplink);
    }
    let next = Gateway::start(w.gateway.instance + 1);
    w.lose_link();
    w.gateway = Rc::new(next);
}

pub(super) fn link_breaks(w: &mut World) -> Option<()> {
    when(w.wire.is_up)?;
    let frames: Vec<_> = w.wire.to_station.iter().chain(&w.wire.to_gateway).cloned().collect();
    for frame in frames {
        match whole(&frame).header.kind {
            MessageType::COMMAND => w.mark(Row::CommandLost),
            MessageType::CMD_RECEIPT => w.mark(Row::ReceiptLost),
            MessageType::CMD_RESULT => w.mark(Row::ResultLost),
            MessageType::CMD_QUERY | MessageType::CMD_STATE => w.mark(Row::QueryLost),
            MessageType::ACK => w.mark(Row::AcknowledgementLost),
            _ => {}
        }
    }
    w.lose_link();
    Some(())
}

/// The login is one step: the machines' own tests break it at each byte.
pub(super) fn connect(w: &mut World) -> Option<()> {
    when(!w.wire.is_up)?;
    let (wall_ms, tick, key) = (w.wall_ms(), w.tick, w.station.key());
    let station = Rc::make_mut(&mut w.station);
    let gateway = Rc::make_mut(&mut w.gateway);
    let uptime_ms = station.uptime_ms(wall_ms);
    station.session.handle_timeout(uptime_ms);
    assert!(station.drain(wall_ms, EXPIRES_AT_MS).connect, "a station without a link connects");
    gateway.accept(wall_ms);
    station.session.handle_connected([5; 16], uptime_ms);
    w.wire.is_up = true;
    while !station.session.is_open() {
        for frame in station.drain(wall_ms, EXPIRES_AT_MS).frames {
            for answer in gateway.receive(&frame, &key, wall_ms) {
                station.receive(&answer, wall_ms);
            }
        }
    }
    w.drain_station();
    let (through, asks) = (w.backend.events_through(Whose::Ejecting), w.backend.asks_for_command(tick));
    let frames = Rc::make_mut(&mut w.gateway).brief(through, asks, wall_ms);
    w.send_to_station(frames);
    Some(())
}

// The station's steps

pub(super) fn carry_to_station(w: &mut World, cut_after: Option<u32>) -> Option<()> {
    let frame = w.wire.to_station.pop_front()?;
    let is_command = whole(&frame).header.kind == MessageType::COMMAND;
    when(is_command || cut_after.is_none())?;
    let wall_ms = w.wall_ms();
    let before = journal(w);
    let station = Rc::make_mut(&mut w.station);
    if let Some(writes) = cut_after {
        station.board.flash.cut_after(writes);
    }
    station.receive(&frame, wall_ms);
    if station.board.flash.is_cut() {
        match journal(w) {
            None => w.mark(Row::StationBeforeJournal),
            Some(JournalStep::Waiting) => w.mark(Row::StationWhileWaiting),
            Some(JournalStep::Started | JournalStep::Verdict(_)) => {}
        }
        restart_station(w);
        return Some(());
    }
    when(cut_after.is_none())?;
    if is_command {
        match (before, journal(w)) {
            (Some(JournalStep::Verdict(Verdict::Rejected(RejectReason::Tombstone))), _) => {
                w.mark(Row::CommandAfterTombstone);
            }
            (Some(_), _) => w.mark(Row::CommandDuplicated),
            (None, Some(JournalStep::Verdict(Verdict::Rejected(reason)))) => match reason {
                RejectReason::Expired | RejectReason::ClockError => w.mark(Row::CommandExpired),
                RejectReason::Fenced => w.mark(Row::CommandFenced),
                _ => w.mark(Row::CommandRejected),
            },
            (None, _) => {}
        }
    }
    w.drain_station();
    Some(())
}

pub(super) fn motor_runs(w: &mut World, outcome: ActuationOutcome, bank_leaves: bool) -> Option<()> {
    let Motor::Asked(cmd_id) = w.station.motor else { return None };
    let station = Rc::make_mut(&mut w.station);
    station.motor = Motor::Ran(cmd_id, outcome);
    w.facts.motor_runs += 1;
    if bank_leaves && station.board.sensors.banks[0] {
        station.set_bank(1, false);
        w.facts.left = true;
        w.bank = BankIs::WithRider;
    }
    Some(())
}

pub(super) fn motor_reports(w: &mut World, cut_after: Option<u32>) -> Option<()> {
    let Motor::Ran(cmd_id, outcome) = w.station.motor else { return None };
    let wall_ms = w.wall_ms();
    let station = Rc::make_mut(&mut w.station);
    if let Some(writes) = cut_after {
        station.board.flash.cut_after(writes);
    }
    station.actuated(cmd_id, outcome, wall_ms);
    if station.board.flash.is_cut() {
        match (journal(w), w.bank) {
            (Some(JournalStep::Verdict(_)), _) => w.mark(Row::StationAfterVerdict),
            (_, BankIs::In(1)) => w.mark(Row::StationBeforeMotor),
            (_, BankIs::In(_) | BankIs::WithRider | BankIs::Elsewhere) => w.mark(Row::StationAfterMotor),
        }
        restart_station(w);
        return Some(());
    }
    when(cut_after.is_none())?;
    w.drain_station();
    Some(())
}

pub(super) fn power_cut(w: &mut World) {
    let is_command = |frame: &Rc<[u8]>| whole(frame).header.kind == MessageType::COMMAND;
    match w.station.motor {
        Motor::Asked(_) => w.mark(Row::StationBeforeMotor),
        Motor::Ran(..) if w.bank == BankIs::In(1) => w.mark(Row::StationBeforeMotor),
        Motor::Ran(..) => w.mark(Row::StationAfterMotor),
        Motor::Rests if w.wire.to_station.iter().any(is_command) => w.mark(Row::StationBeforeJournal),
        Motor::Rests => {}
    }
    restart_station(w);
}

pub(super) fn restart_station(w: &mut World) {
    let wall_ms = w.wall_ms();
    let station = Rc::make_mut(&mut w.station);
    match w.shell {
        Shell::AsBuilt | Shell::VoidsInDoubt => station.power_cycle(wall_ms),
        Shell::ForgetsJournal => station.forget_journal(wall_ms),
    }
    w.lose_link();
}

/// What the station's journal holds of the eject.
pub(super) fn journal(w: &World) -> Option<JournalStep> {
    w.station.board.flash.journal(&super::world::CMD).map(|entry| entry.step)
}

// Time and people

pub(super) fn time_passes(w: &mut World) -> Option<()> {
    let next = w.tick.next()?;
    when(w.backend.rental.is_some())?;
    // A motor, a request and a frame take seconds, not minutes; a batch of the uplink takes a minute at most.
    let is_busy = w.station.motor != Motor::Rests
        || w.backend.offers
        || !w.wire.to_station.is_empty()
        || !w.wire.to_gateway.is_empty();
    when(w.tick == Tick::Fresh || !is_busy)?;
    when(w.tick < Tick::Settled || w.gateway.uplink.is_empty())?;
    // A station that lost its flash waits for its briefing first, for longer than a frame takes.
    when(!w.facts.flash_lost || w.wire.to_station.is_empty())?;
    // Where all is over and said, nothing happens until the next day.
    let is_over = w.backend.status().is_some_and(|status| !status.is_open());
    let next = if is_over && !is_busy && w.gateway.uplink.is_empty() { Tick::Day } else { next };
    let is_open = matches!(w.backend.command(), Some(State::Offered | State::Received));
    if next == Tick::Expired && is_open && !w.wire.is_up {
        w.mark(Row::StationAway);
    }
    w.tick = next;
    if next == Tick::Day {
        // No connection lasts for a day here: what the last session says, a new one would say.
        if w.wire.is_up {
            w.lose_link();
        }
        return Some(());
    }
    if w.wire.is_up {
        let station = Rc::make_mut(&mut w.station);
        let uptime_ms = station.uptime_ms(next.wall_ms());
        station.session.handle_timeout(uptime_ms);
        w.drain_station();
    }
    Some(())
}

pub(super) fn return_here(w: &mut World, slot: SlotNumber) -> Option<()> {
    when(w.bank == BankIs::WithRider && w.station.motor == Motor::Rests)?;
    // A bank that cannot be read is not taken.
    when(slot != 1 || !w.station.board.sensors.unreadable)?;
    let wall_ms = w.wall_ms();
    Rc::make_mut(&mut w.station).insert(slot, wall_ms);
    w.bank = BankIs::In(slot);
    w.drain_station();
    Some(())
}

pub(super) fn return_elsewhere(w: &mut World) -> Option<()> {
    // The other station is a walk away.
    when(w.bank == BankIs::WithRider && w.tick >= Tick::Settled)?;
    w.bank = BankIs::Elsewhere;
    w.elsewhere = Some(Item::Event {
        whose: Whose::Other,
        event_no: EventNo(1),
        moment: elsewhere(w.tick.now()),
        body: Body::Inserted { slot: SLOT_ELSEWHERE.slot },
    });
    Some(())
}

pub(super) fn staff_decide(w: &mut World, errs: bool) -> Option<()> {
    let is_shown = w.tick == Tick::Day && w.backend.incidents.doubt && w.backend.is_in_doubt(w.tick);
    when(is_shown && w.backend.status() == Some(Status::Pending))?;
    w.facts.staff_erred |= errs;
    w.mark(Row::StaffDecides);
    let decision = if w.facts.left == errs { StaffDecision::NotEjected } else { StaffDecision::Ejected };
    let tick = w.tick;
    Rc::make_mut(&mut w.backend).decide(decision, tick);
    Some(())
}

pub(super) fn staff_find_bank(w: &mut World) -> Option<()> {
    let is_out = matches!(w.backend.status(), Some(Status::Active | Status::Overdue | Status::Lost));
    let is_shown = w.backend.incidents.parked || w.facts.staff_erred;
    when(w.tick == Tick::Day && is_out && is_shown && w.bank != BankIs::WithRider)?;
    let tick = w.tick;
    Rc::make_mut(&mut w.backend).decide(StaffDecision::Returned { at: tick.now() }, tick);
    Some(())
}

/// Whether the book has the bank where it is.
pub(super) fn book_is_right(w: &World) -> bool {
    use super::backend::Booked;
    match w.bank {
        BankIs::In(slot) => w.backend.book == Booked::In(super::machine::rental::Place { slot, ..SLOT_1 }),
        BankIs::Elsewhere => w.backend.book == Booked::In(SLOT_ELSEWHERE),
        BankIs::WithRider => matches!(w.backend.book, Booked::WithRider | Booked::Missing),
    }
}

pub(super) fn when(condition: bool) -> Option<()> {
    condition.then_some(())
}
