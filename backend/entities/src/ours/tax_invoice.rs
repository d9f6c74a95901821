//! A tax invoice or a credit note: numbered without gaps in each fiscal year, never changed.

use crate::id::{TaxInvoiceId, TransactionId};
use crate::money::Paisa;
use crate::text_enum::text_enum;
use sea_orm::entity::prelude::*;

/// A row of `tax_invoices`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tax_invoices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TaxInvoiceId,
    pub kind: TaxInvoiceKind,
    /// `2082/83`, from 1 Shrawan.
    pub fiscal_year: String,
    /// From 1 in each fiscal year, by kind.
    pub serial: i64,
    /// What the paper is called: branch, fiscal year and serial.
    pub number: String,
    pub transaction_id: TransactionId,
    pub seller_name: String,
    pub seller_address: String,
    pub seller_pan: String,
    /// Empty while the rider has told no name.
    pub buyer_name: String,
    /// What the VAT is counted on.
    pub taxable_paisa: Paisa,
    pub vat_paisa: Paisa,
    pub total_paisa: Paisa,
    pub payment_mode: String,
    /// The invoice whose money a credit note gives back.
    pub corrects: Option<TaxInvoiceId>,
    /// The day of supply in Bikram Sambat.
    pub date_bs: String,
    pub supplied_at: DateTimeUtc,
    pub issued_at: DateTimeUtc,
}

text_enum! {
    /// Whether a paper takes money or gives it back.
    pub enum TaxInvoiceKind {
        Invoice = "invoice",
        CreditNote = "credit_note",
    }
}

/// The tables that a row refers to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::transaction::Entity",
        from = "Column::TransactionId",
        to = "crate::transaction::Column::Id"
    )]
    Transaction,
    #[sea_orm(belongs_to = "Entity", from = "Column::Corrects", to = "Column::Id")]
    Corrects,
}

impl Related<crate::transaction::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Transaction.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
