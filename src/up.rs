//! `chautari up`: the single-machine product.

use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::node::Node;
use crate::observe;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// Runs until SIGTERM or Ctrl-C, then stops in order.
pub(crate) async fn run(settings: &Settings, secrets: &Secrets, data_dir: &Path) -> anyhow::Result<()> {
    let stop = StopSignal::listen()?;
    let recorder = observe::start_recorder()?;
    gateway::metrics::describe();
    let node = Node::start(settings, secrets, data_dir, recorder).await?;
    node.ready().await?;
    println!("{}", banner(&node, data_dir));
    stop.asked().await;
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

/// Hears when somebody asks the process to end. It listens from the moment it is made, so make it before anything
/// starts: a request that comes early is then kept, and does not end the process in the middle of its work.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Begins to listen.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when somebody asks, or has asked; a second request ends the process at once.
    pub(crate) async fn asked(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(130);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
