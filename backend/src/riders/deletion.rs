//! `DELETE auth/account`: a rider is forgotten. The books stay, and name nobody any more.

use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{ProblemBody, RequestRefusal, Result};
use crate::extract::Query;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::identity::{former, session};
use crate::payments::book;
use crate::riders::{Refusal, forget};
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::UserId;
use entities::money::Paisa;
use entities::payment_intent::{self, PaymentIntentStatus};
use entities::refund::{self, RefundStatus};
use entities::rental::{self, RentalStatus};
use entities::{admin_profile, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use utoipa::IntoParams;

/// What the rider agrees to.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreed {
    /// What is left in the wallet is given up; without this an account with money in it is not deleted.
    #[serde(default)]
    forfeit_balance: bool,
}

/// Deletes the rider's account: name, number, address, papers, telephones, messages and sessions are gone; rentals
/// and payments stay in the books without a name. Refused while a rental runs, something is due, or money is on
/// its way.
#[utoipa::path(delete, path = "/auth/account", tag = "auth", params(Agreed), security(("rider" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn delete_account(
    rider: Rider,
    origin: Origin,
    State(app): State<App>,
    Query(agreed): Query<Agreed>,
) -> Result<StatusCode> {
    let key = app.secrets.otp_key;
    let write = app.db.write(move |tx| {
        let origin = origin.clone().within(rider.session_id);
        Box::pin(async move { delete(tx, &key, rider.user_id, agreed, &origin).await })
    });
    write.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(tx: &Tx, key: &[u8; 32], id: UserId, agreed: Agreed, origin: &Origin) -> Result<()> {
    // From here on no rental of theirs can begin: that takes a seat in this row.
    let locked = user::Entity::update_many()
        .col_expr(user::Column::UpdatedAt, Expr::value(tx.now()))
        .filter(user::Column::Id.eq(id))
        .filter(user::Column::DeletedAt.is_null())
        .exec(tx)
        .await?;
    if locked.rows_affected != 1 {
        return Err(RequestRefusal::Unauthenticated.into());
    }
    refuse_staff(tx, id).await?;
    refuse_rentals(tx, id).await?;
    refuse_money(tx, id, agreed).await?;
    session::revoke_all(tx, id).await?;
    former::remember(tx, key, id).await?;
    forget::person(tx, id).await?;
    // That it happened is remembered, not from where.
    let origin = Origin { session: origin.session, ..Origin::default() };
    trail::note(tx, &origin, Deed::Delete, Trace::of(id)).await
}

async fn refuse_staff(tx: &Tx, id: UserId) -> Result<()> {
    let works_here = admin_profile::Entity::find()
        .filter(admin_profile::Column::UserId.eq(id))
        .filter(admin_profile::Column::IsActive.eq(true))
        .one(tx)
        .await?;
    if works_here.is_some() { Err(Refusal::StaffAccount.into()) } else { Ok(()) }
}

async fn refuse_rentals(tx: &Tx, id: UserId) -> Result<()> {
    const OPEN: [RentalStatus; 3] = [RentalStatus::Pending, RentalStatus::Active, RentalStatus::Overdue];
    let of_rider = || rental::Entity::find().filter(rental::Column::UserId.eq(id));
    if let Some(open) = of_rider().filter(rental::Column::Status.is_in(OPEN)).one(tx).await? {
        let detail = format!("Rental {} is not over.", open.rental_code);
        return Err(Refusal::RentalOpen.problem().detail(detail).into());
    }
    if let Some(due) = of_rider().filter(rental::Column::DuePaisa.gt(Paisa::ZERO)).one(tx).await? {
        let detail = format!("NPR {} is due for rental {}.", due.due_paisa, due.rental_code);
        return Err(Refusal::AmountDue.problem().detail(detail).into());
    }
    Ok(())
}

async fn refuse_money(tx: &Tx, id: UserId, agreed: Agreed) -> Result<()> {
    let wallet = book::lock_wallet(tx, id).await?;
    let held = book::balances(tx, id).await?.held;
    let paying = payment_intent::Entity::find()
        .filter(payment_intent::Column::UserId.eq(id))
        .filter(
            payment_intent::Column::Status
                .is_in([PaymentIntentStatus::Pending, PaymentIntentStatus::NeedsReview]),
        )
        .one(tx)
        .await?;
    let asked_back = refund::Entity::find()
        .filter(refund::Column::RequestedBy.eq(id))
        .filter(refund::Column::Status.is_not_in([
            RefundStatus::Processed,
            RefundStatus::Rejected,
            RefundStatus::Failed,
        ]))
        .one(tx)
        .await?;
    let what = match (held.is_positive(), paying, asked_back) {
        (true, _, _) => Some("Money is set aside for a rental."),
        (false, Some(_), _) => Some("A payment is open; finish or cancel it."),
        (false, None, Some(_)) => Some("A refund is not decided or paid yet."),
        (false, None, None) => None,
    };
    if let Some(what) = what {
        return Err(Refusal::MoneyInFlight.problem().detail(what).into());
    }
    if wallet.is_positive() && !agreed.forfeit_balance {
        let detail = format!(
            "The wallet holds NPR {wallet}: ask for it back, or delete with `forfeit_balance=true` to give it up."
        );
        return Err(Refusal::WalletNotEmpty.problem().detail(detail).into());
    }
    Ok(())
}
