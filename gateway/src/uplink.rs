//! Events to the backend: one ordered queue, one request in flight.

use crate::backend::{BackendClient, Backoff, CallError};
use crate::budget::{Budget, Shares};
use crate::crash;
use crate::credit::Credit;
use crate::limits;
use crate::metrics::UplinkMetrics;
use crate::pace::Pace;
use crate::registry::{Round, SessionHandle, locked};
use crate::telemetry::EventCopies;
use protocol::clock::Clock;
use protocol::control::{
    CommandReport, EventBody, InstanceId, ItemResult, SlotReport, StationEvent, UPLINK_ITEMS_MAX,
    UplinkBatch, UplinkItem,
};
use protocol::message::Window;
use protocol::types::EventNo;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The queue of what the backend must hear, in order.
///
/// It is bounded, in items and in bytes, for all stations and for each. An event that finds it full is given
/// back and stays with its connection, unacknowledged, until there is room; a report that finds it half
/// full is dropped, because the backend asks again. While the backend is away nothing else
/// changes: sessions, commands and telemetry go on.
pub struct Uplink {
    items_max: usize,
    bytes_max: usize,
    budget: Arc<Budget>,
    credit: Credit,
    queue: Mutex<Queue>,
    /// Permille of the queue that was in use last, for those who only look.
    used_permille: AtomicUsize,
    arrived: Notify,
    emptied: Notify,
    in_flight: AtomicUsize,
    failing: AtomicBool,
    metrics: UplinkMetrics,
}

struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Of what waits and of what is in flight.
    shares: Shares,
}

struct Entry {
    item: UplinkItem,
    carried_by: Carrier,
}

/// The session that brought an item, and what the item takes in memory.
struct Carrier {
    session: Arc<SessionHandle>,
    bytes: usize,
}

impl Uplink {
    /// An empty queue.
    pub fn new(items_max: usize, bytes_max: usize, budget: Arc<Budget>) -> Self {
        let shares = Shares::new(budget.quarter_of_station());
        Self {
            items_max,
            bytes_max,
            budget,
            credit: Credit::new(),
            queue: Mutex::new(Queue { entries: VecDeque::new(), bytes: 0, shares }),
            used_permille: AtomicUsize::new(0),
            arrived: Notify::new(),
            emptied: Notify::new(),
            in_flight: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            metrics: UplinkMetrics::new(),
        }
    }

    /// Queues an event, or gives it back if there is no room.
    pub fn push_event(&self, session: &Arc<SessionHandle>, event: StationEvent) -> Result<(), StationEvent> {
        let bytes = event_bytes(&event);
        let mut queue = locked(&self.queue);
        let has_room = queue.bytes == 0 || queue.bytes + bytes <= self.bytes_max;
        if queue.entries.len() >= self.items_max || !has_room || !queue.shares.take(session.station_id, bytes)
        {
            return Err(event);
        }
        self.push(queue, UplinkItem::Event(event), Carrier { session: session.clone(), bytes });
        protocol::crash::point(crash::AFTER_EVENT_QUEUED);
        Ok(())
    }

    /// Queues a report if there is room: no report takes the place of an event.
    pub fn push_report(&self, session: &Arc<SessionHandle>, report: CommandReport) {
        let bytes = size_of::<Entry>();
        let mut queue = locked(&self.queue);
        if queue.entries.len() >= self.items_max.div_ceil(2)
            || queue.bytes + bytes > self.bytes_max / 2
            || !queue.shares.take(session.station_id, bytes)
        {
            drop(queue);
            self.metrics.report_dropped();
            return;
        }
        self.push(queue, UplinkItem::CommandReport(report), Carrier { session: session.clone(), bytes });
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, item: UplinkItem, carried_by: Carrier) {
        self.budget.hold(carried_by.bytes);
        queue.bytes += carried_by.bytes;
        queue.entries.push_back(Entry { item, carried_by });
        self.note_used(&queue);
        drop(queue);
        self.arrived.notify_one();
    }

    fn note_used(&self, queue: &Queue) {
        let items = queue.entries.len() * 1_000 / self.items_max.max(1);
        let bytes = queue.bytes.saturating_mul(1_000) / self.bytes_max.max(1);
        self.used_permille.store(items.max(bytes), Ordering::Relaxed);
    }

    /// What one station may have on its way in the event lane now.
    pub(crate) fn window(&self) -> Window {
        self.credit.window(self.used_permille.load(Ordering::Relaxed), 1_000)
    }

    /// Items that the backend has not answered for.
    pub fn waiting(&self) -> usize {
        locked(&self.queue).entries.len() + self.in_flight.load(Ordering::Acquire)
    }

    /// Whether the last post failed.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Returns when the backend has answered for everything that was queued.
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

    /// Posts batches until `stop`: what arrived while one was in flight is the next one.
    pub async fn carry(
        self: Arc<Self>,
        instance_id: InstanceId,
        backend: BackendClient,
        copies: Arc<EventCopies>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut pace = Pace::every_ms(limits::UPLINK_PACE_MS);
        while let Some((items, carriers)) = self.next_batch(&mut pace, &stop).await {
            let batch = UplinkBatch { instance_id, items };
            let Some(results) = self.post(&batch, &backend, &*clock, &stop).await else { return };
            protocol::crash::point(crash::AFTER_UPLINK_POST);
            self.count_results(&results);
            acknowledge(&batch.items, &carriers);
            copies.push(batch.items);
            self.finished(&carriers);
        }
    }

    /// Tries until the backend answers; `None` if the gateway stops before.
    async fn post(
        &self,
        batch: &UplinkBatch,
        backend: &BackendClient,
        clock: &dyn Clock,
        stop: &CancellationToken,
    ) -> Option<Vec<ItemResult>> {
        let mut backoff = Backoff::new();
        loop {
            protocol::crash::point(crash::BEFORE_UPLINK_POST);
            let started_ms = clock.monotonic_ms();
            let posted = tokio::select! {
                posted = backend.post_events(batch) => posted,
                () = stop.cancelled() => return None,
            };
            match posted {
                Ok(answer) => {
                    let after_ms = clock.monotonic_ms() - started_ms;
                    self.credit.answered(after_ms);
                    self.metrics.posted(batch.items.len(), after_ms);
                    self.recovered();
                    return Some(answer.results);
                }
                Err(error) => self.failed(&error),
            }
            tokio::select! {
                () = backoff.pause() => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn next_batch(
        &self,
        pace: &mut Pace,
        stop: &CancellationToken,
    ) -> Option<(Vec<UplinkItem>, Vec<Carrier>)> {
        loop {
            if !locked(&self.queue).entries.is_empty() {
                pace.wait(stop).await;
                return Some(self.take_batch());
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    fn take_batch(&self) -> (Vec<UplinkItem>, Vec<Carrier>) {
        let mut queue = locked(&self.queue);
        let mut weight = 0;
        let fits = |entry: &&Entry| {
            weight += json_bytes(&entry.item);
            weight <= limits::UPLINK_BATCH_BYTES_MAX
        };
        // One item always goes, whatever its size.
        let count = queue.entries.iter().take(UPLINK_ITEMS_MAX).take_while(fits).count();
        let count = count.max(1).min(queue.entries.len());
        self.in_flight.store(count, Ordering::Release);
        let (items, carriers): (_, Vec<Carrier>) =
            queue.entries.drain(..count).map(|entry| (entry.item, entry.carried_by)).unzip();
        queue.bytes -= carriers.iter().map(|carrier| carrier.bytes).sum::<usize>();
        if queue.entries.is_empty() && queue.entries.capacity() > limits::QUEUE_ENTRIES_KEPT {
            queue.entries = VecDeque::new();
        }
        self.note_used(&queue);
        self.metrics.waiting(queue.entries.len(), self.window().frames);
        (items, carriers)
    }

    fn finished(&self, carriers: &[Carrier]) {
        let mut queue = locked(&self.queue);
        for Carrier { session, bytes } in carriers {
            queue.shares.give_back(session.station_id, *bytes);
            self.budget.release(*bytes);
        }
        self.in_flight.store(0, Ordering::Release);
        let is_empty = queue.entries.is_empty();
        drop(queue);
        if is_empty {
            self.emptied.notify_waiters();
        }
    }

    fn failed(&self, error: &CallError) {
        self.credit.failed();
        self.metrics.failed();
        self.metrics.waiting(self.waiting(), self.window().frames);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, waiting = self.waiting(), "the backend takes no events; trying again for ever");
        }
    }

    fn recovered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(waiting = self.waiting(), "the backend takes events again");
        }
    }

    fn count_results(&self, results: &[ItemResult]) {
        for result in results {
            self.metrics.result(*result);
        }
    }
}

/// About as many bytes as the item takes in a request.
fn json_bytes(item: &UplinkItem) -> usize {
    let slots = match item {
        UplinkItem::Event(StationEvent { body: EventBody::Inventory(inventory), .. }) => {
            inventory.slots.len()
        }
        // Each byte is a number of its own in JSON.
        UplinkItem::Event(StationEvent { body: EventBody::Other { body, .. }, .. }) => {
            body.len().div_ceil(48)
        }
        UplinkItem::Event(_) | UplinkItem::CommandReport(_) => 0,
    };
    512 + slots * 192
}

/// What an event takes in memory while it waits.
pub(crate) fn event_bytes(event: &StationEvent) -> usize {
    let heap = match &event.body {
        EventBody::Inventory(inventory) => inventory.slots.capacity() * size_of::<SlotReport>(),
        EventBody::Other { body, .. } => body.capacity(),
        _ => 0,
    };
    size_of::<Entry>() + heap
}

/// Tells each session how far the events that it brought are stored. One that has ended hears nothing, and
/// the station sends them again by itself.
fn acknowledge(items: &[UplinkItem], carriers: &[Carrier]) {
    let mut round = Round::default();
    let mut told: Option<(&Arc<SessionHandle>, EventNo)> = None;
    for (item, carrier) in items.iter().zip(carriers) {
        let UplinkItem::Event(event) = item else { continue };
        // Events of one session mostly stand together: one word for a row of them.
        if let Some((session, through)) = told
            && !Arc::ptr_eq(session, &carrier.session)
        {
            round.acknowledge_events(session, through);
        }
        told = Some((&carrier.session, event.event_no));
    }
    if let Some((session, through)) = told {
        round.acknowledge_events(session, through);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::{Inventory, SlotReport, TimeQuality};
    use protocol::types::{Epoch, StationId};

    fn event(station: u8, epoch: u64, event_no: u64, slots: u8) -> StationEvent {
        let slots = (1..=slots).map(|slot| SlotReport {
            slot,
            bank: Some(protocol::types::BankSerial([0xFF; 8])),
            state: u16::MAX,
            level_percent: u8::MAX,
            voltage_mv: u16::MAX,
            current_ma: i16::MIN,
            temperature_c: i8::MIN,
            health_percent: u8::MAX,
        });
        let body = EventBody::Inventory(Inventory {
            version: u32::MAX,
            as_of_event_no: EventNo::MAX,
            last_cmd_id: Some(protocol::types::CommandId([0xFF; 16])),
            slots: slots.collect(),
        });
        StationEvent {
            station_id: StationId([station; 16]),
            epoch: Epoch(epoch),
            event_no: EventNo(event_no),
            happened_at_ms: u64::MAX,
            time_quality: TimeQuality::Anchored,
            received_at_ms: u64::MAX,
            body,
        }
    }

    fn session(station: u8, epoch: u64) -> Arc<SessionHandle> {
        Arc::new(SessionHandle::new(StationId([station; 16]), Epoch(epoch), 0))
    }

    fn uplink(items_max: usize) -> Uplink {
        let budget = Arc::new(Budget::new(&crate::Settings {
            station_bytes_max: usize::MAX,
            ..crate::Settings::default()
        }));
        Uplink::new(items_max, usize::MAX, budget)
    }

    fn report() -> CommandReport {
        CommandReport {
            station_id: StationId([1; 16]),
            epoch: Epoch(1),
            cmd_id: protocol::types::CommandId([1; 16]),
            received_at_ms: 0,
            report: protocol::control::ReportedState::Started,
        }
    }

    #[test]
    fn only_the_session_that_carried_an_event_hears_of_it() {
        let uplink = uplink(100);
        let sessions = [session(1, 6), session(1, 7), session(2, 7)];
        sessions[0].close();
        let events = [(0, event(1, 6, 9, 0)), (1, event(1, 7, 3, 0)), (2, event(2, 7, 5, 0))];
        for (by, event) in events.into_iter().chain([(1, event(1, 7, 4, 0))]) {
            uplink.push_event(&sessions[by], event).unwrap();
        }
        let (items, carriers) = uplink.take_batch();
        acknowledge(&items, &carriers);
        assert!(sessions[0].take(true).is_none(), "its session has ended");
        assert_eq!(sessions[1].take(true).unwrap().events_through, Some(EventNo(4)));
        assert_eq!(sessions[2].take(true).unwrap().events_through, Some(EventNo(5)));
    }

    #[test]
    fn batches_are_bounded_in_items_and_in_bytes() {
        let (uplink, session) = (uplink(1_000), session(1, 1));
        for event_no in 1..=300 {
            uplink.push_event(&session, event(1, 1, event_no, 0)).unwrap();
        }
        assert_eq!(uplink.take_batch().0.len(), UPLINK_ITEMS_MAX);
        assert_eq!(uplink.take_batch().0.len(), 300 - UPLINK_ITEMS_MAX);
        for event_no in 1..=UPLINK_ITEMS_MAX as u64 {
            uplink.push_event(&session, event(1, 1, event_no, 80)).unwrap();
        }
        let (items, _) = uplink.take_batch();
        assert!((1..UPLINK_ITEMS_MAX).contains(&items.len()));
        let text = serde_json::to_vec(&items).unwrap();
        assert!(text.len() <= limits::UPLINK_BATCH_BYTES_MAX, "{} bytes", text.len());
    }

    #[test]
    fn a_full_queue_gives_events_back_and_drops_reports() {
        let (uplink, session) = (uplink(2), session(1, 1));
        uplink.push_report(&session, report());
        uplink.push_report(&session, report());
        assert_eq!(uplink.waiting(), 1, "the other half is for events");
        uplink.push_event(&session, event(1, 1, 1, 0)).unwrap();
        assert!(uplink.push_event(&session, event(1, 1, 2, 0)).is_err());
        assert_eq!(uplink.waiting(), 2);
        assert_eq!(uplink.window().frames, 1, "and the window says so");
    }

    #[test]
    fn what_a_station_has_in_the_queue_is_bounded_over_all_its_sessions() {
        let bytes = event_bytes(&event(1, 1, 1, 80));
        assert!(bytes <= limits::EVENT_BYTES_MAX, "{bytes}");
        let settings = crate::Settings { station_bytes_max: bytes * 8, ..crate::Settings::default() };
        let budget = Arc::new(Budget::new(&settings));
        let uplink = Uplink::new(1_000, usize::MAX, budget.clone());
        for event_no in 1..=2 {
            uplink.push_event(&session(1, event_no), event(1, event_no, event_no, 80)).unwrap();
        }
        let (items, carriers) = uplink.take_batch();
        assert_eq!(items.len(), 2);
        assert!(uplink.push_event(&session(1, 3), event(1, 3, 3, 80)).is_err(), "two are in flight");
        uplink.push_event(&session(2, 1), event(2, 1, 1, 80)).unwrap();
        assert_eq!(budget.held(), bytes * 3);
        uplink.finished(&carriers);
        uplink.push_event(&session(1, 3), event(1, 3, 3, 80)).unwrap();
        assert_eq!(budget.held(), bytes * 2);
    }
}
