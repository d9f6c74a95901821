//! Events and samples whose queue is full wait with their connection, and nobody else waits.
//!
//! The station's window bounds them: without acknowledgements it sends no more.

use crate::registry::SessionHandle;
use crate::service::Service;
use protocol::control::StationEvent;
use std::collections::VecDeque;
use std::sync::Arc;
use storage::SampleBatch;

/// What one connection holds back, in order.
#[derive(Default)]
pub(crate) struct Parked {
    events: VecDeque<StationEvent>,
    batches: VecDeque<SampleBatch>,
}

impl Parked {
    /// Queues an event for the backend, behind those that wait already.
    pub(crate) fn send_event(parked: &mut Option<Box<Self>>, service: &Service, event: StationEvent) {
        let waits = parked.as_ref().is_some_and(|parked| !parked.events.is_empty());
        let rejected = if waits { Err(event) } else { service.uplink.push_event(event) };
        if let Err(event) = rejected {
            parked.get_or_insert_default().events.push_back(event);
        }
    }

    /// Queues a batch for the store, behind those that wait already.
    pub(crate) fn send_batch(
        parked: &mut Option<Box<Self>>,
        service: &Service,
        session: &Arc<SessionHandle>,
        batch: SampleBatch,
    ) {
        let waits = parked.as_ref().is_some_and(|parked| !parked.batches.is_empty());
        let rejected = if waits { Err(batch) } else { service.telemetry.push(session, batch) };
        if let Err(batch) = rejected {
            parked.get_or_insert_default().batches.push_back(batch);
        }
    }

    /// Tries both lanes again; each stops at its own full queue.
    pub(crate) fn retry(slot: &mut Option<Box<Self>>, service: &Service, session: &Arc<SessionHandle>) {
        let Some(parked) = slot else { return };
        while let Some(event) = parked.events.pop_front() {
            if let Err(event) = service.uplink.push_event(event) {
                parked.events.push_front(event);
                break;
            }
        }
        while let Some(batch) = parked.batches.pop_front() {
            if let Err(batch) = service.telemetry.push(session, batch) {
                parked.batches.push_front(batch);
                break;
            }
        }
        if parked.events.is_empty() && parked.batches.is_empty() {
            *slot = None;
        }
    }
}
