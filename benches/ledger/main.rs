//! Wallet debits: a debit sets one paisa of a rider's wallet aside, with its entry, its two postings, the wallet
//! and the statement that the rider sees.
//!
//! *Ours* is the product's own path: `db.write` with `payments::book::post`. *By hand* are the same rows written
//! with sqlx, a statement each, in one transaction. *pgbench* writes them, or only the balances, the entry and
//! the postings, with one statement. All in one run, interleaved, on one database, with the same riders.
//!
//! `cargo bench --bench ledger` on SQLite, and on PostgreSQL where `CHAUTARI_TEST_POSTGRES` names a server; there
//! `pgbench` must be installed, too.
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

mod by_hand;
mod ours;
mod pgbench;

use backend::clock::Clock;
use backend::db::Db;
use backend::random::Random;
use entities::id::UserId;
use entities::testing::FreshDatabase;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// pgbench takes 128 scripts, one for each rider.
const RIDERS: usize = 100;
/// Clients of PostgreSQL, as many as the product has connections.
const CLIENTS: usize = 16;
/// Callers that share commits on SQLite.
const CALLERS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for database in FreshDatabase::on_each_backend().await {
            let db = open(&database).await;
            let riders = ours::riders(&db, RIDERS).await;
            match database.backend() {
                "sqlite" => on_sqlite(&db, &riders, &database).await,
                _ => on_postgres(&db, &riders, &database).await,
            }
            let moment = db.snapshot().await.unwrap();
            let findings = backend::payments::audit::audit(&moment).await.unwrap();
            drop(moment);
            // pgbench's short statement leaves out what the rider sees, and no debit here has a rental.
            let findings = findings.iter().filter(|finding| !matches!(finding.rule, "wallet" | "L8")).count();
            println!("  the books afterwards: {findings} findings");
            db.close().await.unwrap();
        }
    });
}

/// A rider, and where the money is.
#[derive(Clone, Copy)]
struct Rider {
    id: UserId,
    wallet_account: Uuid,
    hold_account: Uuid,
}

async fn open(database: &FreshDatabase) -> Db {
    let db = Db::open(
        database.url(),
        None,
        Clock::new(Arc::new(protocol::clock::SystemClock::new())),
        Random::seeded(7),
    )
    .await
    .unwrap();
    db.migrate().await.unwrap();
    db
}

async fn on_sqlite(db: &Db, riders: &[Rider], database: &FreshDatabase) {
    let (mut alone, mut shared) = (Figures::default(), Figures::default());
    let (mut hand_alone, mut hand_shared) = (Figures::default(), Figures::default());
    for _ in 0..ROUNDS {
        alone.add(ours::debits(db, riders, 1).await);
        shared.add(ours::debits(db, riders, CALLERS).await);
        hand_alone.add(by_hand::on_sqlite(database.url(), riders, 1).await);
        hand_shared.add(by_hand::on_sqlite(database.url(), riders, CALLERS).await);
    }
    println!("SQLite, FULL; {ROUNDS} rounds of {} s each, medians", ROUND.as_secs());
    show("by hand, one by one", &hand_alone);
    show(&format!("by hand, {CALLERS} in each commit"), &hand_shared);
    show("ours, one by one", &alone);
    show(&format!("ours, {CALLERS} callers"), &shared);
    let ratio = shared.rate() / alone.rate();
    println!("  R2: {:.0} debits/s (goal 3 000), {ratio:.1} times one by one (goal 10)", shared.rate());
}

async fn on_postgres(db: &Db, riders: &[Rider], database: &FreshDatabase) {
    let (mut ours, mut by_hand) = (Figures::default(), Figures::default());
    let (mut short, mut whole) = (Figures::default(), Figures::default());
    let scripts = pgbench::Scripts::write(riders);
    let pool = by_hand::pool(database.url(), CLIENTS).await;
    for _ in 0..ROUNDS {
        ours.add(ours::debits(db, riders, CLIENTS).await);
        by_hand.add(by_hand::on_postgres(&pool, riders, CLIENTS).await);
        whole.add(scripts.run_whole(database.url(), CLIENTS));
        short.add(scripts.run_short(database.url(), CLIENTS));
    }
    pool.close().await;
    println!("PostgreSQL, {CLIENTS} clients; {ROUNDS} rounds of {} s each, medians", ROUND.as_secs());
    show("pgbench, one statement, balances, entry, postings", &short);
    show("pgbench, one statement, the same rows as ours", &whole);
    show("by hand, a statement each", &by_hand);
    show("ours", &ours);
    println!(
        "  R1: {:.2} of pgbench's one statement (goal 0.5), {:.2} of the one that writes the same rows",
        ours.rate() / short.rate(),
        ours.rate() / whole.rate()
    );
}

/// One round.
struct Round {
    debits: u64,
    took: Duration,
    /// Of this process; nothing for another one's work.
    cpu_us: Option<f64>,
}

/// Runs `callers` of `debit` at the same time until the round is over.
async fn round<F>(callers: usize, debit: impl Fn(usize) -> F) -> Round
where
    F: Future<Output = ()>,
{
    let done = Arc::new(AtomicU64::new(0));
    let (began, cpu_us) = (now(), cpu_us());
    let work = (0..callers).map(|caller| {
        let (done, debit) = (done.clone(), &debit);
        async move {
            let mut number = caller;
            while began.elapsed() < ROUND {
                debit(number).await;
                number += callers;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    futures::future::join_all(work).await;
    let debits = done.load(Ordering::Relaxed);
    Round { debits, took: began.elapsed(), cpu_us: Some(self::cpu_us() - cpu_us) }
}

/// The rounds of one way.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Figures {
    fn add(&mut self, round: Round) {
        self.rates.push(round.debits as f64 / round.took.as_secs_f64());
        self.cpu_us.extend(round.cpu_us.map(|cpu_us| cpu_us / round.debits as f64));
    }

    fn rate(&self) -> f64 {
        median(&self.rates)
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn show(way: &str, figures: &Figures) {
    let cpu: &dyn Display = match figures.cpu_us.is_empty() {
        true => &"",
        false => &format!("{:>8.1} µs of this process's CPU each", median(&figures.cpu_us)),
    };
    println!("  {way:<52} {:>8.0} debits/s {cpu}", figures.rate());
}

/// User and system time of this process, the threads that have ended included, in steps of 10 ms.
fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let ticks = after_name.split(' ').skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() * 10_000.0
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's clock")]
fn now() -> Instant {
    Instant::now()
}
