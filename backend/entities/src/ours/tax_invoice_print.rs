//! One print of a tax invoice or a credit note: the first is the original, each later one a copy of it.

use crate::id::{TaxInvoiceId, TaxInvoicePrintId, UserId};
use sea_orm::entity::prelude::*;

/// A row of `tax_invoice_prints`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tax_invoice_prints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TaxInvoicePrintId,
    pub invoice_id: TaxInvoiceId,
    /// From 1, the original.
    pub print_no: i64,
    pub printed_by: UserId,
    pub printed_at: DateTimeUtc,
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::tax_invoice::Entity",
        from = "Column::InvoiceId",
        to = "crate::tax_invoice::Column::Id"
    )]
    Invoice,
    #[sea_orm(belongs_to = "crate::user::Entity", from = "Column::PrintedBy", to = "crate::user::Column::Id")]
    PrintedBy,
}

impl ActiveModelBehavior for ActiveModel {}
