//! The `[gateway]` section of the configuration.

use crate::limits::{self, EVENT_BYTES_MAX, RATE_WINDOW_MIN_MS, STALLED_MAX_MS};
use protocol::limits::{
    FRAME_OVERHEAD_BYTES, KEEPALIVE_MAX_S, KEEPALIVE_MIN_S, PAYLOAD_HARD_MAX_BYTES,
    PAYLOAD_UNAUTHENTICATED_MAX_BYTES,
};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// All settings of the gateway. Every field has a default; unknown keys are refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where stations connect.
    pub listen: SocketAddr,
    /// Where the backend reaches the control server.
    pub control_listen: SocketAddr,
    /// The backend's internal server, without a path.
    pub backend_url: String,
    /// Threads that drive station sockets, each with a runtime of its own.
    pub workers: usize,
    /// Station sockets that may be open at once.
    pub connections_max: usize,
    /// Sockets among them that may be before their login.
    pub handshakes_max: usize,
    /// Sockets before their login that one carrier block (IPv4 /16, IPv6 /32) may have.
    pub block_handshakes_max: usize,
    /// The silence after which a station sends a heartbeat, 30–900 s.
    pub keepalive_s: u16,
    /// The largest payload that a station may send after its login.
    pub frame_bytes_max: u16,
    /// Frames that one station may send per second, averaged over `rate_window_ms`; one that has sent
    /// more is not read until the window is over.
    pub frames_per_s_max: u32,
    /// The time over which a station's frames are counted.
    pub rate_window_ms: u64,
    /// So many windows in a row with more frames than that end the session.
    pub flooded_windows_max: u8,
    /// How long an acknowledgement may wait for more of its kind.
    pub ack_delay_ms: u16,
    /// Bytes that may wait for one slow socket before it is closed.
    pub write_backlog_bytes_max: usize,
    /// A connection that is not read because its station does not read or has too much waiting is closed
    /// after this time without progress.
    pub stalled_ms_max: u64,
    /// Bytes that may be held for one station: what [`crate::budget`] says.
    pub station_bytes_max: usize,
    /// Bytes that may be held for all stations.
    pub stations_bytes_max: usize,
    /// Uplink items that may wait for the backend.
    pub uplink_items_max: usize,
    /// Their bytes in memory.
    pub uplink_bytes_max: usize,
    /// Bytes of telemetry that may wait for the store, as it came from the stations.
    pub telemetry_bytes_max: usize,
    /// The most bytes of telemetry in one append, unfolded.
    pub telemetry_append_bytes_max: usize,
    /// What becomes of a station that proves its key and that the backend does not know.
    pub unknown_stations: UnknownStations,
    /// How many logins are let in.
    pub admission: AdmissionSettings,
    /// When a station comes and goes too often.
    pub flapping: FlappingSettings,
    /// How the gateway empties itself.
    pub drain: DrainSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7420),
            control_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7421),
            backend_url: "http://127.0.0.1:8081".to_owned(),
            workers: 1,
            connections_max: 18_000,
            handshakes_max: 8_000,
            block_handshakes_max: 3_000,
            keepalive_s: 60,
            frame_bytes_max: 2_048,
            frames_per_s_max: 500,
            rate_window_ms: 10_000,
            flooded_windows_max: 3,
            ack_delay_ms: 20,
            write_backlog_bytes_max: 64 * 1_024,
            stalled_ms_max: 20_000,
            station_bytes_max: 256 * 1_024,
            stations_bytes_max: 256 * 1_024 * 1_024,
            uplink_items_max: 16_384,
            uplink_bytes_max: 32 * 1_024 * 1_024,
            telemetry_bytes_max: 32 * 1_024 * 1_024,
            telemetry_append_bytes_max: 1_024 * 1_024,
            unknown_stations: UnknownStations::default(),
            admission: AdmissionSettings::default(),
            flapping: FlappingSettings::default(),
            drain: DrainSettings::default(),
        }
    }
}

/// What becomes of a station that proves its key and that the backend does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownStations {
    /// It is told to come again later, until an operator has provisioned it.
    #[default]
    Pending,
    /// It gets a session. Only for load tests on this machine.
    Accept,
}

/// A setting that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gateway.{key} {rule}")]
pub struct SettingError {
    /// Which.
    pub key: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl Settings {
    /// Finds the first setting that cannot work.
    ///
    /// # Errors
    /// It names the setting and its rule.
    pub fn check(&self) -> Result<(), SettingError> {
        let rules = [
            (self.workers > 0, "workers", "must be at least 1"),
            (self.connections_max > 0, "connections_max", "must be at least 1"),
            (self.handshakes_max > 0, "handshakes_max", "must be at least 1"),
            (self.block_handshakes_max > 0, "block_handshakes_max", "must be at least 1"),
            (
                (KEEPALIVE_MIN_S..=KEEPALIVE_MAX_S).contains(&self.keepalive_s),
                "keepalive_s",
                "must be within 30 and 900",
            ),
            (
                (PAYLOAD_UNAUTHENTICATED_MAX_BYTES..=PAYLOAD_HARD_MAX_BYTES).contains(&self.frame_bytes_max),
                "frame_bytes_max",
                "must be within 512 and 16384",
            ),
            (self.frames_per_s_max > 0, "frames_per_s_max", "must be at least 1"),
            // Longer, and a station that is not read would count as silent.
            (
                (RATE_WINDOW_MIN_MS..=STALLED_MAX_MS).contains(&self.rate_window_ms),
                "rate_window_ms",
                "must be within 100 and 20000",
            ),
            (self.flooded_windows_max > 0, "flooded_windows_max", "must be at least 1"),
            (
                (RATE_WINDOW_MIN_MS..=STALLED_MAX_MS).contains(&self.stalled_ms_max),
                "stalled_ms_max",
                "must be within 100 and 20000",
            ),
            (
                self.station_bytes_max / 4
                    >= usize::from(self.frame_bytes_max) + FRAME_OVERHEAD_BYTES + EVENT_BYTES_MAX,
                "station_bytes_max",
                "must be at least four times the largest frame and 2 KiB",
            ),
            (
                self.write_backlog_bytes_max <= self.station_bytes_max / 4,
                "write_backlog_bytes_max",
                "must not be above a quarter of station_bytes_max",
            ),
            (
                self.stations_bytes_max / 8 >= self.station_bytes_max,
                "stations_bytes_max",
                "must be at least eight times station_bytes_max",
            ),
            (self.uplink_items_max > 0, "uplink_items_max", "must be at least 1"),
            (self.admission.logins_per_s > 0, "admission.logins_per_s", "must be at least 1"),
            (self.admission.block_logins_per_s > 0, "admission.block_logins_per_s", "must be at least 1"),
            (self.admission.burst > 0, "admission.burst", "must be at least 1"),
            (self.admission.block_burst > 0, "admission.block_burst", "must be at least 1"),
            (
                self.admission.reconnect_min_ms <= self.admission.reconnect_max_ms,
                "admission.reconnect_max_ms",
                "must not be below reconnect_min_ms",
            ),
            (
                self.flapping.sessions != 1 && self.flapping.sessions <= limits::FLAPPING_SESSIONS_MAX,
                "flapping.sessions",
                "must be within 2 and 64, or 0 for never",
            ),
            (
                self.flapping.calm_ms >= u64::from(self.flapping.pause_ms),
                "flapping.calm_ms",
                "must not be below pause_ms",
            ),
            (self.drain.sessions_per_s > 0, "drain.sessions_per_s", "must be at least 1"),
            (u32::try_from(self.drain.deadline_ms).is_ok(), "drain.deadline_ms", "must be below 50 days"),
            (
                self.unknown_stations == UnknownStations::Pending || self.listen.ip().is_loopback(),
                "unknown_stations",
                "may be \"accept\" only while gateway.listen is a loopback address",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, key, rule)) => Err(SettingError { key, rule }),
            None => Ok(()),
        }
    }
}

/// Token buckets of logins. A refused station is told when to come back.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionSettings {
    /// Logins per second over the whole listener.
    pub logins_per_s: u32,
    /// Logins that may come at once after a quiet time.
    pub burst: u32,
    /// Logins per second from one carrier block (IPv4 /16, IPv6 /32).
    pub block_logins_per_s: u32,
    /// Logins that may come at once from one carrier block.
    pub block_burst: u32,
    /// The shortest time after which a refused station comes back.
    pub retry_min_ms: u32,
    /// A pending or refused station asks again after this time.
    pub pending_retry_ms: u32,
    /// Told at login: the first and the longest pause of a station that cannot connect.
    pub reconnect_min_ms: u32,
    /// See `reconnect_min_ms`.
    pub reconnect_max_ms: u32,
    /// Told at login: the time over which the fleet spreads when this gateway dies.
    pub reconnect_spread_ms: u32,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            logins_per_s: 2_000,
            burst: 4_000,
            block_logins_per_s: 1_500,
            block_burst: 3_000,
            retry_min_ms: 1_000,
            pending_retry_ms: 60_000,
            reconnect_min_ms: 1_000,
            reconnect_max_ms: 60_000,
            reconnect_spread_ms: 5_000,
        }
    }
}

/// A station that comes and goes: from when on, until when, and how it is slowed down.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlappingSettings {
    /// So many sessions within `window_ms` make a station flapping; 0 for never.
    pub sessions: u32,
    /// See `sessions`.
    pub window_ms: u64,
    /// After such a time without a login it is no longer flapping.
    pub calm_ms: u64,
    /// The least time between two sessions of a flapping station.
    pub pause_ms: u32,
}

impl Default for FlappingSettings {
    fn default() -> Self {
        Self { sessions: 8, window_ms: 600_000, calm_ms: 900_000, pause_ms: 10_000 }
    }
}

/// The graceful stop.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSettings {
    /// Sessions that are sent away per second.
    pub sessions_per_s: u32,
    /// Open commands may finish within this time; then their stations are sent away all the same.
    pub deadline_ms: u64,
    /// The uplink and the telemetry queue may empty within this time after the last session.
    pub flush_ms: u64,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { sessions_per_s: 1_000, deadline_ms: 25_000, flush_ms: 10_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_impossible_settings_are_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let silent = Settings { keepalive_s: 5, ..Settings::default() };
        let error = silent.check().unwrap_err();
        assert_eq!(error.to_string(), "gateway.keepalive_s must be within 30 and 900");
    }

    #[test]
    fn strangers_are_let_in_from_this_machine_alone() {
        let accept = Settings { unknown_stations: UnknownStations::Accept, ..Settings::default() };
        assert_eq!(accept.check().unwrap_err().key, "unknown_stations");
        let own = Settings { listen: SocketAddr::from(([127, 0, 0, 1], 7420)), ..accept };
        assert_eq!(own.check(), Ok(()));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let settings: Settings =
            serde_json::from_str(r#"{ "workers": 3, "drain": { "flush_ms": 1 } }"#).unwrap();
        assert_eq!((settings.workers, settings.drain.flush_ms, settings.keepalive_s), (3, 1, 60));
        assert!(serde_json::from_str::<Settings>(r#"{ "worker": 3 }"#).is_err());
    }
}
