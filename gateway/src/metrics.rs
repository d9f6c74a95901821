//! What the gateway counts. Labels come from closed sets; keys and payloads never appear.

use crate::reasons::Reason;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use protocol::control::{ItemResult, UnsentReason};
use protocol::frame::MessageType;
use storage::StoreError;

/// Tells the recorder what each number means. Call it once, after the recorder is installed.
pub fn describe() {
    describe_gauge!("chautari_gateway_connections", "Station sockets open now, before and after login");
    describe_gauge!("chautari_gateway_sessions", "Stations that are logged in now");
    describe_gauge!(
        "chautari_gateway_held_bytes",
        "Bytes held for stations: connections, registry, half frames, backlogs and queues"
    );
    describe_gauge!("chautari_gateway_bytes_per_station", "Those bytes by the stations that are logged in");
    describe_gauge!(
        "chautari_gateway_window_frames",
        "Frames that a station may have on its way, by lane: 8 unless its far end is slow or memory is short"
    );
    describe_counter!(
        "chautari_gateway_throttled_total",
        "Times that a station's socket was not read for a while, by cause"
    );
    describe_counter!("chautari_gateway_logins_total", "Sessions that were opened");
    describe_counter!(
        "chautari_gateway_takeovers_total",
        "Sessions that replaced an older one of the same station"
    );
    describe_counter!(
        "chautari_gateway_identity_conflicts_total",
        "Stations quarantined because two devices used one identity: look at them"
    );
    describe_gauge!(
        "chautari_gateway_troubled_stations",
        "Stations that come and go, or whose identity two devices use"
    );
    describe_counter!("chautari_gateway_refusals_total", "Logins that were refused, by reason");
    describe_counter!("chautari_gateway_closes_total", "Sockets that were closed, by reason");
    describe_counter!("chautari_gateway_frames_total", "Frames, by direction and type");
    describe_counter!("chautari_gateway_bytes_total", "Bytes on station sockets, by direction");
    describe_counter!("chautari_gateway_commands_total", "Commands that reached a state");
    describe_gauge!("chautari_gateway_commands_kept", "Commands that the table remembers");
    describe_histogram!(
        "chautari_gateway_command_receipt_seconds",
        "From the write of a command to the station's receipt"
    );
    describe_histogram!(
        "chautari_gateway_command_round_trip_seconds",
        "From the write of a command to the station's verdict, motor included"
    );
    describe_gauge!("chautari_gateway_uplink_items", "Events and reports that wait for the backend");
    describe_histogram!("chautari_gateway_uplink_batch_items", "Items in one post to the backend");
    describe_histogram!("chautari_gateway_uplink_post_seconds", "From post to answer of the backend");
    describe_counter!(
        "chautari_gateway_uplink_failures_total",
        "Posts to the backend that will be tried again"
    );
    describe_counter!("chautari_gateway_uplink_results_total", "Items stored by the backend, by result");
    describe_counter!(
        "chautari_gateway_reports_dropped_total",
        "Command reports dropped: because the uplink was full, or because nobody had asked for them"
    );
    describe_gauge!("chautari_gateway_telemetry_bytes", "Bytes of telemetry that wait for the store");
    describe_histogram!("chautari_gateway_telemetry_append_batches", "Batches in one append to the store");
    describe_histogram!("chautari_gateway_telemetry_append_seconds", "From append to durable");
    describe_counter!("chautari_gateway_telemetry_failures_total", "Appends that will be tried again");
    describe_counter!(
        "chautari_gateway_event_copies_dropped_total",
        "Events whose copy for the history was dropped"
    );
    describe_gauge!("chautari_gateway_roster_version", "Version of the roster that admission follows");
    describe_counter!("chautari_gateway_roster_failures_total", "Roster calls that failed");
    describe_counter!(
        "chautari_gateway_announcement_failures_total",
        "Session announcements that will be tried again"
    );
}

/// Commands by state, and how long they took.
pub(crate) struct CommandMetrics {
    queued: Counter,
    sent: Counter,
    received: Counter,
    answered: Counter,
    receipt_seconds: Histogram,
    round_trip_seconds: Histogram,
    kept: Gauge,
}

impl CommandMetrics {
    pub(crate) fn new() -> Self {
        let state = |state: &'static str| counter!("chautari_gateway_commands_total", "state" => state);
        Self {
            queued: state("queued"),
            sent: state("sent"),
            received: state("received"),
            answered: state("answered"),
            receipt_seconds: histogram!("chautari_gateway_command_receipt_seconds"),
            round_trip_seconds: histogram!("chautari_gateway_command_round_trip_seconds"),
            kept: gauge!("chautari_gateway_commands_kept"),
        }
    }

    pub(crate) fn queued(&self) {
        self.queued.increment(1);
    }

    pub(crate) fn sent(&self) {
        self.sent.increment(1);
    }

    pub(crate) fn received(&self, after_ms: u64) {
        self.received.increment(1);
        self.receipt_seconds.record(seconds(after_ms));
    }

    pub(crate) fn answered(&self, after_ms: u64) {
        self.answered.increment(1);
        self.round_trip_seconds.record(seconds(after_ms));
    }

    pub(crate) fn unsent(&self, reason: UnsentReason) {
        let state = match reason {
            UnsentReason::NoSession => "unsent_no_session",
            UnsentReason::ClockSkew => "unsent_clock_skew",
            UnsentReason::Expired => "unsent_expired",
            UnsentReason::Withdrawn => "unsent_withdrawn",
            UnsentReason::Busy => "unsent_busy",
            UnsentReason::Draining => "unsent_draining",
        };
        counter!("chautari_gateway_commands_total", "state" => state).increment(1);
    }

    pub(crate) fn kept(&self, commands: usize) {
        self.kept.set(commands as f64);
    }
}

/// Calls to the backend that will be tried again: of the roster, and of announcements.
pub(crate) fn carrier_failures() -> (Counter, Counter) {
    (
        counter!("chautari_gateway_roster_failures_total"),
        counter!("chautari_gateway_announcement_failures_total"),
    )
}

/// Milliseconds as the seconds that histograms carry.
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// The uplink to the backend.
pub(crate) struct UplinkMetrics {
    waiting: Gauge,
    window_frames: Gauge,
    batch_items: Histogram,
    post_seconds: Histogram,
    failures: Counter,
    reports_dropped: Counter,
    stored: Counter,
    duplicate: Counter,
    parked: Counter,
}

impl UplinkMetrics {
    pub(crate) fn new() -> Self {
        let result =
            |result: &'static str| counter!("chautari_gateway_uplink_results_total", "result" => result);
        Self {
            waiting: gauge!("chautari_gateway_uplink_items"),
            window_frames: gauge!("chautari_gateway_window_frames", "lane" => "events"),
            batch_items: histogram!("chautari_gateway_uplink_batch_items"),
            post_seconds: histogram!("chautari_gateway_uplink_post_seconds"),
            failures: counter!("chautari_gateway_uplink_failures_total"),
            reports_dropped: counter!("chautari_gateway_reports_dropped_total", "reason" => "full"),
            stored: result("stored"),
            duplicate: result("duplicate"),
            parked: result("parked"),
        }
    }

    pub(crate) fn waiting(&self, items: usize, window_frames: u16) {
        self.waiting.set(items as f64);
        self.window_frames.set(f64::from(window_frames));
    }

    pub(crate) fn posted(&self, items: usize, after_ms: u64) {
        self.batch_items.record(items as f64);
        self.post_seconds.record(seconds(after_ms));
    }

    pub(crate) fn failed(&self) {
        self.failures.increment(1);
    }

    pub(crate) fn report_dropped(&self) {
        self.reports_dropped.increment(1);
    }

    pub(crate) fn result(&self, result: ItemResult) {
        match result {
            ItemResult::Stored => self.stored.increment(1),
            ItemResult::Duplicate => self.duplicate.increment(1),
            ItemResult::Parked => self.parked.increment(1),
        }
    }
}

/// The lane to the store.
pub(crate) struct TelemetryMetrics {
    waiting_bytes: Gauge,
    window_frames: Gauge,
    append_batches: Histogram,
    append_seconds: Histogram,
}

impl TelemetryMetrics {
    pub(crate) fn new() -> Self {
        Self {
            waiting_bytes: gauge!("chautari_gateway_telemetry_bytes"),
            window_frames: gauge!("chautari_gateway_window_frames", "lane" => "samples"),
            append_batches: histogram!("chautari_gateway_telemetry_append_batches"),
            append_seconds: histogram!("chautari_gateway_telemetry_append_seconds"),
        }
    }

    pub(crate) fn waiting(&self, bytes: usize, window_frames: u16) {
        self.waiting_bytes.set(bytes as f64);
        self.window_frames.set(f64::from(window_frames));
    }

    pub(crate) fn appended(&self, batches: usize, after_ms: u64) {
        self.append_batches.record(batches as f64);
        self.append_seconds.record(seconds(after_ms));
    }

    pub(crate) fn failed(&self, error: StoreError) {
        counter!("chautari_gateway_telemetry_failures_total", "error" => error.label()).increment(1);
    }
}

/// Logins, refusals and closes.
pub(crate) struct ConnectionMetrics {
    pub(crate) logins: Counter,
    pub(crate) takeovers: Counter,
    pub(crate) identity_conflicts: Counter,
    connections: Gauge,
    sessions: Gauge,
    held_bytes: Gauge,
    bytes_per_station: Gauge,
    throttled: [Counter; Throttle::ALL.len()],
    reports_unasked: Counter,
}

/// Why a socket is not read for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttle {
    /// It has sent more frames than its rate allows.
    Rate,
    /// It does not take what was written to it.
    Backlog,
    /// Too much of it waits for a queue.
    Bytes,
    /// Too much waits for all stations together.
    AllBytes,
}

impl Throttle {
    pub(crate) const ALL: [Self; 4] = [Self::Rate, Self::Backlog, Self::Bytes, Self::AllBytes];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Backlog => "backlog",
            Self::Bytes => "bytes",
            Self::AllBytes => "all_bytes",
        }
    }
}

impl ConnectionMetrics {
    pub(crate) fn new() -> Self {
        let all = Self {
            logins: counter!("chautari_gateway_logins_total"),
            takeovers: counter!("chautari_gateway_takeovers_total"),
            identity_conflicts: counter!("chautari_gateway_identity_conflicts_total"),
            connections: gauge!("chautari_gateway_connections"),
            sessions: gauge!("chautari_gateway_sessions"),
            held_bytes: gauge!("chautari_gateway_held_bytes"),
            reports_unasked: counter!("chautari_gateway_reports_dropped_total", "reason" => "unasked"),
            bytes_per_station: gauge!("chautari_gateway_bytes_per_station"),
            throttled: Throttle::ALL
                .map(|cause| counter!("chautari_gateway_throttled_total", "cause" => cause.label())),
        };
        // Every series exists from the start: an alert on one that was never counted would be blind.
        Reason::refusals().for_each(|reason| refusals(reason).increment(0));
        Reason::closes().for_each(|reason| closes(reason).increment(0));
        all
    }

    /// A socket that was closed right after accept, or a login that was answered by RETRY.
    pub(crate) fn refused(&self, reason: Reason) {
        refusals(reason).increment(1);
    }

    pub(crate) fn closed(&self, reason: Reason) {
        closes(reason).increment(1);
    }

    pub(crate) fn report_unasked(&self) {
        self.reports_unasked.increment(1);
    }

    pub(crate) fn throttled(&self, cause: Throttle) {
        self.throttled[cause as usize].increment(1);
    }

    pub(crate) fn present(&self, connections: usize, sessions: usize, held_bytes: usize) {
        self.connections.set(connections as f64);
        self.sessions.set(sessions as f64);
        self.held_bytes.set(held_bytes as f64);
        self.bytes_per_station.set(held_bytes as f64 / sessions.max(1) as f64);
    }
}

fn refusals(reason: Reason) -> Counter {
    counter!("chautari_gateway_refusals_total", "reason" => reason.label())
}

fn closes(reason: Reason) -> Counter {
    counter!("chautari_gateway_closes_total", "reason" => reason.label())
}

/// One worker's frames and bytes, handed to the recorder once a second: a frame costs an addition.
pub(crate) struct FrameCounters {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    frames_in: [u64; 256],
    frames_out: [u64; 256],
}

impl FrameCounters {
    pub(crate) const fn new() -> Self {
        Self { bytes_in: 0, bytes_out: 0, frames_in: [0; 256], frames_out: [0; 256] }
    }

    pub(crate) fn frame_in(&mut self, kind: MessageType) {
        self.frames_in[usize::from(kind.0)] += 1;
    }

    pub(crate) fn frame_out(&mut self, kind: MessageType) {
        self.frames_out[usize::from(kind.0)] += 1;
    }

    pub(crate) fn flush(&mut self) {
        flush_bytes("in", std::mem::take(&mut self.bytes_in));
        flush_bytes("out", std::mem::take(&mut self.bytes_out));
        flush_frames("in", &mut self.frames_in);
        flush_frames("out", &mut self.frames_out);
    }
}

fn flush_bytes(direction: &'static str, bytes: u64) {
    if bytes > 0 {
        counter!("chautari_gateway_bytes_total", "direction" => direction).increment(bytes);
    }
}

fn flush_frames(direction: &'static str, frames: &mut [u64; 256]) {
    for (kind, count) in (0..=u8::MAX).zip(frames) {
        if *count > 0 {
            // Types that this build does not know share one name, so the labels are a closed set.
            let name = MessageType(kind).name();
            counter!("chautari_gateway_frames_total", "direction" => direction, "type" => name)
                .increment(*count);
            *count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Names {
        described: Mutex<BTreeSet<String>>,
        used: Mutex<BTreeSet<String>>,
    }

    impl Names {
        fn describe(&self, name: &KeyName, text: &SharedString) {
            assert!(!text.is_empty());
            self.described.lock().unwrap().insert(name.as_str().to_owned());
        }

        fn used(&self, key: &Key) {
            self.used.lock().unwrap().insert(key.name().to_owned());
        }
    }

    impl Recorder for Names {
        fn describe_counter(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
            self.describe(&key, &text);
        }

        fn describe_gauge(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
            self.describe(&key, &text);
        }

        fn describe_histogram(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
            self.describe(&key, &text);
        }

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.used(key);
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.used(key);
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.used(key);
            Histogram::noop()
        }
    }

    #[test]
    fn every_number_is_explained_and_every_explanation_has_its_number() {
        let names = Names::default();
        metrics::with_local_recorder(&names, || {
            describe();
            CommandMetrics::new().unsent(UnsentReason::Busy);
            UplinkMetrics::new();
            TelemetryMetrics::new().failed(StoreError::Full);
            let budget = crate::budget::Budget::new(&crate::Settings::default());
            crate::telemetry::EventCopies::new(std::sync::Arc::new(budget));
            crate::roster::RosterView::new()
                .apply(protocol::control::Roster { version: 0, entries: vec![] }, true);
            let hub = std::sync::Arc::new(crate::presence::PresenceHub::new());
            crate::registry::Registry::new(hub, crate::config::FlappingSettings::default()).sweep(0);
            ConnectionMetrics::new();
            let mut frames = FrameCounters::new();
            frames.bytes_in = 1;
            frames.frame_in(MessageType(0xEE));
            frames.flush();
            let _ = carrier_failures();
        });
        let (described, used) = (names.described.into_inner().unwrap(), names.used.into_inner().unwrap());
        assert_eq!(described, used);
        assert!(used.iter().all(|name| name.starts_with("chautari_gateway_")));
    }
}
