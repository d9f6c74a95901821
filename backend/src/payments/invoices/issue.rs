//! The job that turns a movement of revenue into a numbered paper. One at a time over all nodes:
//! that, and writing number and paper in one transaction, is why no number is left out.

use chrono::TimeDelta;
use entities::id::{LedgerEntryId, TaxInvoiceId, TransactionId};
use entities::money::Paisa;
use entities::tax_invoice::{self, TaxInvoiceKind};
use entities::{ledger_entry, ledger_posting, refund, transaction, user};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use sea_orm::{QuerySelect, Set};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::calendar::day_in_nepal;
use crate::config::Seller;
use crate::db::{Lock, Tx};
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Queue};
use crate::payments::book::account_id;
use crate::payments::incidents;
use crate::payments::invoices::bikram_sambat::BikramSambat;
use crate::payments::ledger::Account;

/// Numbers papers.
pub const QUEUE: Queue =
    Queue { name: "payments.issue_invoice", handler: |app, job| Box::pin(issue(app, job)) };

#[derive(Serialize, Deserialize)]
struct Moved {
    entry: LedgerEntryId,
}

/// Sees to it that the entry's movement gets its paper, once the caller's transaction is durable.
pub(crate) async fn enqueue(tx: &Tx, entry: LedgerEntryId) -> Result<()> {
    jobs::enqueue(tx, QUEUE.name, &Moved { entry }, tx.now(), Some(entry.to_string())).await?;
    Ok(())
}

/// The parts of an entry that a paper shows. Sold is above zero, given back below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sold {
    /// Time that was agreed, without VAT.
    pub(crate) rental: i64,
    /// Time beyond it, without VAT.
    pub(crate) late: i64,
    /// Banks that were not brought back, without VAT.
    pub(crate) lost: i64,
    /// VAT on all of them.
    pub(crate) vat: i64,
}

impl Sold {
    /// What the VAT is counted on.
    pub(crate) fn taxable(&self) -> i64 {
        self.rental + self.late + self.lost
    }
}

/// Reads an entry's postings as a sale.
pub(crate) async fn sold_in(db: &impl ConnectionTrait, entry: LedgerEntryId) -> Result<Sold> {
    let postings =
        ledger_posting::Entity::find().filter(ledger_posting::Column::EntryId.eq(entry)).all(db).await?;
    let on = |account: Account| {
        let id = account_id(&account);
        postings
            .iter()
            .filter(|posting| posting.account_id == id)
            .map(|posting| -posting.amount_paisa.0)
            .sum()
    };
    Ok(Sold {
        rental: on(Account::RevenueRental),
        late: on(Account::RevenueLateFee),
        lost: on(Account::LostBankRecoveries),
        vat: on(Account::VatPayable),
    })
}

async fn issue(app: App, job: Job) -> Result<()> {
    // Without a PAN nobody may charge VAT, and there is no tax invoice.
    let Some(seller) = app.settings.invoices.seller() else { return Ok(()) };
    let moved: Moved = job.payload()?;
    let calendar = app.bikram_sambat.clone();
    app.db
        .write(move |tx| {
            let (seller, calendar, job) = (seller.clone(), calendar.clone(), job.clone());
            Box::pin(async move {
                tx.lock(Lock::TaxInvoices).await?;
                let of_entry = transaction::Column::EntryId.eq(moved.entry);
                let Some(movement) = transaction::Entity::find().filter(of_entry).one(tx).await? else {
                    return job.finish(tx).await;
                };
                match paper_of(tx, &seller, &calendar, movement.id).await? {
                    Outcome::Done => job.finish(tx).await,
                    Outcome::CalendarEnded => {
                        let day = day_in_nepal(tx.now());
                        incidents::calendar_ended(tx, day).await?;
                        job.again_at(tx, tx.now() + TimeDelta::days(1)).await
                    }
                }
            })
        })
        .await
}

enum Outcome {
    /// The movement has its paper, or sold nothing.
    Done,
    /// The day's date in Bikram Sambat is not known; with it the fiscal year.
    CalendarEnded,
}

/// The movement's paper, written now unless it was written before.
async fn paper_of(tx: &Tx, seller: &Seller, calendar: &BikramSambat, id: TransactionId) -> Result<Outcome> {
    let Some(to_write) = draft(tx, id).await? else {
        return Ok(Outcome::Done);
    };
    let mut corrects = None;
    if to_write.kind == TaxInvoiceKind::CreditNote {
        let Some(original) = sale_behind(tx, &to_write).await? else { return Ok(Outcome::Done) };
        corrects = match find(tx, original).await? {
            Some(invoice) => Some(invoice.id),
            // Its own job has not come yet: a credit note names a number that exists.
            None => match draft(tx, original).await? {
                Some(sale) if sale.kind == TaxInvoiceKind::Invoice => {
                    match write(tx, seller, calendar, sale, None).await? {
                        Some(invoice) => Some(invoice.id),
                        None => return Ok(Outcome::CalendarEnded),
                    }
                }
                Some(_) | None => return Ok(Outcome::Done),
            },
        };
    }
    match write(tx, seller, calendar, to_write, corrects).await? {
        Some(_) => Ok(Outcome::Done),
        None => Ok(Outcome::CalendarEnded),
    }
}

/// A paper without its number.
struct Draft {
    kind: TaxInvoiceKind,
    movement: transaction::Model,
    taxable: Paisa,
    vat: Paisa,
}

/// What the movement's paper says; nothing where there is one already or nothing was sold.
async fn draft(tx: &Tx, id: TransactionId) -> Result<Option<Draft>> {
    if find(tx, id).await?.is_some() {
        return Ok(None);
    }
    let movement = transaction::Entity::find_by_id(id).one(tx).await?;
    let movement = movement.ok_or_else(|| Error::internal(format!("transaction {id} is not there")))?;
    let Some(entry) = movement.entry_id else { return Ok(None) };
    let sold = sold_in(tx, entry).await?;
    let total = sold.taxable() + sold.vat;
    let kind = match total {
        0 => return Ok(None),
        sale if sale > 0 => TaxInvoiceKind::Invoice,
        _ => TaxInvoiceKind::CreditNote,
    };
    let (taxable, vat) = (Paisa(sold.taxable() * total.signum()), Paisa(sold.vat * total.signum()));
    Ok(Some(Draft { kind, movement, taxable, vat }))
}

/// The movement whose money a credit note gives back.
async fn sale_behind(tx: &Tx, note: &Draft) -> Result<Option<TransactionId>> {
    if let Some(entry) = note.movement.entry_id
        && let Some(entry) = ledger_entry::Entity::find_by_id(entry).one(tx).await?
        && let Ok(id) = entry.business_key.parse()
        && let Some(refund) = refund::Entity::find_by_id(entities::id::RefundId(id)).one(tx).await?
    {
        return Ok(Some(refund.transaction_id));
    }
    let Some(rental) = note.movement.related_rental else { return Ok(None) };
    let of_rental = transaction::Entity::find()
        .filter(transaction::Column::RelatedRental.eq(rental))
        .filter(transaction::Column::Id.ne(note.movement.id))
        .order_by_asc(transaction::Column::CreatedAt)
        .order_by_asc(transaction::Column::Id)
        .all(tx)
        .await?;
    for candidate in of_rental {
        if let Some(entry) = candidate.entry_id {
            let sold = sold_in(tx, entry).await?;
            if sold.taxable() + sold.vat > 0 {
                return Ok(Some(candidate.id));
            }
        }
    }
    Ok(None)
}

async fn find(db: &impl ConnectionTrait, movement: TransactionId) -> Result<Option<tax_invoice::Model>> {
    let of_movement = tax_invoice::Column::TransactionId.eq(movement);
    Ok(tax_invoice::Entity::find().filter(of_movement).one(db).await?)
}

/// Takes the next number of the fiscal year in which the money moved. Nothing where the calendar
/// does not know that day. The caller holds [`Lock::TaxInvoices`].
async fn write(
    tx: &Tx,
    seller: &Seller,
    calendar: &BikramSambat,
    draft: Draft,
    corrects: Option<TaxInvoiceId>,
) -> Result<Option<tax_invoice::Model>> {
    let Draft { kind, movement, taxable, vat } = draft;
    let Some(date) = calendar.date(day_in_nepal(movement.created_at)) else { return Ok(None) };
    let fiscal_year = date.fiscal_year().to_string();
    let last: Option<Option<i64>> = tax_invoice::Entity::find()
        .select_only()
        .column_as(Expr::col(tax_invoice::Column::Serial).max().cast_as("bigint"), "last")
        .filter(tax_invoice::Column::Kind.eq(kind))
        .filter(tax_invoice::Column::FiscalYear.eq(&fiscal_year))
        .into_tuple()
        .one(tx)
        .await?;
    let serial = last.flatten().unwrap_or(0) + 1;
    let buyer = user::Entity::find_by_id(movement.user_id).one(tx).await?;
    let buyer = buyer.map(|user| [user.first_name, user.last_name].into_iter().flatten().collect::<Vec<_>>());
    let total = taxable.checked_add(vat).ok_or_else(|| Error::internal("an invoice's total overflows"))?;
    let paper = tax_invoice::ActiveModel {
        id: Set(TaxInvoiceId(tx.new_uuid())),
        kind: Set(kind),
        fiscal_year: Set(fiscal_year.clone()),
        serial: Set(serial),
        number: Set(number(seller, kind, &fiscal_year, serial)),
        transaction_id: Set(movement.id),
        seller_name: Set(seller.name.clone()),
        seller_address: Set(seller.address.clone()),
        seller_pan: Set(seller.pan.clone()),
        buyer_name: Set(buyer.unwrap_or_default().join(" ")),
        taxable_paisa: Set(taxable),
        vat_paisa: Set(vat),
        total_paisa: Set(total),
        payment_mode: Set(movement.payment_method_type.as_str().to_owned()),
        corrects: Set(corrects),
        date_bs: Set(date.to_string()),
        supplied_at: Set(movement.created_at),
        issued_at: Set(tx.now()),
    };
    Ok(Some(paper.insert(tx).await?))
}

/// What a paper is called: `KTM-2082/83-000001`, a credit note with `CN-` before it.
fn number(seller: &Seller, kind: TaxInvoiceKind, fiscal_year: &str, serial: i64) -> String {
    let kind = match kind {
        TaxInvoiceKind::Invoice => "",
        TaxInvoiceKind::CreditNote => "CN-",
    };
    let joint = if seller.branch.is_empty() { "" } else { "-" };
    format!("{kind}{}{joint}{fiscal_year}-{serial:06}", seller.branch)
}
