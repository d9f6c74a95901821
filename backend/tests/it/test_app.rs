//! A backend in the test's own process: requests go straight to its router, time stands still until moved.

use crate::moody_provider::MoodyProvider;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use backend::app::App;
use backend::clock::Clock;
use backend::config::{MailProvider, Secrets, Settings, SmsProvider};
use backend::payments::sandbox::Sandbox;
use backend::random::Random;
use entities::testing::FreshDatabase;
use protocol::clock::ManualClock;
use sea_orm::DatabaseConnection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tower::ServiceExt;

/// 2026-01-15 10:00 in Kathmandu.
const START_MS: u64 = 1_768_450_500_000;
/// The bearer of internal calls.
pub(crate) const INTERNAL_KEY: &str = "internal-key-of-this-test";

/// One backend on one fresh, migrated database.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) clock: Arc<ManualClock>,
    /// The sandbox, as it feels today.
    pub(crate) provider: MoodyProvider,
    public: Router,
    internal: Router,
    database: FreshDatabase,
    beside: OnceCell<DatabaseConnection>,
}

impl TestApp {
    /// One for each database at hand.
    pub(crate) async fn on_each_backend() -> Vec<Self> {
        let mut apps = Vec::new();
        for database in FreshDatabase::on_each_backend().await {
            apps.push(Self::on(database).await);
        }
        apps
    }

    /// One on SQLite, for what no database decides.
    pub(crate) async fn new() -> Self {
        Self::on(FreshDatabase::sqlite()).await
    }

    async fn on(database: FreshDatabase) -> Self {
        Self::wired(database, Self::clock(), |_| {}).await
    }

    /// One with settings of its own; the database URL is filled in.
    pub(crate) async fn with_settings(change: impl FnOnce(&mut Settings)) -> Self {
        let database = FreshDatabase::sqlite();
        let mut settings = Settings::default();
        settings.database.url = database.url().to_owned();
        settings.backend.gateways = Vec::new();
        settings.sms.provider = Some(SmsProvider::Console);
        settings.mail.provider = Some(MailProvider::Console);
        change(&mut settings);
        Self::with(database, settings).await
    }

    /// The clock of a test that begins, for what runs beside the backend.
    pub(crate) fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(START_MS))
    }

    /// One on a database and a clock of the caller's choice.
    pub(crate) async fn wired(
        database: FreshDatabase,
        clock: Arc<ManualClock>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings::default();
        settings.database.url = database.url().to_owned();
        settings.backend.gateways = Vec::new();
        settings.backend.requests_per_minute_per_ip = 0;
        settings.invoices.seller_name = "Chautari Pvt. Ltd.".to_owned();
        settings.invoices.seller_address = "Kathmandu 30".to_owned();
        settings.invoices.seller_pan = "123456789".to_owned();
        settings.sms.provider = Some(SmsProvider::Console);
        settings.mail.provider = Some(MailProvider::Console);
        change(&mut settings);
        Self::with_clock(database, clock, settings).await
    }

    async fn with(database: FreshDatabase, settings: Settings) -> Self {
        Self::with_clock(database, Self::clock(), settings).await
    }

    async fn with_clock(database: FreshDatabase, clock: Arc<ManualClock>, settings: Settings) -> Self {
        let secrets = Secrets {
            internal_key: INTERNAL_KEY.to_owned(),
            previous_internal_key: None,
            otp_key: [7; 32],
            station_masters: BTreeMap::from([(1, [9; 32])]),
        };
        let app = App::open(settings, secrets, Clock::new(clock.clone()), Random::seeded(1)).await.unwrap();
        let sandbox = Sandbox::new(app.db.clone(), app.clock.clone(), &app.settings.backend.public_url);
        let provider = MoodyProvider::new(sandbox);
        let app = app.with_provider(provider.clone()).unwrap();
        let app = match app.settings.media.cloudinary.is_set() || app.settings.media.s3.is_set() {
            true => app,
            false => app.with_media_store(Arc::new(object_store::memory::InMemory::new())).unwrap(),
        };
        app.migrate().await.unwrap();
        let (public, internal) = (app.public_router(), app.internal_router());
        Self { app, clock, provider, public, internal, database, beside: OnceCell::new() }
    }

    /// The database's name, for messages.
    pub(crate) fn backend(&self) -> &'static str {
        self.database.backend()
    }

    /// A connection that the program does not know of.
    pub(crate) async fn beside(&self) -> &DatabaseConnection {
        self.beside.get_or_init(|| self.database.connect()).await
    }

    /// A caller that nobody knows.
    pub(crate) fn anonymous(&self) -> Caller<'_> {
        Caller { router: &self.public, token: None }
    }

    /// A POST of somebody whom nobody knows.
    pub(crate) async fn anonymous_post(&self, path: &str, body: Value) -> Answer {
        self.anonymous().post(path, body).await
    }

    /// A caller with a bearer token.
    pub(crate) fn bearer(&self, token: impl Into<String>) -> Caller<'_> {
        Caller { router: &self.public, token: Some(token.into()) }
    }

    /// A gateway, at the internal address.
    pub(crate) fn gateway(&self) -> Caller<'_> {
        Caller { router: &self.internal, token: Some(INTERNAL_KEY.to_owned()) }
    }

    /// Somebody at the internal address with a token of their choice.
    pub(crate) fn internal(&self, token: &str) -> Caller<'_> {
        Caller { router: &self.internal, token: Some(token.to_owned()) }
    }

    /// Runs every job that is due now.
    pub(crate) async fn drain_jobs(&self) -> usize {
        backend::jobs::drain_due(&self.app).await.unwrap()
    }
}

/// Somebody who sends requests.
pub(crate) struct Caller<'a> {
    router: &'a Router,
    token: Option<String>,
}

impl Caller<'_> {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.json(Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.json(Method::PUT, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.json(Method::PATCH, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    /// A POST that comes from an address.
    pub(crate) async fn post_from(&self, address: [u8; 4], path: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::USER_AGENT, "ChautariApp/1.4");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 4_000))));
        self.send(request).await
    }

    /// A POST with an Idempotency-Key.
    pub(crate) async fn post_once(&self, key: &str, path: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.header("idempotency-key", key).body(Body::from(body.to_string())).unwrap()).await
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Begins a request by hand.
    pub(crate) fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// Sends a request that was made by hand.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self.body
    }

    /// Checks that it is a problem of that code, in the right form, and gives its body.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), &self.body["code"]), (status, &Value::from(code)), "{}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        self.body
    }
}
