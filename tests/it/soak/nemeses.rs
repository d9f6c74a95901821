//! What goes wrong: the nemeses of the specification that can be played from outside of the product.

use std::time::Duration;

use protocol::frame::MessageType;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use simulator::faults::{Fault, StationStep};
use simulator::station::StationHandle;
use tokio::time::{Instant, sleep};

use super::network::{Line, Way, Weather};
use super::scene::{DRIFT_PPM, Scene};
use super::strangers;

/// How long two devices with one identity are let, and how long a station that floods, until the gateway notices.
const NOTICED_PATIENCE: Duration = Duration::from_secs(60);
/// N10's pause in a long run: a station gives its session up after so long.
const PAUSE_MAX_MS: u64 = 45_000;
/// How long a line waits for the byte at which it breaks or spoils.
const UNTIL_BYTE_MS: u64 = 30_000;
/// Streams that one replay sends again.
const REPLAYED: usize = 6;
/// What two devices with one identity hear in the end.
const CLONES_NOTICED: &str = "\"reason\":\"quarantined\"";
/// What the gateway's log says of a station that was cut because it sent too much.
const FLOOD_NOTICED: &str = "\"rate_limited\"";

/// One thing that goes wrong, by its number in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nemesis {
    N1HalfOpen,
    N2Reset,
    N3Chopped,
    N3Gathered,
    N4Slow,
    N5Crowd,
    N6Clone,
    N7Drift,
    N8PowerLoss,
    N9Kill,
    N10Pause,
    N13Storm,
    N14DrainInStorm,
    N15Slowloris,
    N16Flood,
    N17Replay,
    N18BitFlip,
    Repeated,
}

impl Nemesis {
    /// Those after which its memory is no longer what it was: they end the process, or bring it a hundred times more
    /// stations.
    pub(super) const GREAT: [Self; 3] = [Self::N5Crowd, Self::N9Kill, Self::N14DrainInStorm];
    /// Those of them that end the process.
    pub(super) const DEADLY: [Self; 2] = [Self::N9Kill, Self::N14DrainInStorm];
    /// Those that leave nothing behind.
    pub(super) const OTHERS: [Self; 15] = [
        Self::N1HalfOpen,
        Self::N2Reset,
        Self::N3Chopped,
        Self::N3Gathered,
        Self::N4Slow,
        Self::N6Clone,
        Self::N7Drift,
        Self::N8PowerLoss,
        Self::N10Pause,
        Self::N13Storm,
        Self::N15Slowloris,
        Self::N16Flood,
        Self::N17Replay,
        Self::N18BitFlip,
        Self::Repeated,
    ];

    /// When a short run has its turn: slow strangers take the longest, the weather needs some time beside what is waited
    /// for, and a crowd ends the weather.
    pub(super) const fn turn(self) -> u8 {
        match self {
            Self::N15Slowloris => 0,
            Self::N6Clone | Self::N9Kill | Self::N10Pause | Self::N14DrainInStorm | Self::N16Flood => 2,
            Self::N5Crowd => 3,
            _ => 1,
        }
    }

    /// Lets it happen; what lasts longer goes on beside the rest. `scale` makes a long run's faults longer.
    pub(super) async fn strike(self, scene: &mut Scene, random: &mut SmallRng, scale: u32) {
        match self {
            Self::N1HalfOpen => {
                let held_ms = random.random_range(800..1_600) * u64::from(scale);
                weather(scene, random, Weather::Held, held_ms);
            }
            Self::N2Reset => {
                let cut = Weather::CutAfter { bytes: random.random_range(0..800), way: way(random) };
                weather(scene, random, cut, UNTIL_BYTE_MS);
            }
            Self::N3Chopped => weather(scene, random, Weather::Chopped, 3_000),
            Self::N3Gathered => weather(scene, random, Weather::Gathered, 3_000),
            Self::N4Slow => weather(scene, random, Weather::Slow, 2_000 * u64::from(scale)),
            Self::N5Crowd => scene.crowd().await,
            Self::N6Clone => clone(scene).await,
            Self::N7Drift => {
                let ppm = if random.random() { DRIFT_PPM } else { -DRIFT_PPM };
                let station = station(scene, random);
                station.plan(Fault::ClockDrift { ppm });
                station.power_cycle(100).await;
            }
            Self::N8PowerLoss => {
                let step = *StationStep::ALL.choose(random).expect("there are steps");
                station(scene, random).plan(Fault::PowerCut { step, nth: 1 });
            }
            Self::N9Kill => {
                let begun = Instant::now();
                scene.kill_server();
                sleep(Duration::from_millis(random.random_range(0..700))).await;
                scene.start_server().await;
                scene.wait_until_back(begun).await;
            }
            Self::N10Pause => {
                let longest_ms = if scale > 1 { PAUSE_MAX_MS } else { 2_000 };
                let pause_ms = random.random_range(1_000..=longest_ms);
                scene.pause_server(Duration::from_millis(pause_ms)).await;
            }
            Self::N13Storm => scene.lines.iter().for_each(Line::cut),
            Self::N14DrainInStorm => {
                let begun = Instant::now();
                scene.lines.iter().for_each(Line::cut);
                scene.drain_server().await;
                scene.start_server().await;
                scene.wait_until_back(begun).await;
            }
            Self::N15Slowloris => {
                let gateway = scene.site.stations_address();
                scene.slow_strangers.spawn(strangers::slowloris(gateway));
            }
            Self::N16Flood => {
                let log = scene.site.log();
                let length = strangers::length(&log);
                let flooding = scene.flood();
                strangers::log_says(&log, length, FLOOD_NOTICED, NOTICED_PATIENCE).await;
                flooding.stop().await;
            }
            Self::N17Replay => {
                strangers::replay(&scene.site.stations_address(), &scene.captures, REPLAYED).await;
            }
            Self::N18BitFlip => {
                let flip = Weather::FlipAfter { bytes: random.random_range(0..800), way: way(random) };
                weather(scene, random, flip, UNTIL_BYTE_MS);
            }
            Self::Repeated => {
                let kinds = [MessageType::EVENT, MessageType::CMD_RESULT, MessageType::TELEMETRY];
                let kind = *kinds.choose(random).expect("there are kinds");
                let station = station(scene, random);
                scene.write_repeats(station);
                station.plan(Fault::Duplicate { kind, nth: 1 });
            }
        }
    }
}

/// Two devices log in in turns until the gateway has noticed, or for a while.
async fn clone(scene: &Scene) {
    let (log, clones) = scene.clones();
    strangers::log_says(&log, 0, CLONES_NOTICED, NOTICED_PATIENCE).await;
    for clone in clones {
        clone.stop().await;
    }
}

fn station<'s>(scene: &'s Scene, random: &mut SmallRng) -> &'s StationHandle {
    scene.stations.choose(random).expect("there are stations")
}

fn way(random: &mut SmallRng) -> Way {
    if random.random() { Way::ToGateway } else { Way::ToStation }
}

/// One line, a fair one if there is one, gets this weather for a while. What was held breaks at its end.
fn weather(scene: &Scene, random: &mut SmallRng, weather: Weather, for_ms: u64) {
    let fair: Vec<_> = scene.lines.iter().filter(|line| line.weather() == Weather::Fair).collect();
    let line = match fair.choose(random) {
        Some(line) => (*line).clone(),
        None => scene.lines.choose(random).expect("there are lines").clone(),
    };
    line.set(weather);
    tokio::spawn(async move {
        sleep(Duration::from_millis(for_ms)).await;
        // Another fault may have followed; it has an end of its own.
        if std::mem::discriminant(&line.weather()) == std::mem::discriminant(&weather) {
            line.set(Weather::Fair);
            if weather == Weather::Held {
                line.cut();
            }
        }
    });
}
