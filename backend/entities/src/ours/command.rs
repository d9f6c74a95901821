//! An order to a station: at most one motion of metal. Its id is the `cmd_id` on the wire.

use crate::id::{CommandId, RentalId, StationId, UserId};
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `commands`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "commands")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CommandId,
    pub station_id: StationId,
    pub kind: CommandKind,
    pub slot_number: Option<i32>,
    /// The bank that must be in the slot.
    pub bank_serial: Option<String>,
    /// The one number that some kinds carry.
    pub argument: i64,
    pub rental_id: Option<RentalId>,
    /// Rider or staff; none for the system itself.
    pub requested_by: Option<UserId>,
    pub state: CommandState,
    /// The gateway process that it was offered to.
    pub instance_id: Option<Uuid>,
    /// Why it ended as it did.
    pub reason: Option<String>,
    /// The station itself cannot say.
    pub uncertain: bool,
    /// The number of the event that brought the station's verdict, if an event brought it.
    pub verdict_event_no: Option<i64>,
    /// After this no motor moves.
    pub expires_at: DateTimeUtc,
    pub max_clock_error_ms: i32,
    pub offered_at: Option<DateTimeUtc>,
    pub finished_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

text_enum! {
    /// What a station is told to do.
    ///
    /// The list grows, so no CHECK guards the column.
    pub enum CommandKind {
        Eject = "eject",
        EjectForService = "eject_for_service",
        LockSlot = "lock_slot",
        UnlockSlot = "unlock_slot",
        QueryInventory = "query_inventory",
        Reboot = "reboot",
        SetVolume = "set_volume",
        Ring = "ring",
        SetServer = "set_server",
        QueryIccid = "query_iccid",
    }
}

text_enum! {
    /// How far an order is; it only ever grows.
    pub enum CommandState {
        New = "new",
        Offered = "offered",
        Received = "received",
        Expired = "expired",
        Rejected = "rejected",
        Failed = "failed",
        Done = "done",
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
        belongs_to = "crate::rental::Entity",
        from = "Column::RentalId",
        to = "crate::rental::Column::Id"
    )]
    Rental,
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::RequestedBy",
        to = "crate::user::Column::Id"
    )]
    RequestedBy,
}

impl Related<crate::station::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Station.def()
    }
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Rental.def()
    }
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::RequestedBy.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
