//! The program's state, and the tables that say which routes, jobs and listeners exist.

use crate::cache::{self, Cache};
use crate::clock::Clock;
use crate::config::{Secrets, Settings};
use crate::db::Db;
use crate::error::{Error, ProblemKind, Result};
use crate::identity::CodeSends;
use crate::identity::mail::Mail;
use crate::identity::sms::{OtpOutbox, Sms};
use crate::jobs::Queue;
use crate::media::Media;
use crate::news::{self, Listener, News as _};
use crate::notifications::carriers;
use crate::notifications::push::Push;
use crate::payments::Hints;
use crate::payments::invoices::bikram_sambat::BikramSambat;
use crate::payments::provider::PaymentProvider;
use crate::payments::providers::Providers;
use crate::payments::sandbox;
use crate::promotions::CouponGuesses;
use crate::random::Random;
use crate::rate::Rate;
use crate::server::{self, Bounds};
use crate::staff::{LoginTries, Passwords};
use crate::stations::places::Places;
use crate::stations::presence::PresenceMap;
use crate::system_log::LogLines;
use crate::{
    achievements, aggregates, analytics, api, batch, console, content, exports, housekeeping, http, identity,
    jobs, limits, media, nightly, notifications, payments, points, promotions, referrals, rentals, resource,
    riders, staff, stations, system_log,
};
use axum::Router;
use entities::id::UserId;
use sea_orm::DatabaseConnection;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

/// The public operations of every domain, below [`api::PREFIX`].
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(http::routes())
        .merge(identity::routes())
        .merge(media::routes())
        .merge(stations::routes())
        .merge(points::routes())
        .merge(promotions::routes())
        .merge(payments::routes())
        .merge(rentals::routes())
        .merge(referrals::routes())
        .merge(achievements::routes())
        .merge(notifications::routes())
        .merge(content::routes())
        .merge(riders::routes())
        .merge(staff::routes())
        .merge(analytics::routes())
        .merge(batch::staff::routes())
        .merge(exports::routes())
        .merge(aggregates::routes())
}

/// The public operations at the addresses that the first apps knew.
pub fn first_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(notifications::first_routes())
}

/// What gateways call.
fn internal_routes() -> Router<App> {
    Router::new().merge(stations::internal_routes()).merge(rentals::internal_routes())
}

/// What every domain may refuse, beside what any request may be refused for.
pub(crate) fn refusals() -> impl Iterator<Item = &'static ProblemKind> {
    let domains: &[&'static [ProblemKind]] = &[
        identity::Refusal::ALL,
        media::Refusal::ALL,
        stations::Refusal::ALL,
        promotions::Refusal::ALL,
        payments::book::Refusal::ALL,
        payments::Refusal::ALL,
        payments::webhook::Refusal::ALL,
        points::Refusal::ALL,
        rentals::Refusal::ALL,
        notifications::Refusal::ALL,
        riders::Refusal::ALL,
        staff::users::Refusal::ALL,
        referrals::Refusal::ALL,
        batch::staff::Refusal::ALL,
        resource::Refusal::ALL,
        staff::Refusal::ALL,
    ];
    domains.iter().copied().flatten()
}

/// Who does which jobs.
fn queues() -> Vec<Queue> {
    vec![
        news::QUEUE,
        media::sweep::QUEUE,
        batch::QUEUE,
        nightly::QUEUE,
        points::on_identity::QUEUE,
        payments::reconcile::QUEUE,
        payments::reconciliation::daily::QUEUE,
        payments::reconciliation::run::QUEUE,
        payments::invoices::issue::QUEUE,
        payments::refunds::deliver::QUEUE,
        payments::webhook::QUEUE,
        rentals::delivery::QUEUE,
        rentals::cancel::QUEUE,
        rentals::overdue::QUEUE,
        rentals::remind::QUEUE,
        rentals::on_payments::QUEUE,
        referrals::on_identity::QUEUE,
        referrals::on_rentals::QUEUE,
        achievements::on_rentals::QUEUE,
        achievements::on_referrals::QUEUE,
        achievements::standings::ON_RENTALS,
        achievements::standings::ON_POINTS,
        achievements::ranking::QUEUE,
        notifications::listeners::ON_ACHIEVEMENTS,
        rentals::reward::QUEUE,
        notifications::listeners::ON_PAYMENTS,
        notifications::listeners::ON_POINTS,
        notifications::listeners::ON_RENTALS,
        notifications::listeners::ON_IDENTITY,
        notifications::listeners::ON_STATIONS,
        notifications::delivery::QUEUE,
        notifications::broadcast::run::QUEUE,
        notifications::profile_reminder::QUEUE,
    ]
}

/// Who does which batch work.
const BATCH_KINDS: &[batch::Kind] = &[
    points::expiry::KIND,
    points::notice::KIND,
    promotions::bulk::KIND,
    promotions::expiry::KIND,
    referrals::expiry::KIND,
    exports::transactions::KIND,
    exports::rentals::KIND,
    exports::users::KIND,
    aggregates::day::KIND,
];

/// Who listens to whom.
const LISTENERS: &[Listener] = &[
    Listener { domain: identity::News::DOMAIN, queue: points::on_identity::QUEUE.name },
    Listener { domain: identity::News::DOMAIN, queue: notifications::listeners::ON_IDENTITY.name },
    Listener { domain: payments::News::DOMAIN, queue: notifications::listeners::ON_PAYMENTS.name },
    Listener { domain: payments::News::DOMAIN, queue: rentals::on_payments::QUEUE.name },
    Listener { domain: points::News::DOMAIN, queue: notifications::listeners::ON_POINTS.name },
    Listener { domain: identity::News::DOMAIN, queue: referrals::on_identity::QUEUE.name },
    Listener { domain: rentals::News::DOMAIN, queue: referrals::on_rentals::QUEUE.name },
    Listener { domain: referrals::News::DOMAIN, queue: achievements::on_referrals::QUEUE.name },
    Listener { domain: rentals::News::DOMAIN, queue: achievements::on_rentals::QUEUE.name },
    Listener { domain: rentals::News::DOMAIN, queue: achievements::standings::ON_RENTALS.name },
    Listener { domain: points::News::DOMAIN, queue: achievements::standings::ON_POINTS.name },
    Listener { domain: achievements::News::DOMAIN, queue: notifications::listeners::ON_ACHIEVEMENTS.name },
    Listener { domain: rentals::News::DOMAIN, queue: rentals::reward::QUEUE.name },
    Listener { domain: rentals::News::DOMAIN, queue: notifications::listeners::ON_RENTALS.name },
    Listener { domain: stations::News::DOMAIN, queue: notifications::listeners::ON_STATIONS.name },
];

/// A handle on the running program, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<State>);

/// What a running backend consists of.
pub struct State {
    /// This process, made new at every start.
    pub instance_id: Uuid,
    /// What the operator set.
    pub settings: Settings,
    /// What the program made for itself.
    pub secrets: Secrets,
    /// The time.
    pub clock: Clock,
    /// Codes, tokens and ids.
    pub random: Random,
    /// The books.
    pub db: Db,
    /// What analytics read: the books, or a copy of them.
    pub analytics: DatabaseConnection,
    /// Answers that everybody gets alike.
    pub cache: Cache,
    /// Which stations are reachable, and how.
    pub presence: PresenceMap,
    /// Where all stations are.
    pub places: Places,
    /// Cancelled when the program begins to stop: long polls and streams end.
    pub stopping: CancellationToken,
    /// For calls to gateways: connections are shared, every call has a time-out.
    pub http: reqwest::Client,
    /// How staff prove who they are.
    pub passwords: Passwords,
    /// How often somebody may try to sign in as staff.
    pub staff_logins: LoginTries,
    /// How often somebody may try codes of coupons.
    pub coupon_guesses: CouponGuesses,
    /// How often a rider may look up referral codes.
    pub referral_lookups: Rate<UserId>,
    /// Who carries one-time codes.
    pub sms: Arc<dyn Sms>,
    /// Who carries mail.
    pub mail: Arc<dyn Mail>,
    /// How many of them may leave.
    pub code_sends: CodeSends,
    /// What the console carriers of text messages and mail would have sent.
    pub otp_outbox: OtpOutbox,
    /// Nepal's calendar, as far as it has been published.
    pub bikram_sambat: BikramSambat,
    /// Who carries messages to telephones.
    pub push: Arc<dyn Push>,
    /// Where pictures are kept.
    pub media: Media,
    /// Who takes riders' money.
    pub providers: Providers,
    /// Who watches rentals.
    pub rental_watchers: rentals::events::Watchers,
    /// How often a hint about an order may make us ask its provider.
    pub payment_hints: Hints,
    /// Warnings and errors that are to be written down for staff.
    pub log_lines: LogLines,
    queues: Vec<Queue>,
}

impl Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl App {
    /// Opens the database and makes everything ready; nothing runs yet.
    pub async fn open(settings: Settings, secrets: Secrets, clock: Clock, random: Random) -> Result<Self> {
        let db =
            Db::open(&settings.database.url, settings.database.connections, clock.clone(), random.clone())
                .await?;
        let analytics = match settings.database.analytics_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => Db::open_copy(url).await?,
            None => db.read().clone(),
        };
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(anyhow::Error::from)?;
        let providers = Providers::from_settings(&settings, &db, &clock)?;
        let instance_id = random.uuid_v7(clock.now());
        let presence = PresenceMap::new(&settings.backend.gateways, clock.clone());
        let places = Places::new(clock.clone());
        let cache = Cache::from_settings(&settings.cache, clock.clone(), instance_id)?;
        let stopping = CancellationToken::new();
        let otp_outbox = OtpOutbox::default();
        let sms = carriers::sms(&settings, &clock, &otp_outbox)?;
        let mail = carriers::mail(&settings, &clock, &otp_outbox)?;
        let code_sends = CodeSends::new(clock.clone())?;
        let passwords = Passwords::new(random.clone())?;
        let staff_logins = LoginTries::new(clock.clone())?;
        let coupon_guesses = CouponGuesses::new(&clock);
        let referral_lookups = referrals::lookups(clock.clone())?;
        settings.invoices.check().map_err(Error::internal)?;
        let added_years = settings.invoices.added_years().map_err(Error::internal)?;
        let bikram_sambat = BikramSambat::with(&added_years).map_err(Error::internal)?;
        let log_lines = LogLines::new(clock.clone());
        let push = carriers::push(&settings, &clock)?;
        let media = Media::from_settings(&settings.media, &secrets, clock.clone())?;
        let queues = queues();
        let payment_hints = Hints::new(clock.clone())?;
        Ok(Self(Arc::new(State {
            instance_id,
            settings,
            secrets,
            clock,
            random,
            db,
            analytics,
            cache,
            presence,
            places,
            stopping,
            http,
            passwords,
            staff_logins,
            coupon_guesses,
            referral_lookups,
            sms,
            mail,
            code_sends,
            otp_outbox,
            bikram_sambat,
            push,
            media,
            providers,
            rental_watchers: rentals::events::Watchers::default(),
            payment_hints,
            log_lines,
            queues,
        })))
    }

    /// Adds a payment provider, or replaces the one of that name; before the program is shared.
    pub fn with_provider(mut self, provider: impl PaymentProvider + 'static) -> Result<Self> {
        let state = Arc::get_mut(&mut self.0).ok_or_else(|| Error::internal("the program runs already"))?;
        state.providers = std::mem::take(&mut state.providers).with(provider);
        Ok(self)
    }

    /// Writes these lines down for staff, which the log has been giving since before the program was opened.
    pub fn with_log_lines(mut self, lines: LogLines) -> Result<Self> {
        let state = Arc::get_mut(&mut self.0).ok_or_else(|| Error::internal("the program runs already"))?;
        state.log_lines = lines;
        Ok(self)
    }

    /// Keeps pictures in this store; before the program is shared.
    pub fn with_media_store(mut self, store: Arc<dyn object_store::ObjectStore>) -> Result<Self> {
        let state = Arc::get_mut(&mut self.0).ok_or_else(|| Error::internal("the program runs already"))?;
        state.media.keep_in(store);
        Ok(self)
    }

    /// Brings the tables up to date.
    pub async fn migrate(&self) -> Result<()> {
        self.db.migrate().await
    }

    /// The server for riders, staff and the curious.
    pub fn public_router(&self) -> Router {
        http::public_layers(
            self,
            api::router().merge(http::probes()).merge(sandbox::pages()).merge(console::routes()),
        )
    }

    /// The server for gateways.
    pub fn internal_router(&self) -> Router {
        http::internal_layers(self, internal_routes())
    }

    /// Starts all that runs beside requests; it ends with `shutdown`.
    pub fn start(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        crate::metrics::describe();
        let (app, stop) = (self.clone(), shutdown.clone());
        tracker.spawn(async move {
            stop.cancelled().await;
            app.stopping.cancel();
        });
        tracker.spawn(jobs::run(self.clone(), shutdown.clone()));
        tracker.spawn(housekeeping::run(self.clone(), shutdown.clone()));
        tracker.spawn(system_log::run(self.clone(), shutdown.clone()));
        tracker.spawn(cache::listen(self.clone(), shutdown.clone()));
        stations::start(self, tracker, shutdown);
        payments::start(self, tracker, shutdown);
        tracker.spawn(nightly::begin(self.clone()));
        rentals::take_up(self, tracker, shutdown);
        notifications::start(self, tracker);
        tracker.spawn_blocking(identity::identifier::warm_up);
    }

    pub(crate) fn queue(&self, name: &str) -> Option<Queue> {
        self.queues.iter().find(|queue| queue.name == name).copied()
    }

    pub(crate) fn batch_kind(&self, name: &str) -> Option<&'static batch::Kind> {
        BATCH_KINDS.iter().find(|kind| kind.name == name)
    }

    pub(crate) fn listeners(&self) -> &'static [Listener] {
        LISTENERS
    }
}

/// Runs the backend until `shutdown`: both servers, the jobs, and what follows the gateways.
///
/// The caller owns the sockets and the stop signal. Open requests may finish for
/// [`limits::SHUTDOWN_GRACE`]; running jobs are waited for.
pub async fn serve(
    app: App,
    public: tokio::net::TcpListener,
    internal: tokio::net::TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    let tracker = TaskTracker::new();
    app.start(&tracker, &shutdown);
    let settings = &app.settings.backend;
    // Behind a proxy all connections are the proxy's.
    let per_block_max = (!settings.trust_forwarded_for).then_some(settings.connections_per_block_max);
    let bounds = Bounds::new(settings.connections_max, per_block_max);
    let public = server::listen(public, app.public_router(), bounds, shutdown.clone());
    let bounds = Bounds::new(limits::INTERNAL_CONNECTIONS_MAX, None);
    let internal = server::listen(internal, app.internal_router(), bounds, shutdown.clone());
    let served = tokio::try_join!(public, internal);
    // If one server failed, the rest ends with it.
    shutdown.cancel();
    tracker.close();
    tracker.wait().await;
    served?;
    Ok(())
}
