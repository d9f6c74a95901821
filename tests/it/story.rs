//! One rental from the first sign-in to the bill, over real HTTP and TCP, as a rider and a station see it.

use std::time::Duration;

use entities::testing::FreshDatabase;
use serde_json::{Value, json};
use simulator::faults::FaultPlan;
use simulator::rest::Rest;
use simulator::riders;
use tempfile::TempDir;
use tokio::time::sleep;
use uuid::Uuid;

use crate::server::{LOOK_AGAIN, Site};
use crate::world::{self, World, text};

/// How long anything in the story may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "+9779841000077";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rider_rents_at_one_station_returns_at_another_and_pays_the_price_of_the_package() {
    let dir = TempDir::new().unwrap();
    tell(&Site::in_directory(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_story_on_postgresql() {
    let Some(database) = FreshDatabase::postgres().await else { return };
    let dir = TempDir::new().unwrap();
    tell(&Site::in_directory(dir.path()).with("DATABASE__URL", database.url())).await;
}

async fn tell(site: &Site) {
    let (server, rest) = world::open(site).await;
    let provisioned = world::provision(site, &rest).await;
    let world = World::start(site, &provisioned.stations, [FaultPlan::none(), FaultPlan::none()], 1);
    let [here, there] = &world.stations;
    for station in [here, there] {
        until("both stations are online", async || station.state().is_online.then_some(())).await;
    }

    let rider = world::sign_in(site, &rest, PHONE).await;
    riders::top_up(&rider, world::TOPUP_RUPEES, Uuid::from_u128(1)).await.expect("the wallet is topped up");
    assert_eq!(wallet(&rider).await, ("500.00".to_owned(), "0.00".to_owned()));

    let wish = json!({ "station_sn": here.serial(), "package_id": provisioned.package_id, "payment_mode": "wallet" });
    let started: Value = until("the station can be rented from", async || {
        rider.post_once("rentals/start", Uuid::from_u128(2), &wish).await.ok()
    })
    .await;
    assert_eq!(started["status"], "pending", "{started}");
    let rental = format!("rentals/{}", text(&started["id"]));
    let bank = until("the bank is physically out", async || world.bank_outside()).await;
    assert_eq!(text(&started["power_bank"]["serial_number"]), bank.to_string());
    assert_eq!(world.station_of(bank), None);
    shows(&rider, &rental, "active").await;
    assert_eq!(wallet(&rider).await, ("450.00".to_owned(), "50.00".to_owned()), "the price is set aside");

    assert!(world.hands.put_back(bank, there.cabinet(), 0.0), "the other station has room");
    let completed = shows(&rider, &rental, "completed").await;
    assert_eq!(completed["amount_paid"]["amount"], "50.00", "{completed}");
    assert_eq!(completed["payment_status"], "paid", "{completed}");
    assert_eq!(completed["station"]["serial_number"], here.serial());
    assert_eq!(completed["return_station"]["serial_number"], there.serial());
    assert_eq!(wallet(&rider).await, ("450.00".to_owned(), "0.00".to_owned()));
    assert_eq!(world.banks_given_out(), 1);

    let id = text(&started["id"]);
    until("points for this rental", async || {
        let history: Value = rider.get("points/history").await.ok()?;
        let about = |movement: &Value| movement["related_rental"] == id.as_str();
        history["items"].as_array()?.iter().any(about).then_some(())
    })
    .await;
    until("a notification of this rental's end", async || {
        let inbox: Value = rider.get("notifications").await.ok()?;
        let code = text(&completed["rental_code"]);
        let items = inbox["items"].as_array()?;
        items
            .iter()
            .any(|item| item.to_string().contains(&code) || item.to_string().contains(&id))
            .then_some(())
    })
    .await;

    until("everything is stored", async || world.is_quiet().then_some(())).await;
    server.stop().await.expect("it stops in order");
    world.begin_stop();
    site.audit().await.expect("the books agree and the ledger sums to zero");
}

async fn wallet(rider: &Rest) -> (String, String) {
    let wallet: Value = rider.get("users/wallet").await.expect("a wallet");
    (text(&wallet["balance"]["amount"]), text(&wallet["held"]["amount"]))
}

/// Waits until a rental has this status.
async fn shows(rider: &Rest, rental: &str, status: &str) -> Value {
    until(status, async || {
        let shown: Value = rider.get(rental).await.ok()?;
        (shown["status"] == status).then_some(shown)
    })
    .await
}

/// Looks again and again, for a while.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if let Some(seen) = look().await {
            return seen;
        }
        sleep(LOOK_AGAIN).await;
        waited += LOOK_AGAIN;
    }
    panic!("not within {PATIENCE:?}: {what}");
}
