//! From the tap to the bank: `POST rentals/start` until the rider's app sees the rental active, the motor's
//! time subtracted; and from the bank back in a slot until the app sees the rental completed.
//!
//! The product runs as it ships (`chautari up`, a process of its own, default settings), 25 simulated
//! stations of this process are connected to it over TCP, and riders use its public API. The app asks every
//! 5 ms, so a figure is up to 5 ms and one request too great.
//!
//! `cargo bench --bench rental` on SQLite; `-- --postgres postgres://…/empty_database` for PostgreSQL
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

mod product;
mod stations;

use product::Product;
use protocol::types::BankSerial;
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::rest::{Rest, RestError, Session};
use simulator::riders;
use stations::{BenchStation, STATIONS};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEQUENTIAL: usize = 200;
const RIDERS: usize = 8;
const STATIONS_PER_RIDER: usize = STATIONS / RIDERS;
const RENTALS_PER_RIDER: usize = 50;
/// How often a rider's app asks.
const POLL: Duration = Duration::from_millis(5);
/// Nothing that works takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const TOPUP_RUPEES: u32 = 5_000;
const TOPUPS: usize = 4;

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--postgres").skip(1);
    let database = arguments.next();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(run(database.as_deref()));
}

async fn run(database: Option<&str>) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let name = if database.is_some() { "PostgreSQL" } else { "SQLite" };
    println!("{name}; one fdatasync of 4 KiB here: {}", Spread::of(fdatasyncs(directory.path())));
    let product = Product::start(directory.path(), database).await;
    let stations = stations::start(&product).await;
    let mut sessions = Vec::new();
    for number in 0..RIDERS {
        sessions.push(rider(&product, number).await);
    }
    let package = cheapest_package(&sessions[0]).await;
    // The first rental of each station finds cold caches, and perhaps a station that is not announced yet.
    for station in &stations {
        rent(&sessions[0], station, package).await;
    }

    let (cpu_us, began) = (product.cpu_us(), now());
    let mut measured = Vec::new();
    for number in 0..SEQUENTIAL {
        measured.push(rent(&sessions[0], &stations[number % STATIONS], package).await);
    }
    report("1 rider", &measured, product.cpu_us() - cpu_us, began.elapsed());

    let (cpu_us, began) = (product.cpu_us(), now());
    let lives = sessions.iter().zip(stations.chunks(STATIONS_PER_RIDER)).map(|(rest, stations)| async move {
        let mut measured = Vec::new();
        for number in 0..RENTALS_PER_RIDER {
            measured.push(rent(rest, &stations[number % stations.len()], package).await);
        }
        measured
    });
    let measured = futures(lives).await;
    report(&format!("{RIDERS} riders"), &measured, product.cpu_us() - cpu_us, began.elapsed());
    stations::stop(stations).await;
    product.stop_and_audit();
}

/// What one rental took, as its rider saw it.
#[derive(Clone, Copy)]
struct Measured {
    answered: Duration,
    /// Without the motor.
    active: Duration,
    completed: Duration,
}

#[derive(Deserialize)]
struct Rental {
    id: Uuid,
    status: String,
    power_bank: Option<Bank>,
}

#[derive(Deserialize)]
struct Bank {
    serial_number: BankSerial,
}

async fn rent(rest: &Rest, station: &BenchStation, package: Uuid) -> Measured {
    let (tapped, rental) = start(rest, station, package).await;
    let answered = tapped.elapsed();
    let rental = wait_for(rest, rental.id, "active").await;
    let active = tapped.elapsed().saturating_sub(station.motor_time());
    let bank = rental.power_bank.unwrap().serial_number;
    let given_back = now();
    station.take_back(bank).await;
    wait_for(rest, rental.id, "completed").await;
    Measured { answered, active, completed: given_back.elapsed() }
}

/// A station that was just made may still be unknown to the backend.
async fn start(rest: &Rest, station: &BenchStation, package: Uuid) -> (Instant, Rental) {
    let began = now();
    loop {
        let tapped = now();
        let body = json!({ "station_sn": station.serial, "package_id": package, "payment_mode": "wallet" });
        match rest.post_once("rentals/start", Uuid::now_v7(), &body).await {
            Ok(rental) => return (tapped, rental),
            Err(RestError::Refused { code, detail, .. }) => {
                assert!(began.elapsed() < PATIENCE, "{}: {code}: {detail}", station.serial);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn wait_for(rest: &Rest, id: Uuid, status: &str) -> Rental {
    let began = now();
    loop {
        let rental: Rental = rest.get(&format!("rentals/{id}")).await.unwrap();
        if rental.status == status {
            return rental;
        }
        assert!(began.elapsed() < PATIENCE, "rental {id} is {}, not {status}", rental.status);
        tokio::time::sleep(POLL).await;
    }
}

async fn rider(product: &Product, number: usize) -> Rest {
    let phone = format!("+97798510009{number:02}");
    let session = Session::open(&product.rest, &phone, &product.log).await.unwrap();
    for _ in 0..TOPUPS {
        riders::top_up(&session.rest, TOPUP_RUPEES, Uuid::now_v7()).await.unwrap();
    }
    session.rest
}

async fn cheapest_package(rest: &Rest) -> Uuid {
    let packages: Value = rest.get("rentals/packages").await.unwrap();
    packages["items"][0]["id"].as_str().unwrap().parse().unwrap()
}

/// All of them at the same time.
async fn futures(lives: impl Iterator<Item = impl Future<Output = Vec<Measured>>>) -> Vec<Measured> {
    let mut lives: Vec<_> = lives.map(|life| (Box::pin(life), None)).collect();
    std::future::poll_fn(|context| {
        for (life, done) in lives.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(measured) = life.as_mut().poll(context) {
                *done = Some(measured);
            }
        }
        if lives.iter().all(|(_, done)| done.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    lives.into_iter().filter_map(|(_, done)| done).flatten().collect()
}

fn report(who: &str, measured: &[Measured], cpu_us: f64, took: Duration) {
    let all = |what: fn(&Measured) -> Duration| Spread::of(measured.iter().map(what).collect());
    let count = measured.len() as f64;
    println!("{who}, {count} rentals, {:.1}/s", count / took.as_secs_f64());
    println!("  tap to 202                     {}", all(|one| one.answered));
    println!("  tap to active, without motor   {}", all(|one| one.active));
    println!("  bank back to completed         {}", all(|one| one.completed));
    println!(
        "  server CPU per rental          {:.2} ms (start, return, all requests)",
        cpu_us / 1_000.0 / count
    );
}

/// The middle and the end of some times.
struct Spread {
    p50: Duration,
    p99: Duration,
    greatest: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        Self { p50: at(0.5), p99: at(0.99), greatest: at(1.0) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let (p50, p99, greatest) = (ms(self.p50), ms(self.p99), ms(self.greatest));
        write!(f, "p50 {p50:>7.1} ms   p99 {p99:>7.1} ms   greatest {greatest:>7.1} ms")
    }
}

fn fdatasyncs(directory: &Path) -> Vec<Duration> {
    use std::io::Write;
    let mut file = std::fs::File::create(directory.join("probe")).unwrap();
    let mut once = || {
        let began = now();
        file.write_all(&[7; 4_096]).unwrap();
        file.sync_data().unwrap();
        began.elapsed()
    };
    (0..100).map(|_| once()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn now() -> Instant {
    Instant::now()
}
