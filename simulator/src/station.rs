//! One station: the real session machine over real TCP, around a cabinet that nobody can see inside of.
//!
//! [`Station::start`] spawns one task, the controller; [`StationHandle`] is what the world may do with it.
//! The controller lives as long as its power. What survives is the flash and the cabinet.

mod controller;
mod link;
mod sensors;
mod telemetry;

pub use sensors::{Sensors, readings};

use std::path::PathBuf;
use std::sync::Arc;

use protocol::clock::Clock;
use protocol::crypto::StationKey;
use protocol::frame::Frame;
use protocol::session::CloseReason;
use protocol::session::commands::{Actuation, ActuationOutcome};
use protocol::session::station::{Counts, Happening, Settings};
use protocol::types::{Epoch, StationId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bank::PowerBank;
use crate::cabinet::Cabinet;
use crate::faults::{Fault, FaultPlan, StationStep};
use crate::flash::StationFlash;
use crate::limits::ORDERS_WAITING_MAX;
use crate::saved::{self, SavedError};
use crate::street::Hands;
use crate::tally::Tally;

/// What a station is provisioned with, and what it is built of.
#[derive(Clone, Debug)]
pub struct StationSpec {
    /// Its id in the backend.
    pub station_id: StationId,
    /// The serial number on its sticker.
    pub serial: String,
    /// Its key.
    pub key: StationKey,
    /// Which master the key comes from.
    pub key_id: u16,
    /// Which generation of the key.
    pub key_gen: u16,
    /// How many slots it has.
    pub slots: u8,
    /// The banks that are in it when it is new.
    pub banks: Vec<PowerBank>,
}

/// How stations behave; one for a whole fleet.
#[derive(Clone, Debug)]
pub struct StationSettings {
    /// The gateway, `host:port`.
    pub address: String,
    /// How hurried motors and batteries are. Clocks never are.
    pub speed: f64,
    /// How long a motor runs at speed 1.
    pub motor_ms: u64,
    /// How often the slots are sampled.
    pub sample_interval_ms: u64,
    /// How many samples travel together.
    pub samples_per_batch: usize,
    /// How often a station tells the state of a slot without need: a load without effect. `None`: never.
    pub event_interval_ms: Option<u64>,
    /// How long the power is away after a power cut by a fault.
    pub power_off_ms: u64,
    /// Where flash and cabinets are kept, made if it is not there; `None`: in memory.
    pub directory: Option<PathBuf>,
    /// The same seed gives the same readings, waits and nonces.
    pub seed: u64,
    /// How the machine behaves where the protocol leaves it free.
    pub session: Settings,
}

impl StationSettings {
    /// A usual station, in memory.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            speed: 1.0,
            motor_ms: 1_500,
            sample_interval_ms: 10_000,
            samples_per_batch: 3,
            event_interval_ms: None,
            power_off_ms: 500,
            directory: None,
            seed: 1,
            session: Settings::default(),
        }
    }

    /// The file of a station, if there is a directory. Another key changes nothing of it.
    fn file(&self, station_id: StationId, what: &str) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(format!("{station_id}.{what}.json")))
    }
}

/// Somebody who watches a station closely.
pub trait Observer: Send {
    /// A frame is about to be written.
    fn sent(&mut self, at_wall_ms: u64, frame: &Frame<'_>);
    /// A frame arrived.
    fn received(&mut self, at_wall_ms: u64, frame: &Frame<'_>);
    /// Something else happened.
    fn noted(&mut self, at_wall_ms: u64, note: &Note);
}

/// What an observer learns beside frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The controller started.
    Booted {
        /// Its boot number.
        boot_no: u32,
    },
    /// A connection is tried.
    Connecting,
    /// The connection is open.
    Connected,
    /// The connection ended.
    Closed(CloseReason),
    /// The hardware acts.
    Acting(Actuation),
    /// The hardware has acted.
    Acted(Actuation, ActuationOutcome),
    /// Something was noticed and is in the event queue.
    Happened(Happening),
    /// The power went at this step, by a fault.
    PowerCut(Option<StationStep>),
    /// Nothing is read or written any more, by a fault.
    HalfOpen,
}

/// A station that is ready to be switched on.
pub struct Station {
    spec: StationSpec,
    settings: Arc<StationSettings>,
    clock: Arc<dyn Clock>,
    cabinet: Cabinet,
    hands: Hands,
    tally: Arc<Tally>,
    faults: FaultPlan,
    observer: Option<Box<dyn Observer>>,
    start_after_ms: u64,
}

impl Station {
    /// Builds a station: its cabinet is there from now on.
    pub fn new(
        spec: StationSpec,
        settings: Arc<StationSettings>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SavedError> {
        if let Some(directory) = &settings.directory {
            saved::make_directory(directory)?;
        }
        let banks = spec.banks.iter().cloned();
        let cabinet = match settings.file(spec.station_id, "cabinet") {
            Some(file) => Cabinet::restored(file, spec.slots, banks)?,
            None => Cabinet::with_banks(spec.slots, banks),
        };
        Ok(Self {
            spec,
            settings,
            clock,
            cabinet,
            hands: Hands::default(),
            tally: Arc::default(),
            faults: FaultPlan::none(),
            observer: None,
            start_after_ms: 0,
        })
    }

    /// Whoever stands in front of it takes the banks that come out.
    pub fn with_hands(self, hands: Hands) -> Self {
        Self { hands, ..self }
    }

    /// Counts together with others.
    pub fn with_tally(self, tally: Arc<Tally>) -> Self {
        Self { tally, ..self }
    }

    /// Lets things go wrong.
    pub fn with_faults(self, faults: FaultPlan) -> Self {
        Self { faults, ..self }
    }

    /// Lets somebody watch.
    pub fn with_observer(self, observer: Box<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Waits before it is switched on.
    pub fn after_ms(self, start_after_ms: u64) -> Self {
        Self { start_after_ms, ..self }
    }

    /// Its hardware.
    pub const fn cabinet(&self) -> &Cabinet {
        &self.cabinet
    }

    /// Switches it on. Must be called within a tokio runtime.
    pub fn start(self) -> Result<StationHandle, SavedError> {
        let file = self.settings.file(self.spec.station_id, "flash");
        let flash = StationFlash::open(file, self.spec.key_gen, self.faults.clone())?;
        for slot in self.faults.take_jammed() {
            self.cabinet.set_jammed(slot, true);
        }
        let (orders, inbox) = mpsc::channel(ORDERS_WAITING_MAX);
        let (publish, state) = watch::channel(StationState::default());
        let stop = CancellationToken::new();
        let (station_id, serial) = (self.spec.station_id, self.spec.serial.clone());
        let (cabinet, faults) = (self.cabinet.clone(), self.faults.clone());
        let task = tokio::spawn(controller::run(self, flash, inbox, publish, stop.clone()));
        Ok(StationHandle { station_id, serial, cabinet, faults, orders, state, stop, task })
    }
}

/// What a controller is told from outside.
#[derive(Clone, Copy, Debug)]
enum Order {
    PowerCycle { off_ms: u64 },
    Report(Happening),
}

/// What can be seen of a station from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StationState {
    /// Whether a session is open.
    pub is_online: bool,
    /// Whether a command runs or waits.
    pub is_busy: bool,
    /// The epoch of the present or last connection.
    pub epoch: Option<Epoch>,
    /// How often the controller has started.
    pub boot_no: u32,
    /// Events that wait for their acknowledgement.
    pub events_waiting: usize,
    /// What was counted since the boot.
    pub counts: Counts,
}

/// A station that runs. Dropping the handle leaves it running until the runtime ends.
#[derive(Debug)]
pub struct StationHandle {
    station_id: StationId,
    serial: String,
    cabinet: Cabinet,
    faults: FaultPlan,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<StationState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl StationHandle {
    /// Its id.
    pub const fn station_id(&self) -> StationId {
        self.station_id
    }

    /// The serial number on its sticker.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Its hardware.
    pub const fn cabinet(&self) -> &Cabinet {
        &self.cabinet
    }

    /// What can be seen of it now.
    pub fn state(&self) -> StationState {
        *self.state.borrow()
    }

    /// Waits until it looks like this. Returns at once if it has stopped.
    pub async fn wait_until(&self, mut is_so: impl FnMut(&StationState) -> bool) -> StationState {
        let mut state = self.state.clone();
        match state.wait_for(|state| is_so(state)).await {
            Ok(now) => *now,
            Err(_) => self.state(),
        }
    }

    /// The power goes and comes back after `off_ms`: everything that is not in flash is lost.
    pub async fn power_cycle(&self, off_ms: u64) {
        // A station that has stopped has no power to lose.
        let _ = self.orders.send(Order::PowerCycle { off_ms }).await;
    }

    /// The controller notices something that the cabinet does not show.
    pub async fn report(&self, happening: Happening) {
        let _ = self.orders.send(Order::Report(happening)).await;
    }

    /// Plans a fault, counted from now. A wrong oscillator shows from the next boot on.
    pub fn plan(&self, fault: Fault) {
        match fault {
            Fault::JammedMotor { slot } => self.cabinet.set_jammed(slot, true),
            fault => self.faults.add(fault),
        }
    }

    /// The faults that wait for their moment.
    pub fn faults_waiting(&self) -> Vec<Fault> {
        self.faults.waiting()
    }

    /// Asks it to stop, without waiting.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Switches it off, as pulling the plug does, and waits until it is.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!(station = self.serial, "a simulated station panicked");
        }
    }
}
