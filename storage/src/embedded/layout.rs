//! The bytes of stored samples: an rkyv archive, its version in a column of its own, a checksum beside it.
//!
//! Samples that follow each other without a gap in one boot of one station are packed together;
//! only what changed since the sample before is kept, in the frugal way of the wire but readable in
//! place. One batch in the tail and one
//! block of many batches have the same layout.
//!
//! **A layout, once released, is never changed.** A new one gets the next number, a type of its
//! own and an arm in [`Packed::open`]; the old arm stays for ever. `tests/data` holds files of
//! each released layout.

use crate::record::{Sample, SlotSample, StationReadings, TimeQuality};
use crate::{StoreError, StoredSample};
use protocol::types::BankSerial;
use rkyv::{Archive, Serialize};

/// The layout that is written today.
pub(super) const LAYOUT: i64 = 1;

/// Layout 1: the heads say how many entries of the other lists belong to each sample.
#[derive(Archive, Serialize)]
struct Samples1 {
    heads: Vec<Head1>,
    /// A sample that arrived together with the one before has no entry.
    arrivals: Vec<u64>,
    /// A sample whose station reads as before has no entry.
    stations: Vec<Station1>,
    /// Slots that appear, disappear, or hold something else; ascending in each sample.
    contents: Vec<Content1>,
    /// Slots whose measures differ from the sample before; ascending in each sample.
    measures: Vec<Measure1>,
}

/// What each sample has of its own.
#[derive(Archive, Serialize)]
struct Head1 {
    at_ms: u64,
    /// 0 anchored, 1 arrival, 2 doubtful.
    time_quality: u8,
    /// 0 or 1; the first sample has one.
    arrivals: u8,
    /// 0 or 1; the first sample has one.
    stations: u8,
    contents: u16,
    measures: u16,
}

#[derive(Archive, Serialize)]
struct Station1 {
    signal_dbm: Option<i16>,
    temperature_c: Option<i8>,
    supply_mv: Option<u16>,
}

/// What a slot holds: changes when a bank comes or goes.
#[derive(Archive, Serialize)]
struct Content1 {
    slot: u8,
    /// `None`: the sample does not list this slot any more.
    held: Option<Held1>,
}

#[derive(Archive, Serialize)]
struct Held1 {
    bank: Option<[u8; 8]>,
    state: u16,
    health_percent: u8,
}

/// What is measured of a slot: changes while a bank charges.
#[derive(Archive, Serialize)]
struct Measure1 {
    slot: u8,
    level_percent: u8,
    voltage_mv: u16,
    current_ma: i16,
    temperature_c: i8,
}

/// The archive of samples whose slots are ascending.
pub(super) fn pack<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<u8>, StoreError> {
    let mut packed = Samples1 {
        heads: Vec::with_capacity(samples.size_hint().0),
        arrivals: Vec::new(),
        stations: Vec::new(),
        contents: Vec::new(),
        measures: Vec::new(),
    };
    let mut before: Option<&Sample> = None;
    for sample in samples {
        push(&mut packed, before, sample);
        before = Some(sample);
    }
    // Serialising into memory fails only where memory does.
    let archive = rkyv::to_bytes::<rkyv::rancor::Error>(&packed);
    archive.map(|bytes| bytes.into_vec()).map_err(|_| StoreError::Unavailable)
}

/// The checksum that stands beside an archive: CRC-32C.
pub(super) fn checksum(body: &[u8]) -> i64 {
    const CRC32C: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);
    i64::from(CRC32C.checksum(body))
}

/// An archive that has been validated.
pub(super) struct Packed<'a>(&'a ArchivedSamples1);

impl<'a> Packed<'a> {
    /// Validates bytes that were read from disk.
    pub(super) fn open(layout: i64, check: i64, body: &'a [u8]) -> Result<Self, StoreError> {
        if layout != LAYOUT || checksum(body) != check {
            return Err(StoreError::Corrupt);
        }
        let archive = rkyv::access::<ArchivedSamples1, rkyv::rancor::Error>(body);
        let archive = archive.map_err(|_| StoreError::Corrupt)?;
        if is_consistent(archive) { Ok(Self(archive)) } else { Err(StoreError::Corrupt) }
    }

    /// Whether any sample lists this bank, without unpacking them.
    pub(super) fn mentions(&self, bank: BankSerial) -> bool {
        self.banks().any(|mentioned| mentioned == bank)
    }

    /// The banks that samples list, with repetitions.
    pub(super) fn banks(&self) -> impl Iterator<Item = BankSerial> {
        let held = self.0.contents.iter().filter_map(|content| content.held.as_ref());
        held.filter_map(|held| held.bank.as_ref()).map(|bank| BankSerial(*bank))
    }

    /// The samples, numbered from `first_sample_no` on.
    pub(super) fn unpack(&self, boot_no: u32, first_sample_no: u32) -> Vec<StoredSample> {
        let mut arrivals = self.0.arrivals.iter().map(|received_at_ms| received_at_ms.to_native());
        let mut stations = self.0.stations.iter();
        let mut contents = self.0.contents.iter();
        let mut measures = self.0.measures.iter();
        let mut received_at_ms = 0;
        let mut readings = StationReadings::default();
        let mut slots: Vec<SlotSample> = Vec::new();
        let samples = (0u32..).zip(self.0.heads.iter()).map(|(index, head)| {
            received_at_ms = arrivals.by_ref().take(head.arrivals.into()).last().unwrap_or(received_at_ms);
            if let Some(station) = stations.by_ref().take(head.stations.into()).last() {
                readings = readings_of(station);
            }
            for content in contents.by_ref().take(head.contents.to_native().into()) {
                put_content(content, &mut slots);
            }
            for measure in measures.by_ref().take(head.measures.to_native().into()) {
                put_measure(measure, &mut slots);
            }
            let sample = Sample {
                at_ms: head.at_ms.to_native(),
                time_quality: quality_of(head.time_quality),
                received_at_ms,
                readings,
                slots: slots.clone(),
            };
            StoredSample { boot_no, sample_no: first_sample_no.saturating_add(index), sample }
        });
        samples.collect()
    }
}

/// Whether the heads account for every entry of the other lists, and the first sample is whole.
fn is_consistent(archive: &ArchivedSamples1) -> bool {
    let sum = |count: fn(&ArchivedHead1) -> usize| archive.heads.iter().map(count).sum::<usize>();
    let first_is_whole = archive.heads.first().is_none_or(|head| head.arrivals == 1 && head.stations == 1);
    first_is_whole
        && sum(|head| head.arrivals.into()) == archive.arrivals.len()
        && sum(|head| head.stations.into()) == archive.stations.len()
        && sum(|head| head.contents.to_native().into()) == archive.contents.len()
        && sum(|head| head.measures.to_native().into()) == archive.measures.len()
}

fn push(packed: &mut Samples1, before: Option<&Sample>, sample: &Sample) {
    let (contents, measures) = (packed.contents.len(), packed.measures.len());
    push_slots(packed, before.map_or(&[][..], |before| &before.slots), &sample.slots);
    let arrived_alone = before.is_none_or(|before| before.received_at_ms != sample.received_at_ms);
    if arrived_alone {
        packed.arrivals.push(sample.received_at_ms);
    }
    let reads_anew = before.is_none_or(|before| before.readings != sample.readings);
    if reads_anew {
        let StationReadings { signal_dbm, temperature_c, supply_mv } = sample.readings;
        packed.stations.push(Station1 { signal_dbm, temperature_c, supply_mv });
    }
    packed.heads.push(Head1 {
        at_ms: sample.at_ms,
        time_quality: match sample.time_quality {
            TimeQuality::Anchored => 0,
            TimeQuality::Arrival => 1,
            TimeQuality::Doubtful => 2,
        },
        arrivals: arrived_alone.into(),
        stations: reads_anew.into(),
        // Slot numbers are bytes and differ: at most 256 come and 256 go.
        contents: (packed.contents.len() - contents) as u16,
        measures: (packed.measures.len() - measures) as u16,
    });
}

/// Both slices ascend by slot: one walk over the two finds what is new, different or gone.
fn push_slots(packed: &mut Samples1, before: &[SlotSample], after: &[SlotSample]) {
    let gone = |slot| Content1 { slot, held: None };
    let mut old = before.iter().peekable();
    for new in after {
        while let Some(old) = old.next_if(|old| old.slot < new.slot) {
            packed.contents.push(gone(old.slot));
        }
        let old = old.next_if(|old| old.slot == new.slot);
        let content = |slot: &SlotSample| (slot.bank, slot.state, slot.health_percent);
        if old.map(content) != Some(content(new)) {
            let bank = new.bank.map(|bank| bank.0);
            let held = Held1 { bank, state: new.state, health_percent: new.health_percent };
            packed.contents.push(Content1 { slot: new.slot, held: Some(held) });
        }
        let measure =
            |slot: &SlotSample| (slot.level_percent, slot.voltage_mv, slot.current_ma, slot.temperature_c);
        if old.map(measure) != Some(measure(new)) {
            packed.measures.push(Measure1 {
                slot: new.slot,
                level_percent: new.level_percent,
                voltage_mv: new.voltage_mv,
                current_ma: new.current_ma,
                temperature_c: new.temperature_c,
            });
        }
    }
    packed.contents.extend(old.map(|old| gone(old.slot)));
}

fn put_content(content: &ArchivedContent1, slots: &mut Vec<SlotSample>) {
    let place = slots.binary_search_by_key(&content.slot, |slot| slot.slot);
    let Some(held) = content.held.as_ref() else {
        if let Ok(at) = place {
            slots.remove(at);
        }
        return;
    };
    let at = place.unwrap_or_else(|at| {
        slots.insert(at, unmeasured(content.slot));
        at
    });
    slots[at].bank = held.bank.as_ref().map(|bank| BankSerial(*bank));
    slots[at].state = held.state.to_native();
    slots[at].health_percent = held.health_percent;
}

fn put_measure(measure: &ArchivedMeasure1, slots: &mut [SlotSample]) {
    if let Ok(at) = slots.binary_search_by_key(&measure.slot, |slot| slot.slot) {
        slots[at].level_percent = measure.level_percent;
        slots[at].voltage_mv = measure.voltage_mv.to_native();
        slots[at].current_ma = measure.current_ma.to_native();
        slots[at].temperature_c = measure.temperature_c;
    }
}

/// A slot that appears; its measures follow in the same sample.
fn unmeasured(slot: u8) -> SlotSample {
    SlotSample {
        slot,
        bank: None,
        state: 0,
        level_percent: 0,
        voltage_mv: 0,
        current_ma: 0,
        temperature_c: 0,
        health_percent: 0,
    }
}

fn readings_of(station: &ArchivedStation1) -> StationReadings {
    StationReadings {
        signal_dbm: station.signal_dbm.as_ref().map(|value| value.to_native()),
        temperature_c: station.temperature_c.as_ref().copied(),
        supply_mv: station.supply_mv.as_ref().map(|value| value.to_native()),
    }
}

fn quality_of(number: u8) -> TimeQuality {
    match number {
        0 => TimeQuality::Anchored,
        1 => TimeQuality::Arrival,
        // A number that a later release may use: its time is not ours to trust.
        _ => TimeQuality::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(slot: u8, level_percent: u8) -> SlotSample {
        SlotSample {
            slot,
            bank: (level_percent > 0).then_some(BankSerial([slot; 8])),
            state: 3,
            level_percent,
            voltage_mv: 4_100,
            current_ma: -250,
            temperature_c: -3,
            health_percent: 97,
        }
    }

    fn samples() -> Vec<Sample> {
        let sample = |at_ms, time_quality, slots| Sample {
            at_ms,
            time_quality,
            received_at_ms: at_ms / 2_000 * 2_000 + 3_000,
            readings: StationReadings { signal_dbm: Some(-71), temperature_c: None, supply_mv: Some(12_100) },
            slots,
        };
        vec![
            sample(1_000, TimeQuality::Anchored, vec![slot(1, 50), slot(2, 0), slot(9, 80)]),
            sample(2_000, TimeQuality::Arrival, vec![slot(1, 50), slot(2, 0), slot(9, 80)]),
            sample(3_000, TimeQuality::Doubtful, vec![slot(2, 60), slot(9, 81), slot(10, 1)]),
            sample(4_000, TimeQuality::Anchored, vec![]),
            Sample {
                readings: StationReadings { temperature_c: Some(-9), ..StationReadings::default() },
                ..sample(5_000, TimeQuality::Anchored, vec![slot(1, 50)])
            },
        ]
    }

    #[test]
    fn samples_survive_packing() {
        let body = pack(samples().iter()).unwrap();
        let unpacked = Packed::open(LAYOUT, checksum(&body), &body).unwrap().unpack(7, 100);
        let numbers: Vec<_> = unpacked.iter().map(|stored| (stored.boot_no, stored.sample_no)).collect();
        assert_eq!(numbers, [(7, 100), (7, 101), (7, 102), (7, 103), (7, 104)]);
        assert_eq!(unpacked.into_iter().map(|stored| stored.sample).collect::<Vec<_>>(), samples());
    }

    #[test]
    fn an_unchanged_slot_costs_nothing() {
        let sample = &samples()[0];
        let one = pack([sample].into_iter()).unwrap().len();
        let two = pack([sample, sample].into_iter()).unwrap().len();
        assert_eq!(two - one, size_of::<ArchivedHead1>());
    }

    #[test]
    fn banks_are_found_without_unpacking() {
        let body = pack(samples().iter()).unwrap();
        let packed = Packed::open(LAYOUT, checksum(&body), &body).unwrap();
        assert!(packed.mentions(BankSerial([10; 8])));
        assert!(!packed.mentions(BankSerial([11; 8])));
    }

    #[test]
    fn every_flipped_bit_is_noticed_by_the_checksum_and_none_panics_without_it() {
        let body = pack(samples().iter()).unwrap();
        let check = checksum(&body);
        for bit in 0..body.len() * 8 {
            let mut damaged = body.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Packed::open(LAYOUT, check, &damaged).is_err());
            if let Ok(packed) = Packed::open(LAYOUT, checksum(&damaged), &damaged) {
                packed.unpack(0, 0);
            }
        }
    }

    #[test]
    fn a_layout_of_the_future_is_refused() {
        let body = pack(samples().iter()).unwrap();
        assert!(Packed::open(LAYOUT + 1, checksum(&body), &body).is_err());
    }
}
