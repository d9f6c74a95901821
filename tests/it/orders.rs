//! Orders of staff, through a real gateway to a station that stands in this process: each ends as the station says.

use entities::testing::FreshDatabase;
use protocol::frame::MessageType;
use serde_json::{Value, json};
use simulator::faults::{Fault, FaultPlan};
use simulator::rest::Rest;
use tempfile::TempDir;
use uuid::Uuid;

use crate::server::Site;
use crate::story::until;
use crate::world::{self, World, text};

/// Longer than an order lives.
const SILENCE_MS: u64 = 33_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_staff_order_is_done_by_the_station_and_said_to_be_done_by_nobody_else() {
    let dir = TempDir::new().unwrap();
    tell(&Site::in_directory(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_orders_on_postgresql() {
    let Some(database) = FreshDatabase::postgres().await else { return };
    let dir = TempDir::new().unwrap();
    tell(&Site::in_directory(dir.path()).with("DATABASE__URL", database.url())).await;
}

async fn tell(site: &Site) {
    let (server, rest) = world::open(site).await;
    let provisioned = world::provision(site, &rest).await;
    let world = World::start(site, &provisioned.stations, [FaultPlan::none(), FaultPlan::none()], 1);
    let here = &world.stations[0];
    let staff = Desk {
        rest: world::sign_staff_in(&rest).await,
        station: format!("admin/stations/{}", here.serial()),
    };

    for (key, order) in [
        (1, json!({ "command": "ring", "reason": "find it" })),
        (2, json!({ "command": "set_volume", "volume_percent": 40, "reason": "too loud" })),
        (3, json!({ "command": "query_inventory", "reason": "what is in it" })),
        (4, json!({ "command": "lock_slot", "slot_number": 4, "reason": "it sticks" })),
    ] {
        let ended = staff.ends(key, &order).await;
        assert_eq!((&ended["outcome"], &ended["command"]), (&json!("done"), &order["command"]), "{ended}");
    }
    assert_eq!(here.cabinet().read(4, |slot| slot.disabled), Some(true));
    let unlock = json!({ "command": "unlock_slot", "slot_number": 4, "reason": "it is mended" });
    assert_eq!(staff.ends(5, &unlock).await["outcome"], "done");
    assert_eq!(here.cabinet().read(4, |slot| slot.disabled), Some(false));

    let bank = here.cabinet().bank_in(1).expect("a bank in the first slot");
    let eject = json!({ "command": "eject_for_service", "slot_number": 1, "reason": "it bulges" });
    let ejected = staff.ends(6, &eject).await;
    assert_eq!((&ejected["outcome"], &ejected["power_bank_sn"]), (&json!("done"), &json!(bank.to_string())));
    assert_eq!(world.bank_outside(), Some(bank));
    // The same request again is the same order: no second one stands in the list, and no motor runs.
    let orders = staff.orders().await;
    assert_eq!(staff.gives(6, &eject).await.unwrap()["id"], ejected["id"]);
    assert_eq!((staff.orders().await, orders, world.banks_given_out()), (6, 6, 1));
    let refused = staff.gives(7, &eject).await;
    assert_eq!(refused, Err("slot_not_occupied".to_owned()), "nothing is in it");

    let restarted = staff.ends(8, &json!({ "command": "reboot", "reason": "it hangs" })).await;
    assert_eq!(restarted["outcome"], "done", "{restarted}");

    nobody_hears(&world, &staff).await;
    until("everything is stored", async || world.is_quiet().then_some(())).await;
    assert_eq!(world.banks_given_out(), 1, "an order that nobody heard gave a bank out");

    let Desk { rest: staff, station } = staff;
    let there = Desk { rest: staff, station: station.replace(here.serial(), world.stations[1].serial()) };
    world.begin_stop();
    let mut key = 20;
    until("who is not there is told nothing", async || {
        // Each is an order of its own: an accepted one would be answered as such for ever.
        key += 1;
        let given = there.gives(key, &json!({ "command": "ring", "reason": "find it" })).await;
        (given.err()? == "station_offline").then_some(())
    })
    .await;
    server.stop().await.expect("it stops in order");
    site.audit().await.expect("the books agree");
}

/// The station falls silent without a word, so that its gateway believes it to be there: the order waits, is in doubt
/// once its time is over, and is not done as soon as the station can say so.
async fn nobody_hears(world: &World, staff: &Desk) {
    let here = &world.stations[0];
    until("the station is back", async || world.is_quiet().then_some(())).await;
    here.plan(Fault::HalfOpen { kind: MessageType::TELEMETRY, nth: 1, for_ms: SILENCE_MS });
    until("the station is silent", async || here.faults_waiting().is_empty().then_some(())).await;
    let eject = json!({ "command": "eject_for_service", "slot_number": 2, "reason": "it bulges" });
    let given = staff.gives(9, &eject).await.expect("the gateway believes the station to be there");
    assert_eq!((&given["outcome"], &given["finished_at"]), (&json!("waiting"), &Value::Null));
    let doubtful = until("the order's time is over", async || {
        let shown = staff.shows(&given).await?;
        (shown["outcome"] != "waiting").then_some(shown)
    })
    .await;
    assert_eq!(doubtful["outcome"], "in_doubt", "{doubtful}");
    assert_eq!(staff.gives(9, &eject).await.unwrap()["id"], given["id"]);
    let ended = until("the station says what happened", async || {
        staff.shows(&given).await.filter(|shown| shown["finished_at"].is_string())
    })
    .await;
    assert_eq!(ended["outcome"], "not_done", "{ended}");
}

/// Where staff sit, and the station that they look at.
struct Desk {
    rest: Rest,
    station: String,
}

impl Desk {
    /// Gives an order once; the code of a refusal otherwise.
    async fn gives(&self, key: u128, order: &Value) -> Result<Value, String> {
        let path = format!("{}/remote-command", self.station);
        let given = self.rest.post_once(&path, Uuid::from_u128(key), order).await;
        given.map_err(|refused| refused.code().unwrap_or_default().to_owned())
    }

    /// Gives an order as soon as the backend knows the station and what is in it, and waits for its end.
    async fn ends(&self, key: u128, order: &Value) -> Value {
        let given = until("the order is taken", async || self.gives(key, order).await.ok()).await;
        until("its end", async || self.shows(&given).await.filter(|shown| shown["finished_at"].is_string()))
            .await
    }

    /// What has become of an order.
    async fn shows(&self, given: &Value) -> Option<Value> {
        self.rest.get(&format!("{}/commands/{}", self.station, text(&given["id"]))).await.ok()
    }

    /// How many orders there are.
    async fn orders(&self) -> usize {
        let listed: Value = self.rest.get(&format!("{}/commands", self.station)).await.expect("a list");
        listed["items"].as_array().map_or(0, Vec::len)
    }
}
