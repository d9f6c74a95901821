//! Riders who sign in, top up, rent, wander and return, each at a pace of their own.
//!
//! They know what a person knows: the public API, the sticker on a station, and which bank is in
//! their hand. All of them are drawn from one seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::clock::Clock;
use protocol::types::BankSerial;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::limits::LIFE_PACE;
use crate::rest::{Money, OneTimePasswords, Rest, RestError, Session};
use crate::street::{StandingCabinet, Street};

/// What a rider tops up by when the wallet holds too little, rupees.
const TOPUP_RUPEES: u32 = 500;
/// How often a rider's app asks whether the bank is out.
const ASK_AGAIN: Duration = Duration::from_millis(400);
/// When a rider's app stops asking.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many stations a rider tries before giving up for a while.
const STATIONS_TRIED_MAX: usize = 4;
/// The shortest wait after something went wrong.
const DISAPPOINTED: Duration = Duration::from_secs(3);
/// The mean time that a rider keeps a bank at speed 1.
const RIDE_MS: u64 = 25_000;
/// The mean pause of a rider between two rentals at speed 1.
const PAUSE_MS: u64 = 12_000;
/// From one station to the next at speed 1.
const WALK_MS: u64 = 2_000;

/// How the riders behave.
#[derive(Clone, Copy, Debug)]
pub struct RiderBehaviour {
    /// How many there are.
    pub riders: u32,
    /// The same seed gives the same choices.
    pub seed: u64,
    /// How hurried they are; 1 is a pace that a person can watch.
    pub speed: f64,
}

/// All riders.
pub struct Riders {
    /// The API, not signed in.
    pub rest: Rest,
    /// Where they walk.
    pub street: Street,
    /// Where they read their codes.
    pub passwords: Arc<dyn OneTimePasswords>,
    /// How they behave.
    pub behaviour: RiderBehaviour,
    /// Makes their wishes different from those of an earlier run.
    pub clock: Arc<dyn Clock>,
    /// What they have done.
    pub counts: Arc<RiderCounts>,
}

/// What the riders have done so far.
#[derive(Debug, Default)]
pub struct RiderCounts {
    started: AtomicU64,
    ridden: AtomicU64,
    completed: AtomicU64,
    refused: AtomicU64,
}

impl RiderCounts {
    /// Rentals that were asked for and accepted.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Rentals whose bank came out.
    pub fn ridden(&self) -> u64 {
        self.ridden.load(Ordering::Relaxed)
    }

    /// Rentals that were returned and closed while the rider watched.
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Attempts that came to nothing.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Riders {
    /// Lets them live until the token is cancelled.
    pub async fn live(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        for number in 0..self.behaviour.riders {
            let seed = self.behaviour.seed.wrapping_mul(1_000_003).wrapping_add(number.into());
            let rider = Rider {
                phone: phone(number),
                random: SmallRng::seed_from_u64(seed),
                speed: self.behaviour.speed,
                rest: self.rest.clone(),
                street: self.street.clone(),
                clock: Arc::clone(&self.clock),
                counts: Arc::clone(&self.counts),
            };
            let (passwords, stop) = (Arc::clone(&self.passwords), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = rider.live(&*passwords) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// The phone number of the rider with this number.
pub fn phone(number: u32) -> String {
    format!("+97798410{number:05}")
}

/// Tops the wallet up through the sandbox provider's hosted page, as a person would.
///
/// `key` makes a repeated top-up the same top-up.
pub async fn top_up(rest: &Rest, rupees: u32, key: Uuid) -> Result<(), RestError> {
    let methods: Items<Method> = rest.get("payments/methods").await?;
    let method = methods.items.iter().find(|method| method.gateway == "sandbox").map(|method| method.id);
    let body = json!({ "amount": Money::rupees(rupees), "payment_method_id": method });
    let intent: Intent = rest.post_once("payments/wallet/topup-intent", key, &body).await?;
    rest.pay_hosted_page(&intent.gateway_url).await?;
    let _: Value = rest.post("payments/verify-topup", &json!({ "intent_id": intent.intent_id })).await?;
    Ok(())
}

struct Rider {
    phone: String,
    random: SmallRng,
    speed: f64,
    rest: Rest,
    street: Street,
    clock: Arc<dyn Clock>,
    counts: Arc<RiderCounts>,
}

#[derive(Deserialize)]
struct ActiveRental {
    rental: Option<Rental>,
}

#[derive(Deserialize)]
struct Rental {
    id: Uuid,
    status: RentalStatus,
    power_bank: Option<RentedBank>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RentalStatus {
    Pending,
    Active,
    Overdue,
    #[serde(other)]
    Over,
}

#[derive(Deserialize)]
struct RentedBank {
    serial_number: BankSerial,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Package {
    id: Uuid,
}

#[derive(Deserialize)]
struct Method {
    id: Uuid,
    gateway: String,
}

#[derive(Deserialize)]
struct Intent {
    intent_id: String,
    gateway_url: String,
}

/// What a rider does about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextMove {
    /// Go to another station.
    WalkOn,
    /// Bring money in and ask the same again.
    TopUp,
    /// A rental is open: see to that one.
    LookAtOpenRental,
    /// Come back later.
    GiveUp,
}

fn next_move(refusal: &RestError) -> NextMove {
    match refusal.code() {
        Some("station_not_found" | "station_maintenance" | "station_offline" | "no_powerbanks_available") => {
            NextMove::WalkOn
        }
        Some("insufficient_balance" | "insufficient_postpaid_balance" | "unpaid_rental_exists") => {
            NextMove::TopUp
        }
        Some("active_rental_exists" | "overdue_rental_exists") => NextMove::LookAtOpenRental,
        Some(_) | None => NextMove::GiveUp,
    }
}

impl Rider {
    async fn live(mut self, passwords: &dyn OneTimePasswords) {
        let first_pause_ms = self.random.random_range(0..PAUSE_MS / 2);
        self.sleep(first_pause_ms).await;
        loop {
            match Session::open(&self.rest, &self.phone, passwords).await {
                Ok(session) => self.live_signed_in(session).await,
                Err(error) => self.be_disappointed(&error, "could not sign in").await,
            }
            self.pause().await;
        }
    }

    /// Rents again and again until the session cannot go on.
    async fn live_signed_in(&mut self, mut session: Session) {
        loop {
            match self.one_rental(&session.rest).await {
                Ok(()) => {}
                Err(error) if error.is_signed_out() => match session.refresh().await {
                    Ok(fresh) => {
                        session = fresh;
                        continue;
                    }
                    Err(error) if error.is_signed_out() => return,
                    Err(error) => self.be_disappointed(&error, "could not refresh a session").await,
                },
                Err(error) => self.be_disappointed(&error, "a rental did not work out").await,
            }
            self.pause().await;
        }
    }

    /// Rents, rides and returns once, or goes on with what is open already.
    async fn one_rental(&mut self, rest: &Rest) -> Result<(), RestError> {
        let rental = match open_rental(rest).await? {
            Some(rental) => rental,
            None => self.start(rest).await?,
        };
        let Some(bank) = wait_for_bank(rest, rental).await? else { return Ok(()) };
        self.counts.ridden.fetch_add(1, Ordering::Relaxed);
        let ride_ms = self.around(RIDE_MS);
        self.sleep(ride_ms).await;
        self.return_bank(bank, ride_ms as f64 * LIFE_PACE).await;
        if wait_until_closed(rest).await? {
            self.counts.completed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Walks from station to station until one gives a rental.
    async fn start(&mut self, rest: &Rest) -> Result<Rental, RestError> {
        let packages: Items<Package> = rest.get("rentals/packages").await?;
        let package = packages.items.choose(&mut self.random).map(|package| package.id);
        let mut stations: Vec<StandingCabinet> = self.street.cabinets().to_vec();
        stations.shuffle(&mut self.random);
        let has_bank =
            |standing: &StandingCabinet| standing.cabinet.slots().iter().any(|slot| slot.bank.is_some());
        let mut way = stations.iter().filter(|standing| has_bank(standing)).chain(&stations);
        let mut station = way.next().map(|standing| &standing.serial);
        let mut tried = 0;
        loop {
            let body = json!({ "station_sn": station, "package_id": package, "payment_mode": "wallet" });
            let refusal = match rest.post_once("rentals/start", self.key(), &body).await {
                Ok(rental) => {
                    self.counts.started.fetch_add(1, Ordering::Relaxed);
                    return Ok(rental);
                }
                Err(refusal) => refusal,
            };
            tried += 1;
            let next = if tried > STATIONS_TRIED_MAX { NextMove::GiveUp } else { next_move(&refusal) };
            match next {
                NextMove::WalkOn => {
                    station = way.next().map(|standing| &standing.serial);
                    self.sleep(WALK_MS).await;
                }
                NextMove::TopUp => {
                    let key = self.key();
                    top_up(rest, TOPUP_RUPEES, key).await?;
                }
                NextMove::LookAtOpenRental => return open_rental(rest).await?.ok_or(refusal),
                NextMove::GiveUp => return Err(refusal),
            }
        }
    }

    /// Puts the bank into the first station on the way that has room.
    async fn return_bank(&mut self, bank: BankSerial, drained_ms: f64) {
        while self.street.hands().hold(bank) {
            let standing = self.street.cabinets().choose(&mut self.random).cloned();
            let hands = self.street.hands();
            if standing.is_some_and(|standing| hands.put_back(bank, &standing.cabinet, drained_ms)) {
                return;
            }
            self.sleep(WALK_MS).await;
        }
    }

    /// Waits as long as the server asks, and a little at least.
    async fn be_disappointed(&self, error: &RestError, what: &str) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(rider = self.phone, %error, "{what}");
        tokio::time::sleep(error.retry_after().unwrap_or(DISAPPOINTED).max(DISAPPOINTED)).await;
    }

    async fn pause(&mut self) {
        let pause_ms = self.around(PAUSE_MS);
        self.sleep(pause_ms).await;
    }

    fn around(&mut self, mean_ms: u64) -> u64 {
        self.random.random_range(mean_ms / 2..mean_ms * 3 / 2)
    }

    async fn sleep(&self, at_speed_one_ms: u64) {
        tokio::time::sleep(Duration::from_millis(at_speed_one_ms).div_f64(self.speed)).await;
    }

    /// A key for one wish: time makes it new in each run, the seed tells riders apart.
    fn key(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.clock.wall_us(), self.random.random())
    }
}

async fn open_rental(rest: &Rest) -> Result<Option<Rental>, RestError> {
    rest.get::<ActiveRental>("rentals/active").await.map(|active| active.rental)
}

/// The bank, once the rental is active; nothing if it came to nothing or takes too long.
async fn wait_for_bank(rest: &Rest, mut rental: Rental) -> Result<Option<BankSerial>, RestError> {
    let mut waited = Duration::ZERO;
    while rental.status == RentalStatus::Pending && waited < PATIENCE {
        tokio::time::sleep(ASK_AGAIN).await;
        waited += ASK_AGAIN;
        rental = rest.get(&format!("rentals/{}", rental.id)).await?;
    }
    let is_out = matches!(rental.status, RentalStatus::Active | RentalStatus::Overdue);
    Ok(rental.power_bank.filter(|_| is_out).map(|bank| bank.serial_number))
}

/// Whether the rental was closed while the rider watched.
async fn wait_until_closed(rest: &Rest) -> Result<bool, RestError> {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if open_rental(rest).await?.is_none() {
            return Ok(true);
        }
        tokio::time::sleep(ASK_AGAIN).await;
        waited += ASK_AGAIN;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn a_refusal_has_a_next_move() {
        for (code, expected) in [
            ("station_offline", NextMove::WalkOn),
            ("no_powerbanks_available", NextMove::WalkOn),
            ("insufficient_balance", NextMove::TopUp),
            ("active_rental_exists", NextMove::LookAtOpenRental),
            ("rate_limited", NextMove::GiveUp),
        ] {
            let status = StatusCode::CONFLICT;
            let refusal = RestError::Refused {
                status,
                code: code.to_owned(),
                detail: String::new(),
                retry_after_s: None,
            };
            assert_eq!(next_move(&refusal), expected, "{code}");
        }
    }
}
