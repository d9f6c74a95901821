//! What is stored, and how it is asked for.

use crate::StoreError;
use crate::limits::PAGE_ITEMS_MAX;
use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;
pub use protocol::control::TimeQuality;
use protocol::control::{SlotReport, StationEvent};
use protocol::types::{BankSerial, ParseTypeError, SlotNumber, StationId};

/// An event as the gateway read it: the same shape as on its way to the backend.
pub type EventRecord = StationEvent;

/// What was read of one slot: the same shape as in an inventory.
pub type SlotSample = SlotReport;

/// Samples that a station cut into one batch and resends unchanged until they are acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleBatch {
    /// Who measured.
    pub station_id: StationId,
    /// The station's boot in which the samples were taken, counted over all its controllers: above the station's own 24
    /// bits stands how many keys the station had before, modulo 256.
    pub boot_no: u32,
    /// The number of the first sample, counted per boot; the others follow without a gap.
    pub first_sample_no: u32,
    /// In the order of their numbers. A batch without samples stores nothing.
    pub samples: Vec<Sample>,
}

impl SampleBatch {
    /// Brings a batch into the one form that all implementations store: slots ascending, times
    /// that fit a signed 64-bit column, no number beyond `u32`.
    pub fn normalise(&mut self) {
        let numbers_left = (u32::MAX - self.first_sample_no) as usize;
        self.samples.truncate(numbers_left.saturating_add(1));
        for sample in &mut self.samples {
            sample.at_ms = sample.at_ms.min(TIME_MAX_MS);
            sample.received_at_ms = sample.received_at_ms.min(TIME_MAX_MS);
            if !sample.slots.is_sorted_by_key(|slot| slot.slot) {
                sample.slots.sort_by_key(|slot| slot.slot);
            }
            sample.slots.dedup_by_key(|slot| slot.slot);
        }
    }

    /// The number of the last sample; of a batch without samples, that of the first.
    pub fn last_sample_no(&self) -> u32 {
        self.first_sample_no.saturating_add(self.samples.len().saturating_sub(1) as u32)
    }

    /// The samples with their positions.
    pub fn stored(self) -> impl Iterator<Item = StoredSample> {
        let (boot_no, first) = (self.boot_no, self.first_sample_no);
        (0..).zip(self.samples).map(move |(index, sample)| StoredSample {
            boot_no,
            sample_no: first.saturating_add(index),
            sample,
        })
    }
}

/// The greatest time that is stored, Unix milliseconds: one less than the greatest end of a range.
const TIME_MAX_MS: u64 = i64::MAX as u64 - 1;

/// The word for a quality in columns that people read.
pub(crate) fn quality_text(quality: TimeQuality) -> &'static str {
    match quality {
        TimeQuality::Anchored => "anchored",
        TimeQuality::Arrival => "arrival",
        TimeQuality::Doubtful => "doubtful",
    }
}

/// The quality of such a word.
pub(crate) fn quality_of_text(text: &str) -> Result<TimeQuality, StoreError> {
    match text {
        "anchored" => Ok(TimeQuality::Anchored),
        "arrival" => Ok(TimeQuality::Arrival),
        "doubtful" => Ok(TimeQuality::Doubtful),
        _ => Err(StoreError::Corrupt),
    }
}

/// One look of a station at itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken, Unix milliseconds.
    pub at_ms: u64,
    /// How far that time can be trusted. A doubtful sample is stored and never becomes "latest".
    pub time_quality: TimeQuality,
    /// When the gateway read it, Unix milliseconds.
    pub received_at_ms: u64,
    /// What concerns the whole station.
    pub readings: StationReadings,
    /// One entry for each slot, ascending.
    pub slots: Vec<SlotSample>,
}

impl Sample {
    /// Whether its clock is good enough for it to be shown as the latest.
    pub fn may_be_latest(&self) -> bool {
        self.time_quality != TimeQuality::Doubtful
    }
}

/// Readings of a station as a whole; `None` where it has no such sensor or did not send it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StationReadings {
    /// Received signal of the modem, dBm.
    pub signal_dbm: Option<i16>,
    /// Inside of the cabinet, degrees Celsius.
    pub temperature_c: Option<i8>,
    /// Supply, millivolts.
    pub supply_mv: Option<u16>,
}

/// A sample with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSample {
    /// The boot in which it was taken.
    pub boot_no: u32,
    /// Its number in that boot.
    pub sample_no: u32,
    /// What was measured.
    pub sample: Sample,
}

impl StoredSample {
    /// Its place in the order of its station's samples.
    pub fn position(&self) -> SamplePosition {
        SamplePosition { at_ms: self.sample.at_ms, boot_no: self.boot_no, sample_no: self.sample_no }
    }
}

/// The newest trustworthy sample of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestSample {
    /// Whose.
    pub station_id: StationId,
    /// The sample.
    pub stored: StoredSample,
}

/// What a station read of one power bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankReading {
    /// When and where; also its place in the order.
    pub position: BankPosition,
    /// How far the time can be trusted.
    pub time_quality: TimeQuality,
    /// What was read.
    pub slot: SlotSample,
}

/// A half-open range of time in Unix milliseconds: `from_ms <= at < to_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first millisecond that is in it.
    pub from_ms: u64,
    /// The first millisecond after it.
    pub to_ms: u64,
}

impl TimeRange {
    /// Whether a time is in it.
    pub fn contains(&self, at_ms: u64) -> bool {
        self.from_ms <= at_ms && at_ms < self.to_ms
    }
}

/// How densely samples are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Every sample.
    Full,
    /// The last sample of each step; steps are counted from the Unix epoch.
    Every {
        /// The length of a step, milliseconds.
        step_ms: NonZeroU64,
    },
}

impl Resolution {
    /// Whether the earlier of two neighbours is left out in favour of the later.
    pub fn merges(self, earlier_ms: u64, later_ms: u64) -> bool {
        match self {
            Self::Full => false,
            Self::Every { step_ms } => earlier_ms / step_ms == later_ms / step_ms,
        }
    }
}

/// Which page is asked for. `P` is the position type of what is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<P> {
    /// The page starts behind this position; `None` = the first page.
    pub after: Option<P>,
    /// How many items; clamped to 1..=[`PAGE_ITEMS_MAX`].
    pub limit: usize,
}

impl<P> Page<P> {
    /// The first page.
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// The page behind `position`.
    pub fn after(position: P, limit: usize) -> Self {
        Self { after: Some(position), limit }
    }

    /// The limit that is used.
    pub fn items_max(&self) -> usize {
        self.limit.clamp(1, PAGE_ITEMS_MAX)
    }
}

/// One page of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T, P> {
    /// The items, ascending.
    pub items: Vec<T>,
    /// Set when there is more: the position that the next page starts behind.
    pub next: Option<P>,
}

impl<T, P> Paged<T, P> {
    /// Makes a page of items of which one more than `items_max` was looked for.
    pub(crate) fn cut(mut items: Vec<T>, items_max: usize, position: impl Fn(&T) -> P) -> Self {
        let more = items.len() > items_max;
        items.truncate(items_max);
        let next = if more { items.last().map(position) } else { None };
        Self { items, next }
    }
}

/// The place of a sample in the order of its station. Text form: `at_ms.boot_no.sample_no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SamplePosition {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// The boot.
    pub boot_no: u32,
    /// The number in that boot.
    pub sample_no: u32,
}

impl fmt::Display for SamplePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at_ms, self.boot_no, self.sample_no)
    }
}

impl FromStr for SamplePosition {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        let mut parts = text.split('.');
        let position = Self {
            at_ms: parse_part(parts.next(), "sample position")?,
            boot_no: parse_part(parts.next(), "sample position")?,
            sample_no: parse_part(parts.next(), "sample position")?,
        };
        parts.next().map_or(Ok(position), |_| Err(ParseTypeError("sample position")))
    }
}

/// The place of a reading in the life of a power bank.
/// Text form: `at_ms.station_id.boot_no.sample_no.slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankPosition {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// Who read it.
    pub station_id: StationId,
    /// The boot.
    pub boot_no: u32,
    /// The number in that boot.
    pub sample_no: u32,
    /// The slot.
    pub slot: SlotNumber,
}

impl fmt::Display for BankPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, station_id, boot_no, sample_no, slot } = self;
        write!(f, "{at_ms}.{station_id}.{boot_no}.{sample_no}.{slot}")
    }
}

impl FromStr for BankPosition {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        let mut parts = text.split('.');
        let position = Self {
            at_ms: parse_part(parts.next(), "bank position")?,
            station_id: parse_part(parts.next(), "bank position")?,
            boot_no: parse_part(parts.next(), "bank position")?,
            sample_no: parse_part(parts.next(), "bank position")?,
            slot: parse_part(parts.next(), "bank position")?,
        };
        parts.next().map_or(Ok(position), |_| Err(ParseTypeError("bank position")))
    }
}

fn parse_part<T: FromStr>(part: Option<&str>, what: &'static str) -> Result<T, ParseTypeError> {
    part.and_then(|part| part.parse().ok()).ok_or(ParseTypeError(what))
}

impl BankReading {
    /// The readings of banks in one sample.
    pub(crate) fn of_bank(
        station_id: StationId,
        stored: &StoredSample,
        bank: BankSerial,
    ) -> impl Iterator<Item = Self> {
        let StoredSample { boot_no, sample_no, sample } = stored;
        sample.slots.iter().filter(move |slot| slot.bank == Some(bank)).map(move |slot| Self {
            position: BankPosition {
                at_ms: sample.at_ms,
                station_id,
                boot_no: *boot_no,
                sample_no: *sample_no,
                slot: slot.slot,
            },
            time_quality: sample.time_quality,
            slot: slot.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text_form() {
        let sample = SamplePosition { at_ms: 1_763_900_000_123, boot_no: 7, sample_no: 4_000_000_000 };
        assert_eq!(sample.to_string().parse(), Ok(sample));
        let bank =
            BankPosition { at_ms: 1, station_id: StationId([0xAB; 16]), boot_no: 2, sample_no: 3, slot: 24 };
        assert_eq!(bank.to_string().parse(), Ok(bank));
    }

    #[test]
    fn a_text_that_is_no_position_is_refused() {
        for text in ["", "1", "1.2", "1.2.3.4", "1.2.-3", "a.b.c", "1.2.99999999999"] {
            assert!(text.parse::<SamplePosition>().is_err(), "{text}");
        }
        assert!("1.2.3.4.5".parse::<BankPosition>().is_err());
    }

    #[test]
    fn normalising_sorts_slots_and_bounds_times_and_numbers() {
        let slot = |slot| SlotSample {
            slot,
            bank: None,
            state: 0,
            level_percent: 0,
            voltage_mv: 0,
            current_ma: 0,
            temperature_c: 0,
            health_percent: 0,
        };
        let sample = Sample {
            at_ms: u64::MAX,
            time_quality: TimeQuality::Doubtful,
            received_at_ms: 5,
            readings: StationReadings::default(),
            slots: vec![slot(3), slot(1), slot(3)],
        };
        let mut batch = SampleBatch {
            station_id: StationId([1; 16]),
            boot_no: 1,
            first_sample_no: u32::MAX,
            samples: vec![sample.clone(), sample],
        };
        batch.normalise();
        assert_eq!(batch.samples.len(), 1);
        assert_eq!(batch.samples[0].at_ms, TIME_MAX_MS);
        assert_eq!(batch.samples[0].slots, [slot(1), slot(3)]);
    }
}
