//! One run: the rental, the blow, the restart, the settlement and the verdict.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::types::BankSerial;
use serde_json::{Value, json};
use simulator::rest::{Money, Rest, RestError};
use simulator::station::StationHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::blows::{Blow, Case};
use super::template::Template;
use crate::server::{Ended, LOOK_AGAIN, Server, Site};
use crate::world::{self, TOPUP_RUPEES, World, text};

/// How long any one thing in a run may take; a doubt is asked about every five seconds.
const PATIENCE: Duration = Duration::from_secs(40);
const PRICE: &str = "50.00";
const NOTHING: &str = "0.00";

/// How a run ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A bank came out and came back, and was paid for.
    Completed,
    /// No bank came out, and nothing was paid.
    Cancelled,
}

/// What was wrong, and where its data are kept.
#[derive(Debug)]
pub(super) struct Failure {
    what: String,
    kept: Option<PathBuf>,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), kept: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", self.what.trim_end().replace('\n', "\n  "))?;
        match &self.kept {
            Some(kept) => write!(f, "\n  data directory kept: {}", kept.display()),
            None => Ok(()),
        }
    }
}

/// Runs a case in a copy of the template; the copy is kept if it fails.
pub(super) async fn run(case: &Case, template: &Template) -> Result<Ending, Failure> {
    let dir = template.copy();
    // Windows of a second, small blocks: a short run passes every point of the store, too.
    let site = Site::in_directory(dir.path())
        .with("STORAGE__WINDOW_MS", 1_000)
        .with("STORAGE__RETENTION_MS", 1_000)
        .with("STORAGE__BLOCK_SAMPLES", 4)
        .with("STORAGE__UPKEEP_MS", 100);
    let ended = match Run::begin(case, &site, template).await {
        Ok(mut run) => {
            let ended = run.live().await;
            run.world.begin_stop();
            ended
        }
        Err(what) => Err(what),
    };
    ended.map_err(|what| Failure { what, kept: Some(dir.keep()) })
}

struct Run<'r> {
    case: &'r Case,
    site: &'r Site,
    http: reqwest::Client,
    server: Option<Server>,
    rider: Rest,
    package_id: &'r str,
    world: Arc<World>,
    /// When the rider tapped.
    wished_at: Option<Instant>,
    /// Whether the process has died as the case wants it.
    has_died: bool,
}

impl<'r> Run<'r> {
    async fn begin(case: &'r Case, site: &'r Site, template: &'r Template) -> Result<Self, String> {
        let rest = Rest::new(&site.base_url()).map_err(|error| error.to_string())?;
        let server = site.up(case.crash_at().as_deref());
        let provisioned = &template.provisioned;
        let mut run = Self {
            case,
            site,
            http: world::http(),
            server: Some(server),
            rider: rest.with_access_token(template.access_token.clone()),
            package_id: &provisioned.package_id,
            world: Arc::new(World::start(site, &provisioned.stations, case.faults(), case.seed)),
            wished_at: None,
            has_died: false,
        };
        let is_up = match &mut run.server {
            Some(server) => server.ready(&run.http).await,
            None => Ok(()),
        };
        match is_up {
            Ok(()) | Err(Ended::Aborted) => Ok(run),
            Err(Ended::Otherwise(status)) => Err(format!("the process does not start: {status}")),
        }
    }

    /// From the top-up to the verdict.
    async fn live(&mut self) -> Result<Ending, String> {
        let (rider, world) = (self.rider.clone(), Arc::clone(&self.world));
        let rupees = Money::rupees(TOPUP_RUPEES).amount;
        self.until("the top-up arrives", async || {
            top_up(&rider).await.ok()?;
            let wallet: Value = rider.get("users/wallet").await.ok()?;
            (wallet["balance"]["amount"] == rupees.as_str()).then_some(())
        })
        .await?;

        let wish = json!({ "station_sn": world.stations[0].serial(), "package_id": self.package_id, "payment_mode": "wallet" });
        self.wished_at = Some(Instant::now());
        let started = self
            .until("the rental is accepted", async || {
                rider.post_once::<Value>("rentals/start", Uuid::from_u128(2), &wish).await.ok()
            })
            .await?;
        let rental = text(&started["id"]);
        let bank = self.wait_for_bank(&rental).await?;
        if let Some(bank) = bank {
            self.ride_and_return(&rental, bank).await?;
        }
        self.settle(&rental).await?;
        let ending = self.judge(&rental, bank).await?;

        if let Some(server) = self.server.take() {
            server.stop().await?;
        }
        self.site.audit().await?;
        Ok(ending)
    }

    /// The bank in the rider's hand, or nothing once the rental is over without one.
    async fn wait_for_bank(&mut self, rental: &str) -> Result<Option<BankSerial>, String> {
        let (rider, world, path) = (self.rider.clone(), Arc::clone(&self.world), format!("rentals/{rental}"));
        self.until("the bank is out or the rental is over", async || {
            if let Some(bank) = world.bank_outside() {
                return Some(Some(bank));
            }
            let shown: Value = rider.get(&path).await.ok()?;
            (shown["status"] == "cancelled").then(|| world.bank_outside())
        })
        .await
    }

    async fn ride_and_return(&mut self, rental: &str, bank: BankSerial) -> Result<(), String> {
        let (rider, world, path) = (self.rider.clone(), Arc::clone(&self.world), format!("rentals/{rental}"));
        if !self.case.is_hasty {
            self.until("the rental is active", async || {
                let shown: Value = rider.get(&path).await.ok()?;
                (shown["status"] == "active").then_some(())
            })
            .await?;
            sleep(Duration::from_millis(self.case.ride_ms)).await;
        }
        let station = &world.stations[usize::from(!self.case.returns_here)];
        if world.hands.put_back(bank, station.cabinet(), 0.0) { Ok(()) } else { Err("no room".to_owned()) }
    }

    /// Waits until nothing is open, nothing is on its way, and the blow has landed.
    async fn settle(&mut self, rental: &str) -> Result<(), String> {
        let (rider, world, path) = (self.rider.clone(), Arc::clone(&self.world), format!("rentals/{rental}"));
        let nothing_waits = async || world.faults_waiting().is_empty().then_some(());
        self.until("the station's fault comes", nothing_waits).await?;
        self.until_dead().await?;
        self.until("everything is settled", async || {
            let shown: Value = rider.get(&path).await.ok()?;
            let wallet: Value = rider.get("users/wallet").await.ok()?;
            let points: Value = rider.get("points/history").await.ok()?;
            let is_over = match shown["status"].as_str()? {
                "completed" => rewards(&points, rental) > 0,
                "cancelled" => true,
                _ => false,
            };
            (is_over && wallet["held"]["amount"] == NOTHING && world.is_quiet()).then_some(())
        })
        .await
    }

    /// Compares what the books say with what happened.
    async fn judge(&mut self, rental: &str, bank: Option<BankSerial>) -> Result<Ending, String> {
        let (rider, path) = (self.rider.clone(), format!("rentals/{rental}"));
        let (shown, wallet, points) = self
            .until("the books can be read", async || {
                let shown: Value = rider.get(&path).await.ok()?;
                let wallet: Value = rider.get("users/wallet").await.ok()?;
                Some((shown, wallet, rider.get::<Value>("points/history").await.ok()?))
            })
            .await?;
        let left = &wallet["balance"]["amount"];
        let given_out = self.world.banks_given_out();
        let place = bank.and_then(|bank| self.world.station_of(bank));
        let place = self.world.stations.iter().find(|station| Some(station.station_id()) == place);
        let expected = match bank {
            Some(_) => json!({
                "banks out": 1, "status": "completed", "paid": PRICE, "left": "450.00",
                "returned to": place.map(StationHandle::serial),
            }),
            None => json!({
                "banks out": 0, "status": "cancelled", "paid": NOTHING, "left": "500.00", "returned to": null,
            }),
        };
        let found = json!({
            "banks out": given_out, "status": shown["status"], "paid": shown["amount_paid"]["amount"], "left": left,
            "returned to": shown["return_station"]["serial_number"],
        });
        if found != expected {
            return Err(format!("the world says {expected}\nthe books say  {found}"));
        }
        if let Some(twice) = rewarded_twice(&points, rental) {
            return Err(format!("points for {twice} were given twice: {points}"));
        }
        Ok(if bank.is_some() { Ending::Completed } else { Ending::Cancelled })
    }

    /// Looks until there is something to see. Whenever the process is dead it is started again.
    async fn until<T>(&mut self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.strike();
            self.revive().await?;
            if let Some(seen) = look().await {
                return Ok(seen);
            }
            sleep(LOOK_AGAIN).await;
        }
        Err(format!("not within {PATIENCE:?}: {what}"))
    }

    /// Waits for the death that the case wants, and for the process that follows it.
    async fn until_dead(&mut self) -> Result<(), String> {
        let wanted = matches!(self.case.blow, Blow::Abort { .. } | Blow::Kill { .. });
        let begun = Instant::now();
        while wanted && !self.has_died {
            if begun.elapsed() > PATIENCE {
                return Err("the crash point was never reached".to_owned());
            }
            self.strike();
            self.revive().await?;
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Kills the process if its time has come.
    fn strike(&mut self) {
        let Blow::Kill { after_ms } = self.case.blow else { return };
        let is_time = self.wished_at.is_some_and(|at| at.elapsed() >= Duration::from_millis(after_ms));
        if is_time && !self.has_died {
            self.has_died = true;
            // Dropped, it is killed.
            self.server = None;
        }
    }

    async fn revive(&mut self) -> Result<(), String> {
        match self.server.as_mut().map(Server::ended) {
            Some(None) => return Ok(()),
            Some(Some(Ended::Aborted)) if !self.has_died && self.case.crash_at().is_some() => {
                self.has_died = true
            }
            Some(Some(ended)) => return Err(format!("the process ended by itself: {ended:?}")),
            None => {}
        }
        let mut server = self.site.up(None);
        let is_ready = server.ready(&self.http).await;
        self.server = Some(server);
        is_ready.map_err(|ended| format!("the process does not start again: {ended:?}"))
    }
}

/// Brings money in through the hosted page; may be repeated until it says that it worked.
async fn top_up(rider: &Rest) -> Result<(), RestError> {
    let methods: Value = rider.get("payments/methods").await?;
    let mut methods = methods["items"].as_array().into_iter().flatten();
    let sandbox = methods.find(|method| method["gateway"] == "sandbox").map(|method| method["id"].clone());
    let wish = json!({ "amount": Money::rupees(TOPUP_RUPEES), "payment_method_id": sandbox });
    let intent: Value = rider.post_once("payments/wallet/topup-intent", Uuid::from_u128(1), &wish).await?;
    // The page refuses a second payment of the same order; whether it is paid, the next call tells.
    let _ = rider.pay_hosted_page(&text(&intent["gateway_url"])).await;
    let _: Value = rider.post("payments/verify-topup", &json!({ "intent_id": intent["intent_id"] })).await?;
    Ok(())
}

fn of_rental<'p>(points: &'p Value, rental: &'p str) -> impl Iterator<Item = &'p Value> {
    let movements = points["items"].as_array().into_iter().flatten();
    movements.filter(move |movement| movement["related_rental"] == rental)
}

fn rewards(points: &Value, rental: &str) -> usize {
    of_rental(points, rental).count()
}

/// What a rental was rewarded for more than once.
fn rewarded_twice(points: &Value, rental: &str) -> Option<String> {
    let mut reasons: Vec<_> =
        of_rental(points, rental).map(|movement| movement["source"].to_string()).collect();
    reasons.sort_unstable();
    reasons.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
}
