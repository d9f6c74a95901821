//! Money that a rider paid through a provider for a rental has arrived in the wallet: it is used.

use super::{direct, dues};
use crate::app::App;
use crate::error::{Error, Result};
use crate::jobs::{Job, Queue};
use crate::payments;
use crate::payments::split::PaymentMode;
use entities::id::RentalId;
use entities::payment_intent::PaymentIntentType;
use entities::rental;
use sea_orm::{EntityTrait, QuerySelect};

/// Hears of payments.
pub const QUEUE: Queue = Queue { name: "rentals.payments", handler: |app, job| Box::pin(run(app, job)) };

async fn run(app: App, job: Job) -> Result<()> {
    match job.payload()? {
        payments::News::IntentPaid {
            purpose: PaymentIntentType::DuePayment, rental: Some(rental), ..
        } => pay_due(&app, &job, rental).await,
        payments::News::IntentPaid { purpose: PaymentIntentType::RentalPayment, intent, .. } => {
            direct::start_paid(&app, &job, intent).await
        }
        payments::News::IntentPaid { .. }
        | payments::News::WalletToppedUp { .. }
        | payments::News::BalanceAdded { .. }
        | payments::News::RefundMoved { .. } => Ok(()),
    }
}

/// Pays the open amount from the wallet. If it was paid otherwise meanwhile, or the wallet was
/// emptied, the money stays where it is: the rider sees both.
async fn pay_due(app: &App, job: &Job, rental: RentalId) -> Result<()> {
    let paying = job.clone();
    let paid = app.db.write(move |tx| {
        let job = paying.clone();
        Box::pin(async move {
            let row = rental::Entity::find_by_id(rental).lock_exclusive().one(tx).await?;
            if let Some(row) = row.filter(|row| row.due_paisa.is_positive()) {
                dues::settle(tx, row, PaymentMode::Wallet, None).await?;
            }
            job.finish(tx).await
        })
    });
    match paid.await {
        Err(Error::Problem(problem)) => {
            tracing::info!(%rental, code = problem.kind.code, "a payment for an open amount stays in the wallet");
            Ok(())
        }
        done => done,
    }
}
