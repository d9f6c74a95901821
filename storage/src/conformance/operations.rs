//! Random operations on a subject and on the model: after each, both give the same answers.

use super::samples::{bank, event, numbered_batch, station};
use super::{Subject, WINDOW_MS};
use crate::model::ModelStore;
use crate::record::TimeQuality;
use crate::{Page, Resolution, TelemetryStore, TimeRange};
use core::num::NonZeroU64;
use protocol::clock::Clock;
use protocol::types::EventNo;
use std::sync::Arc;

/// Samples of each batch, so that numbered batches never overlap in part.
const BATCH_SAMPLES: u32 = 3;

/// Something that can be done to a store.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Appends batches; equal arguments make equal batches, so repetition is a resend.
    Append {
        /// (station, boot, which batch of the boot, whether its clock is doubtful)
        batches: Vec<(u8, u8, u8, bool)>,
    },
    /// Appends events.
    AppendEvents {
        /// (station, event number)
        events: Vec<(u8, u8)>,
    },
    /// Lets time pass, across windows if it is long.
    Wait {
        /// How long.
        ms: u64,
    },
    /// Rewrites what is stored.
    Settle,
    /// Deletes what arrived so long ago.
    Expire {
        /// How long ago.
        age_ms: u64,
    },
    /// Closes and opens again.
    Reopen,
    /// Reads pages of a station's samples.
    Samples {
        /// Which station.
        station: u8,
        /// Start, in seconds from the first sample.
        from_s: u64,
        /// Length, in seconds.
        length_s: u64,
        /// Step of the resolution in seconds, 0 for full.
        step_s: u64,
        /// Items of a page.
        limit: usize,
    },
    /// Reads pages of a bank's life.
    BankLife {
        /// Which bank.
        bank: u8,
        /// Items of a page.
        limit: usize,
    },
    /// Reads a station's events.
    Events {
        /// Which station.
        station: u8,
        /// After which number.
        after: u8,
        /// How many.
        limit: usize,
    },
}

/// Runs operations on a fresh subject and on a model beside it.
pub async fn compare(subject: &dyn Subject, operations: &[Operation]) {
    let model = ModelStore::new(subject.clock(), WINDOW_MS);
    let mut pair = Pair { subject, store: subject.open().await, model };
    for operation in operations {
        pair.step(operation).await;
    }
    for station in 0..4 {
        pair.check_samples(station, TimeRange { from_ms: 0, to_ms: u64::MAX }, Resolution::Full, 50).await;
    }
    pair.store.close().await.unwrap();
}

struct Pair<'a> {
    subject: &'a dyn Subject,
    store: Arc<dyn TelemetryStore>,
    model: ModelStore,
}

impl Pair<'_> {
    async fn step(&mut self, operation: &Operation) {
        match operation {
            Operation::Append { batches } => {
                let batches = batches.iter().map(|(station, boot_no, index, doubtful)| {
                    let first = u32::from(*index) * BATCH_SAMPLES;
                    let mut batch = numbered_batch(*station, u32::from(*boot_no), first, BATCH_SAMPLES);
                    if *doubtful {
                        batch.samples.iter_mut().for_each(|it| it.time_quality = TimeQuality::Doubtful);
                    }
                    batch
                });
                let batches: Vec<_> = batches.collect();
                assert_eq!(self.store.append(batches.clone()).await, self.model.append(batches).await);
            }
            Operation::AppendEvents { events } => {
                let events: Vec<_> =
                    events.iter().map(|(station, number)| event(*station, u64::from(*number))).collect();
                let stored = self.store.append_events(events.clone()).await;
                assert_eq!(stored, self.model.append_events(events).await);
            }
            Operation::Wait { ms } => self.subject.clock().advance_ms(*ms),
            Operation::Settle => self.subject.settle(&*self.store).await,
            Operation::Expire { age_ms } => {
                let before_ms = self.subject.clock().wall_ms() - age_ms;
                self.store.expire(before_ms).await.unwrap();
                if self.subject.expires_when_asked() {
                    self.model.expire(before_ms).await.unwrap();
                }
            }
            Operation::Reopen => {
                self.store.close().await.unwrap();
                self.store = self.subject.open().await;
            }
            Operation::Samples { station, from_s, length_s, step_s, limit } => {
                let from_ms = super::START_MS + from_s * 1_000;
                let range = TimeRange { from_ms, to_ms: from_ms + length_s * 1_000 };
                let step = NonZeroU64::new(step_s * 1_000);
                let resolution = step.map_or(Resolution::Full, |step_ms| Resolution::Every { step_ms });
                self.check_samples(*station, range, resolution, *limit).await;
            }
            Operation::BankLife { bank: number, limit } => self.check_bank(*number, *limit).await,
            Operation::Events { station: number, after, limit } => {
                let after = EventNo(u64::from(*after));
                let stored = self.store.events(station(*number), after, *limit).await;
                assert_eq!(stored, self.model.events(station(*number), after, *limit).await);
            }
        }
        let stations: Vec<_> = (0..4).map(station).collect();
        assert_eq!(self.store.latest(&stations).await, self.model.latest(&stations).await);
    }

    async fn check_samples(&self, number: u8, range: TimeRange, resolution: Resolution, limit: usize) {
        let mut page = Page::first(limit);
        loop {
            let stored = self.store.samples(station(number), range, resolution, page).await.unwrap();
            let expected = self.model.samples(station(number), range, resolution, page).await.unwrap();
            assert_eq!(stored, expected);
            let Some(after) = stored.next else { break };
            page = Page::after(after, limit);
        }
    }

    async fn check_bank(&self, number: u8, limit: usize) {
        let range = TimeRange { from_ms: 0, to_ms: u64::MAX };
        let mut page = Page::first(limit);
        loop {
            let stored = self.store.bank_life(bank(number), range, page).await.unwrap();
            let expected = self.model.bank_life(bank(number), range, page).await.unwrap();
            assert_eq!(stored, expected);
            let Some(after) = stored.next else { break };
            page = Page::after(after, limit);
        }
    }
}
