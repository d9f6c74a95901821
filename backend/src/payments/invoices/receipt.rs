//! `GET payments/transactions/{transaction_id}/receipt`: a movement on paper, as JSON or as a page
//! to print. A printed tax invoice is counted: the first is the original, every later one a copy.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use entities::id::{TaxInvoiceId, TransactionId, UserId};
use entities::money::Paisa;
use entities::tax_invoice::{self, TaxInvoiceKind};
use entities::tax_invoice_print;
use entities::transaction::{self, PaymentMethodType, TransactionType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Set,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::issue::{self, Sold};
use crate::app::App;
use crate::auth::Rider;
use crate::calendar::day_in_nepal;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::money::Money;
use crate::payments::Refusal;
use crate::payments::ledger::VAT_PERCENT;

/// A movement on paper.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Paper {
    /// The movement's code for people.
    pub transaction_id: String,
    /// What for.
    pub transaction_type: TransactionType,
    /// How it was paid.
    pub payment_mode: PaymentMethodType,
    /// What moved.
    pub amount: Money,
    /// The day in Kathmandu.
    pub date: NaiveDate,
    /// When it moved.
    pub paid_at: DateTime<Utc>,
    /// What was sold or given back, without VAT; empty for a top-up.
    pub lines: Vec<PaperLine>,
    /// What the VAT is counted on.
    pub taxable: Money,
    /// Percent.
    pub vat_percent: i64,
    /// The state's part.
    pub vat: Money,
    /// Taxable and VAT; what moved, for a top-up.
    pub total: Money,
    /// The tax invoice or credit note; none for a top-up, where VAT is not charged, or while it is
    /// being numbered.
    pub invoice: Option<Invoice>,
}

/// One thing that was sold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PaperLine {
    /// For people.
    pub description: &'static str,
    /// Without VAT.
    pub amount: Money,
}

/// A numbered paper. It is never changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invoice {
    /// Tax invoice, or credit note.
    pub kind: TaxInvoiceKind,
    /// Without gaps in each fiscal year.
    pub number: String,
    /// `2082/83`.
    pub fiscal_year: String,
    /// The day of supply in Bikram Sambat, `2082-10-01`.
    pub date_bs: String,
    /// Who sold.
    pub seller_name: String,
    /// Where from.
    pub seller_address: String,
    /// The seller's PAN, nine digits.
    pub seller_pan: String,
    /// Who bought; empty while the rider has told no name.
    pub buyer_name: String,
    /// The number of the invoice that a credit note corrects.
    pub corrects: Option<String>,
    /// How often it was printed.
    pub prints: u64,
}

/// A movement of the rider on paper: JSON, or a page to print for `Accept: text/html`.
#[utoipa::path(get, path = "/payments/transactions/{transaction_id}/receipt", tag = "payments", security(("rider" = [])),
    params(("transaction_id" = String, Path, description = "The id of a transaction, or its code")),
    responses((status = 200, body = Paper), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    State(app): State<App>,
    rider: Rider,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let (id, mut paper) = load(app.db.read(), rider.user_id, &name).await?;
    if !wants_page(&headers) {
        return Ok(Json(paper).into_response());
    }
    let mut copy = 0;
    if let (Some(id), Some(invoice)) = (id, &mut paper.invoice) {
        copy =
            app.db.write(move |tx| Box::pin(async move { count_print(tx, id, rider.user_id).await })).await?;
        invoice.prints = copy;
    }
    let page = ReceiptPage { title: title(&paper), copies_before: copy.saturating_sub(1), paper };
    Ok(Html(page.render().map_err(anyhow::Error::from)?).into_response())
}

/// What a person prints.
#[derive(Template)]
#[template(path = "payments/receipt.html")]
struct ReceiptPage {
    title: &'static str,
    copies_before: u64,
    paper: Paper,
}

fn title(paper: &Paper) -> &'static str {
    match paper.invoice.as_ref().map(|invoice| invoice.kind) {
        Some(TaxInvoiceKind::Invoice) => "Tax invoice",
        Some(TaxInvoiceKind::CreditNote) => "Credit note",
        None => "Receipt",
    }
}

/// JSON unless the caller is a browser.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html"))
}

async fn load(db: &impl ConnectionTrait, user: UserId, name: &str) -> Result<(Option<TaxInvoiceId>, Paper)> {
    let by_name = match name.parse() {
        Ok(id) => transaction::Column::Id.eq(TransactionId(id)),
        Err(_) => transaction::Column::TransactionId.eq(name),
    };
    let own = transaction::Entity::find().filter(by_name).filter(transaction::Column::UserId.eq(user));
    let movement = own.one(db).await?.ok_or(Refusal::TransactionNotFound)?;
    let sold = match movement.entry_id {
        Some(entry) => issue::sold_in(db, entry).await?,
        None => Sold::default(),
    };
    let sign = (sold.taxable() + sold.vat).signum();
    let lines = [
        ("Power bank rental", sold.rental),
        ("Late return", sold.late),
        ("Power bank not returned", sold.lost),
    ];
    let lines = lines.into_iter().filter(|(_, paisa)| *paisa != 0);
    let lines =
        lines.map(|(description, paisa)| PaperLine { description, amount: Paisa(paisa * sign).into() });
    let sale = (sold.taxable() + sold.vat) * sign;
    let invoice = tax_invoice::Entity::find()
        .filter(tax_invoice::Column::TransactionId.eq(movement.id))
        .one(db)
        .await?;
    let id = invoice.as_ref().map(|invoice| invoice.id);
    let paper = Paper {
        transaction_id: movement.transaction_id,
        transaction_type: movement.transaction_type,
        payment_mode: movement.payment_method_type,
        amount: movement.amount_paisa.into(),
        date: day_in_nepal(movement.created_at),
        paid_at: movement.created_at,
        lines: lines.collect(),
        taxable: Paisa(sold.taxable() * sign).into(),
        vat_percent: VAT_PERCENT as i64,
        vat: Paisa(sold.vat * sign).into(),
        total: if sale == 0 { movement.amount_paisa } else { Paisa(sale) }.into(),
        invoice: match invoice {
            Some(invoice) => Some(shown(db, invoice).await?),
            None => None,
        },
    };
    Ok((id, paper))
}

async fn shown(db: &impl ConnectionTrait, invoice: tax_invoice::Model) -> Result<Invoice> {
    let corrects = match invoice.corrects {
        Some(id) => tax_invoice::Entity::find_by_id(id).one(db).await?.map(|corrected| corrected.number),
        None => None,
    };
    Ok(Invoice {
        kind: invoice.kind,
        number: invoice.number,
        fiscal_year: invoice.fiscal_year,
        date_bs: invoice.date_bs,
        seller_name: invoice.seller_name,
        seller_address: invoice.seller_address,
        seller_pan: invoice.seller_pan,
        buyer_name: invoice.buyer_name,
        corrects,
        prints: prints(db, invoice.id).await?,
    })
}

async fn prints(db: &impl ConnectionTrait, invoice: TaxInvoiceId) -> Result<u64> {
    let of_invoice = tax_invoice_print::Column::InvoiceId.eq(invoice);
    Ok(tax_invoice_print::Entity::find().filter(of_invoice).count(db).await?)
}

/// Logs a print and answers which one it is, from 1.
async fn count_print(tx: &Tx, invoice: TaxInvoiceId, by: UserId) -> Result<u64> {
    // Two prints at once would take the same number, and the row's lock is not to be had: the
    // papers refuse every change.
    tx.lock(crate::db::Lock::TaxInvoices).await?;
    let number = prints(tx, invoice).await? + 1;
    let print = tax_invoice_print::ActiveModel {
        id: Set(tx.new_uuid().into()),
        invoice_id: Set(invoice),
        print_no: Set(i64::try_from(number).map_err(crate::error::Error::internal)?),
        printed_by: Set(by),
        printed_at: Set(tx.now()),
    };
    print.insert(tx).await?;
    Ok(number)
}
