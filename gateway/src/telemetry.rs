//! Samples to the store: group commit of what arrived, acknowledged when durable.

use crate::backend::Backoff;
use crate::crash;
use crate::limits;
use crate::metrics::TelemetryMetrics;
use crate::registry::{SessionHandle, locked};
use protocol::clock::Clock;
use protocol::control::UplinkItem;
use protocol::message::{SamplePoint, Telemetry};
use protocol::time::event_time;
use protocol::types::StationId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use storage::{EventRecord, Sample, SampleBatch, SlotSample, StationReadings, TelemetryStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The queue before the store, bounded in bytes.
///
/// A batch that finds it full is given back and stays with its connection, unacknowledged:
/// a stalling store closes the telemetry lane and touches nothing else.
pub struct TelemetryLane {
    bytes_max: usize,
    append_bytes_max: usize,
    queue: Mutex<Queue>,
    arrived: Notify,
    emptied: Notify,
    failing: AtomicBool,
    metrics: TelemetryMetrics,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    in_flight: usize,
}

struct Entry {
    session: Arc<SessionHandle>,
    batch: SampleBatch,
    bytes: usize,
}

impl TelemetryLane {
    /// An empty lane. Bounds are of decoded batches in memory.
    pub fn new(bytes_max: usize, append_bytes_max: usize) -> Self {
        Self {
            bytes_max,
            append_bytes_max,
            queue: Mutex::new(Queue::default()),
            arrived: Notify::new(),
            emptied: Notify::new(),
            failing: AtomicBool::new(false),
            metrics: TelemetryMetrics::new(),
        }
    }

    /// Queues a batch, or gives it back if there is no room.
    pub fn push(&self, session: &Arc<SessionHandle>, batch: SampleBatch) -> Result<(), SampleBatch> {
        let bytes = memory_bytes(&batch);
        let mut queue = locked(&self.queue);
        if queue.bytes + bytes > self.bytes_max && queue.bytes > 0 {
            return Err(batch);
        }
        queue.bytes += bytes;
        queue.entries.push_back(Entry { session: session.clone(), batch, bytes });
        drop(queue);
        self.arrived.notify_one();
        Ok(())
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
        let mut backoff = Backoff::new();
        while let Some(entries) = self.next_append(&stop).await {
            let (sessions, batches): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .map(|entry| {
                    let through =
                        SamplePoint { boot_no: entry.batch.boot_no, sample_no: entry.batch.last_sample_no() };
                    ((entry.session, through), entry.batch)
                })
                .unzip();
            loop {
                let started_ms = clock.monotonic_ms();
                // The store keeps no reference after an error, so the batches are kept here.
                match store.append(batches.clone()).await {
                    Ok(()) => {
                        self.metrics.appended(batches.len(), clock.monotonic_ms() - started_ms);
                        break;
                    }
                    Err(error) => {
                        self.metrics.failed(error);
                        if !self.failing.swap(true, Ordering::Relaxed) {
                            tracing::warn!(
                                error = error.label(),
                                "telemetry is not stored; trying again for ever"
                            );
                        }
                        tokio::select! {
                            () = backoff.pause() => {}
                            () = stop.cancelled() => return,
                        }
                    }
                }
            }
            backoff.reset();
            if self.failing.swap(false, Ordering::Relaxed) {
                tracing::info!("telemetry is stored again");
            }
            protocol::crash::point(crash::AFTER_TELEMETRY_APPEND);
            for (session, through) in sessions {
                session.acknowledge_samples(through);
            }
            self.finished();
        }
    }

    async fn next_append(&self, stop: &CancellationToken) -> Option<Vec<Entry>> {
        loop {
            let entries = self.take_append();
            if !entries.is_empty() {
                return Some(entries);
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
        let mut bytes = 0;
        while let Some(next) = queue.entries.front()
            && (entries.is_empty() || bytes + next.bytes <= self.append_bytes_max)
        {
            bytes += next.bytes;
            entries.extend(queue.entries.pop_front());
        }
        queue.in_flight = entries.len();
        queue.bytes -= bytes;
        self.metrics.waiting(queue.bytes);
        entries
    }

    fn finished(&self) {
        let mut queue = locked(&self.queue);
        queue.in_flight = 0;
        if queue.entries.is_empty() {
            drop(queue);
            self.emptied.notify_waiters();
        }
    }
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

fn memory_bytes(batch: &SampleBatch) -> usize {
    size_of::<Entry>()
        + batch
            .samples
            .iter()
            .map(|sample| size_of_val(sample) + sample.slots.capacity() * size_of::<SlotSample>())
            .sum::<usize>()
}

/// Later copies of stored events for the history. They gate nothing: when the store is slower
/// than the stations, copies are dropped and counted.
pub struct EventCopies {
    queue: Mutex<VecDeque<EventRecord>>,
    arrived: Notify,
    dropped: metrics::Counter,
}

impl Default for EventCopies {
    fn default() -> Self {
        Self::new()
    }
}

impl EventCopies {
    /// Nothing to copy.
    pub fn new() -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            arrived: Notify::new(),
            dropped: metrics::counter!("chautari_gateway_event_copies_dropped_total"),
        }
    }

    /// The events of a batch that the backend has stored.
    pub fn push(&self, items: Vec<UplinkItem>) {
        let mut queue = locked(&self.queue);
        for item in items {
            let UplinkItem::Event(event) = item else { continue };
            if queue.len() < limits::EVENT_COPIES_MAX {
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
        loop {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::TimeQuality;
    use protocol::message::{RecordWriter, SlotReading, StationReading};
    use protocol::time::Anchor;
    use protocol::types::{BankSerial, SlotState};

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

    #[test]
    fn a_full_lane_gives_the_batch_back() {
        let lane = TelemetryLane::new(1, 1);
        let session = Arc::new(SessionHandle::new(StationId([1; 16]), protocol::types::Epoch(1), 0));
        let batch = |first_sample_no| SampleBatch {
            station_id: session.station_id,
            boot_no: 1,
            first_sample_no,
            samples: Vec::new(),
        };
        assert!(lane.push(&session, batch(0)).is_ok(), "an empty lane takes any batch");
        assert_eq!(lane.push(&session, batch(1)), Err(batch(1)));
        assert_eq!(lane.waiting(), 1);
    }
}
