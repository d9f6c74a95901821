use super::*;
use crate::rentals::machine::command::{Event as About, State};
use protocol::control::{DeliveryState, InstanceId, Verdict, WithdrawOutcome};
use uuid::Uuid;

const X: InstanceId = Uuid::from_u128(1);
const Y: InstanceId = Uuid::from_u128(2);
const HERE: StationId = StationId([1; 16]);
const ELSEWHERE: StationId = StationId([2; 16]);
const CMD: CommandId = CommandId([7; 16]);
const OTHER_CMD: CommandId = CommandId([8; 16]);
const SLOT: SlotNumber = 3;
const VERDICT_NO: EventNo = EventNo(20);

fn second(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// Asked at second 100, expires at 120, the clock may be off by 2, bought for an hour.
fn terms() -> Terms {
    Terms {
        cmd_id: CMD,
        station: HERE,
        slot: SLOT,
        created_at: second(100),
        expires_at: second(120),
        max_clock_error: TimeDelta::seconds(2),
        duration: TimeDelta::hours(1),
        lost_after: TimeDelta::hours(24),
    }
}

fn moment(seconds: i64) -> Moment {
    Moment { happened_at: second(seconds), quality: Some(TimeQuality::Anchored), event_no: Some(VERDICT_NO) }
}

fn about(event: About, seconds: i64) -> Event {
    Event::Command { event, moment: moment(seconds), bank_free: true }
}

const DONE: About = About::Verdict(Verdict::Done);
const FAILED: About = About::Verdict(Verdict::Failed { reason: 1 });

fn pending() -> Rental {
    Rental::new(&terms())
}

fn offered() -> Rental {
    step(pending(), about(About::Offered { to: X }, 100), 100).next
}

fn received() -> Rental {
    step(offered(), about(About::Receipt, 101), 101).next
}

fn active() -> Rental {
    step(received(), about(DONE, 105), 105).next
}

fn cancelled() -> Rental {
    step(received(), about(FAILED, 105), 105).next
}

fn step(rental: Rental, event: Event, now: i64) -> Decision {
    rental.step(&terms(), event, second(now))
}

fn inserted(station: StationId, slot: SlotNumber, seconds: i64, event_no: u64) -> Event {
    let moment = Moment { event_no: Some(EventNo(event_no)), ..moment(seconds) };
    Event::Sighted { sight: Sight::Inserted(Place { station, slot }), moment }
}

fn table(as_of: u64, last_cmd_id: Option<CommandId>) -> Table {
    Table { as_of: EventNo(as_of), last_cmd_id }
}

fn listed(station: StationId, slot: SlotNumber, table: Table, seconds: i64) -> Event {
    let sight = Sight::Listed { place: Place { station, slot }, table };
    Event::Sighted { sight, moment: moment(seconds) }
}

fn absent(table: Table, seconds: i64) -> Event {
    let sight = Sight::Absent { place: Place { station: HERE, slot: SLOT }, table };
    Event::Sighted { sight, moment: moment(seconds) }
}

#[test]
fn done_starts_the_rental_at_the_time_of_the_event_and_keeps_the_hold() {
    let decision = step(received(), about(DONE, 105), 118);
    assert_eq!(decision.next.status, Status::Active);
    assert_eq!(decision.next.hold, Hold::Held);
    assert_eq!(decision.next.started_at, Some(second(105)));
    assert_eq!(decision.next.due_at, second(105 + 3_600));
    assert_eq!((decision.money, decision.seat), (Money::Keep, Seat::Keep));
    assert_eq!((decision.bank, decision.news), (Bank::WithRider, Some(News::Started)));
}

#[test]
fn only_a_proof_that_the_bank_is_in_gives_the_hold_back() {
    use Status::{Active, Cancelled, Pending};
    let unsent = |from| About::Answer { from, state: DeliveryState::Unsent };
    let withdrawal = |from, outcome| About::Withdrawal { from, outcome };
    #[rustfmt::skip]
    let table = [
        (pending(),  About::NeverOffered,                                   Cancelled),
        (offered(),  unsent(X),                                             Cancelled),
        (offered(),  withdrawal(X, WithdrawOutcome::Withdrawn),             Cancelled),
        (offered(),  About::NeverSeen,                                      Cancelled),
        (offered(),  About::Verdict(Verdict::Rejected { reason: 1 }),       Cancelled),
        (received(), FAILED,                                                Cancelled),
        (offered(),  unsent(Y),                                             Pending),
        (received(), unsent(X),                                             Pending),
        (offered(),  withdrawal(Y, WithdrawOutcome::Withdrawn),             Pending),
        (offered(),  withdrawal(X, WithdrawOutcome::TooLate),               Pending),
        (offered(),  withdrawal(X, WithdrawOutcome::Unknown),               Pending),
        (offered(),  About::Answer { from: X, state: DeliveryState::Unknown }, Pending),
        (received(), About::NeverSeen,                                      Pending),
        (offered(),  About::Evicted,                                        Pending),
        (received(), About::Verdict(Verdict::Uncertain { reason: 1 }),      Pending),
        (offered(),  DONE,                                                  Active),
    ];
    for (before, event, status) in table {
        let decision = step(before, about(event, 110), 110);
        assert_eq!(decision.next.status, status, "{event:?}");
        let (money, hold, seat) = match status {
            Cancelled => (Money::Void, Hold::Voided, Seat::Release),
            Pending | Active | Status::Overdue | Status::Lost | Status::Completed => {
                (Money::Keep, Hold::Held, Seat::Keep)
            }
        };
        assert_eq!((decision.money, decision.next.hold, decision.seat), (money, hold, seat), "{event:?}");
    }
}

#[test]
fn a_start_is_never_before_the_request_nor_after_the_last_motor() {
    for (happened_at, started_at) in [(50, 100), (105, 105), (131, 131), (500, 132)] {
        let decision = step(offered(), about(DONE, happened_at), 600);
        assert_eq!(decision.next.started_at, Some(second(started_at)), "happened at {happened_at}");
    }
    // A report has no time of its own: the rider gets the latest possible start.
    let report = Moment { happened_at: second(500), quality: None, event_no: None };
    let event = Event::Command { event: DONE, moment: report, bank_free: true };
    assert_eq!(step(offered(), event, 500).next.started_at, Some(second(120)));
}

#[test]
fn a_return_is_charged_from_event_time_to_event_time() {
    let decision = step(active(), inserted(ELSEWHERE, 1, 700, 4), 9_000);
    let place = Place { station: ELSEWHERE, slot: 1 };
    assert_eq!(decision.next.status, Status::Completed);
    assert_eq!(decision.money, Money::Charge { started_at: second(105), ended_at: second(700) });
    assert_eq!((decision.bank, decision.seat), (Bank::Returned(place), Seat::Release));
    assert_eq!(decision.next.hold, Hold::Captured);
    assert_eq!(decision.news, Some(News::Completed));
    // The same return again, and a later table, change nothing.
    for event in [inserted(ELSEWHERE, 1, 700, 4), listed(ELSEWHERE, 1, table(9, None), 800)] {
        assert_eq!(step(decision.next, event, 9_001), Decision::nothing(decision.next));
    }
}

#[test]
fn an_overdue_rental_is_returned_like_any_other() {
    assert_eq!(step(active(), Event::DueReached, 3_704), Decision::nothing(active()));
    let overdue = step(active(), Event::DueReached, 3_705);
    assert_eq!((overdue.next.status, overdue.news), (Status::Overdue, Some(News::Overdue)));
    let returned = step(overdue.next, inserted(ELSEWHERE, 1, 3_800, 4), 3_801);
    assert_eq!(returned.money, Money::Charge { started_at: second(105), ended_at: second(3_800) });
}

#[test]
fn a_return_before_done_proves_both() {
    for before in [offered(), received()] {
        let decision = step(before, inserted(ELSEWHERE, 1, 115, 4), 116);
        assert_eq!(decision.next.status, Status::Completed);
        assert_eq!(decision.next.command.state, State::Done);
        assert_eq!(decision.money, Money::Charge { started_at: second(115), ended_at: second(115) });
        assert_eq!(decision.seat, Seat::Release);
        // DONE arrives at last.
        let late = step(decision.next, about(DONE, 105), 200);
        assert_eq!((late.next.status, late.money), (Status::Completed, Money::Keep));
        assert_eq!(late.incident, None);
    }
    // Long after: the start is the last moment of a motor, in the rider's favour.
    let decision = step(offered(), inserted(ELSEWHERE, 1, 900, 4), 901);
    assert_eq!(decision.money, Money::Charge { started_at: second(120), ended_at: second(900) });
}

#[test]
fn an_older_story_of_the_bank_returns_nothing() {
    let stale = |rental| Decision::incident(rental, Incident::StaleSighting);
    // Inserted elsewhere before this rental began, told late.
    assert_eq!(step(active(), inserted(ELSEWHERE, 1, 40, 4), 900), stale(active()));
    assert_eq!(step(offered(), inserted(ELSEWHERE, 1, 40, 4), 110), stale(offered()));
    // The same station's numbers decide, not its clock.
    assert_eq!(step(active(), inserted(HERE, 1, 200, VERDICT_NO.0 - 1), 900), stale(active()));
    let jumped_back = step(active(), inserted(HERE, 1, 40, VERDICT_NO.0 + 1), 900);
    assert_eq!(jumped_back.money, Money::Charge { started_at: second(105), ended_at: second(105) });
    // The start is only known by its latest moment, and the bank was back before that.
    let report = Moment { happened_at: second(500), quality: None, event_no: None };
    let started = step(received(), Event::Command { event: DONE, moment: report, bank_free: true }, 500).next;
    let quick = step(started, inserted(ELSEWHERE, 1, 110, 4), 900);
    assert_eq!(quick.money, Money::Charge { started_at: second(120), ended_at: second(120) });
    // A clock that nobody anchored proves no order: the return counts, from the start at the earliest.
    let moment = Moment { quality: Some(TimeQuality::Doubtful), ..moment(40) };
    let sight = Sight::Inserted(Place { station: ELSEWHERE, slot: 1 });
    let decision = step(active(), Event::Sighted { sight, moment }, 900);
    assert_eq!(decision.next.status, Status::Completed);
}

#[test]
fn a_table_settles_a_doubt_only_if_it_contains_the_command() {
    use Status::{Active, Cancelled, Completed, Pending};
    let uncertain = step(received(), about(About::Verdict(Verdict::Uncertain { reason: 1 }), 110), 110).next;
    #[rustfmt::skip]
    let rows = [
        // The bank in its very slot: it never left.
        (offered(), listed(HERE, SLOT, table(9, Some(CMD)), 110),            Cancelled),
        (uncertain, listed(HERE, SLOT, table(VERDICT_NO.0, None), 111),      Cancelled),
        (offered(), listed(HERE, SLOT, table(9, None), 133),                 Cancelled),
        // A table from before the motor, or of unknown time, says nothing.
        (offered(), listed(HERE, SLOT, table(9, None), 110),                 Pending),
        (offered(), listed(HERE, SLOT, table(9, Some(OTHER_CMD)), 132),      Pending),
        (uncertain, listed(HERE, SLOT, table(VERDICT_NO.0 - 1, None), 500),  Pending),
        // The slot empty: it left.
        (offered(), absent(table(9, Some(CMD)), 110),                        Active),
        (uncertain, absent(table(VERDICT_NO.0, None), 111),                  Active),
        (offered(), absent(table(9, None), 133),                             Active),
        (offered(), absent(table(9, None), 110),                             Pending),
        // The bank somewhere else: it left and is back.
        (offered(), listed(HERE, 5, table(9, Some(CMD)), 110),               Completed),
        (offered(), listed(HERE, 5, table(9, None), 110),                    Pending),
        (offered(), listed(ELSEWHERE, 1, table(9, None), 110),               Completed),
        (offered(), listed(ELSEWHERE, 1, table(9, None), 104),               Pending),
    ];
    for (before, event, status) in rows {
        let decision = step(before, event, 600);
        assert_eq!(decision.next.status, status, "{event:?}");
        assert_eq!(decision.money == Money::Void, status == Cancelled, "{event:?}");
    }
}

#[test]
fn a_table_from_before_the_eject_cannot_return_the_bank() {
    assert_eq!(active().verdict_event_no, Some(VERDICT_NO));
    let stale = listed(HERE, SLOT, table(VERDICT_NO.0 - 1, None), 5_000);
    assert_eq!(step(active(), stale, 5_000), Decision::nothing(active()));
    let fresh = listed(HERE, SLOT, table(VERDICT_NO.0, None), 5_000);
    assert_eq!(step(active(), fresh, 5_000).next.status, Status::Completed);
    assert_eq!(step(active(), listed(ELSEWHERE, 1, table(9, None), 106), 5_000).next.status, Status::Active);
    assert_eq!(
        step(active(), listed(ELSEWHERE, 1, table(9, None), 200), 5_000).next.status,
        Status::Completed
    );
}

#[test]
fn late_done_opens_a_cancelled_rental_again_without_its_hold() {
    let decision = step(cancelled(), about(DONE, 105), 900);
    assert_eq!((decision.next.status, decision.next.hold), (Status::Active, Hold::Voided));
    assert_eq!((decision.seat, decision.money), (Seat::Retake, Money::Keep));
    assert_eq!((decision.bank, decision.incident), (Bank::WithRider, Some(Incident::Reopened)));
    let returned = step(decision.next, inserted(ELSEWHERE, 1, 1_000, 4), 1_001);
    assert_eq!(returned.money, Money::Charge { started_at: second(105), ended_at: second(1_000) });
    assert_eq!((returned.next.hold, returned.seat), (Hold::Voided, Seat::Release));
}

#[test]
fn late_done_of_a_bank_that_is_taken_is_an_incident() {
    let event = Event::Command { event: DONE, moment: moment(105), bank_free: false };
    let decision = step(cancelled(), event, 900);
    assert_eq!((decision.next.status, decision.next.command.state), (Status::Cancelled, State::Done));
    assert_eq!((decision.incident, decision.bank), (Some(Incident::LateEject), Bank::Keep));
    // Told once.
    assert_eq!(step(decision.next, event, 901), Decision::nothing(decision.next));
}

#[test]
fn opposite_verdicts_change_nothing_and_are_reported() {
    let decision = step(active(), about(FAILED, 110), 110);
    assert_eq!(decision, Decision::incident(active(), Incident::Contradiction));
}

#[test]
fn after_two_minutes_in_doubt_the_rider_may_rent_again_and_the_hold_stays() {
    assert_eq!(step(received(), Event::DoubtAged, 239), Decision::nothing(received()));
    let released = step(received(), Event::DoubtAged, 240);
    assert_eq!((released.seat, released.next.hold), (Seat::Release, Hold::Held));
    assert_eq!((released.next.status, released.money), (Status::Pending, Money::Keep));
    assert_eq!(step(released.next, Event::DoubtAged, 500), Decision::nothing(released.next));
    // It turns out to be done: the seat is taken again, whatever the limit.
    let done = step(released.next, about(DONE, 105), 600);
    assert_eq!((done.next.status, done.seat), (Status::Active, Seat::Retake));
    // It turns out never to have left: the seat is not given back twice.
    let void = step(released.next, about(FAILED, 105), 600);
    assert_eq!((void.money, void.seat), (Money::Void, Seat::Keep));
    // It comes back before DONE: taken and given back at once.
    let back = step(released.next, inserted(ELSEWHERE, 1, 600, 4), 600);
    assert_eq!((back.next.status, back.seat), (Status::Completed, Seat::Keep));
    // An eject that nobody was offered is no doubt.
    assert_eq!(step(pending(), Event::DoubtAged, 500), Decision::nothing(pending()));
}

#[test]
fn a_rider_may_cancel_only_what_no_gateway_has() {
    let unoffered = step(pending(), Event::CancelAsked, 101);
    assert_eq!((unoffered.next.status, unoffered.money), (Status::Cancelled, Money::Void));
    let asked = step(offered(), Event::CancelAsked, 101);
    assert_eq!((asked.ask, asked.next), (Ask::Withdraw, offered()));
    assert_eq!(step(active(), Event::CancelAsked, 200), Decision::nothing(active()));
    assert_eq!(step(cancelled(), Event::CancelAsked, 200), Decision::nothing(cancelled()));
}

#[test]
fn staff_decide_only_what_is_open_to_decision() {
    let staff = |rental, decision, now| step(rental, Event::Staff(decision), now);
    assert_eq!(staff(received(), StaffDecision::NotEjected, 119).next, received());
    let void = staff(received(), StaffDecision::NotEjected, 120);
    assert_eq!((void.next.status, void.money), (Status::Cancelled, Money::Void));
    let out = staff(received(), StaffDecision::Ejected, 500);
    assert_eq!((out.next.status, out.next.started_at), (Status::Active, Some(second(120))));
    assert_eq!(staff(active(), StaffDecision::NotEjected, 500).next, active());
    let back = staff(active(), StaffDecision::Returned { at: second(300) }, 500);
    assert_eq!(back.money, Money::Charge { started_at: second(105), ended_at: second(300) });
    let early = staff(active(), StaffDecision::Returned { at: second(1) }, 500);
    assert_eq!(early.money, Money::Charge { started_at: second(105), ended_at: second(105) });
}

fn overdue() -> Rental {
    let due = 105 + 3_600;
    step(active(), Event::DueReached, due).next
}

fn lost() -> Rental {
    step(overdue(), Event::LostReached, LOST_S).next
}

/// Out at 105, due an hour later, lost a day after that.
const LOST_S: i64 = 105 + 3_600 + 86_400;

#[test]
fn only_a_rental_that_is_overdue_for_long_enough_is_lost() {
    for (rental, now, is_lost) in [
        (overdue(), LOST_S - 1, false),
        (overdue(), LOST_S, true),
        (active(), LOST_S, false),
        (pending(), LOST_S, false),
        (received(), LOST_S, false),
        (cancelled(), LOST_S, false),
        (lost(), LOST_S + 86_400, false),
    ] {
        let decision = step(rental, Event::LostReached, now);
        if !is_lost {
            assert_eq!(decision, Decision::nothing(rental), "{:?} at {now}", rental.status);
            continue;
        }
        assert_eq!(
            decision.next,
            Rental { status: Status::Lost, hold: Hold::Captured, seated: false, ..rental }
        );
        assert_eq!(decision.money, Money::ChargeLost { started_at: second(105) });
        assert_eq!((decision.seat, decision.bank), (Seat::Release, Bank::Lost));
        assert_eq!((decision.incident, decision.news), (Some(Incident::Lost), Some(News::Lost)));
    }
}

#[test]
fn a_lost_bank_that_is_seen_again_turns_its_charge_round_once() {
    let elsewhere = Place { station: ELSEWHERE, slot: 1 };
    for (seen, ended_s, bank) in [
        (inserted(ELSEWHERE, 1, LOST_S + 500, 1), LOST_S + 500, Bank::Returned(elsewhere)),
        // Told late: it was back before it was called lost.
        (inserted(ELSEWHERE, 1, 4_000, 1), 4_000, Bank::Returned(elsewhere)),
        (listed(ELSEWHERE, 1, table(1, None), LOST_S + 500), LOST_S + 500, Bank::Returned(elsewhere)),
        (Event::Staff(StaffDecision::Returned { at: second(5_000) }), 5_000, Bank::Keep),
    ] {
        let decision = step(lost(), seen, LOST_S + 1_000);
        let (started_at, ended_at) = (second(105), second(ended_s));
        assert_eq!(decision.money, Money::Recharge { started_at, ended_at }, "{seen:?}");
        assert_eq!((decision.next.status, decision.next.ended_at), (Status::Completed, Some(ended_at)));
        assert_eq!((decision.seat, decision.bank, decision.next.hold), (Seat::Keep, bank, Hold::Captured));
        assert_eq!((decision.incident, decision.news), (Some(Incident::FoundAgain), Some(News::Completed)));
        assert_eq!(step(decision.next, seen, LOST_S + 2_000), Decision::nothing(decision.next));
    }
}

#[test]
fn an_older_story_or_a_cancellation_does_not_bring_a_lost_bank_back() {
    let rental = lost();
    for (event, incident) in [
        (inserted(ELSEWHERE, 1, 50, 1), Some(Incident::StaleSighting)),
        (inserted(HERE, SLOT, 103, VERDICT_NO.0 - 1), Some(Incident::StaleSighting)),
        (listed(HERE, SLOT, table(VERDICT_NO.0 - 1, None), LOST_S), None),
        (listed(ELSEWHERE, 1, table(1, None), 100), None),
        (Event::CancelAsked, None),
        (Event::DueReached, None),
        (Event::DoubtAged, None),
        (about(DONE, LOST_S), None),
        (Event::Staff(StaffDecision::NotEjected), None),
    ] {
        let decision = step(rental, event, LOST_S + 10);
        assert_eq!((decision.next.status, decision.money), (Status::Lost, Money::Keep), "{event:?}");
        assert_eq!(decision.incident, incident, "{event:?}");
    }
}
