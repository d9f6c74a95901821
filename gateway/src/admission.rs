//! Who may log in, and how many at a time. Cheapest refusals first; a storm is answered, not queued.

use crate::config::{AdmissionSettings, UnknownStations};
use crate::keyring::KeyRing;
use crate::limits;
use crate::registry::{NotAccepted, locked};
use crate::roster::RosterView;
use protocol::clock::Clock;
use protocol::control::Admission as Verdict;
use protocol::crypto::StationKey;
use protocol::message::{Hello, RetryReason};
use protocol::types::{Epoch, StationId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Judges logins by what is in memory: buckets, roster, master keys.
pub struct Admission {
    settings: AdmissionSettings,
    unknown_stations: UnknownStations,
    keys: KeyRing,
    roster: Arc<RosterView>,
    clock: Arc<dyn Clock>,
    draining: AtomicBool,
    buckets: Mutex<Buckets>,
}

/// A login that does not go on: what the station is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RetryReason,
    /// When it may come again.
    pub retry_after_ms: u32,
}

/// A login that goes on to PROOF.
pub struct Admitted {
    /// What the station must prove that it has.
    pub key: StationKey,
    /// It has taken a turn of the fleet's, which is given back if nothing is proven.
    pub has_turn: bool,
}

impl Admission {
    /// Full buckets.
    pub fn new(
        settings: AdmissionSettings,
        keys: KeyRing,
        roster: Arc<RosterView>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now_ms = clock.monotonic_ms();
        let buckets = Mutex::new(Buckets {
            all: Bucket::full(f64::from(settings.burst), now_ms),
            strangers: Bucket::full(part_of_strangers(settings.burst), now_ms),
            blocks: HashMap::new(),
            waiting: 0.0,
            waiting_at_ms: now_ms,
        });
        let unknown_stations = UnknownStations::default();
        Self { settings, unknown_stations, keys, roster, clock, draining: AtomicBool::new(false), buckets }
    }

    /// Says what becomes of stations that the roster does not know.
    pub fn with_unknown_stations(self, unknown_stations: UnknownStations) -> Self {
        Self { unknown_stations, ..self }
    }

    /// From now on nobody is let in.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// HELLO: the station's key, if the login may go on. Nothing of it is proven.
    pub fn judge_hello(&self, hello: &Hello<'_>, peer: IpAddr) -> Result<Admitted, Refusal> {
        if self.draining.load(Ordering::Acquire) {
            return Err(self.spread(
                RetryReason::Draining,
                &hello.station_id,
                self.settings.reconnect_spread_ms,
            ));
        }
        if !self.roster.is_loaded() {
            return Err(self.spread(
                RetryReason::Unavailable,
                &hello.station_id,
                self.settings.reconnect_spread_ms,
            ));
        }
        let takes_key = self.roster.takes_key(&hello.station_id, hello.key_gen);
        if takes_key == Some(false) {
            return Err(self.later(RetryReason::Revoked));
        }
        if !self.keys.has(hello.key_id) {
            return Err(self.later(RetryReason::UnknownKey));
        }
        let has_turn = takes_key.is_some() || self.unknown_stations == UnknownStations::Accept;
        if has_turn {
            self.take_tokens(&hello.station_id, peer)?;
        } else {
            self.take_token_of_strangers(&hello.station_id)?;
        }
        let key = self.keys.station_key(hello.key_id, hello.station_id, hello.key_gen);
        let key = key.ok_or(self.later(RetryReason::UnknownKey))?;
        Ok(Admitted { key, has_turn })
    }

    /// A login ended before it had a session: the turn that it took is another's. Ids are no secret, so a HELLO alone must not
    /// cost the fleet anything for longer than its socket is there.
    pub(crate) fn give_back(&self, block: Block) {
        let settings = &self.settings;
        let mut buckets = locked(&self.buckets);
        buckets.all.give_back(f64::from(settings.burst));
        if let Some(of_block) = buckets.blocks.get_mut(&block) {
            of_block.give_back(f64::from(settings.block_burst));
        }
    }

    /// PROOF was right: whether this station may have a session.
    pub fn judge_proven(&self, station_id: &StationId, epoch: Epoch, imei: &str) -> Result<(), Refusal> {
        if self.draining.load(Ordering::Acquire) {
            return Err(self.spread(RetryReason::Draining, station_id, self.settings.reconnect_spread_ms));
        }
        // The roster may have changed since HELLO, so everything is looked at again.
        let Some(entry) = self.roster.entry(station_id) else {
            return match self.unknown_stations {
                UnknownStations::Pending => Err(self.later(RetryReason::NotApproved)),
                UnknownStations::Accept => Ok(()),
            };
        };
        if entry.admission == Verdict::Revoked || epoch.key_gen() < entry.min_key_gen {
            return Err(self.later(RetryReason::Revoked));
        }
        if entry.admission == Verdict::Pending {
            return Err(self.later(RetryReason::NotApproved));
        }
        if entry.imei.as_deref().is_some_and(|known| !imei.is_empty() && known != imei) {
            return Err(self.later(RetryReason::WrongImei));
        }
        Ok(())
    }

    /// A proven session that the registry did not accept.
    pub fn not_accepted(&self, station_id: &StationId, why: NotAccepted) -> Refusal {
        match why {
            NotAccepted::Stale { .. } => self.later(RetryReason::StaleEpoch),
            NotAccepted::Quarantined { left_ms, .. } => Refusal {
                reason: RetryReason::Quarantined,
                retry_after_ms: u32::try_from(left_ms).unwrap_or(u32::MAX),
            },
            // What makes one flap, like a weak cell, makes its neighbours flap at the same moments.
            NotAccepted::Flapping { left_ms } => {
                let left_ms = u32::try_from(left_ms).unwrap_or(u32::MAX);
                let spread = self.spread(RetryReason::Busy, station_id, self.settings.reconnect_spread_ms);
                Refusal { retry_after_ms: spread.retry_after_ms.saturating_add(left_ms), ..spread }
            }
        }
    }

    /// Memory is short: come back when the fleet would after a restart, each at its own place.
    pub(crate) fn without_room(&self, station_id: &StationId) -> Refusal {
        self.spread(RetryReason::Unavailable, station_id, self.settings.reconnect_spread_ms)
    }

    fn take_tokens(&self, station_id: &StationId, peer: IpAddr) -> Result<(), Refusal> {
        let now_ms = self.clock.monotonic_ms();
        let settings = &self.settings;
        let mut buckets = locked(&self.buckets);
        buckets.drain_waiting(f64::from(settings.logins_per_s), now_ms);
        let block_burst = f64::from(settings.block_burst);
        buckets.forget_full_blocks(f64::from(settings.block_logins_per_s), block_burst, now_ms);
        let block = buckets.blocks.entry(Block::of(peer)).or_insert(Bucket::full(block_burst, now_ms));
        let in_block = block.take(f64::from(settings.block_logins_per_s), block_burst, now_ms);
        if in_block && buckets.all.take(f64::from(settings.logins_per_s), f64::from(settings.burst), now_ms) {
            return Ok(());
        }
        // However often they ask: there are no more of them than the fleet has.
        let fleet = match self.unknown_stations {
            UnknownStations::Pending => self.roster.station_count() as f64,
            UnknownStations::Accept => f64::MAX,
        };
        buckets.waiting = (buckets.waiting + 1.0).min(fleet);
        let window_ms = buckets.waiting * 1_000.0 / f64::from(settings.logins_per_s.max(1));
        drop(buckets);
        Err(self.spread(RetryReason::Busy, station_id, window_ms as u32))
    }

    /// Anybody can make up an id, so those that nobody knows have a bucket of their own: they never take the turn of
    /// a station.
    fn take_token_of_strangers(&self, station_id: &StationId) -> Result<(), Refusal> {
        let now_ms = self.clock.monotonic_ms();
        let per_s = part_of_strangers(self.settings.logins_per_s);
        let burst = part_of_strangers(self.settings.burst);
        if locked(&self.buckets).strangers.take(per_s, burst, now_ms) {
            return Ok(());
        }
        Err(self.spread(RetryReason::Busy, station_id, self.settings.pending_retry_ms))
    }

    /// Computed, not random: over a window that fits the queue, each station has its own place.
    fn spread(&self, reason: RetryReason, station_id: &StationId, window_ms: u32) -> Refusal {
        let place_ms = (place(station_id) % u64::from(window_ms.max(1))) as u32;
        Refusal { reason, retry_after_ms: self.settings.retry_min_ms.saturating_add(place_ms) }
    }

    fn later(&self, reason: RetryReason) -> Refusal {
        Refusal { reason, retry_after_ms: self.settings.pending_retry_ms }
    }
}

fn part_of_strangers(logins: u32) -> f64 {
    f64::from((logins / limits::STRANGERS_PART).max(1))
}

struct Buckets {
    all: Bucket,
    strangers: Bucket,
    blocks: HashMap<Block, Bucket>,
    /// How many refused stations have not had their turn, estimated: refusals fill it, the
    /// rate of admission empties it.
    waiting: f64,
    waiting_at_ms: u64,
}

impl Buckets {
    fn drain_waiting(&mut self, per_s: f64, now_ms: u64) {
        let admitted = now_ms.saturating_sub(self.waiting_at_ms) as f64 * per_s / 1_000.0;
        self.waiting = (self.waiting - admitted).max(0.0);
        self.waiting_at_ms = now_ms;
    }

    /// A full bucket says nothing that a new one would not say.
    fn forget_full_blocks(&mut self, per_s: f64, burst: f64, now_ms: u64) {
        if self.blocks.len() < limits::ADMISSION_BLOCKS_MAX {
            return;
        }
        self.blocks.retain(|_, bucket| bucket.filled(per_s, burst, now_ms) < burst);
        if self.blocks.len() >= limits::ADMISSION_BLOCKS_MAX {
            self.blocks.clear();
        }
    }
}

struct Bucket {
    tokens: f64,
    at_ms: u64,
}

impl Bucket {
    const fn full(burst: f64, now_ms: u64) -> Self {
        Self { tokens: burst, at_ms: now_ms }
    }

    fn filled(&self, per_s: f64, burst: f64, now_ms: u64) -> f64 {
        (self.tokens + now_ms.saturating_sub(self.at_ms) as f64 * per_s / 1_000.0).min(burst)
    }

    const fn give_back(&mut self, burst: f64) {
        self.tokens = (self.tokens + 1.0).min(burst);
    }

    fn take(&mut self, per_s: f64, burst: f64, now_ms: u64) -> bool {
        self.tokens = self.filled(per_s, burst, now_ms);
        self.at_ms = now_ms;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// A carrier's addresses. Thousands of stations share one address behind carrier NAT, so a
/// single address is never limited by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Block {
    V4([u8; 2]),
    V6([u8; 4]),
}

impl Block {
    pub(crate) fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// FNV-1a over the id: the same place on every gateway.
fn place(station_id: &StationId) -> u64 {
    station_id.0.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::clock::ManualClock;
    use protocol::control::{Roster, RosterEntry};
    use protocol::crypto::MasterKey;
    use protocol::message::{Capabilities, DisconnectReason};
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

    fn hello(id: u32, key_id: u16, key_gen: u16) -> Hello<'static> {
        let mut station_id = [0; 16];
        station_id[12..].copy_from_slice(&id.to_be_bytes());
        Hello {
            version_min: 1,
            version_max: 1,
            station_id: StationId(station_id),
            key_id,
            key_gen,
            boot_no: 1,
            conn_no: 1,
            nonce_s: [0; 16],
            payload_max_bytes: 2_048,
            last_disconnect: DisconnectReason::None,
            firmware: "",
            hardware: "",
            imei: "",
            iccid: "",
            capabilities: Capabilities::default(),
            slots: None,
        }
    }

    fn admission(
        settings: AdmissionSettings,
        entries: &[(u32, Verdict, Option<&str>)],
    ) -> (Arc<ManualClock>, Admission) {
        let clock = Arc::new(ManualClock::at(0));
        let roster = Arc::new(RosterView::new());
        let entries = entries
            .iter()
            .map(|(id, admission, imei)| RosterEntry {
                station_id: hello(*id, 1, 1).station_id,
                min_key_gen: 2,
                admission: *admission,
                imei: imei.map(str::to_owned),
            })
            .collect();
        roster.apply(Roster { version: 1, entries }, true);
        let keys = KeyRing::new([(1, MasterKey::from_bytes([1; 32]))]);
        (clock.clone(), Admission::new(settings, keys, roster, clock))
    }

    #[test]
    fn refusals_before_the_proof() {
        let (_, admission) = admission(AdmissionSettings::default(), &[(1, Verdict::Approved, None)]);
        let judge = |id, key_id, key_gen| {
            admission
                .judge_hello(&hello(id, key_id, key_gen), PEER)
                .map(drop)
                .map_err(|refusal| refusal.reason)
        };
        assert_eq!(judge(1, 1, 2), Ok(()));
        assert_eq!(judge(2, 1, 1), Ok(()), "an unknown station may prove its key");
        assert_eq!(judge(1, 1, 1), Err(RetryReason::Revoked));
        assert_eq!(judge(1, 9, 2), Err(RetryReason::UnknownKey));
        admission.start_draining();
        assert_eq!(judge(1, 1, 2), Err(RetryReason::Draining));
    }

    #[test]
    fn refusals_after_the_proof() {
        let stations =
            [(1, Verdict::Approved, Some("356")), (2, Verdict::Pending, None), (3, Verdict::Revoked, None)];
        let (_, admission) = admission(AdmissionSettings::default(), &stations);
        let judge = |id, key_gen, imei| {
            let epoch = Epoch::from_parts(key_gen, 1, 1).unwrap();
            let judged = admission.judge_proven(&hello(id, 1, 1).station_id, epoch, imei);
            judged.map_err(|refusal| refusal.reason)
        };
        assert_eq!(judge(1, 2, "356"), Ok(()));
        assert_eq!(judge(1, 2, ""), Ok(()));
        assert_eq!(judge(1, 2, "357"), Err(RetryReason::WrongImei));
        assert_eq!(judge(1, 1, "356"), Err(RetryReason::Revoked));
        assert_eq!(judge(2, 2, ""), Err(RetryReason::NotApproved));
        assert_eq!(judge(3, 2, ""), Err(RetryReason::Revoked));
        assert_eq!(judge(4, 2, ""), Err(RetryReason::NotApproved));
    }

    #[test]
    fn a_storm_becomes_a_straight_line() {
        let settings = AdmissionSettings { logins_per_s: 100, burst: 100, ..AdmissionSettings::default() };
        let fleet: Vec<_> = (0..10_000).map(|id| (id, Verdict::Approved, None)).collect();
        let (_, admission) = admission(settings, &fleet);
        let mut delays_ms = Vec::new();
        for id in 0..10_000 {
            if let Err(refusal) = admission.judge_hello(&hello(id, 1, 2), PEER) {
                assert_eq!(refusal.reason, RetryReason::Busy);
                delays_ms.push(refusal.retry_after_ms - 1_000);
            }
        }
        assert_eq!(delays_ms.len(), 9_900);
        // 9 900 stations at 100 a second are 99 s of work.
        let latest_ms = delays_ms.iter().max().copied().unwrap();
        assert!((80_000..99_000).contains(&latest_ms), "{latest_ms}");
        let (clock, admission) = {
            let settings = AdmissionSettings { logins_per_s: 100, burst: 1, ..AdmissionSettings::default() };
            self::admission(settings, &fleet)
        };
        assert!(admission.judge_hello(&hello(1, 1, 2), PEER).is_ok());
        assert!(admission.judge_hello(&hello(2, 1, 2), PEER).is_err());
        clock.advance_ms(10);
        assert!(admission.judge_hello(&hello(2, 1, 2), PEER).is_ok());
    }

    #[test]
    fn one_carrier_block_cannot_take_all_logins() {
        let settings = AdmissionSettings { block_burst: 1, ..AdmissionSettings::default() };
        let (_, admission) = admission(settings, &[1, 2, 3].map(|id| (id, Verdict::Approved, None)));
        let neighbour = IpAddr::V4(Ipv4Addr::new(10, 1, 200, 200));
        let stranger = IpAddr::V4(Ipv4Addr::new(10, 2, 2, 3));
        assert!(admission.judge_hello(&hello(1, 1, 2), PEER).is_ok());
        assert!(admission.judge_hello(&hello(2, 1, 2), neighbour).is_err());
        assert!(admission.judge_hello(&hello(3, 1, 2), stranger).is_ok());
    }

    #[test]
    fn ids_that_somebody_made_up_take_no_turn_of_a_station_and_make_nobody_wait() {
        let settings = AdmissionSettings { logins_per_s: 100, burst: 100, ..AdmissionSettings::default() };
        let fleet: Vec<_> = (0..200).map(|id| (id, Verdict::Approved, None)).collect();
        let (_, admission) = admission(settings, &fleet);
        let made_up = (1_000..11_000).filter(|id| admission.judge_hello(&hello(*id, 1, 2), PEER).is_ok());
        assert_eq!(made_up.count(), 100 / limits::STRANGERS_PART as usize);
        assert!((0..100).all(|id| admission.judge_hello(&hello(id, 1, 2), PEER).is_ok()));
        // Two hundred stations at a hundred a second: however often one asks, its turn is within two seconds.
        let retries = (0..10_000).filter_map(|_| admission.judge_hello(&hello(150, 1, 2), PEER).err());
        let latest_ms = retries.map(|refusal| refusal.retry_after_ms).max().unwrap();
        assert!(latest_ms <= 1_000 + 2_000, "{latest_ms}");
    }
}
