//! One payment in a reconciliation report: what we thought and what the provider said.

use crate::id::{PaymentAttemptId, ReconciliationLineId, ReconciliationReportId};
use crate::money::Paisa;
use crate::payment_attempt::PaymentAttemptState;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `reconciliation_lines`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_lines")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReconciliationLineId,
    pub report_id: ReconciliationReportId,
    pub attempt_id: PaymentAttemptId,
    pub class: ReconciliationClass,
    /// Our state before anything was mended.
    pub our_state: PaymentAttemptState,
    /// The provider's word; none when it knows no such order or did not answer.
    pub their_status: Option<String>,
    /// What we had credited; zero unless it had succeeded.
    pub our_paisa: Paisa,
    /// What the provider says was paid; zero unless it was.
    pub their_paisa: Paisa,
    pub fee_paisa: Option<Paisa>,
    /// What the provider says that it gave back.
    pub given_back_paisa: Paisa,
    /// The provider's name for the movement of money.
    pub provider_transaction: Option<String>,
    /// Whether the rider was credited because of this line.
    pub mended: bool,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// How two books agree on a payment.
    pub enum ReconciliationClass {
        Matched = "matched",
        MissingAtProvider = "missing_at_provider",
        MissingAtUs = "missing_at_us",
        AmountDiffers = "amount_differs",
        StatusDiffers = "status_differs",
        DuplicatePayment = "duplicate_payment",
        UnexpectedRefund = "unexpected_refund",
        Unanswered = "unanswered",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::reconciliation_report::Entity",
        from = "Column::ReportId",
        to = "crate::reconciliation_report::Column::Id"
    )]
    Report,
    #[sea_orm(
        belongs_to = "crate::payment_attempt::Entity",
        from = "Column::AttemptId",
        to = "crate::payment_attempt::Column::Id"
    )]
    Attempt,
}

impl ActiveModelBehavior for ActiveModel {}
