//! `GET payments/methods`

use axum::extract::State;
use entities::id::PaymentMethodId;
use entities::payment_method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Result;
use crate::extract::Json;
use crate::money::Money;
use crate::page::Page;

/// A way to bring money in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Method {
    /// For `payments/wallet/topup-intent`.
    pub id: PaymentMethodId,
    /// For people.
    pub name: String,
    /// The provider.
    pub gateway: String,
    /// The least that it takes.
    pub min_amount: Money,
    /// The most that it takes.
    pub max_amount: Money,
    /// Always `["NPR"]` today.
    #[schema(value_type = Vec<String>)]
    pub supported_currencies: serde_json::Value,
}

/// The ways to bring money in that work here.
#[utoipa::path(get, path = "/payments/methods", tag = "payments", responses((status = 200, body = Page<Method>)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Page<Method>>> {
    let rows = payment_method::Entity::find()
        .filter(payment_method::Column::IsActive.eq(true))
        .order_by_asc(payment_method::Column::Name)
        .all(app.db.read())
        .await?;
    let usable = rows.into_iter().filter(|row| app.providers.has(&row.gateway));
    let items = usable.map(|row| Method {
        id: row.id,
        name: row.name,
        gateway: row.gateway,
        min_amount: row.min_amount_paisa.into(),
        max_amount: row.max_amount_paisa.into(),
        supported_currencies: row.supported_currencies,
    });
    Ok(Json(Page { items: items.collect(), next_cursor: None }))
}
