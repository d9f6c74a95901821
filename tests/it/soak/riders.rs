//! Riders who rent all the time, whatever happens, and write down what they saw.

use std::sync::Arc;
use std::time::Duration;

use protocol::types::BankSerial;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use simulator::rest::{RestError, Session};
use simulator::riders::top_up;
use simulator::street::Street;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::scene::Scene;
use super::witness::Lines;
use crate::server::{LOOK_AGAIN, LoggedPasswords};
use crate::world::{TOPUP_RUPEES, text};

/// The pause of an app after an answer that was none.
const AGAIN: Duration = Duration::from_millis(150);
/// The longest ride and the longest rest between two.
const RIDE_MS: u64 = 700;
const REST_MS: u64 = 400;
/// Below this much in the wallet, rupees, a rider brings money in.
const POOR_RUPEES: f64 = 60.0;

/// One rider.
pub(super) struct Rider {
    session: Session,
    phone: String,
    random: SmallRng,
    street: Street,
    package_id: String,
    lines: Lines,
    secrets: Lines,
    topups: u64,
}

impl Rider {
    /// Signs a rider in. The first log is of what is seen, the second of what nobody may see.
    pub(super) async fn sign_in(scene: &Scene, number: u64, [lines, secrets]: [Lines; 2]) -> Self {
        let phone = format!("+97798420{number:05}");
        let passwords = LoggedPasswords(scene.site.log());
        // A server that has just heard a crowd out may not answer at once.
        let session = loop {
            match Session::open(&scene.rest, &phone, &passwords).await {
                Ok(session) => break session,
                Err(error) if is_no_answer(&error) => sleep(AGAIN).await,
                Err(error) => panic!("{phone} is not let in: {error}"),
            }
        };
        tell_token(&secrets, &session);
        Self {
            session,
            secrets,
            random: SmallRng::seed_from_u64(number),
            street: scene.street.clone(),
            package_id: scene.package_id.clone(),
            lines,
            topups: 0,
            phone,
        }
    }

    /// Rents again and again; when asked to stop, sees the open rental through first.
    pub(super) async fn live(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.bring_money().await;
            if let Some(rental) = self.start(&stop).await {
                self.see_through(&rental).await;
            }
            self.rest(REST_MS).await;
        }
        let wallet = self.get("users/wallet").await;
        let brought = self.topups * u64::from(TOPUP_RUPEES);
        let left = json!({
            "what": "left", "rider": self.phone, "balance": wallet["balance"]["amount"],
            "held": wallet["held"]["amount"], "brought": brought,
        });
        self.lines.write(&left);
    }

    async fn bring_money(&mut self) {
        let wallet = self.get("users/wallet").await;
        let balance: f64 = text(&wallet["balance"]["amount"]).parse().unwrap_or_default();
        if balance >= POOR_RUPEES {
            return;
        }
        let key = Uuid::from_u64_pair(self.random.random(), self.topups);
        loop {
            // The page refuses a second payment of the same order; whether it is paid, the wallet tells.
            let _ = top_up(&self.session.rest, TOPUP_RUPEES, key).await;
            let wallet = self.get("users/wallet").await;
            let now: f64 = text(&wallet["balance"]["amount"]).parse().unwrap_or_default();
            if now > balance {
                break;
            }
            sleep(AGAIN).await;
        }
        self.topups += 1;
    }

    /// Asks one station after the other; the same wish is repeated until it has an answer.
    async fn start(&mut self, stop: &CancellationToken) -> Option<String> {
        while !stop.is_cancelled() {
            let station = self.street.cabinets().choose(&mut self.random)?.serial.clone();
            let wish =
                json!({ "station_sn": station, "package_id": self.package_id, "payment_mode": "wallet" });
            let key = Uuid::from_u64_pair(self.random.random(), self.random.random());
            let answer = loop {
                match self.session.rest.post_once::<Value>("rentals/start", key, &wish).await {
                    Ok(rental) => break Ok(rental),
                    Err(error) if is_no_answer(&error) => self.again(&error).await,
                    Err(error) => break Err(error),
                }
            };
            match answer {
                Ok(rental) => {
                    let id = text(&rental["id"]);
                    self.lines.write(&json!({ "what": "started", "rider": self.phone, "rental": id }));
                    return Some(id);
                }
                Err(refused) => {
                    let code = refused.code().unwrap_or_default();
                    self.lines.write(&json!({ "what": "refused", "rider": self.phone, "code": code }));
                    self.rest(REST_MS).await;
                }
            }
        }
        None
    }

    /// Takes the bank if it comes, brings it back, and waits for the end.
    async fn see_through(&mut self, rental: &str) {
        let path = format!("rentals/{rental}");
        let mut had = None;
        loop {
            let shown = self.get(&path).await;
            let status = text(&shown["status"]);
            let bank: Option<BankSerial> = text(&shown["power_bank"]["serial_number"]).parse().ok();
            if let Some(bank) = bank.filter(|bank| had.is_none() && self.street.hands().hold(*bank)) {
                had = Some(bank);
                self.rest(RIDE_MS).await;
                self.put_back(bank).await;
            }
            if matches!(status.as_str(), "completed" | "cancelled") {
                let ended = json!({
                    "what": "ended", "rider": self.phone, "rental": rental, "status": status,
                    "bank": had.map(|bank| bank.to_string()), "paid": shown["amount_paid"]["amount"],
                });
                return self.lines.write(&ended);
            }
            sleep(LOOK_AGAIN * 4).await;
        }
    }

    async fn put_back(&mut self, bank: BankSerial) {
        loop {
            let Some(standing) = self.street.cabinets().choose(&mut self.random).cloned() else { return };
            let station = standing.station_id.to_string();
            let returned = json!({ "what": "returned", "bank": bank.to_string(), "station": station });
            if self.street.hands().put_back(bank, &standing.cabinet, 0.0) {
                return self.lines.write(&returned);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Asks until there is an answer.
    async fn get(&mut self, path: &str) -> Value {
        loop {
            match self.session.rest.get(path).await {
                Ok(answer) => return answer,
                Err(error) => self.again(&error).await,
            }
        }
    }

    async fn again(&mut self, error: &RestError) {
        if error.is_signed_out()
            && let Ok(fresh) = self.session.refresh().await
        {
            tell_token(&self.secrets, &fresh);
            self.session = fresh;
        }
        sleep(AGAIN).await;
    }

    async fn rest(&mut self, at_most_ms: u64) {
        let rest_ms = self.random.random_range(0..at_most_ms);
        sleep(Duration::from_millis(rest_ms)).await;
    }
}

/// I13: nobody may find it in a log.
fn tell_token(secrets: &Lines, session: &Session) {
    secrets.write(&json!({ "of": "token", "secret": session.rest.access_token() }));
}

/// Whether the same wish is to be said again.
fn is_no_answer(error: &RestError) -> bool {
    match error {
        RestError::Refused { status, .. } => status.is_server_error() || error.is_signed_out(),
        RestError::NoAnswer(_) => true,
    }
}

/// Lets all of them live until they are asked to stop.
pub(super) async fn live(riders: Vec<Rider>, stop: Arc<CancellationToken>) {
    let living = riders.into_iter().map(|rider| rider.live((*stop).clone()));
    futures::future::join_all(living).await;
}
