//! The `chautari` binary: it wires, it decides nothing.

mod cli;
mod settings;

mod node;
mod up;

mod demo;
mod simulate;
mod station;

mod audit;
mod books;
mod control;
mod drain;
mod frame;
mod provision;
mod staff;
mod trace;

mod observe;
mod process;
mod secrets;
mod system;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::audit::Report;
use crate::cli::{Cli, Command, Config, Frame, Staff, StationAction};
use crate::control::Control;
use crate::secrets::Secrets;
use crate::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where `demo` keeps its data, apart from a product that may run beside it.
const DEMO_DATA_DIR: &str = "data/demo";
/// Where everything else keeps its data.
const DATA_DIR: &str = "data";

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chautari: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.global.config.as_deref();
    let default_dir = if matches!(cli.command, Command::Demo(_)) { DEMO_DATA_DIR } else { DATA_DIR };
    let data_dir = settings::data_dir(cli.global.data_dir.as_deref(), default_dir);
    let load = || Settings::load(file, &data_dir);
    #[cfg(debug_assertions)]
    arm_crash(cli.global.crash_at.as_deref())?;
    match cli.command {
        Command::Config(Config::Show) => print!("{}", settings::show(file)?),
        Command::Config(Config::Check) => {
            load()?;
            println!("The settings are complete and consistent.");
        }
        Command::Frame(Frame::Decode { hex }) => print!("{}", frame::explain(&hex.concat())?),
        Command::Openapi => println!("{}", backend::api::openapi().to_pretty_json()?),
        Command::Migrate => with_data(&load()?, &data_dir, async |settings, secrets| {
            node::open_backend(settings, secrets).await?;
            println!("The database is up to date.");
            if settings.uses_cql() {
                storage::scylla::ScyllaStore::migrate(&settings.cql).await?;
                println!("The tables of the CQL cluster are up to date.");
            }
            Ok(())
        })?,
        Command::Up => with_data(&load()?, &data_dir, async |settings, secrets| {
            up::run(settings, secrets, &data_dir).await
        })?,
        Command::Demo(asked) => {
            let mut settings = load()?;
            demo::adapt(&mut settings);
            with_data(&settings, &data_dir, async |settings, secrets| {
                demo::run(settings, secrets, &data_dir, &asked).await
            })?
        }
        Command::Station(station) => match (station.action, station.run) {
            (Some(action), _) => {
                let settings = load()?;
                prepare(&settings)?;
                // A key of a master that was made just now fits no station that exists.
                let is_new = matches!(action, StationAction::Provision(_));
                let open = if is_new { Secrets::open_or_create } else { Secrets::open };
                let secrets = open(&data_dir)?;
                runtime()?.block_on(async {
                    provision::run(&node::open_backend(&settings, &secrets).await?, action).await
                })?;
            }
            (None, Some(asked)) => runtime()?.block_on(station::run(asked, &data_dir))?,
            (None, None) => {
                anyhow::bail!(
                    "give --id and --key, or one of the commands of `station`; see `chautari station --help`"
                )
            }
        },
        Command::Staff(Staff::Create { email, role, password_stdin }) => {
            with_data(&load()?, &data_dir, async |settings, secrets| {
                let app = node::open_backend(settings, secrets).await?;
                staff::create(&app, &email, &role, password_stdin).await
            })?
        }
        Command::Simulate(asked) => {
            let settings = load()?;
            prepare(&settings)?;
            runtime()?.block_on(simulate::run(&settings, &data_dir, &asked))?;
        }
        Command::Trace(asked) => {
            let settings = load()?;
            prepare(&settings)?;
            let control = Control::open(&settings, &data_dir)?;
            runtime()?.block_on(trace::run(asked, &settings, &control))?;
        }
        Command::Drain => {
            let settings = load()?;
            prepare(&settings)?;
            runtime()?.block_on(drain::run(&Control::open(&settings, &data_dir)?))?;
        }
        Command::Audit => {
            let settings = load()?;
            observe::start_log(&settings.log)?;
            let report = runtime()?.block_on(Report::make(&settings))?;
            println!("{report}");
            return Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the log and the runtime, makes the data directory and its secrets, and runs a command in them.
fn with_data<T>(
    settings: &Settings,
    data_dir: &Path,
    command: impl AsyncFnOnce(&Settings, &Secrets) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    prepare(settings)?;
    let secrets = Secrets::open_or_create(data_dir)?;
    runtime()?.block_on(command(settings, &secrets))
}

/// The log, and what encrypts calls to the outside.
fn prepare(settings: &Settings) -> anyhow::Result<()> {
    observe::start_log(&settings.log)?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("a cryptography provider was installed twice");
    }
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

#[cfg(debug_assertions)]
fn arm_crash(at: Option<&str>) -> anyhow::Result<()> {
    if let Some(at) = at {
        let (name, nth) = at.split_once(':').unwrap_or((at, "1"));
        protocol::crash::arm(name, nth.parse()?);
    }
    Ok(())
}
