//! Every limit of the backend, by name.

use std::num::NonZeroU32;
use std::time::Duration;

/// Writes that may wait for the SQLite writer; one more waits for a free place.
pub const WRITE_QUEUE_MAX: usize = 1_024;
/// Writes that share one commit on SQLite.
pub const WRITE_GROUP_MAX: usize = 128;
/// Tries of a write that the database asked to repeat.
pub const WRITE_TRIES_MAX: u32 = 20;
/// Connections that only read, on SQLite.
pub const SQLITE_READERS: u32 = 4;
/// How long SQLite waits for another process's lock.
pub const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections to PostgreSQL, unless the configuration says otherwise.
pub const POSTGRES_CONNECTIONS: u32 = 16;
/// The longest statement on PostgreSQL.
pub const POSTGRES_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// A transaction on PostgreSQL that does nothing for so long is rolled back, with its locks: the host that began it
/// may be gone without a word.
pub const POSTGRES_IDLE_TRANSACTION: Duration = Duration::from_secs(60);
/// A statement that takes longer is written into the log.
pub const STATEMENT_SLOW: Duration = Duration::from_millis(500);
/// How long a request waits for a free connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The greatest request body of the public API, bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
/// The greatest file that somebody may upload, bytes.
pub const UPLOAD_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The greatest form with such a file, bytes.
pub const UPLOAD_BODY_MAX_BYTES: usize = UPLOAD_MAX_BYTES + 64 * 1024;
/// The longest word in a form, bytes.
pub const FORM_WORD_MAX_BYTES: usize = 100;
/// The longest edge of a picture that somebody may upload, pixels.
pub const PICTURE_SENT_EDGE_MAX: u32 = 12_000;
/// The most pixels of a picture that somebody may upload: a good telephone's camera.
pub const PICTURE_PIXELS_MAX: u64 = 24_000_000;
/// The memory that decoding one picture may take, bytes.
pub const PICTURE_MEMORY_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Pictures that are decoded at the same time.
pub const PICTURES_AT_ONCE: usize = 2;
/// The longest edge of a picture that is kept, pixels: larger ones are made smaller.
pub const PICTURE_EDGE_MAX: u32 = 2_560;
/// The same for pictures of riders, which everybody may fetch.
pub const PROFILE_PICTURE_EDGE_MAX: u32 = 1_024;
/// Pictures that are on their way to readers at the same time; further readers wait.
pub const PICTURES_SENT_AT_ONCE: usize = 64;
/// How long a reader may take to fetch one.
pub const PICTURE_SENT_WITHIN: Duration = Duration::from_secs(30);
/// The greatest picture that is read back from a store that others keep, bytes: a picture that was made anew may be
/// larger than the file that was sent.
pub const PICTURE_READ_MAX_BYTES: usize = 32 * 1024 * 1024;
/// How long a call to a store that others keep may take.
pub const PICTURE_STORE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a link to a private picture leads somewhere.
pub const PICTURE_LINK_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// Uploads that one person may make at once.
pub const UPLOADS_BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// How often one more upload is allowed after that.
pub const UPLOAD_EVERY: Duration = Duration::from_secs(60);
/// How long an upload that nothing has taken is kept.
pub const UPLOAD_KEPT_LOOSE: chrono::TimeDelta = chrono::TimeDelta::hours(24);
/// The longest citizenship number as people type it, characters.
pub const CITIZENSHIP_NUMBER_TYPED_MAX: usize = 40;
/// Why a proof of identity was found wrong, characters.
pub const KYC_REASON_MAX: usize = 500;
/// The greatest request body of the internal API, bytes: a full batch of inventories.
pub const INTERNAL_BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The longest answer time of a request, streams excepted.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new connection may take to send the head of its first request.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay without a request after that.
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(75);
/// A connection whose bytes the client does not take for so long is dead.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that one HTTP/2 connection may have open.
pub const STREAMS_PER_CONNECTION: u32 = 64;
/// Connections to the internal address: gateways keep a few each.
pub const INTERNAL_CONNECTIONS_MAX: usize = 4_096;
/// The pause after a failed accept, for example without file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long open requests may finish after the stop signal.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Items on a page, unless asked for fewer or more.
pub const PAGE_DEFAULT: u64 = 20;
/// Items on a page at most.
pub const PAGE_MAX: u64 = 100;
/// Shortest Idempotency-Key, characters.
pub const IDEMPOTENCY_KEY_MIN: usize = 8;
/// Longest Idempotency-Key, characters.
pub const IDEMPOTENCY_KEY_MAX: usize = 128;
/// Requests of one address that may come at once.
pub const REQUESTS_BURST_PER_IP: NonZeroU32 = NonZeroU32::new(120).unwrap();
/// Addresses that the rate limit remembers before it forgets the idle ones.
pub const RATE_LIMIT_KEYS_MAX: usize = 100_000;

/// Jobs that run at the same time in one process.
pub const JOBS_CONCURRENT: usize = 16;
/// How long a claimed job belongs to its worker.
pub const JOB_LEASE: chrono::TimeDelta = chrono::TimeDelta::seconds(60);
/// The longest run of a job, shorter than its lease.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(50);
/// Runs of a job before it is dead and an incident tells staff.
pub const JOB_ATTEMPTS_MAX: i32 = 12;
/// How often the worker looks for due jobs when nothing wakes it.
pub const JOB_POLL: Duration = Duration::from_secs(1);
/// The longest pause between two attempts of a job.
pub const JOB_BACKOFF_MAX: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// Jobs that one drain may run before it is called endless.
pub const JOBS_DRAIN_MAX: usize = 10_000;
/// How often rows that nobody needs are looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Rows of one kind that one transaction deletes.
pub const SWEEP_ROWS: u64 = 500;
/// How long the answer to an Idempotency-Key is remembered.
pub const IDEMPOTENCY_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(30);
/// How long one-time codes are counted.
pub const OTP_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(2);
/// How long finished jobs are kept for the curious.
pub const JOB_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(3);

/// How long an answer that everybody gets alike is kept: so late other processes learn of a write.
pub const CACHE_LIFE: chrono::TimeDelta = chrono::TimeDelta::seconds(30);
/// How long a write of staff waits until Redis has told other processes of it.
pub const CACHE_NOTICE_TIMEOUT: Duration = Duration::from_millis(500);
/// The time in which Redis must take a connection and answer.
pub const CACHE_REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// The silence after which Redis is asked whether it is still there.
pub const CACHE_REDIS_SILENCE: Duration = Duration::from_secs(10);
/// The pause after a connection to Redis was lost; it doubles up to the greater one.
pub const CACHE_REDIS_PAUSE: Duration = Duration::from_millis(100);
/// The greatest such pause.
pub const CACHE_REDIS_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Answers of one section that are kept: callers choose some of the keys.
pub const CACHE_ENTRIES_MAX: usize = 64;
/// What phones and proxies may do with such an answer.
pub const SHARED_CACHE_CONTROL: &str = "public, max-age=60";
/// The longest text of a content page, characters.
pub const CONTENT_TEXT_MAX: usize = 40_000;
/// The longest answer in the list of questions, characters.
pub const ANSWER_MAX: usize = 4_000;
/// The longest link, characters.
pub const LINK_MAX: usize = 500;
/// Rows that a public list without pages reads at most: questions, banners, countries, versions, achievements.
pub const LISTED_MAX: u64 = 500;
/// Banners that a phone gets.
pub const BANNERS_SHOWN: u64 = 20;
/// Sentences that say what is new in an update.
pub const FEATURES_MAX: usize = 20;
/// The longest value of a setting, characters.
pub const SETTING_VALUE_MAX: usize = 200;
/// The longest search text, characters.
pub const SEARCH_MAX: usize = 60;
/// The most that an achievement may ask for.
pub const GOAL_MAX: i32 = 100_000;
/// The most points that an achievement may give.
pub const REWARD_MAX: i32 = 10_000;
/// Shortest code of a coupon, characters.
pub const COUPON_CODE_MIN: usize = 4;
/// Longest code of a coupon, characters.
pub const COUPON_CODE_MAX: usize = 32;
/// The most points that a coupon may give.
pub const COUPON_POINTS_MAX: i32 = 10_000;
/// The most that a coupon may be used, by a rider or by all.
pub const COUPON_USES_MAX: i32 = 10_000_000;
/// Unknown codes that a rider may try at once.
pub const COUPON_GUESSES_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// How often a rider may try one more after that.
pub const COUPON_GUESS_EVERY: Duration = Duration::from_secs(120);
/// Unknown codes that one address may try at once: many riders share one at a mobile carrier.
pub const COUPON_GUESSES_BURST_PER_IP: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// How often an address may try one more after that.
pub const COUPON_GUESS_EVERY_PER_IP: Duration = Duration::from_secs(20);
/// Coupons that one order makes.
pub const COUPONS_AT_ONCE_MAX: i32 = 100_000;
/// Coupons that one step of such an order makes.
pub const COUPONS_PER_STEP: usize = 100;
/// What the codes of many coupons may begin with, characters.
pub const COUPON_PREFIX_MAX: usize = 16;
/// Characters of chance in them: enough that nobody finds one by trying.
pub const COUPON_CHANCE: std::ops::RangeInclusive<i32> = 8..=16;
/// Rows that one step of batch work takes.
pub const BATCH_ROWS: u64 = 500;
/// How long the files of batch work are kept: there are riders in them.
pub const BATCH_FILES_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// Days that one export or one list of daily sums may span.
pub const EXPORT_DAYS_MAX: i64 = 366;
/// When the work of the night begins, after midnight in Kathmandu.
pub const NIGHT_AFTER_MIDNIGHT: chrono::TimeDelta = chrono::TimeDelta::minutes(20);
/// Days that a night counts: the last one, and those before it for stations that report late.
pub const DAYS_COUNTED_AGAIN: u64 = 3;
/// Awards that one step of the night looks at.
pub const POINTS_EXPIRED_AT_ONCE: u64 = 200;
/// How often at most a rider is told of points that end.
pub const POINTS_NOTICE_EVERY: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// The most points that staff give or take at once.
pub const POINTS_ADJUSTED_MAX: i32 = 10_000;
/// The longest reason for that, characters.
pub const POINTS_REASON_MAX: usize = 500;
/// The newcomer's first paid rental begins within this time, or nobody is rewarded.
pub const REFERRAL_LIFE: chrono::TimeDelta = chrono::TimeDelta::days(30);
/// A code can be entered for so long after signing up.
pub const REFERRAL_CLAIM_LIFE: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// Shortest referral code, characters.
pub const REFERRAL_CODE_MIN: usize = 4;
/// Longest referral code, characters.
pub const REFERRAL_CODE_MAX: usize = 32;
/// Referral codes that a rider may look up or enter at once.
pub const REFERRAL_LOOKUPS_BURST: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// How often one more is allowed after that.
pub const REFERRAL_LOOKUP_EVERY: Duration = Duration::from_secs(20);
/// Riders that the leaderboard shows at most.
pub const LEADERS_SHOWN_MAX: u64 = 100;
/// Up to this place a rider's own rank is counted anew for every call; beyond it the last numbering counts.
pub const RANK_COUNTED_MAX: u64 = 10_000;
/// How often all riders are numbered anew, if anything changed.
pub const RANKED_EVERY: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// Riders that one transaction numbers.
pub const RANKED_AT_ONCE: u64 = 500;
/// A job that is due for longer than this makes the worker late.
pub const WORKER_LATE: chrono::TimeDelta = chrono::TimeDelta::seconds(60);
/// How old the answer about the health of the parts may be.
pub const HEALTH_LIFE: chrono::TimeDelta = chrono::TimeDelta::seconds(2);

/// A gateway that says nothing for so long makes its stations unknown.
pub const PRESENCE_SILENCE_MS: u64 = 15_000;
/// The first pause before a presence stream is asked for again.
pub const PRESENCE_RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest pause before a presence stream is asked for again.
pub const PRESENCE_RETRY_MAX: Duration = Duration::from_secs(5);
/// The longest line of a presence stream, bytes.
pub const PRESENCE_LINE_MAX_BYTES: usize = 64 * 1024;
/// How long a trace in the console lasts.
pub const TRACE_LIFE: Duration = Duration::from_secs(300);
/// Lines of a trace that the console shows; the oldest go first.
pub const TRACE_ROWS_MAX: usize = 200;
/// Consoles that may trace at once.
pub const TRACE_WATCHERS_MAX: usize = 4;
/// How often a trace in the console is brought up to date.
pub const TRACE_REFRESH: Duration = Duration::from_millis(500);
/// The shortest pause between two writes of presence to the book.
pub const PROJECTION_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two writes of presence to the book.
pub const PROJECTION_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Stations in one write of presence.
pub const PROJECTION_CHUNK: usize = 200;
/// How old the heartbeat of an online station in the book may become.
pub const HEARTBEAT_WRITTEN_EVERY: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
/// The longest wait for a newer roster, milliseconds.
pub const ROSTER_WAIT_MAX_MS: u64 = 60_000;
/// How long the answer to logins waits until what the stations say of themselves is noted.
pub const NOTE_HARDWARE: Duration = Duration::from_secs(1);
/// How often a waiting roster call asks the book.
pub const ROSTER_POLL: Duration = Duration::from_secs(1);
/// How old what is known of the places of stations may be, milliseconds, if another process changed one.
pub const PLACES_LIFE_MS: u64 = 5_000;
/// Stations whose places are read at a time.
pub const PLACES_READ_AT_ONCE: u64 = 20_000;
/// Stations that are shown around a place.
pub const NEARBY_MAX: usize = 100;
/// Kinds of things that may be found at one station.
pub const STATION_AMENITIES_MAX: usize = 50;
/// Pictures of one station.
pub const STATION_PICTURES_MAX: u64 = 20;
/// The longest text about a station, characters.
pub const STATION_TEXT_MAX: usize = 200;
/// The shortest report of a fault, characters.
pub const ISSUE_TEXT_MIN: usize = 5;
/// Reports of faults at stations that one rider may have unresolved.
pub const OPEN_REPORTS_MAX: u64 = 20;
/// Commands in doubt that one briefing names.
pub const BRIEFING_QUERIES_MAX: u64 = 32;

/// After so long a provider's book shows a refund that it has paid.
pub const REFUND_SETTLES: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// How long a connection to a payment provider may take.
pub const PROVIDER_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer of a payment provider, bytes.
pub const PROVIDER_ANSWER_MAX_BYTES: usize = 64 * 1024;
/// How long Khalti's page takes money, until its answer says it better.
pub const KHALTI_LINK_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(60);
/// How long eSewa may not know an order before that is final: the payer may not have begun. eSewa
/// itself asks for a look after five minutes.
pub const ESEWA_LINK_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(30);
/// Longest reason of a refund, and longest note about it, characters.
pub const REFUND_TEXT_MAX: usize = 500;
/// How long Stripe's page takes money: half an hour at least, a day at most, and some minutes may pass
/// before an order that broke off is sent again.
pub const STRIPE_LINK_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(60);
/// How far the time of a signature of Stripe's may be from ours.
pub const STRIPE_SIGNATURE_TOLERANCE: chrono::TimeDelta = chrono::TimeDelta::seconds(300);
/// Shortest webhook secret of Stripe that guards real money, without its prefix, characters.
pub const STRIPE_WEBHOOK_SECRET_MIN: usize = 16;
/// Refunds or disputes of one payment that are looked at: as many as Stripe tells at once.
pub const STRIPE_REFUNDS_LISTED: u32 = 100;
/// How long the sandbox provider's page takes money.
pub const SANDBOX_LINK_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(30);
/// Webhooks of one order that are kept of callers who prove nothing: as many as there are words for it.
pub const WEBHOOKS_UNSIGNED_MAX: u64 = 12;
/// The shortest pause before a provider that did not answer is asked again about a webhook.
pub const WEBHOOK_RETRY_MIN: chrono::TimeDelta = chrono::TimeDelta::seconds(30);
/// The longest one.
pub const WEBHOOK_RETRY_MAX: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// How long the movement of money that a webhook names is looked for among ours.
pub const WEBHOOK_SEARCH_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(30);
/// How long a provider that does not answer is asked about a webhook.
pub const WEBHOOK_LIFE: chrono::TimeDelta = chrono::TimeDelta::days(3);
/// Orders that riders may open for one payment.
pub const ATTEMPTS_PER_INTENT_MAX: usize = 10;
/// Payments that a rider may have open at a time.
pub const OPEN_INTENTS_PER_RIDER_MAX: u64 = 20;
/// Hints about one order that may make us ask its provider at once; what comes faster hears what we know.
pub const PAYMENT_HINTS_BURST: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// After this long, one more.
pub const PAYMENT_HINT_EVERY: Duration = Duration::from_secs(5);
/// Orders about which hints are heard at the same time before the forgotten ones are looked for.
pub const PAYMENT_HINT_TURNS_KEPT: usize = 1_024;
/// A difference that is met again so long after a person resolved it is told again.
pub const INCIDENT_REOPENS_AFTER: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// The shortest pause between two looks for rate limits that nobody needs any more.
pub const RATE_LIMIT_SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// How often what was posted is added up for the operator.
pub const LEDGER_WATCH_PAUSE: Duration = Duration::from_secs(30);
/// A posting is durable at the latest so long after its id was made.
pub const LEDGER_WATCH_SETTLE: chrono::TimeDelta = chrono::TimeDelta::seconds(10);
/// How often the age of money in clearing and suspense is looked at: it reads whole accounts.
pub const AGEING_WATCH_PAUSE: Duration = Duration::from_secs(3_600);
/// Payments that one step of a reconciliation report asks a provider for, at the same time.
pub const RECONCILE_CHUNK: u64 = 8;
/// How long a report waits for a provider that does not answer.
pub const RECONCILE_PAUSE: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// How often it waits before it goes on without an answer.
pub const RECONCILE_WAITS_MAX: i64 = 12;
/// How long after midnight in Kathmandu the day before is reported: pages of that day are closed.
pub const RECONCILE_AFTER_MIDNIGHT: chrono::TimeDelta = chrono::TimeDelta::minutes(150);
/// Rows of a download that are read at a time.
pub const DOWNLOAD_ROWS: u64 = 500;
/// Longest title of a notification, characters.
pub const NOTIFICATION_TITLE_MAX: usize = 120;
/// Longest text of a notification, characters.
pub const NOTIFICATION_MESSAGE_MAX: usize = 600;
/// How long a one-time code is valid.
pub const OTP_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
/// Tries of one code.
pub const OTP_ATTEMPTS_MAX: i32 = 5;
/// The pause between two codes to the same number or address.
pub const OTP_RESEND_AFTER: chrono::TimeDelta = chrono::TimeDelta::seconds(60);
/// Codes to the same number or address in an hour.
pub const OTP_PER_HOUR: u64 = 5;
/// Codes that one address may ask for at once: many riders share one at a mobile carrier.
pub const OTP_SENDS_BURST_PER_IP: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// How often one more code is allowed to an address after that.
pub const OTP_SENDS_EVERY_PER_IP: Duration = Duration::from_secs(10);
/// Codes that this process sends in a second, to anybody.
pub const OTP_SENDS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Digits at the end of a number in which the numbers of one block differ: whoever pumps texts owns such blocks.
pub const OTP_BLOCK_DIGITS: usize = 3;
/// Codes to the numbers of one block in an hour.
pub const OTP_PER_BLOCK_PER_HOUR: u32 = 40;
/// Codes that one network (IPv4 /24, IPv6 /64) may ask for in a day.
pub const OTP_PER_NETWORK_PER_DAY: u32 = 2_000;
/// Wrong codes that one address may send at once: many riders share one at a mobile carrier.
pub const OTP_GUESSES_BURST_PER_IP: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// How often one more is allowed to it after that.
pub const OTP_GUESSES_EVERY_PER_IP: Duration = Duration::from_secs(5);
/// Codes to the same number or address in a day. With [`OTP_ATTEMPTS_MAX`] it bounds what guessers may try.
pub const OTP_PER_DAY: u64 = 10;
/// Texts that the console's outbox remembers.
pub const OTP_OUTBOX_MAX: usize = 1_000;
/// When to ask again for a code that its carrier did not take, seconds.
pub const OTP_RESEND_AFTER_S: u64 = 60;
/// Shortest name of a rider, characters.
pub const USERNAME_MIN: usize = 3;
/// Longest name of a rider, characters.
pub const USERNAME_MAX: usize = 30;
/// Shortest id of an installation of the app, characters.
pub const DEVICE_ID_MIN: usize = 8;
/// Longest id of an installation of the app, characters.
pub const DEVICE_ID_MAX: usize = 128;
/// Longest push token, bytes.
pub const FCM_TOKEN_MAX: usize = 4_096;
/// Telephones of one rider; the one that was heard of longest ago makes room.
pub const DEVICES_MAX: u64 = 20;
/// How long an access token is valid.
pub const ACCESS_TOKEN_LIFE: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// How long a refresh token is valid.
pub const REFRESH_TOKEN_LIFE: chrono::TimeDelta = chrono::TimeDelta::days(30);
/// Shortest reason that staff give for a deed, characters.
pub const REASON_MIN: usize = 5;
/// Longest reason that staff give for a deed, characters.
pub const REASON_MAX: usize = 500;
/// What staff may put into a wallet at once.
pub const GIFT_MAX: entities::money::Paisa = entities::money::Paisa(1_000_000);
/// The longest text in a profile, characters.
pub const PROFILE_TEXT_MAX: usize = 200;
/// How long a staff session is valid.
pub const STAFF_SESSION_LIFE: chrono::TimeDelta = chrono::TimeDelta::hours(12);
/// Sign-ins of staff that one address may try at once, and failures of one e-mail address from there; one more
/// every 30 seconds.
pub const STAFF_LOGINS_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// How often one more sign-in of staff is allowed after the burst.
pub const STAFF_LOGIN_EVERY: Duration = Duration::from_secs(30);
/// Failures of one e-mail address, from anywhere, after which each try of it is slow; one less every 30 seconds.
pub const STAFF_FAILURES_BEFORE_SLOW: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// How long a slow try waits before the password is looked at.
pub const STAFF_LOGIN_SLOWED_BY: Duration = Duration::from_secs(2);
/// Passwords that are hashed at the same time: each takes 19 MiB.
pub const PASSWORDS_AT_ONCE: usize = 4;
/// The longest rental that a package may sell, minutes.
pub const PACKAGE_MINUTES_MAX: i32 = 60 * 24 * 31;
/// The dearest package, paisa.
pub const PACKAGE_PRICE_MAX: entities::money::Paisa = entities::money::Paisa(10_000_000);
/// The longest name that staff may give to something, characters.
pub const NAME_MAX: usize = 100;
/// A rider is reminded so long before a rental is due.
pub const REMINDER_LEAD: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// How often a rental that is watched is looked at.
pub const STREAM_LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks after which a stream ends: two minutes.
pub const STREAM_LOOKS: u32 = 240;
/// Streams of one rider at once.
pub const STREAMS_PER_RIDER_MAX: usize = 2;
/// Streams of this process at once: each looks into the database twice a second.
pub const STREAMS_MAX: usize = 500;
/// How long an order of staff may wait for its station.
pub const REMOTE_COMMAND_LIFE: chrono::TimeDelta = chrono::TimeDelta::seconds(30);
/// Orders of a station that may be on their way at once.
pub const COMMANDS_PER_STATION_MAX: u64 = 8;
/// The shortest reason for an order, characters.
pub const COMMAND_REASON_MIN: usize = 3;
/// The longest one, characters.
pub const COMMAND_REASON_MAX: usize = 500;
/// The pause between two places of a rider's telephone that a rental keeps.
pub const LOCATION_PAUSE: chrono::TimeDelta = chrono::TimeDelta::seconds(10);
/// How long where riders were is kept: until whatever went wrong with a rental is settled.
pub const LOCATION_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(90);
/// A telephone that knows its place less well does not know it, metres.
pub const LOCATION_ACCURACY_MAX_M: f64 = 100_000.0;
/// Places of a rental that staff see.
pub const LOCATIONS_SHOWN: u64 = 20;
/// The shortest description of what is wrong with a rental, characters.
pub const ISSUE_DESCRIPTION_MIN: usize = 10;
/// Pictures that go with such a report.
pub const ISSUE_IMAGES_MAX: usize = 5;
/// Reports that a rider may make of one rental.
pub const ISSUES_PER_RENTAL_MAX: usize = 10;
/// The longest answer of staff to one, characters.
pub const ISSUE_NOTE_MAX: usize = 500;
/// The shortest reason for calling a rental off, characters.
pub const CANCEL_REASON_MIN: usize = 5;
/// The longest description, characters.
pub const DESCRIPTION_MAX: usize = 1_000;
/// Shortest password of staff, characters.
pub const STAFF_PASSWORD_MIN: usize = 10;
/// Longest password of staff, bytes: longer ones only cost time.
pub const STAFF_PASSWORD_MAX: usize = 256;
/// Tries of the authenticator app's code, right or wrong, within [`STAFF_CODE_TRIES_FOR`].
pub const STAFF_CODE_TRIES_MAX: i32 = 10;
/// How long tries of the authenticator app's code are counted together.
pub const STAFF_CODE_TRIES_FOR: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// Longest code of an authenticator app or of a recovery code as people type it, characters.
pub const STAFF_CODE_MAX: usize = 32;
/// Recovery codes that are made at a time.
pub const STAFF_RECOVERY_CODES: usize = 10;
/// Steps of a day that analytics show at once.
pub const ANALYTICS_DAYS_MAX: i64 = 92;
/// Steps of a month that analytics show at once.
pub const ANALYTICS_MONTHS_MAX: i64 = 36;
/// The years that analytics can look at.
pub const ANALYTICS_YEARS: std::ops::RangeInclusive<i32> = 2020..=2100;
/// The longest statement of analytics on PostgreSQL.
pub const ANALYTICS_STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections to the database of analytics.
pub const ANALYTICS_CONNECTIONS: u32 = 4;
/// Less free space than this where the books are needs a person, bytes.
pub const DISK_FREE_MIN_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Log lines that may wait to be written where staff can read them.
pub const LOG_LINES_WAITING_MAX: usize = 1_024;
/// Log lines that share one write.
pub const LOG_LINES_AT_ONCE: usize = 100;
/// How long log lines are gathered before they are written.
pub const LOG_LINES_GATHERED: Duration = Duration::from_secs(1);
/// Longest text of a log line that is kept, characters.
pub const LOG_TEXT_MAX: usize = 2_000;
/// How long log lines are kept for staff.
pub const SYSTEM_LOG_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(30);
/// Longest word that logs are searched for, characters.
pub const LOG_WORD_MAX: usize = 100;
/// What the audit keeps of a user agent, characters.
pub const USER_AGENT_MAX: usize = 200;

/// Stations whose events are applied beside each other; each station's own stay in order.
pub const INBOX_STATIONS_AT_ONCE: usize = 8;
/// Rentals that a rider may have at once (R2).
pub const OPEN_RENTALS_MAX: i32 = 1;
/// Banks that a start tries, fullest first, before it says that none is free.
pub const BANKS_TRIED_MAX: usize = 8;
/// A station whose clock may be further off than this refuses to eject, milliseconds.
pub const EJECT_CLOCK_ERROR_MAX_MS: i32 = 5_000;
/// What a wallet must hold for a postpaid rental, if staff have not said otherwise.
pub const POSTPAID_MINIMUM: entities::Paisa = entities::Paisa(5_000);
/// A rental that is paid at a provider starts if the money is there within this time.
pub const PAID_START_WITHIN: chrono::TimeDelta = chrono::TimeDelta::minutes(30);
/// A bank that is overdue for so long counts as lost, if staff have not said otherwise.
pub const LOST_AFTER_HOURS: u32 = 24;
/// The longest time that staff may set for that: a year.
pub const LOST_AFTER_HOURS_MAX: u32 = 24 * 365;
/// What a lost bank costs, VAT inside, if staff have not said otherwise.
pub const LOST_FEE: entities::Paisa = entities::Paisa(500_000);
/// The longest free time that a package or a late fee may grant, minutes.
pub const FREE_MINUTES_MAX: i32 = 60 * 24;
/// The highest multiple of a package's rate that lateness may cost, percent.
pub const LATE_FEE_PERCENT_MAX: i32 = 10_000;

/// How often money and commands that were left behind are looked for.
pub const FORGOTTEN_WATCH_PAUSE: Duration = Duration::from_secs(3_600);
/// How long the jobs have to take care of them before they count as left behind.
pub const FORGOTTEN_AFTER: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// How many of a kind are mended in one look.
pub const FORGOTTEN_ROWS: u64 = 100;

/// The longest e-mail address, bytes (RFC 5321).
pub const EMAIL_MAX_BYTES: usize = 254;

/// Telephones of one rider that a push message goes to, those used last.
pub const DEVICES_PUSHED_MAX: u64 = 10;
/// The pause after the first try of a message that was not taken; it doubles.
pub const DELIVERY_RETRY_MIN: chrono::TimeDelta = chrono::TimeDelta::seconds(10);
/// The longest pause between two tries, unless the carrier asks for a longer one.
pub const DELIVERY_RETRY_MAX: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// After so long a push message says nothing new.
pub const PUSH_WORTH: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// After so long a text message says nothing new.
pub const SMS_WORTH: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// After so long an e-mail says nothing new.
pub const EMAIL_WORTH: chrono::TimeDelta = chrono::TimeDelta::hours(24);
/// What the log keeps of a carrier's answer, characters.
pub const DELIVERY_RESPONSE_MAX: usize = 500;
/// How long the log of deliveries is kept.
pub const DELIVERY_LOG_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(180);
/// Words and data of a push message, bytes: Firebase takes 4096.
pub const FCM_PAYLOAD_MAX_BYTES: usize = 4_000;
/// The pause after too many push messages, if Firebase does not name another.
pub const FCM_PAUSE_WHEN_FULL: chrono::TimeDelta = chrono::TimeDelta::seconds(60);
/// How long before its end an access token is not used any more.
pub const ACCESS_TOKEN_SPARE: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Riders that one transaction of a broadcast tells.
pub const BROADCAST_AT_ONCE: u64 = 100;
/// Who rented within this time is active.
pub const BROADCAST_ACTIVE_WITHIN: chrono::TimeDelta = chrono::TimeDelta::days(30);
/// Who signed up within this time is new.
pub const BROADCAST_NEW_WITHIN: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// Riders that one transaction reminds of their profiles.
pub const PROFILES_REMINDED_AT_ONCE: u64 = 100;
/// How many days after the sign-up a rider is reminded.
pub const PROFILE_REMINDED_AFTER_DAYS: [i64; 3] = [1, 7, 30];
/// When in the day that is, in Nepal.
pub const PROFILE_REMINDED_AT: chrono::TimeDelta = chrono::TimeDelta::hours(11);
