//! `chautari up`: the single-machine product.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::node::Node;
use crate::observe;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// Runs until SIGTERM or Ctrl-C, then stops in order.
pub(crate) async fn run(settings: &Settings, secrets: &Secrets, data_dir: &Path) -> anyhow::Result<()> {
    let recorder = observe::start_recorder()?;
    gateway::metrics::describe();
    let node = Node::start(settings, secrets, data_dir, recorder).await?;
    node.ready().await?;
    println!("{}", banner(&node, data_dir));
    stop_signal().await?;
    println!("Stopping: stations are sent away, queues are emptied.");
    let left = node.stop().await?;
    println!("Stopped. {} station(s) were connected.", left.sessions);
    Ok(())
}

fn banner(node: &Node, data_dir: &Path) -> String {
    let at = node.addresses;
    format!(
        "Chautari is up.\n\
         \n  console   http://{public}/console\n  API       http://{public}/api/docs\n  stations  {stations} (CSP/1, clear link)\n  metrics   http://{metrics}/metrics\n  data      {data}\n\
         \nNext: chautari staff create --email you@example.com · chautari station provision --name \"My shop\" --latitude 27.7 --longitude 85.3",
        public = at.public,
        stations = at.stations,
        metrics = at.metrics,
        data = data_dir.display(),
    )
}

/// Returns when somebody asks the process to end; a second request ends it at once.
pub(crate) async fn stop_signal() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}
