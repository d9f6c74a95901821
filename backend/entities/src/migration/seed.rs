//! What every new installation starts with. It runs once: what staff change or delete later stays so.

mod content;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Alias, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr, Value};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, SchemaManagerConnection};
use serde_json::json;
use uuid::Uuid;

pub(super) struct Seed;

impl MigrationName for Seed {
    fn name(&self) -> &str {
        "m0002_seed"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Seed {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        insert(db, 1, "countries", COUNTRY, countries()).await?;
        insert(db, 2, "app_configs", SETTING, settings()).await?;
        insert(db, 3, "rental_packages", PACKAGE, packages()).await?;
        insert(db, 4, "late_fee_configs", LATE_FEE, late_fees()).await?;
        insert(db, 5, "payment_methods", PAYMENT_METHOD, payment_methods()).await?;
        insert(db, 6, "notification_rules", NOTIFICATION_RULE, notification_rules()).await?;
        insert(db, 7, "notification_templates", NOTIFICATION_TEMPLATE, notification_templates()).await?;
        insert(db, 8, "achievements", ACHIEVEMENT, achievements()).await?;
        content::insert_all(db).await
    }
}

type Row = Vec<Value>;

/// The moment that seeded rows carry: a migration has no clock.
fn seeded_at() -> Value {
    DateTime::<Utc>::UNIX_EPOCH.into()
}

/// Seeded rows have the same id in every installation: group and number in an otherwise empty UUIDv7.
fn seeded_id(group: u8, number: usize) -> Uuid {
    let mut bytes = [0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, group, 0];
    bytes[15] = u8::try_from(number).unwrap_or(u8::MAX);
    Uuid::from_bytes(bytes)
}

/// Whole rupees (or another currency's unit) as the column has them, in hundredths.
const fn rupees(amount: i64) -> i64 {
    amount * 100
}

async fn insert(
    db: &SchemaManagerConnection<'_>,
    group: u8,
    table: &str,
    columns: &[&str],
    rows: Vec<Row>,
) -> Result<(), DbErr> {
    let mut statement = Query::insert();
    statement.into_table(Alias::new(table));
    statement.columns(std::iter::once("id").chain(columns.iter().copied()).map(Alias::new));
    for (at, row) in rows.into_iter().enumerate() {
        let id = Value::from(seeded_id(group, at + 1));
        statement.values_panic(std::iter::once(id).chain(row).map(Into::into));
    }
    // A row that is there already stays as it is.
    statement.on_conflict(OnConflict::new().do_nothing().to_owned());
    db.execute(&statement).await?;
    Ok(())
}

const COUNTRY: &[&str] = &["name", "code", "dial_code", "flag_url", "is_active", "created_at"];

fn countries() -> Vec<Row> {
    let flag = "/assets/flag-np.svg";
    vec![vec!["Nepal".into(), "NP".into(), "+977".into(), flag.into(), true.into(), seeded_at()]]
}

const SETTING: &[&str] =
    &["config_key", "config_value", "data_type", "description", "is_active", "updated_at"];

fn settings() -> Vec<Row> {
    [
        (
            "POSTPAID_MINIMUM_BALANCE",
            "50",
            "decimal",
            "NPR that a wallet must hold to start a postpaid rental",
        ),
        (
            "NEED_RENTALS_PROFILE_COMPLETE",
            "false",
            "boolean",
            "Riders must complete their profile before a rental",
        ),
        ("NEED_RENTALS_KYC_VERIFIED", "false", "boolean", "Riders must have an approved KYC before a rental"),
        ("NO_CHARGE_RENTAL_CANCELLATION_TIME", "5", "integer", "Minutes in which a cancellation is free"),
        ("LOST_AFTER_HOURS", "24", "integer", "Hours overdue after which a power bank counts as lost"),
        ("LOST_FEE", "5000", "decimal", "NPR that a lost power bank costs; given back when it returns"),
        ("SWAPPING_MAX_TIME", "5", "integer", "Minutes in which a power bank can be swapped"),
        ("MAX_RENTAL_EXTENSIONS", "3", "integer", "How often a rental can be extended"),
        (
            "SUPER_ADMIN_TOTP_REQUIRED",
            "false",
            "boolean",
            "Super admins must sign in with an authenticator app",
        ),
        ("QUIET_HOURS_FROM", "22", "integer", "Hour in Nepal from which nothing rings that is not critical"),
        ("QUIET_HOURS_UNTIL", "7", "integer", "Hour in Nepal until which nothing rings that is not critical"),
        ("POINTS_SIGNUP", "50", "integer", "Points for signing up"),
        ("POINTS_REFERRAL_INVITER", "100", "integer", "Points for bringing a rider who rents"),
        ("POINTS_REFERRAL_INVITEE", "50", "integer", "Points for coming by a referral and renting"),
        ("POINTS_KYC", "30", "integer", "Points for an approved KYC"),
        ("POINTS_PROFILE", "20", "integer", "Points for a complete profile"),
        ("POINTS_RENTAL_COMPLETE", "5", "integer", "Points for a completed rental"),
        ("POINTS_TIMELY_RETURN", "50", "integer", "Points for a return in time"),
        ("POINTS_TOPUP", "10", "integer", "Points for each POINTS_TOPUP_PER_NPR rupees of a top-up"),
        ("POINTS_TOPUP_PER_NPR", "100", "integer", "Rupees of a top-up that give POINTS_TOPUP points"),
        ("POINTS_EXPIRE_AFTER_DAYS", "365", "integer", "Days that points live; for ever if zero"),
        ("POINTS_EXPIRY_NOTICE_DAYS", "7", "integer", "Days before that riders are told; never if zero"),
    ]
    .into_iter()
    .map(|(key, value, data_type, description)| {
        vec![key.into(), value.into(), data_type.into(), description.into(), true.into(), seeded_at()]
    })
    .collect()
}

const PACKAGE: &[&str] = &[
    "name",
    "description",
    "duration_minutes",
    "price_paisa",
    "package_type",
    "payment_model",
    "is_active",
    "created_at",
    "updated_at",
];

fn packages() -> Vec<Row> {
    [
        ("1 hour", "For a quick charge", 60, rupees(50), "hourly"),
        ("4 hours", "For an afternoon", 240, rupees(150), "hourly"),
        ("Daily", "For a whole day", 1_440, rupees(300), "daily"),
    ]
    .into_iter()
    .map(|(name, description, minutes, price_paisa, package_type)| {
        vec![
            name.into(),
            description.into(),
            minutes.into(),
            price_paisa.into(),
            package_type.into(),
            "prepaid".into(),
            true.into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}

const LATE_FEE: &[&str] = &[
    "version",
    "name",
    "fee_type",
    "multiplier_percent",
    "grace_minutes",
    "cap_per_day_paisa",
    "is_active",
    "created_at",
    "updated_at",
];

fn late_fees() -> Vec<Row> {
    vec![vec![
        1.into(),
        "Hourly 2x after 2 min".into(),
        "multiplier".into(),
        200.into(),
        2.into(),
        rupees(100).into(),
        true.into(),
        seeded_at(),
        seeded_at(),
    ]]
}

const PAYMENT_METHOD: &[&str] = &[
    "name",
    "gateway",
    "is_active",
    "min_amount_paisa",
    "max_amount_paisa",
    "supported_currencies",
    "created_at",
    "updated_at",
];

/// A method is offered once its provider is set up; staff may switch it off.
fn payment_methods() -> Vec<Row> {
    [
        ("Sandbox", "sandbox", true, rupees(10), rupees(100_000), "NPR"),
        ("Khalti", "khalti", true, rupees(10), rupees(100_000), "NPR"),
        ("eSewa", "esewa", true, rupees(10), rupees(50_000), "NPR"),
        ("Stripe", "stripe", true, rupees(100), rupees(100_000), "NPR"),
    ]
    .into_iter()
    .map(|(name, gateway, is_active, least_paisa, most_paisa, currency)| {
        vec![
            name.into(),
            gateway.into(),
            is_active.into(),
            least_paisa.into(),
            most_paisa.into(),
            json!([currency]).into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}

const NOTIFICATION_RULE: &[&str] = &[
    "notification_type",
    "send_in_app",
    "send_push",
    "send_sms",
    "send_email",
    "is_critical",
    "created_at",
    "updated_at",
];

/// The seven classes of the product: three travel as push messages too, four stay in the app.
fn notification_rules() -> Vec<Row> {
    [
        ("time_alert", true),
        ("fines_dues", true),
        ("rental_status", true),
        ("profile_reminder", false),
        ("rewards", false),
        ("payment_status", false),
        ("admin_notices", false),
    ]
    .into_iter()
    .map(|(class, send_push)| {
        vec![
            class.into(),
            true.into(),
            send_push.into(),
            false.into(),
            false.into(),
            send_push.into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}

const NOTIFICATION_TEMPLATE: &[&str] = &[
    "name",
    "slug",
    "title_template",
    "message_template",
    "notification_type",
    "rule_type",
    "is_active",
    "created_at",
    "updated_at",
];

fn notification_templates() -> Vec<Row> {
    [
        (
            "rental_started",
            "rental-started",
            "Your power bank is ready",
            "Rental {{ rental_code }} at {{ station_name }} has started. Please return it by {{ due_at }}.",
            "rental",
            "rental_status",
        ),
        (
            "rental_completed",
            "rental-completed",
            "Thank you for returning it",
            "Rental {{ rental_code }} has ended at {{ station_name }}. You paid NPR {{ amount }}.\
             {% if due %} NPR {{ due }} is still open.{% endif %}",
            "rental",
            "rental_status",
        ),
        (
            "rental_cancelled",
            "rental-cancelled",
            "Your rental was cancelled",
            "Rental {{ rental_code }} was cancelled and nothing was charged: {{ reason }}.",
            "rental",
            "rental_status",
        ),
        (
            "rental_overdue",
            "rental-overdue",
            "Your power bank is overdue",
            "Rental {{ rental_code }} was due at {{ due_at }}. Every minute costs until you return it, at any station.",
            "rental",
            "time_alert",
        ),
        (
            "rental_ending_soon",
            "rental-ending-soon",
            "Your rental ends soon",
            "Rental {{ rental_code }} is due at {{ due_at }}. Return the power bank at any station, or extend the rental.",
            "rental",
            "time_alert",
        ),
        (
            "rental_extended",
            "rental-extended",
            "You have more time",
            "Rental {{ rental_code }} is {{ minutes }} minutes longer for NPR {{ amount }}. Please return it by {{ due_at }}.",
            "rental",
            "rental_status",
        ),
        (
            "rental_issue_resolved",
            "rental-issue-resolved",
            "We have looked at your report",
            "About rental {{ rental_code }}: {{ note }}",
            "rental",
            "rental_status",
        ),
        (
            "rental_due_paid",
            "rental-due-paid",
            "Thank you, it is paid",
            "NPR {{ amount }} that was open for rental {{ rental_code }} is paid. You can rent again.",
            "rental",
            "fines_dues",
        ),
        (
            "paid_start_refused",
            "paid-start-refused",
            "Your rental did not start",
            "Your payment has arrived and is in your wallet, but the rental could not start: {{ reason }}",
            "rental",
            "rental_status",
        ),
        (
            "profile_reminder",
            "profile-reminder",
            "Your profile is almost complete",
            "Add your {{ missing }} to your profile and get points for it.",
            "system",
            "profile_reminder",
        ),
        (
            "rental_lost",
            "rental-lost",
            "Your power bank counts as lost",
            "Rental {{ rental_code }} has been overdue for too long: the power bank is charged with NPR {{ fee }}.\
             {% if due %} NPR {{ due }} is open.{% endif %} Return it at any station and the charge is turned round.",
            "rental",
            "fines_dues",
        ),
        (
            "lost_bank_found",
            "lost-bank-found",
            "Thank you for bringing it back",
            "Rental {{ rental_code }} has ended at {{ station_name }}. NPR {{ given_back }} of what the lost power bank \
             cost is yours again; the rental cost NPR {{ amount }}.{% if due %} NPR {{ due }} is still open.{% endif %}",
            "rental",
            "fines_dues",
        ),
        (
            "rental_in_doubt",
            "rental-in-doubt",
            "We are checking your rental",
            "We do not know yet whether rental {{ rental_code }} began. You may rent another power bank meanwhile.",
            "rental",
            "rental_status",
        ),
        (
            "payment_received",
            "payment-received",
            "Payment received",
            "NPR {{ amount }} by {{ payment_method }} is in your wallet.",
            "payment",
            "payment_status",
        ),
        (
            "balance_added",
            "balance-added",
            "We put money into your wallet",
            "NPR {{ amount }} is in your wallet: {{ reason }}",
            "payment",
            "payment_status",
        ),
        (
            "refund_approved",
            "refund-approved",
            "Your refund is on its way",
            "NPR {{ amount }} left your wallet and goes back the way you paid it.",
            "payment",
            "payment_status",
        ),
        (
            "refund_rejected",
            "refund-rejected",
            "Your refund was not approved",
            "NPR {{ amount }} will not be given back.{% if note %} {{ note }}{% endif %}",
            "payment",
            "payment_status",
        ),
        (
            "refund_processed",
            "refund-processed",
            "You have your money back",
            "NPR {{ amount }} {% if destination == 'wallet' %}is in your wallet{% else %}went back the way you paid it{% endif %}.",
            "payment",
            "payment_status",
        ),
        (
            "refund_failed",
            "refund-failed",
            "Your refund could not be made",
            "The provider did not take NPR {{ amount }} back; it is in your wallet again.{% if note %} {{ note }}{% endif %}",
            "payment",
            "payment_status",
        ),
        (
            "points_earned",
            "points-earned",
            "You earned points",
            "You earned {{ points }} points: {{ reason }}.",
            "achievement",
            "rewards",
        ),
        (
            "points_expiring",
            "points-expiring",
            "Use your points",
            "{{ points }} of your points end soon, the first of them after {{ last_day }}. Pay your next rental with them.",
            "achievement",
            "rewards",
        ),
        (
            "achievement_unlocked",
            "achievement-unlocked",
            "{{ achievement }}",
            "You reached {{ achievement }} and earned {{ points }} points.",
            "achievement",
            "rewards",
        ),
        (
            "kyc_approved",
            "kyc-approved",
            "Your identity is confirmed",
            "We looked at your papers: all is right.",
            "system",
            "admin_notices",
        ),
        (
            "kyc_rejected",
            "kyc-rejected",
            "Please look at your papers again",
            "We could not confirm your identity: {{ reason }}",
            "system",
            "admin_notices",
        ),
        (
            "station_issue_resolved",
            "station-issue-resolved",
            "Mended: {{ station_name }}",
            "What you reported of {{ station_name }} is resolved. Thank you for telling us.",
            "system",
            "admin_notices",
        ),
    ]
    .into_iter()
    .map(|(name, slug, title, message, notification_type, rule_type)| {
        vec![
            name.into(),
            slug.into(),
            title.into(),
            message.into(),
            notification_type.into(),
            rule_type.into(),
            true.into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}

const ACHIEVEMENT: &[&str] = &[
    "name",
    "description",
    "criteria_type",
    "criteria_value",
    "reward_type",
    "reward_value",
    "is_active",
    "created_at",
    "updated_at",
];

fn achievements() -> Vec<Row> {
    [
        ("First Rental", "Complete your first rental", "rental_count", 1, 50),
        ("Rental Master", "Complete ten rentals", "rental_count", 10, 200),
        ("Punctual User", "Return five power banks in time", "timely_return_count", 5, 100),
        ("Referral Champion", "Bring three riders who rent", "referral_count", 3, 300),
    ]
    .into_iter()
    .map(|(name, description, criteria_type, criteria_value, reward_value)| {
        vec![
            name.into(),
            description.into(),
            criteria_type.into(),
            criteria_value.into(),
            "points".into(),
            reward_value.into(),
            true.into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}
