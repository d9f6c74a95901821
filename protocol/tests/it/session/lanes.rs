//! Stories of the two lanes: windows, acknowledgements, resends.

use protocol::frame::MessageType;
use protocol::message::{
    Alarm, AlarmCode, EventStamp, Message, RecordWriter, SlotReading, StationReading, Window,
};
use protocol::session::CloseReason;
use protocol::session::flash::MemoryFlash;
use protocol::session::station::Happening;
use protocol::types::EventNo;

use super::pair::{Pair, TERMS};
use super::wire::Mac;
use super::world::{bank, kind_of, whole};

fn ring(pair: &mut Pair, slot: u8) {
    pair.report(Happening::BankUnreadable { slot });
}

fn cut_batch(pair: &mut Pair, first_sample_no: u32) {
    let mut buffer = [0; 256];
    let mut previous = [SlotReading::default(); 3];
    let mut writer = RecordWriter::new(&mut buffer, &mut previous).unwrap();
    writer.push(pair.uptime_ms, &StationReading::default(), &pair.board.sensors.readings).unwrap();
    let anchor = pair.station.anchor(&pair.board);
    let batch = writer.finish(pair.station.boot_no(), first_sample_no, anchor).unwrap();
    pair.station.push_samples(&batch, pair.uptime_ms).unwrap();
    pair.run();
}

fn sent(pair: &Pair, kind: MessageType) -> Vec<Vec<u8>> {
    pair.recorded.iter().filter(|(_, bytes)| kind_of(bytes) == kind).map(|(_, bytes)| bytes.clone()).collect()
}

#[test]
fn an_event_lane_that_is_not_acknowledged_stops_and_the_session_goes_on() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.backend.stores_events = false;
    for _ in 0..20 {
        ring(&mut pair, 1);
    }
    pair.advance(10_000);
    assert!(pair.is_open());
    let before = sent(&pair, MessageType::EVENT).len();
    assert_eq!(before, 1 + 8, "the boot's event and one window");
    // The other lane and commands go on.
    cut_batch(&mut pair, 0);
    let command = pair.eject(1, 1);
    assert!(pair.send(&command));
    assert_eq!(pair.backend.samples, [(1, 0)]);
    assert_eq!(pair.backend.receipts, [command.cmd_id]);
    assert_eq!(pair.runs_of(&command.cmd_id), 1);
    // The store is back: a new session brings all of it, in order.
    pair.backend.stores_events = true;
    pair.cut_link();
    pair.connect();
    pair.advance(5_000);
    assert!(pair.board.flash.events().next().is_none());
    assert!(pair.backend.verdicts.contains_key(&command.cmd_id));
}

#[test]
fn a_sample_lane_that_is_not_acknowledged_delays_no_event() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.backend.stores_samples = false;
    for number in 0..12 {
        cut_batch(&mut pair, number);
    }
    assert_eq!(sent(&pair, MessageType::TELEMETRY).len(), 8);
    assert!(pair.station.counts().batches_lost > 0, "the oldest unsent batches made room");
    ring(&mut pair, 2);
    pair.advance(1_000);
    assert!(pair.board.flash.events().next().is_none());
}

#[test]
fn a_smaller_window_counts_from_the_frame_that_knows_of_it() {
    let mut pair = Pair::open();
    pair.advance(5_000);
    pair.backend.stores_events = false;
    set_windows(&mut pair, 2, 8);
    let before = sent(&pair, MessageType::EVENT).len();
    for _ in 0..8 {
        ring(&mut pair, 1);
    }
    let in_flight = sent(&pair, MessageType::EVENT).len() - before;
    assert_eq!(in_flight, 8, "the ACK waits for others, so the station does not know yet");
    pair.advance(1_000);
    ring(&mut pair, 1);
    pair.advance(1_000);
    assert_eq!(sent(&pair, MessageType::EVENT).len() - before, 8, "now it does");
    assert!(pair.is_open(), "{:?}", pair.closes);
    assert_eq!(pair.gateway.as_ref().unwrap().windows(), Some((Window::of_frames(2), TERMS.sample_window)));
}

#[test]
fn a_closed_lane_opens_again_by_an_ack_and_the_other_never_notices() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    set_windows(&mut pair, 8, 0);
    pair.advance(1_000);
    cut_batch(&mut pair, 0);
    ring(&mut pair, 1);
    pair.advance(1_000);
    assert!(sent(&pair, MessageType::TELEMETRY).is_empty());
    assert!(pair.board.flash.events().next().is_none(), "the event is stored");
    set_windows(&mut pair, 8, 8);
    pair.advance(1_000);
    assert_eq!(pair.backend.samples, [(1, 0)]);
    assert!(pair.is_open());
}

fn set_windows(pair: &mut Pair, events: u16, samples: u16) {
    let now = pair.now();
    pair.gateway.as_mut().unwrap().set_windows(events, samples, now);
}

#[test]
fn a_batch_is_resent_byte_identical() {
    let mut pair = Pair::open();
    pair.backend.stores_samples = false;
    cut_batch(&mut pair, 0);
    pair.board.sensors.readings[0].level_percent = 10;
    pair.advance(5_000);
    pair.backend.stores_samples = true;
    pair.cut_link();
    pair.connect();
    pair.advance(1_000);
    let batches = sent(&pair, MessageType::TELEMETRY);
    assert_eq!(batches.len(), 2);
    let payload = |bytes: &[u8]| whole(bytes).payload.to_vec();
    assert_eq!(payload(&batches[0]), payload(&batches[1]));
    assert_eq!(pair.backend.samples, [(1, 0)]);
}

#[test]
fn acknowledgements_wait_for_what_is_on_its_way_but_not_when_the_window_fills() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    let acks = |pair: &Pair| sent(pair, MessageType::ACK).len();
    let before = acks(&pair);
    ring(&mut pair, 1);
    assert_eq!(acks(&pair), before + 1, "nothing else is on its way: at once");
    let stored = *pair.backend.events.keys().last().unwrap();
    pair.backend.stores_events = false;
    ring(&mut pair, 1);
    ring(&mut pair, 2);
    let now = pair.now();
    pair.gateway.as_mut().unwrap().acknowledge_events(EventNo(stored.0 + 1), now);
    pair.run();
    assert_eq!(acks(&pair), before + 1, "the other may come with it");
    pair.advance(u64::from(TERMS.ack_delay_ms));
    assert_eq!(acks(&pair), before + 2);
    for _ in 0..4 {
        ring(&mut pair, 1);
    }
    let now = pair.now();
    pair.gateway.as_mut().unwrap().acknowledge_events(EventNo(stored.0 + 3), now);
    pair.run();
    assert_eq!(acks(&pair), before + 3, "half of the window is used: at once");
}

#[test]
fn a_station_over_its_window_is_closed() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.backend.stores_events = false;
    for _ in 0..8 {
        ring(&mut pair, 1);
    }
    // The machine keeps the rule, so the ninth frame is made by hand.
    let alarm = Message::Alarm(Alarm {
        stamp: EventStamp { event_no: EventNo(10_000), uptime_ms: 0, anchor: None },
        code: AlarmCode::DoorOpen,
        slot: None,
    });
    pair.forge("to_gateway", &alarm, Mac::Right);
    assert!(pair.closes.contains(&("gateway", CloseReason::OverWindow)), "{:?}", pair.closes);
}

#[test]
fn a_cut_at_any_frame_loses_no_event_and_stores_none_twice() {
    for cut_at in 1..40 {
        let mut pair = Pair::new();
        pair.cut_at_frame = Some(cut_at);
        pair.advance(3_000);
        for slot in 1..=3 {
            ring(&mut pair, slot);
            pair.advance(100);
        }
        pair.insert(2, bank(2));
        pair.advance(10_000);
        pair.connect();
        pair.advance(5_000);
        let told = pair.backend.events.values().filter(|text| text.contains("BankUnreadable")).count();
        assert_eq!(told, 3, "cut at frame {cut_at}: {:?}", pair.backend.events);
        assert!(pair.backend.events.values().any(|text| text.contains("BankInserted")), "cut at {cut_at}");
        assert!(pair.board.flash.events().next().is_none(), "I4: cut at {cut_at}");
    }
}

#[test]
fn a_full_queue_is_told_and_replaced_by_an_inventory() {
    let mut pair = Pair::with_flash(MemoryFlash::with_sizes(16, 6));
    pair.refuses_connections = true;
    for _ in 0..10 {
        ring(&mut pair, 1);
    }
    assert!(pair.station.counts().events_lost > 0);
    pair.refuses_connections = false;
    pair.connect();
    pair.advance(2_000);
    assert!(
        pair.backend.events.values().any(|text| text.contains("EventsLost")),
        "{:?}",
        pair.backend.events
    );
    let (last, ..) = pair.backend.inventories.last().unwrap();
    assert_eq!(pair.backend.events.keys().next_back(), Some(last), "an inventory follows");
}

#[test]
fn event_numbers_must_grow() {
    for event_no in [EventNo(1), EventNo(2)] {
        let mut pair = Pair::open();
        pair.advance(1_000);
        let stamp = EventStamp { event_no, uptime_ms: 0, anchor: None };
        let alarm = Message::Alarm(Alarm { stamp, code: AlarmCode::DoorOpen, slot: None });
        let before = pair.backend.events.clone();
        pair.forge("to_gateway", &alarm, Mac::Right);
        assert_eq!(pair.closes.first(), Some(&("gateway", CloseReason::BadEventOrder)), "{event_no:?}");
        assert_eq!(pair.backend.events, before);
    }
}

#[test]
fn more_events_than_one_block_of_numbers_survive_a_power_cut() {
    let mut pair = Pair::open();
    for _ in 0..100 {
        ring(&mut pair, 1);
        pair.advance(250);
    }
    pair.power_cycle();
    ring(&mut pair, 2);
    pair.connect();
    pair.advance(2_000);
    // The store compares events of the same number (I5).
    assert_eq!(pair.backend.events.values().filter(|text| text.contains("BankUnreadable")).count(), 101);
    assert_eq!(pair.backend.duplicates, 0);
}

#[test]
fn a_station_that_only_talks_asks_whether_anybody_listens() {
    let mut pair = Pair::open();
    pair.advance(1_000);
    pair.backend.stores_samples = false;
    for number in 0..30 {
        pair.backend.stores_samples = number % 8 == 7;
        // Something leaves every 12 s, and nothing comes back that is not asked for.
        ring_and_forget(&mut pair);
        pair.advance(12_000);
    }
    assert!(pair.closes.is_empty(), "{:?}", pair.closes);
    assert!(sent(&pair, MessageType::HEARTBEAT).len() >= 4);
}

/// One event that the gateway neither stores nor answers, unless the window would be full.
fn ring_and_forget(pair: &mut Pair) {
    pair.backend.stores_events = pair.backend.stores_samples;
    ring(pair, 1);
}

#[test]
fn an_inventory_follows_the_events_that_it_contains() {
    let mut pair = Pair::new();
    pair.backend.stores_events = false;
    pair.advance(3_000);
    for slot in [1, 2, 3, 1, 2, 3, 1, 2, 3, 1] {
        ring(&mut pair, slot);
    }
    pair.cut_link();
    pair.backend.stores_events = true;
    pair.connect();
    pair.advance(3_000);
    let (number, as_of, _) = *pair.backend.inventories.last().map(|(a, b, c)| (a, b, c)).as_ref().unwrap();
    let earlier = pair.backend.events.keys().filter(|event_no| *event_no < number).count();
    assert_eq!(earlier, pair.backend.events.len() - 1, "all others came before it");
    assert!(pair.backend.events.keys().all(|event_no| event_no <= as_of || event_no == number));
}
