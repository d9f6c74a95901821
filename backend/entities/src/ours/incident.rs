//! A difference between book and world that a person must look at.

use crate::id::{IncidentId, PowerBankId, RentalId, StationId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `incidents`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IncidentId,
    pub kind: IncidentKind,
    pub station_id: Option<StationId>,
    pub power_bank_id: Option<PowerBankId>,
    pub rental_id: Option<RentalId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub detail: Json,
    pub state: IncidentState,
    /// The same difference makes one incident.
    pub dedup_key: String,
    pub created_at: DateTimeUtc,
    pub resolved_at: Option<DateTimeUtc>,
}

text_enum! {
    /// What differs.
    ///
    /// The list grows, so no CHECK guards the column.
    pub enum IncidentKind {
        UnknownBank = "unknown_bank",
        BankMissing = "bank_missing",
        BankInTwoPlaces = "bank_in_two_places",
        UnreadableBank = "unreadable_bank",
        EventParked = "event_parked",
        CommandInDoubt = "command_in_doubt",
        LateEvidence = "late_evidence",
        ContradictingEvidence = "contradicting_evidence",
        StationAlarm = "station_alarm",
        StationFlapping = "station_flapping",
        IdentityConflict = "identity_conflict",
        ReturnUnmatched = "return_unmatched",
        RentalLost = "rental_lost",
        LostBankFound = "lost_bank_found",
        PaymentMismatch = "payment_mismatch",
        PaymentUnknown = "payment_unknown",
        PaymentReversed = "payment_reversed",
        RefundCameBack = "refund_came_back",
        LedgerMismatch = "ledger_mismatch",
        BooksDiffer = "books_differ",
        CalendarEnded = "calendar_ended",
        JobDead = "job_dead",
    }
}

text_enum! {
    /// Whether a person has looked.
    pub enum IncidentState {
        Open = "open",
        Resolved = "resolved",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::station::Entity",
        from = "Column::StationId",
        to = "crate::station::Column::Id"
    )]
    Station,
    #[sea_orm(
        belongs_to = "crate::power_bank::Entity",
        from = "Column::PowerBankId",
        to = "crate::power_bank::Column::Id"
    )]
    PowerBank,
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::RentalId",
        to = "crate::rental::Column::Id"
    )]
    Rental,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl Related<crate::power_bank::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PowerBank.def()
    }
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Rental.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
