//! Events and samples whose queue is full wait with their connection, and nobody else waits.
//!
//! The station's window bounds them: without acknowledgements it sends no more. Samples wait as they
//! came, so they take no more room than the window allows on the wire.

use crate::registry::SessionHandle;
use crate::service::Service;
use crate::telemetry::ArrivedBatch;
use crate::uplink::event_bytes;
use protocol::control::StationEvent;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one connection holds back, in order.
pub(crate) struct Parked {
    service: Arc<Service>,
    events: VecDeque<StationEvent>,
    batches: VecDeque<ArrivedBatch>,
    bytes: usize,
}

impl Parked {
    fn empty(service: &Arc<Service>) -> Box<Self> {
        service.parked.fetch_add(1, Ordering::Relaxed);
        Box::new(Self {
            service: service.clone(),
            events: VecDeque::new(),
            batches: VecDeque::new(),
            bytes: 0,
        })
    }

    /// Queues an event for the backend, behind those that wait already.
    pub(crate) fn send_event(
        parked: &mut Option<Box<Self>>,
        service: &Arc<Service>,
        session: &Arc<SessionHandle>,
        event: StationEvent,
    ) {
        let waits = parked.as_ref().is_some_and(|parked| !parked.events.is_empty());
        let rejected = if waits { Err(event) } else { service.uplink.push_event(session, event) };
        if let Err(event) = rejected {
            let parked = parked.get_or_insert_with(|| Self::empty(service));
            parked.bytes += event_bytes(&event);
            parked.events.push_back(event);
        }
    }

    /// Queues a batch for the store, behind those that wait already.
    pub(crate) fn send_batch(
        parked: &mut Option<Box<Self>>,
        service: &Arc<Service>,
        session: &Arc<SessionHandle>,
        batch: ArrivedBatch,
    ) {
        let waits = parked.as_ref().is_some_and(|parked| !parked.batches.is_empty());
        let rejected = if waits { Err(batch) } else { service.telemetry.push(session, batch) };
        if let Err(batch) = rejected {
            let parked = parked.get_or_insert_with(|| Self::empty(service));
            parked.bytes += batch.held_bytes();
            parked.batches.push_back(batch);
        }
    }

    /// Tries both lanes again; each stops at its own full queue.
    pub(crate) fn retry(slot: &mut Option<Box<Self>>, service: &Service, session: &Arc<SessionHandle>) {
        let Some(parked) = slot else { return };
        while let Some(event) = parked.events.pop_front() {
            let bytes = event_bytes(&event);
            if let Err(event) = service.uplink.push_event(session, event) {
                parked.events.push_front(event);
                break;
            }
            parked.bytes -= bytes;
        }
        while let Some(batch) = parked.batches.pop_front() {
            let bytes = batch.held_bytes();
            if let Err(batch) = service.telemetry.push(session, batch) {
                parked.batches.push_front(batch);
                break;
            }
            parked.bytes -= bytes;
        }
        if parked.events.is_empty() && parked.batches.is_empty() {
            *slot = None;
        }
    }

    /// What it takes in memory.
    pub(crate) const fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.service.parked.fetch_sub(1, Ordering::Relaxed);
    }
}
