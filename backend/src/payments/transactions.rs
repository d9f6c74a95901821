//! `GET payments/transactions`

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use entities::id::{RentalId, TransactionId};
use entities::transaction::{self, PaymentMethodType, TransactionStatus, TransactionType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Rider;
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::money::Money;
use crate::page::{Cursor, Page, PageQuery};

/// Which movements to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this kind.
    pub transaction_type: Option<TransactionType>,
    /// Only in this state.
    pub status: Option<TransactionStatus>,
    /// Only by this means.
    pub payment_method_type: Option<PaymentMethodType>,
    /// Only of this rental.
    pub related_rental: Option<RentalId>,
    /// The first day, in Kathmandu.
    pub start_date: Option<NaiveDate>,
    /// The last day, in Kathmandu.
    pub end_date: Option<NaiveDate>,
}

/// A movement of the rider's money.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// Its code for people.
    pub transaction_id: String,
    /// What for.
    pub transaction_type: TransactionType,
    /// How much.
    pub amount: Money,
    /// What became of it.
    pub status: TransactionStatus,
    /// By what means.
    pub payment_method_type: PaymentMethodType,
    /// The provider's name for it.
    pub gateway_reference: Option<String>,
    /// The rental it belongs to.
    pub related_rental: Option<RentalId>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The rider's top-ups and payments, newest first.
#[utoipa::path(get, path = "/payments/transactions", tag = "payments", security(("rider" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<Transaction>)))]
pub(crate) async fn list(
    State(app): State<App>,
    rider: Rider,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Transaction>>> {
    let mut query = transaction::Entity::find().filter(transaction::Column::UserId.eq(rider.user_id));
    if let Some(kind) = filter.transaction_type {
        query = query.filter(transaction::Column::TransactionType.eq(kind));
    }
    if let Some(status) = filter.status {
        query = query.filter(transaction::Column::Status.eq(status));
    }
    if let Some(means) = filter.payment_method_type {
        query = query.filter(transaction::Column::PaymentMethodType.eq(means));
    }
    if let Some(rental) = filter.related_rental {
        query = query.filter(transaction::Column::RelatedRental.eq(rental));
    }
    if let Some(day) = filter.start_date {
        query = query.filter(transaction::Column::CreatedAt.gte(start_of_day_in_nepal(day)));
    }
    if let Some(day) = filter.end_date {
        query = query.filter(transaction::Column::CreatedAt.lt(end_of_day_in_nepal(day)));
    }
    let rows = page
        .apply(query, transaction::Column::CreatedAt, transaction::Column::Id)?
        .all(app.db.read())
        .await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.created_at, id: row.id.into() }, Transaction::from)?))
}

impl From<transaction::Model> for Transaction {
    fn from(row: transaction::Model) -> Self {
        Self {
            id: row.id,
            transaction_id: row.transaction_id,
            transaction_type: row.transaction_type,
            amount: row.amount_paisa.into(),
            status: row.status,
            payment_method_type: row.payment_method_type,
            gateway_reference: row.gateway_reference,
            related_rental: row.related_rental,
            created_at: row.created_at,
        }
    }
}
