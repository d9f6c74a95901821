//! Our gateway beside mosquitto, doing the same work on the same machine in the same run.
//!
//! Both are processes of their own with the same number of connections. Devices send the same bytes of telemetry; an app sends a
//! command to a device, which answers, and the app hears it. The generator is one program without a client library on either side.
//! Rounds take turns among the servers; medians are printed. CPU is what the kernel accounts to all threads of the server.
//!
//! * `consumed`: our gateway hands telemetry to a consumer in memory and acknowledges it; beside it mosquitto at QoS 0, whose
//!   subscriber is a thread of the generator and costs mosquitto nothing but the write.
//! * `stored`: our gateway has telemetry on the disk before it acknowledges; beside it mosquitto at QoS 1, which stores nothing.
//!
//! Memory is a slope: what the second half of the connections took, each half after a rest, so that what a process needs once weighs
//! on none. Beside CPU stand how often the server's threads went to sleep and how often they called `write` (to wake one another, or to
//! a file): noise changes neither.
//!
//! `cargo bench -p chautari-gateway --bench side_by_side` (`-- --quick`; `-- --connections 4000 --rounds 5`)
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "the bench of the gateway needs more of it")]
mod client;
mod commands;
mod consumer;
#[path = "../kernel.rs"]
#[expect(dead_code, reason = "other benches need more of it")]
mod kernel;
mod mqtt;
mod process;
mod serve;
mod servers;
mod side;

use commands::{Answering, Commands, Path};
use side::{Kind, Side, Took};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Telemetry messages per second while they are paced.
const PACED_PER_S: usize = 5_000;
/// Messages of one device that are on their way together: half of the window that our gateway gives.
const IN_FLIGHT: usize = 4;
/// After connections were made, until memory is read, and before commands begin.
const REST: Duration = Duration::from_secs(2);
/// After the load: allocators give memory back late.
const REST_AFTER_LOAD: Duration = Duration::from_secs(10);

/// How much of everything.
#[derive(Clone, Copy)]
struct Size {
    connections: usize,
    rounds: usize,
    paced: usize,
    saturated: usize,
    commands: usize,
}

const FULL: Size = Size { connections: 4_000, rounds: 5, paced: 20_000, saturated: 80_000, commands: 4_000 };
const QUICK: Size = Size { connections: 2_000, rounds: 1, paced: 5_000, saturated: 16_000, commands: 4_000 };

/// All figures of one kind of server, a value for each round.
type Figures = BTreeMap<(&'static str, &'static str), Vec<f64>>;

fn main() {
    let role = std::env::args().find_map(|argument| argument.strip_prefix(process::ROLE).map(str::to_owned));
    if let Some(role) = role {
        return serve::gateway(role == "stored");
    }
    let size = size();
    let _backend = serve::Backend::start();
    let mosquitto = process::find_mosquitto();
    let directory = tempfile::tempdir().unwrap();
    let payload_bytes = {
        let probe = Side::start(Kind::Consumed, None, directory.path(), 0);
        side::telemetry_bytes(probe.server.address)
    };
    let kinds: &[Kind] = match mosquitto {
        Some(_) => &[Kind::Consumed, Kind::AtMostOnce, Kind::Stored, Kind::AtLeastOnce],
        None => &[Kind::Consumed, Kind::Stored],
    };
    if mosquitto.is_none() {
        println!("mosquitto is not installed (Debian: `apt-get install mosquitto`): only our figures follow");
    }
    println!(
        "{} connections, telemetry of {payload_bytes} bytes, medians of {} round(s) in turns",
        size.connections, size.rounds
    );
    let mut figures: BTreeMap<&'static str, Figures> = BTreeMap::new();
    for round in 0..size.rounds {
        for kind in kinds {
            eprintln!("round {} of {}: {kind:?}", round + 1, size.rounds);
            let mut side = Side::start(*kind, mosquitto.as_deref(), directory.path(), payload_bytes);
            run(&mut side, size, figures.entry(name(*kind)).or_default());
        }
    }
    print(&figures);
}

fn size() -> Size {
    let mut size = if std::env::args().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let number = |name: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().map(|value| value.parse().unwrap())
    };
    size.connections = number("--connections").unwrap_or(size.connections);
    size.rounds = number("--rounds").unwrap_or(size.rounds);
    size
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Consumed => "consumed",
        Kind::Stored => "stored",
        Kind::AtMostOnce => "qos 0",
        Kind::AtLeastOnce => "qos 1",
    }
}

/// One round with one server.
fn run(side: &mut Side, size: Size, figures: &mut Figures) {
    let mut note = |key, value| figures.entry(key).or_default().push(value);
    let empty = side.server.process.memory_bytes();
    let first = side.connect(size.connections / 2);
    thread::sleep(REST);
    let (half, kernel) = (side.server.process.memory_bytes(), kernel::slab_bytes());
    let second = side.connect(size.connections / 2);
    thread::sleep(REST);
    let idle = side.server.process.memory_bytes();
    let each = |bytes: f64| bytes / 1_024.0 / (size.connections / 2) as f64;
    note(("memory", "KiB"), each(idle - half));
    note(("memory", "kernel KiB"), each(kernel::slab_bytes() - kernel));
    note(("memory", "MiB in all"), idle / MIB);
    note(("memory", "MiB once"), (idle - empty - 2.0 * (idle - half)) / MIB);
    note(("login", "per s"), f64::midpoint(first.per_s, second.per_s));
    note(("login", "cpu us"), f64::midpoint(first.cpu_us, second.cpu_us));
    note(("login", "switches"), f64::midpoint(first.switches, second.switches));
    note(("login", "writes"), f64::midpoint(first.writes, second.writes));
    let loads = [
        ("paced", side.pace(PACED_PER_S, size.paced)),
        ("lock-step", side.saturate(size.saturated, 1)),
        ("saturated", side.saturate(size.saturated, IN_FLIGHT)),
    ];
    for (what, took) in loads {
        let Took { per_s, cpu_us, switches, writes } = took;
        note((what, "per s"), per_s);
        note((what, "cpu us"), cpu_us);
        note((what, "switches"), switches);
        note((what, "writes"), writes);
    }
    thread::sleep(REST_AFTER_LOAD);
    note(("after load", "MiB in all"), side.server.process.memory_bytes() / MIB);
    note(("after load", "of idle"), side.server.process.memory_bytes() / idle);
    if side.kind != Kind::AtLeastOnce {
        let answering = Answering::start(side);
        thread::sleep(REST);
        for (what, took) in command_loads(side, size) {
            note((what, "p50 us"), quantile(&took, 0.5));
            note((what, "p99 us"), quantile(&took, 0.99));
            note((what, "p99.9 us"), quantile(&took, 0.999));
            note((what, "per s"), took.per_s);
            note((what, "cpu us"), took.cpu_us);
            note((what, "switches"), took.switches);
            note((what, "writes"), took.writes);
        }
        drop(answering);
    }
}

const MIB: f64 = 1_048_576.0;

/// Commands one by one, many at once, and one by one while telemetry flows.
fn command_loads(side: &mut Side, size: Size) -> Vec<(&'static str, Commands)> {
    let paths: &[_] = match side.kind {
        Kind::Consumed => &[(Path::Handle, ["idle", "32 lanes", "busy"])],
        Kind::Stored => &[
            (Path::Handle, ["idle", "32 lanes", "busy"]),
            (Path::Http, ["idle http", "32 lanes http", "busy http"]),
        ],
        Kind::AtMostOnce | Kind::AtLeastOnce => &[(Path::Topic, ["idle", "32 lanes", "busy"])],
    };
    let mut loads = Vec::new();
    for (path, [idle, many, busy]) in paths {
        loads.push((*idle, commands::carry(&mut side.server, *path, size.commands, 1)));
        loads.push((*many, commands::carry(&mut side.server, *path, size.commands, commands::DEVICES)));
        loads.push((*busy, under_telemetry(side, *path, size)));
    }
    loads
}

fn under_telemetry(side: &mut Side, path: Path, size: Size) -> Commands {
    let enough = AtomicBool::new(false);
    let Side { server, street, .. } = side;
    let took = thread::scope(|scope| {
        scope.spawn(|| street.pace_until(PACED_PER_S, usize::MAX, &enough));
        // The telemetry flows evenly before the first command.
        thread::sleep(Duration::from_millis(300));
        let took = commands::carry(server, path, size.commands, 1);
        enough.store(true, Ordering::Relaxed);
        took
    });
    side.settle();
    took
}

fn quantile(commands: &Commands, part: f64) -> f64 {
    let place = (commands.took.len() as f64 * part).ceil() as usize;
    commands.took[place.clamp(1, commands.took.len()) - 1] as f64 / 1_000.0
}

/// One line of the table: whose figure beside whose, and the goal for the ratio.
struct Line(&'static str, (&'static str, &'static str), &'static str, &'static str, &'static str);

const LINES: [Line; 51] = [
    Line("idle memory, KiB per connection", ("memory", "KiB"), "stored", "qos 0", "M1 <= 1.25 KiB, <= 1.25"),
    Line("  the kernel's share, both ends", ("memory", "kernel KiB"), "stored", "qos 0", ""),
    Line("  MiB in all", ("memory", "MiB in all"), "stored", "qos 0", ""),
    Line("  MiB needed once, not for each", ("memory", "MiB once"), "stored", "qos 0", ""),
    Line("after the load, consumed, MiB in all", ("after load", "MiB in all"), "consumed", "qos 0", ""),
    Line("  of idle", ("after load", "of idle"), "consumed", "qos 0", "M2 ours <= 1.1"),
    Line("after the load, stored, MiB in all", ("after load", "MiB in all"), "stored", "qos 1", ""),
    Line("  of idle", ("after load", "of idle"), "stored", "qos 1", "M2 ours <= 1.1"),
    Line("logins per second", ("login", "per s"), "stored", "qos 0", "M4 >= 10 000/s"),
    Line("  CPU us each", ("login", "cpu us"), "stored", "qos 0", "M4 <= 0.5"),
    Line("  switches each", ("login", "switches"), "stored", "qos 0", ""),
    Line("  writes each", ("login", "writes"), "stored", "qos 0", ""),
    Line("consumed, paced, CPU us each", ("paced", "cpu us"), "consumed", "qos 0", "B1 <= 1.0"),
    Line("  switches each", ("paced", "switches"), "consumed", "qos 0", ""),
    Line("  writes each", ("paced", "writes"), "consumed", "qos 0", ""),
    Line("consumed, 4 in flight, CPU us each", ("saturated", "cpu us"), "consumed", "qos 0", "B1 <= 0.55"),
    Line("  per second", ("saturated", "per s"), "consumed", "qos 0", ""),
    Line("  switches each", ("saturated", "switches"), "consumed", "qos 0", ""),
    Line("  writes each", ("saturated", "writes"), "consumed", "qos 0", ""),
    Line("consumed, lock-step, CPU us each", ("lock-step", "cpu us"), "consumed", "qos 0", ""),
    Line("  per second", ("lock-step", "per s"), "consumed", "qos 0", ""),
    Line("stored, paced, CPU us each", ("paced", "cpu us"), "stored", "qos 1", ""),
    Line("  switches each", ("paced", "switches"), "stored", "qos 1", ""),
    Line("  writes each", ("paced", "writes"), "stored", "qos 1", ""),
    Line("stored, 4 in flight, CPU us each", ("saturated", "cpu us"), "stored", "qos 1", "B2 <= 0.7"),
    Line("  per second", ("saturated", "per s"), "stored", "qos 1", ""),
    Line("stored, lock-step, CPU us each", ("lock-step", "cpu us"), "stored", "qos 1", ""),
    Line("  per second", ("lock-step", "per s"), "stored", "qos 1", ""),
    Line("command idle, p50 us", ("idle", "p50 us"), "stored", "qos 0", "C1 <= 0.8"),
    Line("  p99 us", ("idle", "p99 us"), "stored", "qos 0", "C1 <= 1.0"),
    Line("  p99.9 us", ("idle", "p99.9 us"), "stored", "qos 0", ""),
    Line("  CPU us each", ("idle", "cpu us"), "stored", "qos 0", ""),
    Line("  switches each", ("idle", "switches"), "stored", "qos 0", ""),
    Line("  writes each", ("idle", "writes"), "stored", "qos 0", ""),
    Line("the same, consumed, p50 us", ("idle", "p50 us"), "consumed", "qos 0", ""),
    Line("  p99 us", ("idle", "p99 us"), "consumed", "qos 0", ""),
    Line("32 commands at once, per second", ("32 lanes", "per s"), "stored", "qos 0", "C2 >= 1.6"),
    Line("  CPU us each", ("32 lanes", "cpu us"), "stored", "qos 0", "C2 <= 0.5"),
    Line("  p99 us", ("32 lanes", "p99 us"), "stored", "qos 0", ""),
    Line("command under 5 k/s, p50 us", ("busy", "p50 us"), "stored", "qos 0", ""),
    Line("  p99 us", ("busy", "p99 us"), "stored", "qos 0", "C3 <= 1.0"),
    Line("  p99.9 us", ("busy", "p99.9 us"), "stored", "qos 0", ""),
    Line("over HTTP, idle, p50 us", ("idle http", "p50 us"), "stored", "", ""),
    Line("  p99 us", ("idle http", "p99 us"), "stored", "", ""),
    Line("  p99.9 us", ("idle http", "p99.9 us"), "stored", "", ""),
    Line("  CPU us each", ("idle http", "cpu us"), "stored", "", ""),
    Line("over HTTP, 32 at once, per second", ("32 lanes http", "per s"), "stored", "", ""),
    Line("  CPU us each", ("32 lanes http", "cpu us"), "stored", "", ""),
    Line("over HTTP under 5 k/s, p50 us", ("busy http", "p50 us"), "stored", "", ""),
    Line("  p99 us", ("busy http", "p99 us"), "stored", "", ""),
    Line("  p99.9 us", ("busy http", "p99.9 us"), "stored", "", ""),
];

fn print(figures: &BTreeMap<&'static str, Figures>) {
    println!("\n{:<38} {:>10} {:>10} {:>7}  goal for the ratio", "", "ours", "mosquitto", "ratio");
    let of = |kind: &str, key| {
        figures.get(kind).and_then(|figures| figures.get(&key)).map(|values| median(values))
    };
    let text = |value: Option<f64>, digits| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    for Line(name, key, ours, theirs, goal) in LINES {
        let (ours, theirs) = (of(ours, key), of(theirs, key));
        let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
        let line =
            format!("{name:<38} {:>10} {:>10} {:>7}  {goal}", text(ours, 2), text(theirs, 2), text(ratio, 2));
        println!("{}", line.trim_end());
    }
    println!(
        "QoS 0 acknowledges nothing, which is one send less for each message than we have; QoS 1 stores nothing"
    );
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
