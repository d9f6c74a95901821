//! Samples, and the batches that are cut of them.

use protocol::message::{RecordWriter, SlotReading, StationReading};
use protocol::session::station::StationSession;
use protocol::time::Anchor;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::limits::BATCH_BYTES;

/// The samples of one boot that are in no batch yet.
#[derive(Debug)]
pub(super) struct Sampler {
    next_sample_no: u32,
    pending: Vec<Pending>,
    signal_dbm: i16,
}

#[derive(Debug)]
struct Pending {
    uptime_ms: u64,
    station: StationReading,
    slots: Vec<SlotReading>,
}

impl Sampler {
    pub(super) fn new(random: &mut SmallRng) -> Self {
        Self { next_sample_no: 0, pending: Vec::new(), signal_dbm: random.random_range(-95..-65) }
    }

    /// Takes one sample.
    pub(super) fn take(&mut self, uptime_ms: u64, slots: Vec<SlotReading>, random: &mut SmallRng) {
        self.signal_dbm = (self.signal_dbm + random.random_range(-2..=2)).clamp(-109, -55);
        let hottest_c = slots.iter().map(|slot| slot.temperature_c).max().unwrap_or(24);
        let station = StationReading {
            signal_dbm: self.signal_dbm,
            supply_mv: 12_000 + random.random_range(0..40) * 5,
            board_temperature_c: hottest_c.clamp(22, 60),
        };
        self.pending.push(Pending { uptime_ms, station, slots });
    }

    /// How many samples wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Cuts all that waits into batches and gives them to the session. Returns how many samples those were.
    pub(super) fn cut(
        &mut self,
        session: &mut StationSession,
        anchor: Option<Anchor>,
        uptime_ms: u64,
    ) -> u64 {
        let (mut rest, mut cut) = (self.pending.as_slice(), 0);
        while let Some(first) = rest.first() {
            let mut buffer = [0; BATCH_BYTES];
            let mut previous = vec![SlotReading::default(); first.slots.len()];
            let Ok(mut writer) = RecordWriter::new(&mut buffer, &mut previous) else { break };
            let fitting = rest
                .iter()
                .take_while(|sample| writer.push(sample.uptime_ms, &sample.station, &sample.slots).is_ok())
                .count();
            let Some(telemetry) = writer.finish(session.boot_no(), self.next_sample_no, anchor) else {
                break;
            };
            self.next_sample_no += fitting as u32;
            if session.push_samples(&telemetry, uptime_ms).is_ok() {
                cut += fitting as u64;
            }
            rest = &rest[fitting..];
        }
        self.pending.clear();
        cut
    }
}
