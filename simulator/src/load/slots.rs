//! The slots of a load's station: always full, but for the moment between an eject and the next hand.

use protocol::message::{RecordWriter, SlotReading, StationReading};
use protocol::session::sensors::SlotSensors;
use protocol::session::station::StationSession;
use protocol::types::{BankSerial, SlotNumber, SlotState};

use crate::limits::{BATCH_BYTES, LOAD_SAMPLE_BYTES};

/// How many slots each station of a load has.
pub const SLOTS: u8 = 8;
/// Between two samples of one batch.
const SAMPLE_STEP_MS: u64 = 10_000;

/// The bank that sits in a slot of the station with this number.
pub fn bank(station: u32, slot: SlotNumber) -> BankSerial {
    let [a, b, c, d] = station.to_be_bytes();
    BankSerial([0x10, 0xAD, a, b, c, d, 0, slot])
}

/// Sensors that take a few bytes: what they say is computed.
#[derive(Clone, Debug)]
pub(super) struct LoadSlots {
    pub(super) station: u32,
    version: u32,
    /// The slot whose bank somebody has just taken.
    taken: Option<SlotNumber>,
}

impl LoadSlots {
    pub(super) const fn new(station: u32) -> Self {
        Self { station, version: 1, taken: None }
    }

    /// The motor has pushed the bank out.
    pub(super) const fn take(&mut self, slot: SlotNumber) {
        self.taken = Some(slot);
        self.version += 1;
    }

    /// Somebody puts it back.
    pub(super) const fn put_back(&mut self) {
        self.taken = None;
        self.version += 1;
    }
}

impl SlotSensors for LoadSlots {
    fn slot_count(&self) -> u8 {
        SLOTS
    }

    fn read(&self, slot: SlotNumber) -> Option<SlotReading> {
        if !(1..=SLOTS).contains(&slot) {
            return None;
        }
        if self.taken == Some(slot) {
            return Some(SlotReading::default());
        }
        Some(SlotReading {
            bank: Some(bank(self.station, slot)),
            state: SlotState(SlotState::INSERTED | SlotState::LOCKED),
            level_percent: 90,
            voltage_mv: 4_100 + u16::from(slot),
            current_ma: 0,
            temperature_c: 24,
            health_percent: 97,
        })
    }

    fn version(&self) -> u32 {
        self.version
    }
}

/// Cuts a batch of `samples` samples, of which three slots change from one to the next, and gives it to the
/// session. Answers how many batches found no room.
pub(super) fn push_batch(
    session: &mut StationSession<LOAD_SAMPLE_BYTES>,
    slots: &LoadSlots,
    first_sample_no: u32,
    samples: u8,
    uptime_ms: u64,
) -> u32 {
    let (mut buffer, mut previous) = ([0; BATCH_BYTES], [SlotReading::default(); SLOTS as usize]);
    let before = session.counts().batches_lost;
    let mut readings: [SlotReading; SLOTS as usize] =
        std::array::from_fn(|at| slots.read(at as SlotNumber + 1).unwrap_or_default());
    let first_ms = uptime_ms.saturating_sub(u64::from(samples.saturating_sub(1)) * SAMPLE_STEP_MS);
    let Ok(mut records) = RecordWriter::new(&mut buffer, &mut previous) else { return 1 };
    for number in 0..samples {
        for reading in &mut readings[..3] {
            reading.voltage_mv = 3_700 + u16::from(number);
        }
        let station = StationReading { signal_dbm: -70, supply_mv: 12_000, board_temperature_c: 24 };
        let at_ms = first_ms + u64::from(number) * SAMPLE_STEP_MS;
        if records.push(at_ms, &station, &readings).is_err() {
            return 1;
        }
    }
    let Some(telemetry) = records.finish(session.boot_no(), first_sample_no, None) else { return 1 };
    match session.push_samples(&telemetry, uptime_ms) {
        Ok(()) => session.counts().batches_lost - before,
        Err(_) => 1,
    }
}
