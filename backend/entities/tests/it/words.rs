use entities::testing::FreshDatabase;
use entities::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityName, IdenStatic, Statement};
use std::collections::BTreeMap;

/// The columns whose words are a closed set, and the enum that has the same words.
macro_rules! closed_sets {
    ($($entity:ident.$column:ident: $owner:ident::$set:ident;)+) => {
        [$((
            $entity::Entity.table_name(),
            $entity::Column::$column.as_str(),
            $owner::$set::ALL.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", "),
        )),+]
    };
}

#[tokio::test]
async fn a_check_has_exactly_the_words_of_its_enum() {
    let fresh = FreshDatabase::sqlite();
    let tables = table_texts(&fresh.connect_migrated().await).await;
    let sets = closed_sets! {
        user.Status: user::UserStatus;
        user_profile.Gender: user_profile::Gender;
        admin_profile.Role: admin_profile::AdminRole;
        user_kyc.Status: user_kyc::KycStatus;
        user_device.DeviceType: user_device::Platform;
        app_config.DataType: app_config::ConfigDataType;
        media_upload.FileType: media_upload::MediaFileType;
        media_upload.Purpose: media_upload::MediaPurpose;
        station.Status: station::StationStatus;
        station_media.MediaType: station_media::StationMediaType;
        station_slot.Status: station_slot::SlotStatus;
        power_bank.Status: power_bank::PowerBankStatus;
        station_issue.IssueType: station_issue::StationIssueType;
        station_issue.Priority: station_issue::IssuePriority;
        station_issue.Status: station_issue::StationIssueStatus;
        rental_package.PackageType: rental_package::PackageType;
        rental_package.PaymentModel: rental_package::PaymentModel;
        rental.Status: rental::RentalStatus;
        rental.PaymentStatus: rental::RentalPaymentStatus;
        rental_issue.IssueType: rental_issue::RentalIssueType;
        rental_issue.Status: rental_issue::RentalIssueStatus;
        late_fee_config.FeeType: late_fee_config::LateFeeType;
        transaction.TransactionType: transaction::TransactionType;
        transaction.Status: transaction::TransactionStatus;
        transaction.PaymentMethodType: transaction::PaymentMethodType;
        wallet_transaction.TransactionType: wallet_transaction::WalletTransactionType;
        payment_intent.IntentType: payment_intent::PaymentIntentType;
        payment_intent.Status: payment_intent::PaymentIntentStatus;
        payment_attempt.State: payment_attempt::PaymentAttemptState;
        sandbox_payment.State: sandbox_payment::SandboxPaymentState;
        payment_webhook.Status: payment_webhook::WebhookStatus;
        refund.Status: refund::RefundStatus;
        refund.Destination: refund::RefundDestination;
        ledger_account.Kind: ledger_account::LedgerAccountKind;
        hold.State: hold::HoldState;
        reconciliation_report.State: reconciliation_report::ReconciliationState;
        reconciliation_line.Class: reconciliation_line::ReconciliationClass;
        tax_invoice.Kind: tax_invoice::TaxInvoiceKind;
        points_transaction.TransactionType: points_transaction::PointsTransactionType;
        referral.Status: referral::ReferralStatus;
        referral.EndReason: referral::ReferralEnd;
        batch_run.State: batch_run::BatchState;
        achievement.CriteriaType: achievement::CriteriaType;
        achievement.RewardType: achievement::RewardType;
        coupon.Status: coupon::CouponStatus;
        notification_template.NotificationType: notification_template::NotificationType;
        notification.NotificationType: notification_template::NotificationType;
        notification.Channel: notification::NotificationChannel;
        sms_fcm_log.LogType: sms_fcm_log::MessageType;
        sms_fcm_log.Status: sms_fcm_log::MessageStatus;
        contact_info.ContactType: contact_info::ContactType;
        app_version.Platform: user_device::Platform;
        system_log.LogLevel: system_log::LogLevel;
        command.State: command::CommandState;
        station_event.TimeQuality: station_event::TimeQuality;
        station_key.Admission: station_key::Admission;
        broadcast.Segment: broadcast::Segment;
        broadcast.State: broadcast::BroadcastState;
        incident.State: incident::IncidentState;
        job.State: job::JobState;
        idempotency_key.State: idempotency_key::IdempotencyState;
        otp_request.Purpose: otp_request::OtpPurpose;
    };
    let mut checks_left: usize = tables.values().map(|text| text.matches(" in ('").count()).sum();
    for (table, column, words) in sets {
        let check = format!("check ({column} in ({words}))");
        assert!(tables[table].contains(&check), "{table} has no {check}");
        checks_left -= 1;
    }
    // The others tie columns of one row together: rentals (1) and ledger accounts (2).
    assert_eq!(checks_left, 3, "a CHECK has words that no enum is compared with");
}

/// Table → the text that made it. One text makes the tables of both databases.
async fn table_texts(db: &DatabaseConnection) -> BTreeMap<String, String> {
    let sql = "select name, sql from sqlite_master where type = 'table'";
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.expect("a catalogue");
    rows.into_iter().map(|row| row.try_get_many_by_index().expect("two texts")).collect()
}
