//! Commands of a load: ejects through the gateway's control server, each at its planned moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::control::{CommandAnswer, CommandKind, CommandOffer, DeliveryState};
use protocol::limits::CLOCK_ERROR_DEFAULT_MAX_MS;
use protocol::types::{CommandId, StationId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Builder;

use super::plan::{Schedule, Window};
use super::slots::bank;
use super::station::{Common, slot_of};
use crate::limits::{LOAD_COMMAND_LIFE_MS, LOAD_COMMANDS_IN_FLIGHT_MAX};
use crate::tally::{Count, Latencies};

/// How long one question about a command may wait.
const ASK_MS: u64 = 10_000;
/// How long one call may take beyond that.
const CALL_MS: u64 = 5_000;

/// The gateway's control server, and the key that opens it.
#[derive(Clone)]
pub struct Control {
    /// Where it is.
    pub address: SocketAddr,
    /// The internal key.
    pub key: String,
}

/// What became of the commands.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pub(super) planned: Count,
    /// From the planned moment to the answer `answered`.
    pub(super) calm: Latencies,
    /// The same of commands that were planned while the storm switched stations on.
    pub(super) storm: Latencies,
    by_outcome: Mutex<BTreeMap<String, u64>>,
}

impl Outcomes {
    fn count(&self, outcome: &str) {
        let mut counted = self.by_outcome.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry(outcome.to_owned()).or_default() += 1;
    }

    /// How often each outcome came up: `answered`, `unsent no_session`, and so on.
    pub(super) fn so_far(&self) -> BTreeMap<String, u64> {
        self.by_outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Offers commands at their moments.
pub(super) struct Commander {
    pub(super) common: Arc<Common>,
    pub(super) control: Control,
    pub(super) client: reqwest::Client,
    /// The stations and their numbers.
    pub(super) stations: Arc<Vec<(StationId, u32)>>,
    pub(super) window: Window,
    pub(super) outcomes: Arc<Outcomes>,
}

impl Commander {
    /// Works until the window or `stop`, and until each command that was offered has its answer.
    pub(super) async fn run(self, per_s: f64, stop: CancellationToken) {
        let mut schedule = Schedule::new(&self.window, per_s, 1, 0.0);
        let mut random = SmallRng::seed_from_u64(self.common.seed ^ u64::from(self.common.boot_no));
        let in_flight = Arc::new(Semaphore::new(LOAD_COMMANDS_IN_FLIGHT_MAX));
        let this = Arc::new(self);
        let mut commands = JoinSet::new();
        let mut number = 0;
        while let Some(due_us) = schedule.next_us() {
            let wait_us = due_us.saturating_sub(this.common.clock.monotonic_us());
            tokio::select! {
                () = sleep(Duration::from_micros(wait_us)) => {}
                () = stop.cancelled() => break,
            }
            while let Some(planned_us) = schedule.take_due(this.common.clock.monotonic_us()) {
                let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { break };
                let cmd_id = command_id(this.common.clock.wall_ms(), random.random());
                let station = this.stations[random.random_range(0..this.stations.len())];
                let command = Arc::clone(&this);
                this.outcomes.planned.one();
                commands.spawn(async move {
                    command.carry(cmd_id, station, number, planned_us).await;
                    drop(permit);
                });
                number += 1;
            }
            while commands.try_join_next().is_some() {}
        }
        while commands.join_next().await.is_some() {}
    }

    async fn carry(&self, cmd_id: CommandId, station: (StationId, u32), number: u64, planned_us: u64) {
        let counts = &self.common.counts;
        counts.plan_command(cmd_id, planned_us);
        let offered = self.offer(cmd_id, station, number).await;
        counts.take_planned(&cmd_id);
        let outcome = match offered {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, "a command of the load was not carried");
                return self.outcomes.count("no answer from the control server");
            }
        };
        let took_us = self.common.clock.monotonic_us().saturating_sub(planned_us);
        match outcome.state {
            DeliveryState::Answered => {
                let is_storm = self
                    .window
                    .storm
                    .is_some_and(|(from_us, over_us)| (from_us..=from_us + over_us).contains(&planned_us));
                let latencies = if is_storm { &self.outcomes.storm } else { &self.outcomes.calm };
                latencies.record_us(took_us);
                self.outcomes.count("answered");
            }
            DeliveryState::Unsent => {
                let reason = outcome.unsent_reason.map_or_else(String::new, |reason| word(&reason));
                self.outcomes.count(format!("unsent {reason}").trim());
            }
            state => self.outcomes.count(&format!("{} when it expired", word(&state))),
        }
    }

    /// Offers the command and waits for what becomes of it.
    async fn offer(
        &self,
        cmd_id: CommandId,
        (station_id, station): (StationId, u32),
        number: u64,
    ) -> reqwest::Result<CommandAnswer> {
        let (now_ms, slot) = (self.common.clock.wall_ms(), slot_of(number));
        let offer = CommandOffer {
            station_id,
            kind: CommandKind::Eject,
            slot: Some(slot),
            bank: Some(bank(station, slot)),
            argument: 0,
            expires_at_ms: now_ms + LOAD_COMMAND_LIFE_MS,
            max_clock_error_ms: CLOCK_ERROR_DEFAULT_MAX_MS,
            now_ms,
        };
        let url = format!("http://{}/control/v1/commands/{cmd_id}", self.control.address);
        let mut answer = self.call(self.client.put(&url).json(&offer)).await?;
        while !is_over(answer.state) && self.common.clock.wall_ms() < offer.expires_at_ms {
            answer = self.call(self.client.get(format!("{url}?wait_ms={ASK_MS}"))).await?;
        }
        Ok(answer)
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> reqwest::Result<CommandAnswer> {
        let request = request.bearer_auth(&self.control.key).timeout(Duration::from_millis(ASK_MS + CALL_MS));
        request.send().await?.error_for_status()?.json().await
    }
}

const fn is_over(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Answered | DeliveryState::Unsent | DeliveryState::Unknown)
}

/// The word that the contract has for it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn command_id(now_ms: u64, random: [u8; 10]) -> CommandId {
    CommandId(Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid().into_bytes())
}
