//! Events to the backend: one ordered queue, one request in flight.

use crate::backend::{BackendClient, Backoff, CallError};
use crate::crash;
use crate::limits;
use crate::metrics::{UplinkMetrics, carrier_failures};
use crate::registry::{Registry, SessionHandle, locked};
use crate::telemetry::EventCopies;
use protocol::clock::Clock;
use protocol::control::{
    CommandReport, EventBody, InstanceId, ItemResult, SessionOpened, StationEvent, UPLINK_ITEMS_MAX,
    UplinkBatch, UplinkItem,
};
use protocol::types::{EventNo, StationId};
use reqwest::StatusCode;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The queue of what the backend must hear, in order.
///
/// It is bounded. An event that finds it full is given back and stays with its connection,
/// unacknowledged, until there is room; a report that finds it full is dropped, because the
/// backend asks again. While the backend is away nothing else changes: sessions, commands
/// and telemetry go on.
pub struct Uplink {
    items_max: usize,
    queue: Mutex<VecDeque<UplinkItem>>,
    arrived: Notify,
    emptied: Notify,
    in_flight: AtomicU64,
    failing: AtomicBool,
    metrics: UplinkMetrics,
}

impl Uplink {
    /// An empty queue.
    pub fn new(items_max: usize) -> Self {
        Self {
            items_max,
            queue: Mutex::new(VecDeque::new()),
            arrived: Notify::new(),
            emptied: Notify::new(),
            in_flight: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            metrics: UplinkMetrics::new(),
        }
    }

    /// Queues an event, or gives it back if there is no room.
    pub fn push_event(&self, event: StationEvent) -> Result<(), StationEvent> {
        let mut queue = locked(&self.queue);
        if queue.len() >= self.items_max {
            return Err(event);
        }
        queue.push_back(UplinkItem::Event(event));
        drop(queue);
        self.arrived.notify_one();
        protocol::crash::point(crash::AFTER_EVENT_QUEUED);
        Ok(())
    }

    /// Queues a report if there is room.
    pub fn push_report(&self, report: CommandReport) {
        let mut queue = locked(&self.queue);
        if queue.len() >= self.items_max {
            drop(queue);
            self.metrics.report_dropped();
            return;
        }
        queue.push_back(UplinkItem::CommandReport(report));
        drop(queue);
        self.arrived.notify_one();
    }

    /// Items that the backend has not answered for.
    pub fn waiting(&self) -> usize {
        locked(&self.queue).len() + self.in_flight.load(Ordering::Acquire) as usize
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
        registry: Arc<Registry>,
        copies: Arc<EventCopies>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new();
        while let Some(items) = self.next_batch(&stop).await {
            let batch = UplinkBatch { instance_id, items };
            let answer = loop {
                protocol::crash::point(crash::BEFORE_UPLINK_POST);
                let started_ms = clock.monotonic_ms();
                let posted = tokio::select! {
                    posted = backend.post_events(&batch) => posted,
                    () = stop.cancelled() => return,
                };
                match posted {
                    Ok(answer) => {
                        self.metrics.posted(batch.items.len(), clock.monotonic_ms() - started_ms);
                        self.recovered();
                        backoff.reset();
                        break answer;
                    }
                    Err(error) => {
                        self.failed(&error);
                        tokio::select! {
                            () = backoff.pause() => {}
                            () = stop.cancelled() => return,
                        }
                    }
                }
            };
            protocol::crash::point(crash::AFTER_UPLINK_POST);
            self.count_results(&answer.results);
            acknowledge(&batch.items, &registry);
            copies.push(batch.items);
            self.in_flight.store(0, Ordering::Release);
            if self.waiting() == 0 {
                self.emptied.notify_waiters();
            }
        }
    }

    async fn next_batch(&self, stop: &CancellationToken) -> Option<Vec<UplinkItem>> {
        loop {
            let items = self.take_batch();
            if !items.is_empty() {
                return Some(items);
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    fn take_batch(&self) -> Vec<UplinkItem> {
        let mut queue = locked(&self.queue);
        let mut weight = 0;
        let fits = |item: &&UplinkItem| {
            weight += json_bytes(item);
            weight <= limits::UPLINK_BATCH_BYTES_MAX
        };
        // One item always goes, whatever its size.
        let count = queue.iter().take(UPLINK_ITEMS_MAX).take_while(fits).count().max(1).min(queue.len());
        self.in_flight.store(count as u64, Ordering::Release);
        self.metrics.waiting(queue.len());
        queue.drain(..count).collect()
    }

    fn failed(&self, error: &CallError) {
        self.metrics.failed();
        self.metrics.waiting(self.waiting());
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
        UplinkItem::Event(_) | UplinkItem::CommandReport(_) => 0,
    };
    512 + slots * 192
}

/// Tells each station how far its events are stored, if the session that carried them is
/// still there: another one sends them again by itself.
fn acknowledge(items: &[UplinkItem], registry: &Registry) {
    let mut through: HashMap<StationId, (&StationEvent, EventNo)> = HashMap::new();
    for item in items {
        let UplinkItem::Event(event) = item else { continue };
        let entry = through.entry(event.station_id).or_insert((event, EventNo(0)));
        if event.epoch > entry.0.epoch {
            *entry = (event, event.event_no);
        } else if event.epoch == entry.0.epoch {
            entry.1 = entry.1.max(event.event_no);
        }
    }
    for (station_id, (event, through)) in through {
        if let Some(session) = registry.route(&station_id)
            && session.epoch == event.epoch
        {
            session.acknowledge_events(through);
        }
    }
}

/// Logins that the backend has not been told of.
///
/// At most one entry for each open session; those that end before their turn are skipped.
pub struct Announcements {
    queue: Mutex<VecDeque<Announcement>>,
    arrived: Notify,
}

struct Announcement {
    session: Arc<SessionHandle>,
    opened: SessionOpened,
}

impl Default for Announcements {
    fn default() -> Self {
        Self::new()
    }
}

impl Announcements {
    /// Nobody has logged in.
    pub fn new() -> Self {
        Self { queue: Mutex::new(VecDeque::new()), arrived: Notify::new() }
    }

    /// A station has logged in.
    pub fn push(&self, session: Arc<SessionHandle>, opened: SessionOpened) {
        locked(&self.queue).push_back(Announcement { session, opened });
        self.arrived.notify_one();
    }

    /// One of a few tasks that tell the backend, one call each at a time, until `stop`.
    pub async fn carry(self: Arc<Self>, backend: BackendClient, stop: CancellationToken) {
        let (_, failures) = carrier_failures();
        let mut backoff = Backoff::new();
        while let Some(announcement) = self.next(&stop).await {
            match backend.post_session(&announcement.opened).await {
                Ok(briefing) => {
                    backoff.reset();
                    announcement.session.acknowledge_events(briefing.events_through);
                    announcement.session.brief(&briefing.queries, briefing.query_inventory);
                }
                // A station that nobody provisioned, where such are accepted: there is nothing to tell it, ever.
                Err(CallError::Status(StatusCode::NOT_FOUND)) => backoff.reset(),
                Err(error) => {
                    failures.increment(1);
                    tracing::debug!(%error, station_id = %announcement.opened.station_id, "session not announced");
                    locked(&self.queue).push_back(announcement);
                    self.arrived.notify_one();
                    tokio::select! {
                        () = backoff.pause() => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    async fn next(&self, stop: &CancellationToken) -> Option<Announcement> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let next = locked(&self.queue).pop_front();
            match next {
                Some(announcement) if announcement.session.is_closed() => {}
                Some(announcement) => {
                    // Pass the wake-up on: one permit may stand for several entries.
                    self.arrived.notify_one();
                    return Some(announcement);
                }
                None => tokio::select! {
                    () = self.arrived.notified() => {}
                    () = stop.cancelled() => return None,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::PresenceHub;
    use protocol::control::{Inventory, SlotReport, TimeQuality};
    use protocol::types::Epoch;

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

    #[test]
    fn only_the_session_that_carried_an_event_hears_of_it() {
        let registry = Registry::new(Arc::new(PresenceHub::new()));
        let sessions =
            [1, 2].map(|station| Arc::new(SessionHandle::new(StationId([station; 16]), Epoch(7), 0)));
        for session in &sessions {
            registry.accept(session, 0).unwrap();
        }
        let items = [event(1, 6, 9, 0), event(1, 7, 3, 0), event(1, 7, 4, 0), event(2, 6, 5, 0)];
        acknowledge(&items.map(UplinkItem::Event), &registry);
        assert_eq!(sessions[0].take(true).unwrap().events_through, Some(EventNo(4)));
        assert!(sessions[1].take(true).is_none(), "its event came by an older session");
    }

    #[test]
    fn batches_are_bounded_in_items_and_in_bytes() {
        let uplink = Uplink::new(1_000);
        for event_no in 1..=300 {
            uplink.push_event(event(1, 1, event_no, 0)).unwrap();
        }
        assert_eq!(uplink.take_batch().len(), UPLINK_ITEMS_MAX);
        assert_eq!(uplink.take_batch().len(), 300 - UPLINK_ITEMS_MAX);
        for event_no in 1..=UPLINK_ITEMS_MAX as u64 {
            uplink.push_event(event(1, 1, event_no, 80)).unwrap();
        }
        let items = uplink.take_batch();
        assert!((1..UPLINK_ITEMS_MAX).contains(&items.len()));
        let text = serde_json::to_vec(&items).unwrap();
        assert!(text.len() <= limits::UPLINK_BATCH_BYTES_MAX, "{} bytes", text.len());
    }

    #[test]
    fn a_full_queue_gives_events_back_and_drops_reports() {
        let uplink = Uplink::new(1);
        uplink.push_event(event(1, 1, 1, 0)).unwrap();
        assert!(uplink.push_event(event(1, 1, 2, 0)).is_err());
        uplink.push_report(CommandReport {
            station_id: StationId([1; 16]),
            epoch: Epoch(1),
            cmd_id: protocol::types::CommandId([1; 16]),
            received_at_ms: 0,
            report: protocol::control::ReportedState::Started,
        });
        assert_eq!(uplink.waiting(), 1);
    }
}
