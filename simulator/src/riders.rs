//! Riders who sign in, top up, rent, wander and return, each at a pace of their own.

use std::sync::Arc;
use std::time::Duration;

use protocol::types::BankSerial;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::rest::{Money, OneTimePasswords, Rest, RestError, sign_in};
use crate::street::Street;

/// A rider tops up when the wallet holds less than this, paisa.
const WALLET_LOW_PAISA: i64 = 30_000;
/// What a rider tops up by, rupees.
const TOPUP_RUPEES: u32 = 500;
/// How often a rider's app asks whether the bank is out.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// When a rider's app stops asking.
const PATIENCE: Duration = Duration::from_secs(60);
/// The mean time that a rider keeps a bank at speed 1.
const RIDE_MS: u64 = 25_000;
/// The mean pause of a rider between two rentals at speed 1.
const PAUSE_MS: u64 = 12_000;

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

/// Lets riders live until the token is cancelled.
pub async fn live(
    rest: Rest,
    street: Street,
    passwords: Arc<dyn OneTimePasswords>,
    behaviour: RiderBehaviour,
    stop: CancellationToken,
) {
    let riders = tokio_util::task::TaskTracker::new();
    for number in 0..behaviour.riders {
        let rider = Rider {
            phone: phone(number),
            random: SmallRng::seed_from_u64(
                behaviour.seed.wrapping_mul(1_000_003).wrapping_add(number.into()),
            ),
            speed: behaviour.speed,
            rest: rest.clone(),
            street: street.clone(),
        };
        let (passwords, stop) = (Arc::clone(&passwords), stop.clone());
        riders.spawn(async move {
            tokio::select! {
                () = rider.live(&*passwords) => {}
                () = stop.cancelled() => {}
            }
        });
    }
    riders.close();
    riders.wait().await;
}

/// The phone number of the rider with this number.
pub fn phone(number: u32) -> String {
    format!("+97798410{number:05}")
}

struct Rider {
    phone: String,
    random: SmallRng,
    speed: f64,
    rest: Rest,
    street: Street,
}

#[derive(Deserialize)]
struct Rental {
    id: Uuid,
    status: String,
    power_bank: Option<RentedBank>,
}

#[derive(Deserialize)]
struct RentedBank {
    serial_number: BankSerial,
}

#[derive(Deserialize)]
struct Wallet {
    balance: Money,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Package {
    id: Uuid,
    duration_minutes: u32,
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

impl Rider {
    async fn live(mut self, passwords: &dyn OneTimePasswords) {
        let first_pause = self.random.random_range(0..PAUSE_MS / 2);
        self.sleep(first_pause).await;
        loop {
            match sign_in(&self.rest, &self.phone, passwords).await {
                Ok(signed_in) => {
                    self.rest = signed_in;
                    // A session ends by itself one day; then the rider signs in again.
                    while let Ok(()) = self.one_rental().await {}
                }
                Err(error) => tracing::debug!(rider = self.phone, %error, "could not sign in"),
            }
            self.pause().await;
        }
    }

    /// Rents, rides and returns once. An error means that the session is no longer good.
    async fn one_rental(&mut self) -> Result<(), RestError> {
        if let Err(error) = self.try_one_rental().await {
            let expired = matches!(&error, RestError::Refused { status, .. } if status.as_u16() == 401);
            tracing::debug!(rider = self.phone, %error, "a rental did not work out");
            if expired {
                return Err(error);
            }
        }
        self.pause().await;
        Ok(())
    }

    async fn try_one_rental(&mut self) -> Result<(), RestError> {
        let rental = match self.open_rental().await? {
            Some(rental) => rental,
            None => {
                self.top_up_if_low().await?;
                self.start().await?
            }
        };
        let Some(bank) = self.wait_for_bank(rental).await? else { return Ok(()) };
        let ride_ms = self.around(RIDE_MS);
        self.sleep(ride_ms).await;
        self.return_bank(bank, ride_ms as f64 * 20.0).await;
        self.wait_until_closed().await
    }

    async fn open_rental(&self) -> Result<Option<Rental>, RestError> {
        match self.rest.get::<Value>("rentals/active").await {
            Ok(answer) => Ok(serde_json::from_value(answer.get("rental").cloned().unwrap_or(answer)).ok()),
            Err(error) if error.code() == Some("rental_not_found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn top_up_if_low(&self) -> Result<(), RestError> {
        let wallet: Wallet = self.rest.get("users/wallet").await?;
        if wallet.balance.paisa().is_some_and(|balance| balance >= WALLET_LOW_PAISA) {
            return Ok(());
        }
        top_up(&self.rest, TOPUP_RUPEES).await
    }

    async fn start(&mut self) -> Result<Rental, RestError> {
        let packages: Items<Package> = self.rest.get("payments/packages").await?;
        let package =
            packages.items.iter().min_by_key(|package| package.duration_minutes).map(|package| package.id);
        let mut cabinets: Vec<_> = self.street.cabinets().iter().collect();
        cabinets.shuffle(&mut self.random);
        let station =
            cabinets.iter().find(|standing| standing.cabinet.slots().iter().any(|slot| slot.bank.is_some()));
        let body = json!({ "station_sn": station.map(|standing| &standing.serial), "package_id": package });
        self.rest.post_once("rentals/start", Uuid::from_u128(self.random.random()), &body).await
    }

    /// The bank, once the rental is active; nothing if it was cancelled or takes too long.
    async fn wait_for_bank(&self, mut rental: Rental) -> Result<Option<BankSerial>, RestError> {
        let mut waited = Duration::ZERO;
        while rental.status == "pending" && waited < PATIENCE {
            tokio::time::sleep(ASK_AGAIN).await;
            waited += ASK_AGAIN;
            rental = self.rest.get(&format!("rentals/{}", rental.id)).await?;
        }
        let is_out = matches!(rental.status.as_str(), "active" | "overdue");
        Ok(rental.power_bank.filter(|_| is_out).map(|bank| bank.serial_number))
    }

    async fn return_bank(&mut self, bank: BankSerial, drained_ms: f64) {
        while self.street.hands().hold(bank) {
            let standing = self.street.cabinets().choose(&mut self.random).cloned();
            if standing
                .is_some_and(|standing| self.street.hands().put_back(bank, &standing.cabinet, drained_ms))
            {
                return;
            }
            // A full station: walk to another one.
            self.sleep(2_000).await;
        }
    }

    async fn wait_until_closed(&self) -> Result<(), RestError> {
        let mut waited = Duration::ZERO;
        while waited < PATIENCE && self.open_rental().await?.is_some() {
            tokio::time::sleep(ASK_AGAIN).await;
            waited += ASK_AGAIN;
        }
        Ok(())
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
}

/// Tops the wallet up through the sandbox provider's hosted page, as a person would.
pub async fn top_up(rest: &Rest, rupees: u32) -> Result<(), RestError> {
    let methods: Items<Method> = rest.get("payments/methods").await?;
    let method = methods.items.iter().find(|method| method.gateway == "sandbox").map(|method| method.id);
    let body = json!({ "amount": Money::rupees(rupees), "payment_method_id": method });
    let intent: Intent = rest.post_once("payments/wallet/topup-intent", Uuid::now_v7(), &body).await?;
    rest.pay_hosted_page(&intent.gateway_url).await?;
    let _: Value = rest.post("payments/verify-topup", &json!({ "intent_id": intent.intent_id })).await?;
    Ok(())
}
