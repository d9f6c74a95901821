//! What all connections of a gateway share.

use crate::admission::{Admission, Block};
use crate::announcements::Announcements;
use crate::budget::{Budget, Level};
use crate::commands::CommandTable;
use crate::config::Settings;
use crate::drain::DrainWatch;
use crate::limits;
use crate::lines::ConnectionLines;
use crate::metrics::ConnectionMetrics;
use crate::reasons::Reason;
use crate::registry::{Registry, locked};
use crate::telemetry::TelemetryLane;
use crate::trace::TraceHub;
use crate::uplink::Uplink;
use protocol::clock::Clock;
use protocol::control::InstanceId;
use protocol::time::Now;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) struct Service {
    pub(crate) settings: Settings,
    pub(crate) instance_id: InstanceId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) commands: Arc<CommandTable>,
    pub(crate) admission: Admission,
    pub(crate) uplink: Arc<Uplink>,
    pub(crate) announcements: Arc<Announcements>,
    pub(crate) telemetry: Arc<TelemetryLane>,
    pub(crate) metrics: ConnectionMetrics,
    pub(crate) connections: AtomicUsize,
    pub(crate) budget: Arc<Budget>,
    /// Connections that hold something back because a queue is full.
    pub(crate) parked: AtomicUsize,
    pub(crate) handshakes: Mutex<Handshakes>,
    pub(crate) lines: ConnectionLines,
    pub(crate) traces: Arc<TraceHub>,
    pub(crate) drain: DrainWatch,
}

impl Service {
    pub(crate) fn now(&self) -> Now {
        Now { monotonic_ms: self.clock.monotonic_ms(), wall_ms: self.clock.wall_ms() }
    }

    /// When one of so many connections that wait for the same thing looks again: together they look as often
    /// as a worker can bear beside its work.
    pub(crate) fn retry_ms(waiting: &AtomicUsize) -> u64 {
        limits::RETRY_MS.max(waiting.load(Ordering::Relaxed) as u64 / limits::RETRIES_PER_MS)
    }
}

/// Sockets before their login.
#[derive(Default)]
pub(crate) struct Handshakes {
    all: usize,
    by_block: HashMap<Block, usize>,
}

/// A connection's places among all sockets and among those before login, and the bytes that are held for it,
/// given back when dropped.
pub(crate) struct ConnectionPermits {
    service: Arc<Service>,
    before_login: Option<Block>,
    is_crowded: bool,
    /// It has taken a turn to log in.
    has_turn: bool,
    held_bytes: usize,
}

impl ConnectionPermits {
    pub(crate) fn take(service: &Arc<Service>, peer: IpAddr) -> Result<Self, Reason> {
        // Who takes a permit holds this lock, so a look before the count is enough.
        let mut handshakes = locked(&service.handshakes);
        if service.connections.load(Ordering::Relaxed) >= service.settings.connections_max {
            return Err(Reason::ConnectionsMax);
        }
        if service.budget.level() == Level::Full {
            return Err(Reason::BytesMax);
        }
        let block = Block::of(peer);
        if handshakes.all >= service.settings.handshakes_max {
            return Err(Reason::HandshakesMax);
        }
        let of_block = handshakes.by_block.entry(block).or_default();
        if *of_block >= service.settings.block_handshakes_max {
            return Err(Reason::BlockHandshakesMax);
        }
        *of_block += 1;
        let is_crowded = *of_block > service.settings.block_handshakes_max / 2
            || handshakes.all >= service.settings.handshakes_max / 2;
        handshakes.all += 1;
        service.connections.fetch_add(1, Ordering::Relaxed);
        drop(handshakes);
        Ok(Self {
            service: service.clone(),
            before_login: Some(block),
            is_crowded,
            has_turn: false,
            held_bytes: 0,
        })
    }

    /// Whether more than half of the places before login were taken when this one was.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// So many bytes are held for this connection now.
    pub(crate) fn hold(&mut self, bytes: usize) {
        if bytes > self.held_bytes {
            self.service.budget.hold(bytes - self.held_bytes);
        } else if bytes < self.held_bytes {
            self.service.budget.release(self.held_bytes - bytes);
        }
        self.held_bytes = bytes;
    }

    /// What [`Self::hold`] was told last.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// HELLO has taken a turn of the fleet's.
    pub(crate) const fn took_turn(&mut self) {
        self.has_turn = true;
    }

    pub(crate) fn logged_in(&mut self) {
        let Some(block) = self.before_login.take() else { return };
        let mut handshakes = locked(&self.service.handshakes);
        handshakes.all -= 1;
        if let Some(of_block) = handshakes.by_block.get_mut(&block) {
            *of_block -= 1;
            if *of_block == 0 {
                handshakes.by_block.remove(&block);
            }
        }
    }
}

impl Drop for ConnectionPermits {
    fn drop(&mut self) {
        if let (Some(block), true) = (self.before_login, self.has_turn) {
            self.service.admission.give_back(block);
        }
        self.logged_in();
        self.hold(0);
        self.service.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
