//! Samples to the store: group commit of what arrived, acknowledged when durable.
//!
//! Batches wait as they came from the wire and are unfolded for their append only: a frame of 2 KiB
//! can hold 170 samples of 80 slots, which take two hundred times as much in memory.

use crate::backend::Backoff;
use crate::budget::{Budget, Level, Shares};
use crate::crash;
use crate::credit::Credit;
use crate::limits;
use crate::metrics::TelemetryMetrics;
use crate::pace::Pace;
use crate::registry::{Round, SessionHandle, locked};
use crate::uplink::event_bytes;
use protocol::clock::Clock;
use protocol::control::UplinkItem;
use protocol::message::{Body, SamplePoint, Telemetry, Window};
use protocol::time::event_time;
use protocol::types::StationId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use storage::{EventRecord, Sample, SampleBatch, SlotSample, StationReadings, TelemetryStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The queue before the store, bounded in bytes.
///
/// A batch that finds it full is given back and stays with its connection, unacknowledged:
/// a stalling store closes the telemetry lane and touches nothing else. So does a batch of a station that
/// has its share of the queue in use, and any while memory is short.
pub struct TelemetryLane {
    bytes_max: usize,
    append_bytes_max: usize,
    budget: Arc<Budget>,
    credit: Credit,
    queue: Mutex<Queue>,
    /// What [`Queue::bytes`] was last, for those who only look.
    waiting_bytes: AtomicUsize,
    arrived: Notify,
    emptied: Notify,
    failing: AtomicBool,
    metrics: TelemetryMetrics,
}

struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    in_flight: usize,
    /// Of what waits and of what is in flight.
    shares: Shares,
}

struct Entry {
    session: Arc<SessionHandle>,
    batch: ArrivedBatch,
}

/// A batch as it came, known to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedBatch {
    payload: Box<[u8]>,
    received_at_ms: u64,
    unfolded_bytes: usize,
}

impl ArrivedBatch {
    /// `payload` is what `telemetry` was decoded from.
    pub fn new(payload: &[u8], telemetry: &Telemetry<'_>, received_at_ms: u64) -> Self {
        let slots = usize::from(telemetry.records.slot_count()) * size_of::<SlotSample>();
        let samples = usize::from(telemetry.records.record_count()) * (size_of::<Sample>() + slots);
        Self { payload: payload.into(), received_at_ms, unfolded_bytes: samples + size_of::<SampleBatch>() }
    }

    /// What it takes in memory while it waits.
    pub fn held_bytes(&self) -> usize {
        size_of::<Entry>() + self.payload.len()
    }

    fn unfold(&self, station_id: StationId) -> Option<SampleBatch> {
        let telemetry = Telemetry::decode(&self.payload).ok()?;
        Some(sample_batch(station_id, &telemetry, self.received_at_ms))
    }
}

impl TelemetryLane {
    /// An empty lane: `bytes_max` of batches as they came, `append_bytes_max` of unfolded ones.
    pub fn new(bytes_max: usize, append_bytes_max: usize, budget: Arc<Budget>) -> Self {
        let shares = Shares::new(budget.quarter_of_station());
        Self {
            bytes_max,
            append_bytes_max,
            budget,
            credit: Credit::new(),
            queue: Mutex::new(Queue { entries: VecDeque::new(), bytes: 0, in_flight: 0, shares }),
            waiting_bytes: AtomicUsize::new(0),
            arrived: Notify::new(),
            emptied: Notify::new(),
            failing: AtomicBool::new(false),
            metrics: TelemetryMetrics::new(),
        }
    }

    /// Queues a batch, or gives it back if there is no room.
    pub fn push(&self, session: &Arc<SessionHandle>, batch: ArrivedBatch) -> Result<(), ArrivedBatch> {
        let bytes = batch.held_bytes();
        let is_short = self.budget.level() >= Level::NoSamples;
        let mut queue = locked(&self.queue);
        let has_room = queue.bytes == 0 || queue.bytes + bytes <= self.bytes_max;
        if is_short || !has_room || !queue.shares.take(session.station_id, bytes) {
            return Err(batch);
        }
        // Before the carrier can see it: it gives back what is held.
        self.budget.hold(bytes);
        queue.bytes += bytes;
        self.waiting_bytes.store(queue.bytes, Ordering::Relaxed);
        queue.entries.push_back(Entry { session: session.clone(), batch });
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// What one station may have on its way in this lane now.
    pub(crate) fn window(&self) -> Window {
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        crate::credit::samples_at(self.budget.level(), self.credit.window(waiting, self.bytes_max))
    }

    /// Batches that are not durable yet.
    pub fn waiting(&self) -> usize {
        let queue = locked(&self.queue);
        queue.entries.len() + queue.in_flight
    }

    /// Whether the last append failed.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Returns when everything that was queued is durable.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.waiting() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Appends until `stop`: one append in flight, what arrived meanwhile is the next one.
    pub async fn carry(
        self: Arc<Self>,
        store: Arc<dyn TelemetryStore>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut pace = Pace::every_ms(limits::TELEMETRY_PACE_MS);
        while let Some(entries) = self.next_append(&mut pace, &stop).await {
            let unfolded = entries.iter().map(|entry| entry.batch.unfolded_bytes).sum();
            self.budget.hold(unfolded);
            let stored = self.append(&entries, &*store, &*clock, &stop).await;
            self.budget.release(unfolded);
            let Some(stored) = stored else { return };
            protocol::crash::point(crash::AFTER_TELEMETRY_APPEND);
            let mut round = Round::default();
            for (session, through) in stored {
                round.acknowledge_samples(session, through);
            }
            drop(round);
            self.finished(&entries);
        }
    }

    /// Tries until the batches are durable and answers whom to tell; `None` if the gateway stops before.
    async fn append<'e>(
        &self,
        entries: &'e [Entry],
        store: &dyn TelemetryStore,
        clock: &dyn Clock,
        stop: &CancellationToken,
    ) -> Option<Vec<(&'e Arc<SessionHandle>, SamplePoint)>> {
        let mut backoff = Backoff::new();
        loop {
            // The store keeps no reference after an error, so each try unfolds them anew: it is rare.
            let (stored, batches) = unfold(entries);
            let started_ms = clock.monotonic_ms();
            match store.append(batches).await {
                Ok(()) => {
                    let after_ms = clock.monotonic_ms() - started_ms;
                    self.credit.answered(after_ms);
                    self.metrics.appended(stored.len(), after_ms);
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("telemetry is stored again");
                    }
                    return Some(stored);
                }
                Err(error) => {
                    self.credit.failed();
                    self.metrics.failed(error);
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            error = error.label(),
                            "telemetry is not stored; trying again for ever"
                        );
                    }
                }
            }
            tokio::select! {
                () = backoff.pause() => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn next_append(&self, pace: &mut Pace, stop: &CancellationToken) -> Option<Vec<Entry>> {
        loop {
            if !locked(&self.queue).entries.is_empty() {
                pace.wait(stop).await;
                return Some(self.take_append());
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    fn take_append(&self) -> Vec<Entry> {
        let mut queue = locked(&self.queue);
        let mut entries = Vec::new();
        let (mut bytes, mut unfolded) = (0, 0);
        while let Some(next) = queue.entries.front()
            && (entries.is_empty() || unfolded + next.batch.unfolded_bytes <= self.append_bytes_max)
        {
            bytes += next.batch.held_bytes();
            unfolded += next.batch.unfolded_bytes;
            entries.extend(queue.entries.pop_front());
        }
        queue.in_flight = entries.len();
        queue.bytes -= bytes;
        self.waiting_bytes.store(queue.bytes, Ordering::Relaxed);
        self.metrics.waiting(queue.bytes, self.window().frames);
        if queue.entries.is_empty() && queue.entries.capacity() > limits::QUEUE_ENTRIES_KEPT {
            queue.entries = VecDeque::new();
        }
        entries
    }

    fn finished(&self, entries: &[Entry]) {
        let mut queue = locked(&self.queue);
        let mut bytes = 0;
        for Entry { session, batch } in entries {
            queue.shares.give_back(session.station_id, batch.held_bytes());
            bytes += batch.held_bytes();
        }
        self.budget.release(bytes);
        queue.in_flight = 0;
        if queue.entries.is_empty() {
            drop(queue);
            self.emptied.notify_waiters();
        }
    }
}

/// The batches for the store, and whom to tell how far they reach.
fn unfold(entries: &[Entry]) -> (Vec<(&Arc<SessionHandle>, SamplePoint)>, Vec<SampleBatch>) {
    let unfolded = entries.iter().filter_map(|Entry { session, batch }| {
        let mut batch = batch.unfold(session.station_id)?;
        let through = SamplePoint { boot_no: batch.boot_no, sample_no: batch.last_sample_no() };
        batch.boot_no = stored_boot_no(session.epoch.key_gen(), batch.boot_no);
        Some(((session, through), batch))
    });
    unfolded.unzip()
}

/// A boot among all boots of a station. A controller that came into the cabinet with a new key counts from one again, so
/// the key's generation stands above the wire's 24 bits; with the first key the number is that of the wire.
fn stored_boot_no(key_gen: u16, boot_no: u32) -> u32 {
    let [_, keys_before] = key_gen.saturating_sub(1).to_be_bytes();
    u32::from(keys_before) << 24 | boot_no
}

/// Brings a batch from the wire into the form of the store.
pub fn sample_batch(station_id: StationId, telemetry: &Telemetry<'_>, received_at_ms: u64) -> SampleBatch {
    let mut samples = Vec::with_capacity(usize::from(telemetry.records.record_count()));
    let mut walk = telemetry.samples();
    while let Some(sample) = walk.next() {
        let (at_ms, time_quality) = event_time(telemetry.anchor, sample.uptime_ms, received_at_ms);
        let station = sample.station;
        // Zero is the wire's word for "not measured"; a board at 0 °C with a supply is measured.
        let has_supply = station.supply_mv != 0;
        samples.push(Sample {
            at_ms,
            time_quality,
            received_at_ms,
            readings: StationReadings {
                signal_dbm: (station.signal_dbm != 0).then_some(station.signal_dbm),
                temperature_c: (has_supply || station.board_temperature_c != 0)
                    .then_some(station.board_temperature_c),
                supply_mv: has_supply.then_some(station.supply_mv),
            },
            slots: (1..).zip(sample.slots.iter().copied()).map(SlotSample::from).collect(),
        });
    }
    SampleBatch {
        station_id,
        boot_no: telemetry.boot_no,
        first_sample_no: telemetry.first_sample_no,
        samples,
    }
}

/// Later copies of stored events for the history. They gate nothing: when the store is slower
/// than the stations, copies are dropped and counted.
pub struct EventCopies {
    queue: Mutex<VecDeque<EventRecord>>,
    budget: Arc<Budget>,
    arrived: Notify,
    dropped: metrics::Counter,
}

impl EventCopies {
    /// Nothing to copy.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            budget,
            arrived: Notify::new(),
            dropped: metrics::counter!("chautari_gateway_event_copies_dropped_total"),
        }
    }

    /// The events of a batch that the backend has stored.
    pub fn push(&self, items: Vec<UplinkItem>) {
        let is_short = self.budget.level() >= Level::NoSamples;
        let mut queue = locked(&self.queue);
        for item in items {
            let UplinkItem::Event(event) = item else { continue };
            if queue.len() < limits::EVENT_COPIES_MAX && !is_short {
                self.budget.hold(event_bytes(&event));
                queue.push_back(event);
            } else {
                self.dropped.increment(1);
            }
        }
        drop(queue);
        self.arrived.notify_one();
    }

    /// Appends until `stop`.
    pub async fn carry(self: Arc<Self>, store: Arc<dyn TelemetryStore>, stop: CancellationToken) {
        let mut backoff = Backoff::new();
        let mut pace = Pace::every_ms(limits::EVENT_COPIES_PACE_MS);
        loop {
            if locked(&self.queue).len() < limits::EVENT_COPIES_PER_APPEND {
                pace.wait(&stop).await;
            }
            let events: Vec<EventRecord> = {
                let mut queue = locked(&self.queue);
                let count = queue.len().min(limits::EVENT_COPIES_PER_APPEND);
                queue.drain(..count).collect()
            };
            if events.is_empty() {
                tokio::select! {
                    () = self.arrived.notified() => continue,
                    () = stop.cancelled() => return,
                }
            }
            while let Err(error) = store.append_events(events.clone()).await {
                tracing::debug!(error = error.label(), "event copies are not stored");
                tokio::select! {
                    () = backoff.pause() => {}
                    () = stop.cancelled() => return,
                }
            }
            backoff.reset();
            self.budget.release(events.iter().map(event_bytes).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::TimeQuality;
    use protocol::message::{RecordWriter, SlotReading, StationReading};
    use protocol::time::Anchor;
    use protocol::types::{BankSerial, Epoch, SlotState};

    const ARRIVAL_MS: u64 = 1_800_000_000_000;

    #[test]
    fn a_batch_is_mapped_sample_by_sample() {
        let (mut buffer, mut previous) = ([0; 256], [SlotReading::default(); 2]);
        let mut records = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        let bank = BankSerial([7; 8]);
        let full = SlotReading {
            bank: Some(bank),
            state: SlotState(3),
            level_percent: 80,
            ..SlotReading::default()
        };
        let silent = StationReading::default();
        let speaking = StationReading { signal_dbm: -71, supply_mv: 12_000, board_temperature_c: 0 };
        records.push(1_000, &silent, &[full, SlotReading::default()]).unwrap();
        records.push(4_000, &speaking, &[SlotReading { level_percent: 81, ..full }, full]).unwrap();
        let anchor = Anchor { wall_ms: ARRIVAL_MS - 60_000, uptime_ms: 1_000, error_ms: 10 };
        let telemetry = records.finish(9, 100, Some(anchor)).unwrap();
        let batch = sample_batch(StationId([1; 16]), &telemetry, ARRIVAL_MS);
        assert_eq!((batch.boot_no, batch.first_sample_no, batch.last_sample_no()), (9, 100, 101));
        let [first, second] = &batch.samples[..] else { panic!("two samples") };
        assert_eq!((first.at_ms, first.time_quality), (ARRIVAL_MS - 60_000, TimeQuality::Anchored));
        assert_eq!((second.at_ms, second.received_at_ms), (ARRIVAL_MS - 57_000, ARRIVAL_MS));
        assert_eq!(first.readings, StationReadings::default());
        let readings =
            StationReadings { signal_dbm: Some(-71), temperature_c: Some(0), supply_mv: Some(12_000) };
        assert_eq!(second.readings, readings);
        assert_eq!((first.slots[0].slot, first.slots[0].bank, first.slots[1].bank), (1, Some(bank), None));
        assert_eq!((second.slots[0].level_percent, second.slots[1].slot), (81, 2));
    }

    fn batch(first_sample_no: u32, records: u8) -> ArrivedBatch {
        let (mut buffer, mut previous) = ([0; 2_048], [SlotReading::default(); 80]);
        let mut writer = RecordWriter::new(&mut buffer, &mut previous).unwrap();
        for number in 0..records {
            writer
                .push(u64::from(number) + 1, &StationReading::default(), &[SlotReading::default(); 80])
                .unwrap();
        }
        let telemetry = writer.finish(1, first_sample_no, None).unwrap();
        let mut payload = [0; 4_096];
        let mut writer = protocol::frame::Writer::new(&mut payload);
        telemetry.encode(&mut writer).unwrap();
        let length = writer.written();
        ArrivedBatch::new(&payload[..length], &telemetry, ARRIVAL_MS)
    }

    fn lane(bytes_max: usize, station_bytes_max: usize) -> (Arc<Budget>, TelemetryLane) {
        let settings = crate::Settings { station_bytes_max, ..crate::Settings::default() };
        let budget = Arc::new(Budget::new(&settings));
        (budget.clone(), TelemetryLane::new(bytes_max, 1, budget))
    }

    fn session(station: u8) -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(StationId([station; 16]), Epoch(1), 0))
    }

    #[test]
    fn a_batch_waits_at_the_weight_of_the_wire() {
        let batch = batch(0, 100);
        assert!(batch.held_bytes() < 2_048 + size_of::<Entry>(), "{}", batch.held_bytes());
        assert!(batch.unfolded_bytes > 50 * batch.held_bytes(), "{}", batch.unfolded_bytes);
        let unfolded = batch.unfold(StationId([1; 16])).unwrap();
        assert_eq!((unfolded.samples.len(), unfolded.samples[99].slots.len()), (100, 80));
        let slots: usize =
            unfolded.samples.iter().map(|sample| sample.slots.capacity() * size_of::<SlotSample>()).sum();
        assert!(slots + size_of_val(&unfolded.samples[..]) <= batch.unfolded_bytes);
    }

    #[test]
    fn the_boots_of_a_new_key_are_others() {
        let of_key = |key_gen| Epoch::from_parts(key_gen, 7, 1).unwrap();
        let entries = [of_key(1), of_key(2)].map(|epoch| {
            let session = Arc::new(SessionHandle::new(StationId([1; 16]), epoch, 0));
            Entry { session, batch: batch(0, 2) }
        });
        let (told, stored) = unfold(&entries);
        assert!(told.iter().all(|(_, through)| *through == SamplePoint { boot_no: 1, sample_no: 1 }));
        assert_eq!([stored[0].boot_no, stored[1].boot_no], [1, 1 << 24 | 1]);
    }

    #[test]
    fn a_full_lane_gives_the_batch_back() {
        let (_, lane) = lane(1, usize::MAX);
        let session = session(1);
        assert!(lane.push(&session, batch(0, 1)).is_ok(), "an empty lane takes any batch");
        assert_eq!(lane.push(&session, batch(1, 1)), Err(batch(1, 1)));
        assert_eq!(lane.waiting(), 1);
        assert_eq!(lane.window().frames, 1, "and says so");
    }

    #[test]
    fn a_station_has_its_share_until_its_batches_are_durable() {
        let bytes = batch(0, 1).held_bytes();
        let (budget, lane) = lane(usize::MAX, bytes * 4);
        let (greedy, other) = (session(1), session(2));
        assert!(lane.push(&greedy, batch(0, 1)).is_ok());
        assert!(lane.push(&greedy, batch(1, 1)).is_err(), "its share is in use");
        assert!(lane.push(&other, batch(0, 1)).is_ok(), "the other's is its own");
        let entries = lane.take_append();
        assert!(lane.push(&greedy, batch(1, 1)).is_err(), "what is in flight is still held");
        assert_eq!((entries.len(), budget.held()), (1, bytes * 2));
        lane.finished(&entries);
        assert!(lane.push(&greedy, batch(1, 1)).is_ok());
        assert_eq!(budget.held(), bytes * 2);
    }
}
