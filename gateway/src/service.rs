//! What all connections of a gateway share.

use crate::admission::Admission;
use crate::commands::CommandTable;
use crate::config::Settings;
use crate::metrics::ConnectionMetrics;
use crate::registry::Registry;
use crate::telemetry::TelemetryLane;
use crate::uplink::{Announcements, Uplink};
use protocol::clock::Clock;
use protocol::control::InstanceId;
use protocol::time::Now;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    pub(crate) handshakes: AtomicUsize,
}

impl Service {
    pub(crate) fn now(&self) -> Now {
        Now { monotonic_ms: self.clock.monotonic_ms(), wall_ms: self.clock.wall_ms() }
    }
}

/// A connection's places among all sockets and among those before login, given back when dropped.
pub(crate) struct ConnectionPermits {
    service: Arc<Service>,
    is_before_login: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPermit {
    Connections,
    Handshakes,
}

impl NoPermit {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::Handshakes => "handshakes_max",
        }
    }
}

impl ConnectionPermits {
    pub(crate) fn take(service: &Arc<Service>) -> Result<Self, NoPermit> {
        // One acceptor takes permits, so a look before the count is enough.
        if service.connections.load(Ordering::Relaxed) >= service.settings.connections_max {
            return Err(NoPermit::Connections);
        }
        if service.handshakes.load(Ordering::Relaxed) >= service.settings.handshakes_max {
            return Err(NoPermit::Handshakes);
        }
        service.connections.fetch_add(1, Ordering::Relaxed);
        service.handshakes.fetch_add(1, Ordering::Relaxed);
        Ok(Self { service: service.clone(), is_before_login: true })
    }

    pub(crate) fn logged_in(&mut self) {
        if std::mem::take(&mut self.is_before_login) {
            self.service.handshakes.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for ConnectionPermits {
    fn drop(&mut self) {
        self.logged_in();
        self.service.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
