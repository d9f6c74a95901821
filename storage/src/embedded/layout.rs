//! The bytes of stored samples: an rkyv archive, its version in a column of its own, a checksum beside it.
//!
//! Samples that follow each other without a gap in one boot of one station are packed together;
//! of each slot only what changed since the sample before is kept. One batch in the tail and one
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

/// Layout 1.
#[derive(Archive, Serialize)]
struct Samples1 {
    heads: Vec<Head1>,
    /// Ascending by sample, then by slot.
    changes: Vec<Change1>,
}

/// What each sample has of its own.
#[derive(Archive, Serialize)]
struct Head1 {
    at_ms: u64,
    received_at_ms: u64,
    /// 0 anchored, 1 arrival, 2 doubtful.
    time_quality: u8,
    signal_dbm: Option<i16>,
    temperature_c: Option<i8>,
    supply_mv: Option<u16>,
}

/// A slot that differs from the sample before; the first sample differs in all.
#[derive(Archive, Serialize)]
struct Change1 {
    /// Which sample, by its index in `heads`.
    sample: u32,
    slot: u8,
    /// `None`: the sample does not list this slot any more.
    reading: Option<Reading1>,
}

#[derive(Archive, Serialize)]
struct Reading1 {
    bank: Option<[u8; 8]>,
    state: u16,
    level_percent: u8,
    voltage_mv: u16,
    current_ma: i16,
    temperature_c: i8,
    health_percent: u8,
}

/// The archive of samples whose slots are ascending.
pub(super) fn pack<'a>(samples: impl Iterator<Item = &'a Sample> + Clone) -> Result<Vec<u8>, StoreError> {
    let heads = samples.clone().map(|sample| Head1 {
        at_ms: sample.at_ms,
        received_at_ms: sample.received_at_ms,
        time_quality: match sample.time_quality {
            TimeQuality::Anchored => 0,
            TimeQuality::Arrival => 1,
            TimeQuality::Doubtful => 2,
        },
        signal_dbm: sample.readings.signal_dbm,
        temperature_c: sample.readings.temperature_c,
        supply_mv: sample.readings.supply_mv,
    });
    let mut changes = Vec::new();
    let mut before: &[SlotSample] = &[];
    for (index, sample) in (0..).zip(samples) {
        push_changes(index, before, &sample.slots, &mut changes);
        before = &sample.slots;
    }
    let archive = rkyv::to_bytes::<rkyv::rancor::Error>(&Samples1 { heads: heads.collect(), changes });
    // Serialising into memory fails only where memory does.
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
        let in_order = archive.changes.is_sorted_by_key(|change| (change.sample.to_native(), change.slot));
        let in_range = archive
            .changes
            .last()
            .is_none_or(|last| (last.sample.to_native() as usize) < archive.heads.len());
        if in_order && in_range { Ok(Self(archive)) } else { Err(StoreError::Corrupt) }
    }

    /// Whether any sample lists this bank, without unpacking them.
    pub(super) fn mentions(&self, bank: BankSerial) -> bool {
        self.banks().any(|mentioned| mentioned == bank)
    }

    /// The banks that samples list, with repetitions.
    pub(super) fn banks(&self) -> impl Iterator<Item = BankSerial> {
        let readings = self.0.changes.iter().filter_map(|change| change.reading.as_ref());
        readings.filter_map(|reading| reading.bank.as_ref()).map(|bank| BankSerial(*bank))
    }

    /// The samples, numbered from `first_sample_no` on.
    pub(super) fn unpack(&self, boot_no: u32, first_sample_no: u32) -> Vec<StoredSample> {
        let mut changes = self.0.changes.iter().peekable();
        let mut slots: Vec<SlotSample> = Vec::new();
        let samples = (0u32..).zip(self.0.heads.iter()).map(|(index, head)| {
            while let Some(change) = changes.next_if(|change| change.sample.to_native() == index) {
                apply(change, &mut slots);
            }
            let sample = sample(head, slots.clone());
            StoredSample { boot_no, sample_no: first_sample_no.saturating_add(index), sample }
        });
        samples.collect()
    }
}

/// Both slices ascend by slot: one walk over the two finds what is new, different or gone.
fn push_changes(index: u32, before: &[SlotSample], after: &[SlotSample], changes: &mut Vec<Change1>) {
    let mut old = before.iter().peekable();
    for new in after {
        while let Some(gone) = old.next_if(|old| old.slot < new.slot) {
            changes.push(Change1 { sample: index, slot: gone.slot, reading: None });
        }
        if old.next_if(|old| old.slot == new.slot) != Some(new) {
            changes.push(Change1 { sample: index, slot: new.slot, reading: Some(reading(new)) });
        }
    }
    changes.extend(old.map(|gone| Change1 { sample: index, slot: gone.slot, reading: None }));
}

fn reading(slot: &SlotSample) -> Reading1 {
    Reading1 {
        bank: slot.bank.map(|bank| bank.0),
        state: slot.state,
        level_percent: slot.level_percent,
        voltage_mv: slot.voltage_mv,
        current_ma: slot.current_ma,
        temperature_c: slot.temperature_c,
        health_percent: slot.health_percent,
    }
}

fn apply(change: &ArchivedChange1, slots: &mut Vec<SlotSample>) {
    let place = slots.binary_search_by_key(&change.slot, |slot| slot.slot);
    let Some(reading) = change.reading.as_ref() else {
        if let Ok(at) = place {
            slots.remove(at);
        }
        return;
    };
    let slot = SlotSample {
        slot: change.slot,
        bank: reading.bank.as_ref().map(|bank| BankSerial(*bank)),
        state: reading.state.to_native(),
        level_percent: reading.level_percent,
        voltage_mv: reading.voltage_mv.to_native(),
        current_ma: reading.current_ma.to_native(),
        temperature_c: reading.temperature_c,
        health_percent: reading.health_percent,
    };
    match place {
        Ok(at) => slots[at] = slot,
        Err(at) => slots.insert(at, slot),
    }
}

fn sample(head: &ArchivedHead1, slots: Vec<SlotSample>) -> Sample {
    Sample {
        at_ms: head.at_ms.to_native(),
        time_quality: match head.time_quality {
            0 => TimeQuality::Anchored,
            1 => TimeQuality::Arrival,
            // A number that a later release may use: its time is not ours to trust.
            _ => TimeQuality::Doubtful,
        },
        received_at_ms: head.received_at_ms.to_native(),
        readings: StationReadings {
            signal_dbm: head.signal_dbm.as_ref().map(|value| value.to_native()),
            temperature_c: head.temperature_c.as_ref().copied(),
            supply_mv: head.supply_mv.as_ref().map(|value| value.to_native()),
        },
        slots,
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
            received_at_ms: at_ms + 40,
            readings: StationReadings { signal_dbm: Some(-71), temperature_c: None, supply_mv: Some(12_100) },
            slots,
        };
        vec![
            sample(1_000, TimeQuality::Anchored, vec![slot(1, 50), slot(2, 0), slot(9, 80)]),
            sample(2_000, TimeQuality::Arrival, vec![slot(1, 50), slot(2, 0), slot(9, 80)]),
            sample(3_000, TimeQuality::Doubtful, vec![slot(2, 60), slot(9, 81), slot(10, 1)]),
            sample(4_000, TimeQuality::Anchored, vec![]),
            sample(5_000, TimeQuality::Anchored, vec![slot(1, 50)]),
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
        let one = pack(samples()[..1].iter()).unwrap().len();
        let two = pack(samples()[..2].iter()).unwrap().len();
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
