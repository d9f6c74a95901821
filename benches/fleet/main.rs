//! A fleet at one machine: very many stations in memory, a full house over sockets, a storm, and restarts under load.
//!
//! Gateways and stations are processes of their own; the backend is one in this process that admits everybody and keeps a list of
//! what it was told. Over sockets the gateways have an operator's settings, and the stations are those of `simulator::load`: the real
//! session machine, which honours RETRY, waits as WELCOME told it, and sends again what was not acknowledged.
//!
//! `cargo bench -p chautari-gateway --bench fleet` (`-- --quick` for a small form; `-- memory storm restart house` for some of
//! it; `-- --gateways 2 --stations 9000` for other houses)
#![expect(clippy::unwrap_used, reason = "a bench that fails shall stop")]

mod backend;
#[path = "../gateway/client.rs"]
#[expect(dead_code, reason = "other benches need more of it")]
mod client;
#[path = "../side_by_side/consumer.rs"]
mod consumer;
mod house;
mod in_memory;
#[path = "../kernel.rs"]
#[expect(dead_code, reason = "other benches need more of it")]
mod kernel;
mod load;
mod pipe;
mod restart;
mod servers;
mod storm;
mod table;

use table::Table;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much of everything. A process may open 20 000 files.
struct Size {
    in_memory: usize,
    gateways: u16,
    stations_each: u32,
    idle_ms: u64,
}

const FULL: Size = Size { in_memory: 200_000, gateways: 4, stations_each: 18_000, idle_ms: 60_000 };
const QUICK: Size = Size { in_memory: 10_000, gateways: 2, stations_each: 1_000, idle_ms: 10_000 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = arguments.iter().position(|argument| argument.starts_with(servers::ROLE)) {
        let told = &arguments[place + 1..];
        let number = |place: usize| told[place].parse::<usize>().unwrap();
        return match arguments[place].trim_start_matches(servers::ROLE) {
            "memory-gateway" => in_memory::gateway(number(0)),
            "memory-least" => in_memory::least(number(0)),
            "gateway" => servers::gateway(number(0) as u16, number(1)),
            _ => load::run(&told[0]),
        };
    }
    let mut size = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        Some(arguments[place + 1].parse::<u32>().unwrap())
    };
    size.gateways = number("--gateways").map_or(size.gateways, |gateways| gateways as u16);
    size.stations_each = number("--stations").unwrap_or(size.stations_each);
    let parts = ["memory", "storm", "restart", "house"];
    let asked = |part: &str| {
        let names_some = arguments.iter().any(|argument| parts.contains(&argument.as_str()));
        !names_some || arguments.iter().any(|argument| argument == part)
    };
    let mut table = Table;
    if asked("memory") {
        in_memory::run(size.in_memory, &mut table);
    }
    if asked("storm") {
        storm::run(size.gateways, size.stations_each, &mut table);
    }
    if asked("restart") {
        restart::run(size.stations_each, &mut table);
    }
    if asked("house") {
        house::run(size.gateways, size.stations_each, size.idle_ms, &mut table);
    }
}
