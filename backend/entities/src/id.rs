//! One id type for each table, so that no id can be taken for another.
//!
//! Nothing here makes an id: the caller makes a UUIDv7 of its own clock and randomness and says `.into()`.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! ids {
    ($($name:ident => $table:literal,)+) => {$(
        #[doc = concat!("The id of a row of `", $table, "`: a UUIDv7, so newer rows sort after older ones.")]
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            Serialize, Deserialize, utoipa::ToSchema, DeriveValueType,
        )]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        // SeaORM asks every primary key for this; no uuid comes out of an auto-increment.
        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )+};
}

// The ER diagram's entities.
ids! {
    UserId => "users",
    UserProfileId => "user_profiles",
    AdminProfileId => "admin_profiles",
    UserKycId => "user_kyc",
    UserDeviceId => "user_devices",
    AppConfigId => "app_configs",
    CountryId => "countries",
    MediaUploadId => "media_uploads",
    StationId => "stations",
    StationMediaId => "station_media",
    StationAmenityId => "station_amenities",
    StationAmenityMappingId => "station_amenity_mappings",
    StationSlotId => "station_slots",
    PowerBankId => "power_banks",
    UserStationFavoriteId => "user_station_favorites",
    StationIssueId => "station_issues",
    RentalPackageId => "rental_packages",
    RentalId => "rentals",
    RentalExtensionId => "rental_extensions",
    RentalLocationId => "rental_locations",
    RentalIssueId => "rental_issues",
    PaymentMethodId => "payment_methods",
    TransactionId => "transactions",
    WalletId => "wallets",
    WalletTransactionId => "wallet_transactions",
    PaymentIntentId => "payment_intents",
    PaymentWebhookId => "payment_webhooks",
    RefundId => "refunds",
    UserPointsId => "user_points",
    PointsTransactionId => "points_transactions",
    ReferralId => "referrals",
    UserLeaderboardId => "user_leaderboards",
    AchievementId => "achievements",
    UserAchievementId => "user_achievements",
    CouponId => "coupons",
    CouponUsageId => "coupon_usages",
    NotificationTemplateId => "notification_templates",
    NotificationRuleId => "notification_rules",
    NotificationId => "notifications",
    SmsFcmLogId => "sms_fcm_logs",
    ContentPageId => "content_pages",
    FaqId => "faqs",
    ContactInfoId => "contact_infos",
    AppVersionId => "app_versions",
    AppUpdateId => "app_updates",
    BannerId => "banners",
    UserAuditLogId => "user_audit_logs",
    AdminActionLogId => "admin_action_logs",
    SystemLogId => "system_logs",
}

// Our own tables.
ids! {
    LateFeeConfigId => "late_fee_configs",
    PaymentAttemptId => "payment_attempts",
    SandboxPaymentId => "sandbox_payments",
    SandboxRefundId => "sandbox_refunds",
    LedgerAccountId => "ledger_accounts",
    LedgerEntryId => "ledger_entries",
    LedgerPostingId => "ledger_postings",
    HoldId => "holds",
    ReconciliationReportId => "reconciliation_reports",
    ReconciliationLineId => "reconciliation_lines",
    TaxInvoiceId => "tax_invoices",
    TaxInvoicePrintId => "tax_invoice_prints",
    CommandId => "commands",
    StationEventId => "station_events",
    BroadcastId => "broadcasts",
    IncidentId => "incidents",
    JobId => "jobs",
    IdempotencyKeyId => "idempotency_keys",
    OtpRequestId => "otp_requests",
    UserSessionId => "user_sessions",
    StaffSessionId => "staff_sessions",
    StaffRecoveryCodeId => "staff_recovery_codes",
    BatchRunId => "batch_runs",
    BatchPartId => "batch_parts",
    DailyAggregateId => "daily_aggregates",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_bare_uuid_in_text_and_json() {
        let text = "01890f3e-7cc2-7000-8000-000000000001";
        let id: StationId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<StationId>(&format!("\"{text}\"")).unwrap(), id);
    }
}
