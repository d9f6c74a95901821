//! What followers are told of a station: truly here, suspect, gone and why, flapping, or two of it.

use crate::harness::{Identity, PresenceLines, Station, World, next_command_id};
use protocol::clock::ManualClock;
use protocol::control::{PresenceLine, StationTrouble};
use protocol::message::{Message, RetryReason};
use std::sync::Arc;

const NOW_MS: u64 = 1_800_000_000_000;

#[tokio::test]
async fn a_station_is_suspect_from_an_overdue_receipt_to_its_next_word() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let world = World::with_clock(clock.clone(), |_| {}).await;
    let (identity, mut station) = world.session().await;
    let mut lines = PresenceLines::follow(&world).await;
    let here = lines
        .next_that(|line| match line {
            PresenceLine::Station(station) => Some(station.clone()),
            _ => None,
        })
        .await;
    assert!(!here.suspect);
    // After a silence an eject is its own probe, and the receipt has two seconds.
    clock.advance_ms(21_000);
    world.offer(next_command_id(), &world.eject(identity.station_id)).await;
    station.next_command().await;
    clock.advance_ms(2_000);
    let suspect = lines
        .next_that(|line| match line {
            PresenceLine::Station(station) if station.suspect => Some(station.clone()),
            _ => None,
        })
        .await;
    assert_eq!((suspect.since_ms, suspect.epoch), (NOW_MS + 23_000, here.epoch));
    assert_eq!(suspect.last_seen_ms, NOW_MS, "the last proof of life is older");
    // Half a word proves nothing.
    let heartbeat = station.encode(Message::Heartbeat);
    let (begin, rest) = heartbeat.split_at(heartbeat.len() / 2);
    station.write(begin).await;
    let (_, mut neighbour) = world.session().await;
    neighbour.expect_alive().await;
    clock.advance_ms(1_000);
    station.write(rest).await;
    let trusted = lines
        .next_that(|line| match line {
            PresenceLine::Station(station)
                if station.station_id == identity.station_id && !station.suspect =>
            {
                Some(station.clone())
            }
            _ => None,
        })
        .await;
    assert_eq!((trusted.since_ms, trusted.last_seen_ms), (here.since_ms, NOW_MS + 24_000));
}

#[tokio::test]
async fn a_new_follower_hears_why_a_station_is_away() {
    let world = World::new().await;
    let (identity, mut station) = world.session().await;
    station.seq_out += 1;
    station.send(Message::Heartbeat).await;
    station.wait_for_close().await;
    crate::harness::eventually("the end", || world.gateway.sessions() == 0).await;
    let mut lines = PresenceLines::follow(&world).await;
    let (reason, epoch) = lines
        .next_that(|line| match line {
            PresenceLine::Gone { station_id, reason, epoch, .. } if *station_id == identity.station_id => {
                Some((reason.clone(), *epoch))
            }
            PresenceLine::SnapshotEnd => panic!("it is not in the snapshot"),
            _ => None,
        })
        .await;
    assert_eq!((reason.as_str(), epoch), ("bad_sequence", station.epoch));
}

#[tokio::test]
async fn a_station_that_comes_and_goes_is_flapping_once_slowed_down_and_settles_after_a_calm_time() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let world = World::with_clock(clock.clone(), |settings| {
        settings.flapping.sessions = 3;
        settings.flapping.window_ms = 60_000;
        settings.flapping.calm_ms = 120_000;
        settings.flapping.pause_ms = 10_000;
    })
    .await;
    let mut lines = PresenceLines::follow(&world).await;
    let mut identity = world.approved_station().await;
    for _ in 0..2 {
        drop(world.log_in(&mut identity).await);
        clock.advance_ms(1_000);
    }
    let (_, terms) = log_in_with_terms(&world, &mut identity).await;
    assert_eq!((terms.min_ms, terms.spread_ms), (10_000, 10_000), "it is asked to take its time");
    let begun = trouble(&mut lines).await.flapping.unwrap();
    assert_eq!((begun.since_ms, begun.sessions), (NOW_MS + 2_000, 3));

    // Back too soon: computed, beyond the pause that is left, and no session.
    clock.advance_ms(4_000);
    identity.conn_no += 1;
    let refused = Station::log_in(world.gateway.station_addr(), &identity).await.err().unwrap();
    assert_eq!((refused.reason, refused.is_proven), (RetryReason::Busy, true));
    assert!((6_000..60_000).contains(&refused.retry_after_ms), "{refused:?}");
    clock.advance_ms(6_000);
    let (_station, _) = log_in_with_terms(&world, &mut identity).await;

    // Another follower hears of the same episode.
    let mut second = PresenceLines::follow(&world).await;
    assert_eq!(trouble(&mut second).await.flapping, Some(begun));
    clock.advance_ms(120_000);
    assert!(trouble(&mut lines).await.is_over(), "told of the begin once, then of the end");
}

#[tokio::test]
async fn two_devices_with_one_identity_are_told_with_begin_and_end() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let world = World::with_clock(clock.clone(), |settings| settings.flapping.sessions = 0).await;
    let mut lines = PresenceLines::follow(&world).await;
    let address = world.gateway.station_addr();
    let mut first = world.approved_station().await;
    first.conn_no = 5;
    let mut second = Identity { conn_no: 1, ..first.clone() };
    let mut _last = Station::log_in(address, &first).await.unwrap();
    while Station::log_in(address, &second).await.err().unwrap().reason == RetryReason::StaleEpoch {
        second.conn_no = first.conn_no + 1;
        _last = Station::log_in(address, &second).await.unwrap();
        std::mem::swap(&mut first, &mut second);
    }
    let told = trouble(&mut lines).await;
    let quarantine = told.quarantine.unwrap();
    assert_eq!((told.station_id, quarantine.since_ms), (first.station_id, NOW_MS));
    clock.advance_ms(quarantine.until_ms - NOW_MS);
    assert!(trouble(&mut lines).await.is_over());
}

async fn trouble(lines: &mut PresenceLines) -> StationTrouble {
    lines
        .next_that(|line| match line {
            PresenceLine::Trouble(trouble) => Some(trouble.clone()),
            _ => None,
        })
        .await
}

async fn log_in_with_terms(
    world: &World,
    identity: &mut Identity,
) -> (Station, protocol::message::Reconnect) {
    let station = world.log_in(identity).await;
    let terms = station.reconnect.unwrap();
    (station, terms)
}
