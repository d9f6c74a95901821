//! A backend, a gateway that keeps state and speaks the control contract, and people with money.

use crate::stations::{bank, serial, station};
use crate::test_app::{Answer, TestApp};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use backend::payments::book;
use backend::payments::ledger::Entry;
use backend::rentals::audit::{Finding, audit};
use backend::{auth, jobs};
use entities::id::{CommandId, PaymentAttemptId, RentalId, StationId, UserId, UserSessionId};
use entities::incident::{self, IncidentKind};
use entities::money::Paisa;
use entities::user::{self, UserStatus};
use entities::{command, ledger_posting, power_bank, rental, user_session};
use protocol::control::{
    Briefing, CommandAnswer, CommandOffer, CommandReport, DeliveryState, EventBody, InstanceId, Inventory,
    ItemResult, PresenceLine, ReportedState, StationEvent, StationPresence, TimeQuality, UnsentReason,
    UplinkAnswer, UplinkBatch, UplinkItem, WithdrawAnswer, WithdrawOutcome,
};
use protocol::types::{Epoch, EventNo};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The seeded "1 hour" for NPR 50.
pub(super) const ONE_HOUR: &str = "00000000-0000-7000-8000-000000000301";

/// What the fake gateway does with an offer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnOffer {
    /// Takes it and says so.
    Take,
    /// Takes it and breaks before it says so.
    TakeAndBreak,
    /// Breaks before it takes it.
    Break,
}

/// What a gateway process remembers.
pub(super) struct Gateway {
    pub(super) instance_id: InstanceId,
    pub(super) on_offer: OnOffer,
    pub(super) commands: HashMap<CommandId, (CommandOffer, DeliveryState, Option<UnsentReason>)>,
    pub(super) offers: usize,
    pub(super) sessions: HashSet<StationId>,
    pub(super) asked: Vec<protocol::types::CommandId>,
    now_ms: u64,
}

type Shared = Arc<Mutex<Gateway>>;

async fn offer(
    State(gateway): State<Shared>,
    Path(id): Path<CommandId>,
    Json(offer): Json<CommandOffer>,
) -> Response {
    let mut gateway = gateway.lock().unwrap();
    gateway.offers += 1;
    if gateway.on_offer == OnOffer::Break {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if !gateway.commands.contains_key(&id) {
        let has_session = gateway.sessions.contains(&StationId(offer.station_id.into()));
        let known = if offer.expires_at_ms <= gateway.now_ms {
            (offer, DeliveryState::Unsent, Some(UnsentReason::Expired))
        } else if has_session {
            (offer, DeliveryState::Sent, None)
        } else {
            (offer, DeliveryState::Unsent, Some(UnsentReason::NoSession))
        };
        gateway.commands.insert(id, known);
    }
    if gateway.on_offer == OnOffer::TakeAndBreak {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let (_, state, unsent_reason) = gateway.commands[&id].clone();
    Json(CommandAnswer { instance_id: gateway.instance_id, state, unsent_reason }).into_response()
}

async fn withdraw(State(gateway): State<Shared>, Path(id): Path<CommandId>) -> Json<WithdrawAnswer> {
    let gateway = gateway.lock().unwrap();
    let outcome = match gateway.commands.get(&id) {
        None => WithdrawOutcome::Unknown,
        Some((_, DeliveryState::Unsent | DeliveryState::Queued, _)) => WithdrawOutcome::Withdrawn,
        Some(_) => WithdrawOutcome::TooLate,
    };
    Json(WithdrawAnswer { instance_id: gateway.instance_id, outcome })
}

async fn brief(State(gateway): State<Shared>, Json(briefing): Json<Briefing>) -> StatusCode {
    gateway.lock().unwrap().asked.extend(briefing.queries);
    StatusCode::NO_CONTENT
}

/// The whole world of a rental test.
pub(super) struct World {
    pub(super) test: TestApp,
    pub(super) gateway: Shared,
    url: String,
    event_no: Mutex<HashMap<StationId, u64>>,
}

/// A rider with a token.
#[derive(Clone)]
pub(super) struct Rider {
    pub(super) id: UserId,
    pub(super) token: String,
}

impl World {
    pub(super) async fn on_each_backend() -> Vec<Self> {
        let mut worlds = Vec::new();
        for test in TestApp::on_each_backend().await {
            let now_ms = test.app.clock.wall_ms();
            let gateway = Arc::new(Mutex::new(Gateway {
                instance_id: Uuid::from_u128(77),
                on_offer: OnOffer::Take,
                commands: HashMap::new(),
                offers: 0,
                sessions: HashSet::new(),
                asked: Vec::new(),
                now_ms,
            }));
            let router = Router::new()
                .route("/control/v1/commands/{id}", put(offer).delete(withdraw))
                .route("/control/v1/stations/{id}/briefing", post(brief))
                .with_state(gateway.clone());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            let world = Self { test, gateway, url, event_no: Mutex::default() };
            world.hello();
            worlds.push(world);
        }
        worlds
    }

    /// A station that is online, with these banks in its slots.
    pub(super) async fn station(&self, name: &str, slots: &[Option<u8>]) -> StationId {
        let made = station(&self.test, name, (27.7, 85.3), slots.len() as u8).await;
        for number in slots.iter().flatten() {
            bank(&self.test, *number).await;
        }
        self.gateway.lock().unwrap().sessions.insert(made.station_id);
        self.hello();
        self.inventory(made.station_id, slots).await;
        made.station_id
    }

    /// The gateway tells who is there; also what a restarted one does.
    pub(super) fn hello(&self) {
        let gateway = self.gateway.lock().unwrap();
        let presence = &self.test.app.presence;
        presence.apply(
            &self.url,
            PresenceLine::Hello { instance_id: gateway.instance_id, now_ms: gateway.now_ms },
        );
        for station in &gateway.sessions {
            let line = StationPresence {
                station_id: station.0.into(),
                epoch: Epoch(1),
                suspect: false,
                since_ms: 1,
                last_seen_ms: gateway.now_ms,
                rtt_ms: None,
            };
            presence.apply(&self.url, PresenceLine::Station(line));
        }
        presence.apply(&self.url, PresenceLine::SnapshotEnd);
    }

    /// Another process takes the gateway's place and knows nothing.
    pub(super) fn restart_gateway(&self) {
        let mut gateway = self.gateway.lock().unwrap();
        gateway.instance_id = Uuid::from_u128(gateway.instance_id.as_u128() + 1);
        gateway.commands.clear();
        drop(gateway);
        self.hello();
    }

    pub(super) fn advance_s(&self, seconds: u64) {
        self.test.clock.advance_ms(seconds * 1_000);
        self.gateway.lock().unwrap().now_ms += seconds * 1_000;
        self.test.app.presence.apply(&self.url, PresenceLine::Tick { now_ms: 0 });
    }

    pub(super) async fn settle(&self) {
        self.test.drain_jobs().await;
    }

    pub(super) async fn rider(&self, rupees: i64) -> Rider {
        let token = auth::new_token(&self.test.app.random);
        let hash = auth::token_hash(&token);
        let refresh_hash = auth::token_hash(&auth::new_token(&self.test.app.random));
        let written = self.test.app.db.write(move |tx| {
            let (hash, refresh_hash) = (hash.clone(), refresh_hash.clone());
            Box::pin(async move {
                let id = UserId::from(tx.new_uuid());
                let row = user::ActiveModel {
                    id: Set(id),
                    username: Set(None),
                    email: Set(None),
                    phone_number: Set(None),
                    first_name: Set(None),
                    last_name: Set(None),
                    profile_picture: Set(None),
                    referral_code: Set(format!("REF{}", tx.random().text("ABCDEFGH23456789", 10))),
                    referred_by: Set(None),
                    status: Set(UserStatus::Active),
                    email_verified: Set(false),
                    phone_verified: Set(false),
                    open_rentals: Set(0),
                    deleted_at: Set(None),
                    created_at: Set(tx.now()),
                    updated_at: Set(tx.now()),
                };
                row.insert(tx).await?;
                let far = tx.now() + chrono::TimeDelta::days(30);
                let session = user_session::ActiveModel {
                    id: Set(UserSessionId::from(tx.new_uuid())),
                    user_id: Set(id),
                    access_hash: Set(hash),
                    access_expires_at: Set(far),
                    refresh_hash: Set(refresh_hash),
                    refresh_expires_at: Set(far),
                    family: Set(tx.new_uuid()),
                    device_id: Set(None),
                    revoked_at: Set(None),
                    created_at: Set(tx.now()),
                };
                session.insert(tx).await?;
                Ok(id)
            })
        });
        let rider = Rider { id: written.await.unwrap(), token };
        if rupees > 0 {
            self.top_up(&rider, rupees).await;
        }
        rider
    }

    pub(super) async fn top_up(&self, rider: &Rider, rupees: i64) {
        let user = rider.id;
        let written = self.test.app.db.write(move |tx| {
            Box::pin(async move {
                let attempt = PaymentAttemptId::from(tx.new_uuid());
                let entry = Entry::top_up(attempt, "sandbox", user, Paisa(rupees * 100)).unwrap();
                Ok(book::post(tx, tx.now(), &entry, None).await?)
            })
        });
        written.await.unwrap();
    }

    /// Wallet and hold, paisa.
    pub(super) async fn money(&self, rider: &Rider) -> (i64, i64) {
        let balances = book::balances(self.test.app.db.read(), rider.id).await.unwrap();
        (balances.wallet.0, balances.held.0)
    }

    pub(super) async fn try_start(&self, rider: &Rider, station_sn: &str, key: &str) -> Answer {
        let body = json!({ "station_sn": station_sn, "package_id": ONE_HOUR, "payment_mode": "wallet" });
        self.test.bearer(&rider.token).post_once(key, "/api/v1/rentals/start", body).await
    }

    /// Starts a rental and delivers its command as far as that goes.
    pub(super) async fn start(&self, rider: &Rider, station_sn: &str) -> RentalId {
        let key = auth::new_token(&self.test.app.random);
        let answer = self.try_start(rider, station_sn, &key).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        let id = answer.body["id"].as_str().unwrap().parse().unwrap();
        self.settle().await;
        id
    }

    /// Starts a rental whose bank comes out.
    pub(super) async fn start_and_eject(&self, rider: &Rider, station_sn: &str) -> RentalId {
        let id = self.start(rider, station_sn).await;
        let verdict = protocol::control::Verdict::Done;
        assert_eq!(self.verdict(id, verdict).await, ItemResult::Stored);
        id
    }

    pub(super) async fn rental(&self, id: RentalId) -> rental::Model {
        rental::Entity::find_by_id(id).one(self.test.app.db.read()).await.unwrap().unwrap()
    }

    pub(super) async fn eject(&self, id: RentalId) -> command::Model {
        let id = self.rental(id).await.eject_cmd_id.unwrap();
        command::Entity::find_by_id(id).one(self.test.app.db.read()).await.unwrap().unwrap()
    }

    pub(super) async fn bank(&self, number: u8) -> power_bank::Model {
        let found = power_bank::Entity::find()
            .filter(power_bank::Column::SerialNumber.eq(serial(number).to_string()));
        found.one(self.test.app.db.read()).await.unwrap().unwrap()
    }

    pub(super) async fn show(&self, rider: &Rider, id: RentalId) -> Value {
        self.test.bearer(&rider.token).get(&format!("/api/v1/rentals/{id}")).await.ok()
    }

    pub(super) async fn incidents(&self) -> Vec<IncidentKind> {
        let rows = incident::Entity::find().all(self.test.app.db.read()).await.unwrap();
        rows.into_iter().map(|row| row.kind).collect()
    }

    /// The verdict of the eject's station, as its next event.
    pub(super) async fn verdict(&self, id: RentalId, verdict: protocol::control::Verdict) -> ItemResult {
        let eject = self.eject(id).await;
        let body = EventBody::CommandResult { cmd_id: eject.id.0.into(), verdict };
        self.event(eject.station_id, body).await
    }

    /// What the eject's station says when it is asked.
    pub(super) async fn report(&self, id: RentalId, report: ReportedState) -> ItemResult {
        let eject = self.eject(id).await;
        let report = CommandReport {
            station_id: eject.station_id.0.into(),
            epoch: Epoch(1),
            cmd_id: eject.id.0.into(),
            received_at_ms: self.test.app.clock.wall_ms(),
            report,
        };
        self.send(vec![UplinkItem::CommandReport(report)]).await[0]
    }

    pub(super) async fn insert(&self, station: StationId, slot: u8, number: u8) -> ItemResult {
        self.event(station, EventBody::BankInserted { slot, bank: serial(number), level_percent: 40 }).await
    }

    pub(super) async fn inventory(&self, station: StationId, slots: &[Option<u8>]) -> ItemResult {
        self.event(station, EventBody::Inventory(self.table(station, slots))).await
    }

    /// A slot table of this moment; the banks in the first slots are the fullest.
    pub(super) fn table(&self, station: StationId, slots: &[Option<u8>]) -> Inventory {
        let mut table = crate::stations::table(self.last_event_no(station), slots);
        table.slots.iter_mut().for_each(|report| report.level_percent = 90 - report.slot);
        table
    }

    /// The station's next event, now.
    pub(super) async fn event(&self, station: StationId, body: EventBody) -> ItemResult {
        let event = self.next_event(station, body);
        self.send(vec![UplinkItem::Event(event)]).await[0]
    }

    pub(super) fn next_event(&self, station: StationId, body: EventBody) -> StationEvent {
        let mut numbers = self.event_no.lock().unwrap();
        let number = numbers.entry(station).or_insert(0);
        *number += 1;
        let now_ms = self.test.app.clock.wall_ms();
        StationEvent {
            station_id: station.0.into(),
            epoch: Epoch(1),
            event_no: EventNo(*number),
            happened_at_ms: now_ms,
            time_quality: TimeQuality::Anchored,
            received_at_ms: now_ms,
            body,
        }
    }

    pub(super) fn last_event_no(&self, station: StationId) -> u64 {
        self.event_no.lock().unwrap().get(&station).copied().unwrap_or(0)
    }

    pub(super) async fn send(&self, items: Vec<UplinkItem>) -> Vec<ItemResult> {
        let batch = UplinkBatch { instance_id: self.gateway.lock().unwrap().instance_id, items };
        let answer =
            self.test.gateway().post("/internal/v1/events", serde_json::to_value(batch).unwrap()).await.ok();
        serde_json::from_value::<UplinkAnswer>(answer).unwrap().results
    }

    /// No rule is broken and the ledger sums to zero.
    pub(super) async fn books_agree(&self) {
        let findings = self.findings().await;
        assert!(findings.is_empty(), "{}: {findings:#?}", self.test.backend());
        let postings = ledger_posting::Entity::find().all(self.test.app.db.read()).await.unwrap();
        assert_eq!(postings.iter().map(|posting| posting.amount_paisa.0).sum::<i64>(), 0);
    }

    /// What the audit says once nothing is on its way any more.
    pub(super) async fn findings(&self) -> Vec<Finding> {
        self.settle().await;
        audit(self.test.app.db.read(), self.test.app.clock.now()).await.unwrap()
    }

    /// Runs what a start of the program runs.
    pub(super) async fn catch_up(&self) {
        backend::rentals::inbox::catch_up(&self.test.app).await.unwrap();
        jobs::drain_due(&self.test.app).await.unwrap();
    }
}
