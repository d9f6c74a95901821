//! The checks, one promise each.

use super::samples::{bank, batch, event, numbered_batch, sample, station};
use super::{START_MS, Subject, WINDOW_MS};
use crate::limits::PAGE_ITEMS_MAX;
use crate::record::TimeQuality;
use crate::{
    EventRecord, LatestSample, Page, Paged, Resolution, Sample, SampleBatch, SamplePosition, StoreError,
    StoredSample, TelemetryStore, TimeRange,
};
use core::num::NonZeroU64;
use protocol::clock::Clock;
use protocol::types::{EventNo, StationId};
use std::sync::Arc;

/// Every range of time.
const EVER: TimeRange = TimeRange { from_ms: 0, to_ms: u64::MAX };

/// Runs every check on a subject that has never been opened.
pub async fn all(subject: &dyn Subject) {
    let store = subject.open().await;
    nothing_is_there_at_first(&*store).await;
    samples_come_in_order_of_time(subject, &*store).await;
    a_resend_makes_no_second_row(subject, &*store).await;
    late_data_take_their_place(subject, &*store).await;
    a_doubtful_clock_is_kept_and_never_latest(subject, &*store).await;
    samples_of_one_millisecond_keep_their_order(subject, &*store).await;
    pages_meet_without_gap_or_overlap(subject, &*store).await;
    a_range_includes_its_start_and_not_its_end(subject, &*store).await;
    a_coarser_resolution_keeps_the_last_of_each_step(subject, &*store).await;
    a_bank_is_followed_across_stations(subject, &*store).await;
    events_come_by_number_and_once(&*store).await;
    concurrent_writers_lose_nothing(store.clone()).await;
    everything_acknowledged_is_there_after_reopening(subject, store).await;
    let store = subject.open().await;
    a_resend_after_reopening_makes_no_second_row(subject, &*store).await;
    if subject.expires_when_asked() {
        what_arrived_before_is_expired_and_latest_stays(subject, store).await;
    }
    a_closed_store_refuses(subject).await;
}

async fn nothing_is_there_at_first(store: &dyn TelemetryStore) {
    assert_eq!(samples_of(store, 1).await, []);
    assert_eq!(store.latest(&[station(1)]).await, Ok(vec![]));
    assert_eq!(store.events(station(1), EventNo(0), 10).await, Ok(vec![]));
    assert_eq!(store.append(vec![]).await, Ok(()));
    assert_eq!(store.append(vec![batch(1, 1, 0, &[])]).await, Ok(()));
    assert_eq!(samples_of(store, 1).await, [], "a batch without samples stores nothing");
    assert!(store.health().is_writable());
}

async fn samples_come_in_order_of_time(subject: &dyn Subject, store: &dyn TelemetryStore) {
    let batches = [batch(2, 1, 0, &[0, 2_000]), batch(2, 1, 2, &[1_000, 3_000]), batch(2, 2, 0, &[500])];
    append(store, &batches).await;
    twice(subject, store, async |store| {
        let times: Vec<_> = samples_of(store, 2).await.iter().map(|stored| stored.sample.at_ms).collect();
        assert_eq!(times, [0, 500, 1_000, 2_000, 3_000].map(|offset_ms| START_MS + offset_ms));
    })
    .await;
    let latest = latest_of(store, 2).await.unwrap();
    assert_eq!(latest.position(), SamplePosition { at_ms: START_MS + 3_000, boot_no: 1, sample_no: 3 });
}

async fn a_resend_makes_no_second_row(subject: &dyn Subject, store: &dyn TelemetryStore) {
    let first = numbered_batch(3, 7, 100, 4);
    append(store, &[first.clone(), first.clone()]).await;
    append(store, &[first.clone(), numbered_batch(3, 7, 104, 2), numbered_batch(3, 6, 100, 1)]).await;
    subject.settle(store).await;
    // The gateway may read a resend later and another gateway may read it at another time.
    let mut resend = first.clone();
    resend.samples.iter_mut().for_each(|sample| sample.received_at_ms += 5_000);
    append(store, &[resend, numbered_batch(3, 7, 104, 2)]).await;
    let stored = samples_of(store, 3).await;
    let numbers: Vec<_> = stored.iter().map(|stored| (stored.boot_no, stored.sample_no)).collect();
    assert_eq!(numbers, [(6, 100), (7, 100), (7, 101), (7, 102), (7, 103), (7, 104), (7, 105)]);
    assert_eq!(stored[1].sample, first.samples[0], "the first copy stays");
}

async fn late_data_take_their_place(subject: &dyn Subject, store: &dyn TelemetryStore) {
    append(store, &[numbered_batch(4, 1, 0, 2), numbered_batch(4, 1, 6, 2)]).await;
    subject.clock().advance_ms(WINDOW_MS);
    subject.settle(store).await;
    append(store, &[numbered_batch(4, 1, 2, 2)]).await;
    append(store, &[numbered_batch(4, 1, 4, 2), numbered_batch(4, 1, 0, 2)]).await;
    twice(subject, store, async |store| {
        let numbers: Vec<_> = samples_of(store, 4).await.iter().map(|stored| stored.sample_no).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
    })
    .await;
    assert_eq!(latest_of(store, 4).await.unwrap().sample_no, 7, "late data are not the latest");
}

async fn a_doubtful_clock_is_kept_and_never_latest(subject: &dyn Subject, store: &dyn TelemetryStore) {
    let of_quality = |at_ms, time_quality| Sample { time_quality, ..sample(at_ms) };
    let doubtful = |boot_no, at_ms| SampleBatch {
        samples: vec![of_quality(at_ms, TimeQuality::Doubtful)],
        ..batch(5, boot_no, 0, &[])
    };
    append(store, &[doubtful(1, START_MS), doubtful(2, 0), doubtful(3, u64::MAX)]).await;
    assert_eq!(latest_of(store, 5).await, None, "nothing but doubt so far");
    let arrival =
        SampleBatch { samples: vec![of_quality(START_MS + 5, TimeQuality::Arrival)], ..batch(5, 4, 0, &[]) };
    append(store, &[arrival, doubtful(5, START_MS + 1_000)]).await;
    twice(subject, store, async |store| {
        let stored = samples_of(store, 5).await;
        let flags: Vec<_> =
            stored.iter().map(|stored| (stored.boot_no, stored.sample.time_quality)).collect();
        let doubtful = TimeQuality::Doubtful;
        let expected =
            [(2, doubtful), (1, doubtful), (4, TimeQuality::Arrival), (5, doubtful), (3, doubtful)];
        assert_eq!(flags, expected);
        assert_eq!(latest_of(store, 5).await.unwrap().boot_no, 4);
    })
    .await;
}

async fn samples_of_one_millisecond_keep_their_order(subject: &dyn Subject, store: &dyn TelemetryStore) {
    append(store, &[batch(6, 2, 0, &[9, 9]), batch(6, 1, 5, &[9]), batch(6, 2, 2, &[9])]).await;
    twice(subject, store, async |store| {
        let stored = samples_of(store, 6).await;
        let numbers: Vec<_> = stored.iter().map(|stored| (stored.boot_no, stored.sample_no)).collect();
        assert_eq!(numbers, [(1, 5), (2, 0), (2, 1), (2, 2)]);
    })
    .await;
    assert_eq!(latest_of(store, 6).await.unwrap().sample_no, 2);
}

async fn pages_meet_without_gap_or_overlap(subject: &dyn Subject, store: &dyn TelemetryStore) {
    for first in (0..1_200).step_by(100) {
        append(store, &[numbered_batch(7, 1, first, 100)]).await;
        if first == 500 {
            subject.clock().advance_ms(WINDOW_MS);
            subject.settle(store).await;
        }
    }
    for limit in [1, 7, 400, 1_000, usize::MAX, 0] {
        let range = TimeRange { from_ms: START_MS + 1_000, to_ms: START_MS + 1_100_000 };
        let mut page = Page::first(limit);
        let mut numbers = Vec::new();
        loop {
            let Paged { items, next } =
                store.samples(station(7), range, Resolution::Full, page).await.unwrap();
            assert!(items.len() <= page.items_max());
            numbers.extend(items.iter().map(|stored| stored.sample_no));
            let Some(after) = next else { break };
            assert_eq!(items.last().map(StoredSample::position), Some(after));
            page = Page::after(after, limit);
            // Single steps are checked on the first stretch: each is a query of its own.
            if limit <= 1 && numbers.len() >= 20 {
                page = Page { after: page.after, limit: PAGE_ITEMS_MAX };
            }
        }
        assert_eq!(numbers, (1..1_100).collect::<Vec<_>>(), "limit {limit}");
    }
    let exact = TimeRange { from_ms: START_MS, to_ms: START_MS + 10_000 };
    let page = store.samples(station(7), exact, Resolution::Full, Page::first(10)).await.unwrap();
    assert_eq!((page.items.len(), page.next), (10, None), "a full last page says that it is the last");
}

async fn a_range_includes_its_start_and_not_its_end(subject: &dyn Subject, store: &dyn TelemetryStore) {
    append(store, &[batch(8, 1, 0, &[100, 200, 300])]).await;
    twice(subject, store, async |store| {
        for (from, to, expected) in [
            (100, 300, 2),
            (101, 300, 1),
            (100, 301, 3),
            (300, 301, 1),
            (301, 900, 0),
            (0, 100, 0),
            (200, 200, 0),
        ] {
            let range = TimeRange { from_ms: START_MS + from, to_ms: START_MS + to };
            let page = store.samples(station(8), range, Resolution::Full, Page::first(9)).await.unwrap();
            assert_eq!(page.items.len(), expected, "{from}..{to}");
        }
        let reversed = TimeRange { from_ms: START_MS + 300, to_ms: START_MS };
        let page = store.samples(station(8), reversed, Resolution::Full, Page::first(9)).await.unwrap();
        assert_eq!(page.items, []);
    })
    .await;
}

async fn a_coarser_resolution_keeps_the_last_of_each_step(subject: &dyn Subject, store: &dyn TelemetryStore) {
    append(store, &[numbered_batch(9, 1, 0, 25)]).await;
    subject.settle(store).await;
    append(store, &[numbered_batch(9, 1, 25, 10), batch(9, 2, 0, &[29_500])]).await;
    let resolution = Resolution::Every { step_ms: NonZeroU64::new(10_000).unwrap() };
    let range = TimeRange { from_ms: START_MS + 3_000, to_ms: START_MS + 34_000 };
    let mut numbers = Vec::new();
    let mut page = Page::first(2);
    loop {
        let found = store.samples(station(9), range, resolution, page).await.unwrap();
        numbers.extend(found.items.iter().map(|stored| (stored.boot_no, stored.sample_no)));
        let Some(after) = found.next else { break };
        page = Page::after(after, 2);
    }
    assert_eq!(numbers, [(1, 9), (1, 19), (2, 0), (1, 33)]);
}

async fn a_bank_is_followed_across_stations(subject: &dyn Subject, store: &dyn TelemetryStore) {
    let other = bank(200);
    let with_other = |station_number, offsets_ms: &[u64]| {
        let mut batch = batch(station_number, 1, 0, offsets_ms);
        for sample in &mut batch.samples {
            sample.slots[1].bank = Some(other);
        }
        batch
    };
    append(store, &[with_other(10, &[1_000, 2_000, 9_000])]).await;
    subject.settle(store).await;
    append(store, &[with_other(11, &[1_000, 5_000]), batch(12, 1, 0, &[3_000])]).await;
    let mut seen = Vec::new();
    let mut page = Page::first(2);
    loop {
        let found = store.bank_life(other, EVER, page).await.unwrap();
        assert!(found.items.iter().all(|reading| reading.slot.bank == Some(other)));
        seen.extend(found.items.iter().map(|reading| {
            (reading.position.at_ms - START_MS, reading.position.station_id.0[0], reading.position.slot)
        }));
        let Some(after) = found.next else { break };
        page = Page::after(after, 2);
    }
    assert_eq!(seen, [(1_000, 10, 2), (1_000, 11, 2), (2_000, 10, 2), (5_000, 11, 2), (9_000, 10, 2)]);
    let range = TimeRange { from_ms: START_MS + 2_000, to_ms: START_MS + 9_000 };
    assert_eq!(store.bank_life(other, range, Page::first(9)).await.unwrap().items.len(), 2);
    assert_eq!(store.bank_life(bank(201), EVER, Page::first(9)).await.unwrap().items, []);
}

async fn events_come_by_number_and_once(store: &dyn TelemetryStore) {
    let of = |numbers: &[u64]| numbers.iter().map(|number| event(13, *number)).collect::<Vec<_>>();
    store.append_events(of(&[5, 6, 6, 9])).await.unwrap();
    let mut resend = event(13, 6);
    resend.received_at_ms += 1;
    store.append_events(vec![resend]).await.unwrap();
    store.append_events(of(&[7, 2, 9])).await.unwrap();
    store.append_events(vec![event(14, 6)]).await.unwrap();
    assert_eq!(store.events(station(13), EventNo(0), 100).await.unwrap(), of(&[2, 5, 6, 7, 9]));
    assert_eq!(store.events(station(13), EventNo(5), 2).await.unwrap(), of(&[6, 7]));
    assert_eq!(store.events(station(13), EventNo(9), 2).await.unwrap(), []);
    assert_eq!(store.events(station(13), EventNo::MAX, 2).await.unwrap(), []);
    assert_eq!(store.events(station(13), EventNo(0), 0).await.unwrap().len(), 1);
}

async fn concurrent_writers_lose_nothing(store: Arc<dyn TelemetryStore>) {
    let writers = (0..8u8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for turn in 0..20 {
                // Two writers share each station, as an old and a new session of it may.
                let boot_no = u32::from(writer / 4);
                append(&*store, &[numbered_batch(20 + writer % 4, boot_no, turn * 3, 3)]).await;
                store.append_events(vec![event(20 + writer % 4, u64::from(turn) + 1)]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    for number in 20..24 {
        assert_eq!(samples_of(&*store, number).await.len(), 120);
        assert_eq!(store.events(station(number), EventNo(0), 100).await.unwrap().len(), 20);
    }
}

async fn everything_acknowledged_is_there_after_reopening(
    subject: &dyn Subject,
    store: Arc<dyn TelemetryStore>,
) {
    let before = everything(&*store).await;
    store.close().await.unwrap();
    let store = subject.open().await;
    assert_eq!(everything(&*store).await, before);
    subject.settle(&*store).await;
    assert_eq!(everything(&*store).await, before);
    store.close().await.unwrap();
}

async fn a_resend_after_reopening_makes_no_second_row(subject: &dyn Subject, store: &dyn TelemetryStore) {
    let before = everything(store).await;
    append(store, &[numbered_batch(3, 7, 100, 4), numbered_batch(4, 1, 2, 2), numbered_batch(4, 1, 6, 2)])
        .await;
    store.append_events(vec![event(13, 6), event(13, 9)]).await.unwrap();
    subject.clock().advance_ms(WINDOW_MS);
    append(store, &[numbered_batch(7, 1, 300, 100)]).await;
    assert_eq!(everything(store).await, before);
}

async fn what_arrived_before_is_expired_and_latest_stays(
    subject: &dyn Subject,
    store: Arc<dyn TelemetryStore>,
) {
    append(&*store, &[numbered_batch(30, 1, 0, 3)]).await;
    store.append_events(vec![event(30, 1)]).await.unwrap();
    subject.clock().advance_ms(WINDOW_MS);
    append(&*store, &[numbered_batch(31, 1, 0, 3), numbered_batch(30, 1, 3, 2)]).await;
    let latest = latest_of(&*store, 7).await;
    assert!(latest.is_some());
    store.expire(subject.clock().wall_ms()).await.unwrap();
    let check = async |store: &dyn TelemetryStore| {
        let numbers: Vec<_> = samples_of(store, 30).await.iter().map(|stored| stored.sample_no).collect();
        assert_eq!(numbers, [3, 4]);
        assert_eq!(samples_of(store, 31).await.len(), 3);
        assert_eq!(samples_of(store, 7).await, []);
        assert_eq!(store.events(station(30), EventNo(0), 9).await.unwrap(), []);
        assert_eq!(latest_of(store, 7).await, latest, "latest outlives retention");
    };
    check(&*store).await;
    store.close().await.unwrap();
    let store = subject.open().await;
    check(&*store).await;
    store.close().await.unwrap();
}

async fn a_closed_store_refuses(subject: &dyn Subject) {
    let store = subject.open().await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(store.append(vec![numbered_batch(40, 1, 0, 1)]).await, Err(StoreError::Unavailable));
    assert_eq!(store.append_events(vec![event(40, 1)]).await, Err(StoreError::Unavailable));
    assert_eq!(store.latest(&[station(40)]).await, Err(StoreError::Unavailable));
    let page = store.samples(station(40), EVER, Resolution::Full, Page::first(1)).await;
    assert_eq!(page.unwrap_err(), StoreError::Unavailable);
    assert!(!store.health().is_writable());
}

async fn append(store: &dyn TelemetryStore, batches: &[SampleBatch]) {
    store.append(batches.to_vec()).await.unwrap();
}

async fn latest_of(store: &dyn TelemetryStore, number: u8) -> Option<StoredSample> {
    store.latest(&[station(number)]).await.unwrap().pop().map(|latest| latest.stored)
}

/// Every sample of a station, page by page.
pub async fn samples_of(store: &dyn TelemetryStore, number: u8) -> Vec<StoredSample> {
    let mut samples = Vec::new();
    let mut page = Page::first(PAGE_ITEMS_MAX);
    loop {
        let found = store.samples(station(number), EVER, Resolution::Full, page).await.unwrap();
        samples.extend(found.items);
        let Some(after) = found.next else { return samples };
        page = Page::after(after, PAGE_ITEMS_MAX);
    }
}

/// Checks fresh rows, and the same rows in their final form.
async fn twice(subject: &dyn Subject, store: &dyn TelemetryStore, check: impl AsyncFn(&dyn TelemetryStore)) {
    check(store).await;
    subject.settle(store).await;
    check(store).await;
}

type Everything = (Vec<(StationId, Vec<StoredSample>, Vec<EventRecord>)>, Vec<LatestSample>);

async fn everything(store: &dyn TelemetryStore) -> Everything {
    let mut all = Vec::new();
    for number in 0..50 {
        let events = store.events(station(number), EventNo(0), PAGE_ITEMS_MAX).await.unwrap();
        all.push((station(number), samples_of(store, number).await, events));
    }
    let stations: Vec<_> = (0..50).map(station).collect();
    (all, store.latest(&stations).await.unwrap())
}
