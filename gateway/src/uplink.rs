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
