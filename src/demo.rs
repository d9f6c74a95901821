//! `chautari demo`: the whole network alive in one process, with simulated stations and riders.

mod people;
mod places;
mod stations;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backend::config::{MailProvider, SmsProvider};
use simulator::fleet::{Fleet, FleetSettings};
use simulator::rest::Rest;
use simulator::riders::{RiderBehaviour, RiderCounts, Riders};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::audit::Report;
use crate::cli::Demo;
use crate::node::Node;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::{observe, up};

/// How long the stations may take to come online before the banner is printed all the same.
const COME_ONLINE: Duration = Duration::from_secs(20);
/// A motor turns this long at speed 1.
const MOTOR_MS: u64 = 1_200;

/// What the demo sets whatever the settings say: nothing of it is fit for real riders.
pub(crate) fn adapt(settings: &mut Settings) {
    settings.sms.provider = Some(SmsProvider::Console);
    settings.mail.provider = Some(MailProvider::Console);
    settings.payments.sandbox = true;
    settings.backend.demo = true;
    // A PAN that nobody has: rentals get tax invoices, and nobody can take them for real ones.
    settings.invoices.seller_name = "Chautari demonstration".to_owned();
    settings.invoices.seller_address = "Kathmandu".to_owned();
    settings.invoices.seller_pan = "000000000".to_owned();
    // The banner stays on the screen; whoever wants the story sets another filter.
    if settings.log.filter.starts_with("info,sea_orm") {
        settings.log.filter = "warn".to_owned();
    }
    // Stations are made a moment before they connect; one that the gateway has not heard of yet asks again soon.
    settings.gateway.admission.pending_retry_ms = 1_000;
    if settings.gateway.listen.ip().is_unspecified() {
        settings.gateway.listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
}

/// Runs until SIGTERM or Ctrl-C, then stops in order and audits what is left.
pub(crate) async fn run(
    settings: &Settings,
    secrets: &Secrets,
    data_dir: &Path,
    demo: &Demo,
) -> anyhow::Result<()> {
    let stop = up::StopSignal::listen()?;
    let recorder = observe::start_recorder()?;
    gateway::metrics::describe();
    let node = Node::start(settings, secrets, data_dir, recorder).await?;
    node.ready().await?;

    let specs = stations::provision(&node.app, demo.stations).await?;
    let mut fleet_settings =
        FleetSettings::new(node.addresses.stations.to_string()).kept_in(data_dir.join("stations"));
    fleet_settings.station.seed = demo.seed;
    fleet_settings.station.speed = demo.speed;
    fleet_settings.station.motor_ms = MOTOR_MS;
    fleet_settings.ramp_ms = 2_000;
    let fleet = Fleet::start(specs, fleet_settings, node.app.clock.inner())?;
    let wanted = usize::try_from(demo.stations)?;
    if !fleet.wait_until_online(wanted, COME_ONLINE).await {
        info!(online = fleet.summary().online, wanted, "some stations are not online yet");
    }

    let rest = Rest::new(&format!("http://{}", node.addresses.public))?;
    let people = people::sign_up(&node.app, &rest).await?;
    println!("{}", people::banner(&node, data_dir, &people, fleet.street().cabinets()));

    let counts = Arc::new(RiderCounts::default());
    let riders = Riders {
        rest,
        street: fleet.street().clone(),
        passwords: Arc::new(people::Outbox(node.app.otp_outbox.clone())),
        behaviour: RiderBehaviour { riders: demo.riders, seed: demo.seed, speed: demo.speed },
        clock: node.app.clock.inner(),
        counts: Arc::clone(&counts),
    };
    let stop_riders = CancellationToken::new();
    let riders = tokio::spawn(riders.live(stop_riders.clone()));

    stop.asked().await;
    println!("\nStopping: riders go home, open ejects finish, queues are emptied.");
    stop_riders.cancel();
    riders.await?;
    let summary = fleet.summary();
    node.stop().await?;
    fleet.stop().await;
    println!(
        "{} rentals were started and {} completed in this run; {} banks are in stations, {} with riders.",
        counts.started(),
        counts.completed(),
        summary.banks_inside,
        summary.banks_outside,
    );
    println!("{}", Report::make(settings).await?);
    println!("Start again with the same command and everything is where you left it.");
    Ok(())
}
