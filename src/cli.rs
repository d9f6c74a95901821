//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use simulator::limits::{LOAD_SECONDS_MAX, LOAD_SENDS_PER_S_MAX, LOAD_SOURCES_MAX, LOAD_STATIONS_MAX};
use uuid::Uuid;

/// The server of a power-bank rental network: one binary, nothing to install.
#[derive(Parser)]
#[command(name = "chautari", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct Global {
    /// Settings file; keys that it lacks keep their defaults (`chautari config show`).
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where databases, secrets and media live [default: ./data/demo for `demo`, else ./data].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ends the process at a named point, to prove that a restart loses nothing: NAME or NAME:NTH.
    #[cfg(debug_assertions)]
    #[arg(long, global = true, hide = true, value_name = "NAME:NTH")]
    pub(crate) crash_at: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs everything with simulated stations and riders, ready to look at.
    Demo(Demo),
    /// Runs everything in one process on embedded stores: the single-machine product.
    Up,
    /// Runs one simulated station in the foreground; or makes a real one, or changes its key.
    Station(Box<Station>),
    /// Manages the people who use the console.
    #[command(subcommand)]
    Staff(Staff),
    /// Drives a gateway with many simulated stations and reports what it took.
    Simulate(Box<Simulate>),
    /// Shows what one station and the running gateway say to each other, live and explained, for a while.
    Trace(Trace),
    /// Empties the running gateway: open ejects finish, stations are sent away at a set rate, queues are emptied.
    Drain,
    /// Explains protocol bytes.
    #[command(subcommand)]
    Frame(Frame),
    /// Checks a data directory without changing it: rentals, inventory, commands, ledger.
    Audit,
    /// Brings the database to this version's schema.
    Migrate,
    /// Prints the OpenAPI document.
    Openapi,
    /// Shows or checks the settings.
    #[command(subcommand)]
    Config(Config),
}

#[derive(Args)]
pub(crate) struct Demo {
    /// How many stations connect.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(2..=500))]
    pub(crate) stations: u32,
    /// How many riders rent.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=500))]
    pub(crate) riders: u32,
    /// The same seed gives the same behaviour.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How hurried the riders are; the clock itself is never scaled.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub(crate) speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=100.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 100".to_owned()),
    }
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Station {
    #[command(subcommand)]
    pub(crate) action: Option<StationAction>,
    #[command(flatten)]
    pub(crate) run: Option<RunStation>,
}

#[derive(Subcommand)]
pub(crate) enum StationAction {
    /// Creates a station and prints the id, key and QR code that its firmware and its sticker need.
    Provision(Provision),
    /// Gives a station another key and prints it: its controller was replaced, or the key has leaked. The old one is
    /// refused at once.
    Rekey(Named),
    /// Ends a station's session and refuses its logins, until it is approved again.
    Revoke(Named),
    /// Lets a station log in again.
    Approve(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// The serial number on its sticker.
    pub(crate) serial: String,
}

#[derive(Args)]
pub(crate) struct RunStation {
    /// The station's id, as `station provision` printed it.
    #[arg(long)]
    pub(crate) id: Uuid,
    /// The station's key: 64 hexadecimal digits.
    #[arg(long, env = "CHAUTARI_STATION_KEY", hide_env_values = true)]
    pub(crate) key: String,
    /// Which master key it was derived from.
    #[arg(long, default_value_t = 1)]
    pub(crate) key_id: u16,
    /// Its key generation.
    #[arg(long, default_value_t = 1)]
    pub(crate) key_gen: u16,
    /// The gateway's address.
    #[arg(long, default_value = "127.0.0.1:7420")]
    pub(crate) gateway: SocketAddr,
    /// How many slots it has.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=48))]
    pub(crate) slots: u8,
    /// Power banks that sit in its slots at the first start: serials of 16 hexadecimal digits.
    #[arg(long, value_delimiter = ',', value_name = "SERIAL,…")]
    pub(crate) banks: Vec<String>,
    /// Where its flash memory is kept between runs [default: `stations` in the data directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) flash_dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Provision {
    /// The name that riders read.
    #[arg(long)]
    pub(crate) name: String,
    /// The serial number on the sticker [default: made up].
    #[arg(long)]
    pub(crate) serial: Option<String>,
    /// The modem's IMEI; a login with another one is refused.
    #[arg(long)]
    pub(crate) imei: Option<String>,
    /// Degrees north.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) latitude: f64,
    /// Degrees east.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) longitude: f64,
    /// The address that riders read.
    #[arg(long, default_value = "")]
    pub(crate) address: String,
    /// What stands next to it.
    #[arg(long, default_value = "")]
    pub(crate) landmark: String,
    /// How many slots it has.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=48))]
    pub(crate) slots: u8,
}

#[derive(Subcommand)]
pub(crate) enum Staff {
    /// Creates a person who may sign in to the console; asks for the password.
    Create {
        /// The address to sign in with.
        #[arg(long)]
        email: String,
        /// What the person may do.
        #[arg(long, default_value = "super_admin", value_parser = ["super_admin", "admin", "moderator"])]
        role: String,
        /// Reads the password from standard input instead of asking for it.
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Args)]
pub(crate) struct Simulate {
    /// The gateway to drive, on this machine.
    #[arg(long, default_value = "127.0.0.1:7420")]
    pub(crate) target: SocketAddr,
    /// How many stations connect.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(LOAD_STATIONS_MAX)))]
    pub(crate) stations: u32,
    /// The number of the first one: several processes with different ones make more stations than one may open sockets.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub(crate) first: u32,
    /// For how long, once all are connected.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(LOAD_SECONDS_MAX)))]
    pub(crate) seconds: u32,
    /// Over how long they connect, seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=i64::from(LOAD_SECONDS_MAX)))]
    pub(crate) ramp_seconds: u32,
    /// From how many addresses they come, 127.1.0.1, 127.2.0.1 and so on: carrier blocks of their own
    /// [default: one for each thousand stations]; 0: from the kernel's choice.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(LOAD_SOURCES_MAX)))]
    pub(crate) source_addresses: Option<u32>,
    /// Telemetry frames per second, of all stations together [default: one from each station in 30 seconds].
    #[arg(long, value_parser = rate)]
    pub(crate) telemetry_rate: Option<f64>,
    /// Samples in each of them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) samples_per_batch: u8,
    /// Events per second, of all stations together. The events of a station that nobody provisioned become incidents.
    #[arg(long, default_value_t = 0.0, value_parser = rate)]
    pub(crate) event_rate: f64,
    /// Ejects per second through the gateway's control server; each bank is put back at once.
    #[arg(long, default_value_t = 0.0, value_parser = rate)]
    pub(crate) command_rate: f64,
    /// The gateway's control server; its key is the internal key of --data-dir.
    #[arg(long, default_value = "127.0.0.1:7421")]
    pub(crate) control: SocketAddr,
    /// In the middle of the time all stations lose their power and are back within so many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) storm: Option<u32>,
    /// Makes the stations in the backend of --data-dir first. Without it they are strangers, and
    /// gateway.unknown_stations must be "accept".
    #[arg(long)]
    pub(crate) provision: bool,
    /// The gateway's master key, a file as in DATA_DIR/secrets [default: that of --data-dir].
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// Which master key it is [default: the highest of --data-dir, or 1].
    #[arg(long)]
    pub(crate) key_id: Option<u16>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Report::Table)]
    pub(crate) report: Report,
    /// The same seed gives the same choices.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Report {
    /// For people.
    Table,
    /// For machines: times in microseconds.
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=f64::from(LOAD_SENDS_PER_S_MAX)).contains(&rate) => Ok(rate),
        _ => Err(format!("a number from 0 to {LOAD_SENDS_PER_S_MAX}")),
    }
}

#[derive(Args)]
pub(crate) struct Trace {
    /// The station's id, or the serial number on its sticker.
    pub(crate) station: String,
    /// For how long.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) seconds: u32,
    /// Prints the gateway's lines as they come, one JSON object each.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Frame {
    /// Explains the frames in hexadecimal text.
    Decode {
        /// Hexadecimal digits; spaces are ignored.
        hex: Vec<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Prints every setting in effect, secrets as `***`.
    Show,
    /// Says what is wrong with the settings and how to mend it.
    Check,
}
