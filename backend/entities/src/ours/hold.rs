//! Money set aside for a rental; resolved exactly once (R3).

use crate::id::{HoldId, RentalId, UserId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `holds`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "holds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    pub user_id: UserId,
    pub rental_id: RentalId,
    /// From the wallet and with points together.
    pub amount_paisa: Paisa,
    /// How many points are in it.
    pub points: i32,
    /// What they pay of it.
    pub points_paisa: Paisa,
    pub state: HoldState,
    /// What was taken; the rest went back to the wallet.
    pub captured_paisa: Paisa,
    pub created_at: DateTimeUtc,
    pub resolved_at: Option<DateTimeUtc>,
}

text_enum! {
    /// Where a hold stands.
    pub enum HoldState {
        Held = "held",
        Captured = "captured",
        Voided = "voided",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::UserId", to = "crate::user::Column::Id")]
    User,
    #[sea_orm(
        belongs_to = "crate::rental::Entity",
        from = "Column::RentalId",
        to = "crate::rental::Column::Id"
    )]
    Rental,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<crate::rental::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Rental.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
