//! The promise under everything at once: stations, riders and restarts behind a network that holds, cuts, chops, slows
//! and spoils, beside strangers, copies, floods and crowds, and then a judge who reads only the logs of both sides.
//!
//! `cargo test` lets every nemesis strike once. A long run is told its minutes and goes on after that; its seed repeats
//! its faults:
//!
//! ```sh
//! CHAUTARI_SOAK_MINUTES=15 cargo test --test it soak -- --nocapture
//! ```
//!
//! `CHAUTARI_SOAK_CROWD=5000` makes its crowds larger. Each of such a crowd tells its slots when it logs in; an unoptimised
//! backend applies some twenty of those in a second, and what riders wait for stands behind them.
//!
//! In a long run restarts and crowds come in its first quarter and its last tenth, so that one process lives through
//! most of it: through that life a straight line is laid, and it has to be flat.

mod export;
mod judge;
mod judged;
mod memory;
mod nemeses;
mod network;
mod riders;
mod scene;
mod strangers;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use judge::Judgement;
use nemeses::Nemesis;
use network::Weather;
use riders::Rider;
use scene::{Crowd, Scene, within};
use witness::Lines;

/// How long everything may take to come to its end after the faults; the judge has a limit of its own.
const QUIET_LIMIT: Duration = Duration::from_secs(150);
/// How long the gateway may take to count what it was brought.
const COUNT_PATIENCE: Duration = Duration::from_secs(20);
/// What a process may gain over the fitted part of its life, of what it has.
const GROWTH_MAX: f64 = 0.05;
/// What it may gain in any case, MiB: the step of an allocator.
const GROWTH_MIB: f64 = 4.0;

/// How much there is to do.
struct Plan {
    seed: u64,
    stations: u8,
    riders: u64,
    /// `None`: each nemesis once.
    minutes: Option<f64>,
    /// How much longer faults are than in a short run.
    scale: u32,
    crowd: Crowd,
}

impl Plan {
    fn asked_for() -> Self {
        let number =
            |name| crate::crash::environment(name).map(|text| text.parse::<f64>().expect("a number"));
        let seed = number("CHAUTARI_SOAK_SEED").map_or(1, |seed| seed as u64);
        match number("CHAUTARI_SOAK_MINUTES") {
            None => {
                let crowd = Crowd { stations: 30, ramp_s: 0, seconds: 2, events_per_s: 20 };
                Self { seed, stations: 4, riders: 3, minutes: None, scale: 1, crowd }
            }
            minutes => {
                let stations = number("CHAUTARI_SOAK_CROWD").map_or(500, |stations| stations as u32);
                let crowd = Crowd { stations, ramp_s: 10, seconds: 30, events_per_s: 20 };
                Self { seed, stations: 8, riders: 6, minutes, scale: 3, crowd }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_every_fault_both_sides_tell_the_same_story() {
    let plan = Plan::asked_for();
    let directory = TempDir::with_prefix("chautari-soak-").unwrap();
    let mut soak = Soak::begin(&plan, &directory).await;
    soak.each_once(plan.scale).await;
    if let Some(minutes) = plan.minutes {
        soak.for_minutes(minutes, plan.scale).await;
    }
    soak.calm().await;
    let judgement = soak.be_judged(plan.minutes.is_some()).await;
    println!("soak, seed {}: {:?}", plan.seed, soak.strikes);
    println!("on the lines: {}", soak.scene.frames);
    println!("looked at: {}", judgement.looked_at());
    println!("from the end of the server until every station was back: {:.1?}", soak.scene.restarts);
    if let Some(fit) = soak.scene.memory.fit() {
        println!("memory: {fit}");
    }
    if !judgement.findings().is_empty() {
        let kept = directory.keep();
        panic!(
            "{}\nCHAUTARI_SOAK_SEED={}, logs in {}",
            judgement.findings().join("\n"),
            plan.seed,
            kept.display()
        );
    }
}

/// How often each nemesis struck.
type Strikes = BTreeMap<Nemesis, usize>;

struct Soak {
    scene: Scene,
    begun: Instant,
    strikes: Strikes,
    random: SmallRng,
    secrets: Lines,
    stop_riders: Arc<CancellationToken>,
    riders: Option<JoinHandle<()>>,
    stop_watch: CancellationToken,
}

impl Soak {
    async fn begin(plan: &Plan, directory: &TempDir) -> Self {
        let site = scene::site(directory.path(), plan.crowd);
        let scene = Scene::open(site, plan.stations, plan.crowd, plan.seed).await;
        let (stop_riders, stop_watch) = (Arc::new(CancellationToken::new()), CancellationToken::new());
        let (site, http) = (scene.site.clone(), scene.http.clone());
        tokio::spawn(scene.memory.clone().watch(site, http, stop_watch.clone()));
        let secrets = Lines::create(&directory.path().join("secrets.jsonl"));
        let lines = Lines::create(&directory.path().join("riders.jsonl"));
        let mut riders = Vec::new();
        for number in 0..plan.riders {
            let logs = [lines.clone(), secrets.clone()];
            riders.push(Rider::sign_in(&scene, number, logs).await);
        }
        let riders = Some(tokio::spawn(riders::live(riders, Arc::clone(&stop_riders))));
        let random = SmallRng::seed_from_u64(plan.seed);
        let (begun, strikes) = (Instant::now(), Strikes::new());
        Self { scene, begun, strikes, random, secrets, stop_riders, riders, stop_watch }
    }

    /// All of them, in an order that the seed gives; but first those that go on beside the others.
    async fn each_once(&mut self, scale: u32) {
        let mut all = [&Nemesis::OTHERS[..], &Nemesis::GREAT[..]].concat();
        all.shuffle(&mut self.random);
        all.sort_by_key(|nemesis| nemesis.turn());
        for nemesis in all {
            self.strike(nemesis, scale).await;
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whatever the seed draws, until the time is over.
    async fn for_minutes(&mut self, minutes: f64, scale: u32) {
        loop {
            let passed = self.begun.elapsed().as_secs_f64() / (minutes * 60.0);
            if passed >= 1.0 {
                return;
            }
            let great: &[Nemesis] = match passed {
                ..0.25 => &Nemesis::GREAT,
                0.9.. => &Nemesis::DEADLY,
                _ => &[],
            };
            let is_great = !great.is_empty() && self.random.random_ratio(1, 5);
            let among = if is_great { great } else { &Nemesis::OTHERS };
            let nemesis = *among.choose(&mut self.random).unwrap();
            self.strike(nemesis, scale).await;
            sleep(Duration::from_millis(self.random.random_range(200..2_500))).await;
        }
    }

    async fn strike(&mut self, nemesis: Nemesis, scale: u32) {
        self.scene.check_server();
        self.scene.write_strike(&format!("{nemesis:?}"));
        let begun = Instant::now();
        nemesis.strike(&mut self.scene, &mut self.random, scale).await;
        *self.strikes.entry(nemesis).or_default() += 1;
        self.tell(&format!("{nemesis:?}, {:.1?}", begun.elapsed()));
    }

    /// What happens, for whoever looks on.
    fn tell(&self, news: &str) {
        println!("{:7.1} s  {news}", self.begun.elapsed().as_secs_f64());
    }

    /// The faults stop; riders end what they began; nothing is on its way any more.
    async fn calm(&mut self) {
        let begun = Instant::now();
        for line in &self.scene.lines {
            line.set(Weather::Fair);
        }
        self.stop_riders.cancel();
        let riders = self.riders.take().unwrap();
        // Whoever is not through is found by the judge, by name.
        if let Ok(ended) = timeout(QUIET_LIMIT, riders).await {
            ended.unwrap();
        }
        self.wait_until_quiet().await;
        self.scene.check_server();
        self.scene.write_calm(begun.elapsed());
    }

    /// Nobody has anything to say and everything has its end; or the patience is over, and the judge will find out.
    async fn wait_until_quiet(&self) {
        let scene = &self.scene;
        let is_over = async || scene.is_quiet() && export::open_ends(&scene.site).await == 0;
        within(QUIET_LIMIT, is_over).await;
    }

    async fn be_judged(&mut self, is_long: bool) -> Judgement {
        let slow_strangers = std::mem::take(&mut self.scene.slow_strangers);
        let outlasted: usize = slow_strangers.join_all().await.into_iter().sum();
        self.tell("calm; slow strangers have gone");
        self.hear_strangers_and_replays().await;
        self.tell("strangers and replays were heard");
        let routes = self.count_frames().await;
        self.tell("frames were counted");
        self.export(routes).await;
        let audit = self.scene.site.audit().await;
        self.tell("everything was exported and audited");
        let mut judgement = Judgement::of(self.scene.site.directory());
        judgement.add("audit", audit.err());
        judgement
            .add("N15", (outlasted > 0).then(|| format!("{outlasted} slow strangers were never closed")));
        let fit = self.scene.memory.fit().filter(|_| is_long);
        let grown = fit.filter(|fit| fit.gains_mib > GROWTH_MIB.max(fit.begins_mib * GROWTH_MAX));
        judgement.add("memory", grown.map(|fit| format!("it grows: {fit}")));
        judgement
    }

    /// I9, I12: strangers speak, then what stations once sent is sent again; before, between and after, what is stored
    /// and routed is written down.
    async fn hear_strangers_and_replays(&mut self) {
        let states = Lines::create(&self.scene.site.directory().join("states.jsonl"));
        let scene = &self.scene;
        let (gateway, captures) = (scene.site.stations_address(), &scene.captures);
        let write = async |after: &str, streams: usize| {
            // What they sent has been read when nobody but the stations is connected.
            let alone = async || {
                let numbers = export::numbers(&export::metrics(&scene.site, &scene.http).await);
                numbers.get(CONNECTIONS).is_some_and(|number| *number as usize == scene.stations.len())
            };
            within(QUIET_LIMIT, alone).await;
            let mut lines = export::stored(&scene.site).await;
            lines.extend(export::routes(&scene.site, &scene.http).await.iter().map(ToString::to_string));
            states.write(&json!({ "after": after, "streams": streams, "lines": lines }));
        };
        write("calm", 0).await;
        write("strangers", strangers::babble(&gateway, captures, &mut self.random).await).await;
        write("replays", strangers::replay(&gateway, captures, usize::MAX).await).await;
    }

    /// I11: over a clean network a new process counts the very frames that it is brought. Returns its routes.
    async fn count_frames(&mut self) -> Vec<String> {
        self.scene.drain_server().await;
        self.scene.start_server().await;
        let scene = &self.scene;
        let is_online = async || {
            scene.is_quiet() && export::routes(&scene.site, &scene.http).await.len() >= scene.stations.len()
        };
        within(QUIET_LIMIT, is_online).await;
        // Nobody sends any more and nobody closes, for a close may take what was not read with it.
        scene.lines.iter().for_each(|line| line.set(Weather::Held));
        let is_counted = async || {
            let brought = scene.frames.by_kind();
            let counted = frames_in(&export::metrics(&scene.site, &scene.http).await);
            let is_so = brought.iter().map(|(kind, count)| (*kind, *count)).eq(counted);
            !brought.is_empty() && is_so
        };
        within(COUNT_PATIENCE, is_counted).await;
        scene.write_brought();
        let metrics = export::metrics(&scene.site, &scene.http).await;
        export::write(&scene.site.directory().join("metrics"), std::slice::from_ref(&metrics));
        scene.write_rest();
        let routes = export::routes(&scene.site, &scene.http).await;
        let counted = json!({ "what": "counted", "frames": frames_in(&metrics) });
        routes.iter().chain([&counted]).map(ToString::to_string).collect()
    }

    /// What is stored is read when the process has ended, so that it holds whatever a station was told of.
    async fn export(&mut self, mut server: Vec<String>) {
        self.scene.lines.iter().for_each(|line| line.set(Weather::Fair));
        self.wait_until_quiet().await;
        self.stop_watch.cancel();
        self.scene.drain_server().await;
        let site = &self.scene.site;
        server.extend(export::stored(site).await);
        export::write(&site.directory().join("server.jsonl"), &server);
        let streams = strangers::streams(&self.scene.captures, usize::MAX);
        export::secrets(site, &streams).iter().for_each(|secret| self.secrets.write(secret));
    }
}

const CONNECTIONS: &str = "chautari_gateway_connections";
const FRAMES: &str = "chautari_gateway_frames_total";

/// Frames that came in, by type.
fn frames_in(metrics: &str) -> BTreeMap<&'static str, u64> {
    let numbers = export::numbers(metrics);
    let names = (0..=u8::MAX).map(|kind| protocol::frame::MessageType(kind).name());
    let names: BTreeSet<_> = names.collect();
    let counted = names.into_iter().filter_map(|name| {
        let number = numbers.get(&format!("{FRAMES}{{direction=\"in\",type=\"{name}\"}}"))?;
        Some((name, *number as u64))
    });
    counted.collect()
}
