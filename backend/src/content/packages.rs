//! Rental packages: `payments/packages`, `rentals/packages`, and `admin/packages`.
//!
//! A package may change at any time: a rental keeps the terms that its rider agreed to.

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::money::Money;
use crate::page::{Cursor, Page, PageQuery};
use crate::{limits, resource};
use axum::extract::State;
use axum::http::StatusCode;
use entities::id::RentalPackageId;
use entities::money::Paisa;
use entities::rental_package::{self, PackageType, PaymentModel};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a rider can choose.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageView {
    id: RentalPackageId,
    name: String,
    description: String,
    /// How long a bank may be kept for the price.
    duration_minutes: i32,
    /// VAT included.
    price: Money,
    package_type: PackageType,
    payment_model: PaymentModel,
    /// A bank that is back within so many minutes costs nothing.
    free_minutes: i32,
    /// The most that a begun day costs, lateness included.
    daily_cap: Option<Money>,
    /// Whether riders can choose it.
    is_active: bool,
}

impl From<rental_package::Model> for PackageView {
    fn from(package: rental_package::Model) -> Self {
        Self {
            id: package.id,
            name: package.name,
            description: package.description,
            duration_minutes: package.duration_minutes,
            price: package.price_paisa.into(),
            package_type: package.package_type,
            payment_model: package.payment_model,
            free_minutes: package.free_minutes,
            daily_cap: package.daily_cap_paisa.map(Money::from),
            is_active: package.is_active,
        }
    }
}

/// All packages on sale.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Packages {
    /// Shortest first.
    items: Vec<PackageView>,
}

/// What staff write of a package.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPackage {
    /// What people call it.
    #[schema(example = "4 hours")]
    pub name: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// How long a bank may be kept for the price.
    #[schema(example = 240)]
    pub duration_minutes: i32,
    /// VAT included.
    pub price: Money,
    /// Its family.
    pub package_type: PackageType,
    /// When it is paid.
    pub payment_model: PaymentModel,
    /// A bank that is back within so many minutes costs nothing.
    #[serde(default)]
    #[schema(example = 5)]
    pub free_minutes: i32,
    /// The most that a begun day costs, lateness included; no less than a price that is paid in advance.
    #[serde(default)]
    pub daily_cap: Option<Money>,
    /// Whether riders can choose it.
    #[serde(default = "crate::resource::on")]
    pub is_active: bool,
}

/// The packages on sale.
#[utoipa::path(get, path = "/payments/packages", tag = "payments", responses((status = 200, body = Packages)))]
pub(super) async fn list_packages(State(app): State<App>) -> Result<Json<Packages>> {
    on_sale(&app).await.map(Json)
}

/// The packages on sale.
#[utoipa::path(get, path = "/rentals/packages", tag = "rentals", responses((status = 200, body = Packages)))]
pub(super) async fn list_rental_packages(State(app): State<App>) -> Result<Json<Packages>> {
    on_sale(&app).await.map(Json)
}

async fn on_sale(app: &App) -> Result<Packages> {
    let rows = rental_package::Entity::find()
        .filter(rental_package::Column::IsActive.eq(true))
        .order_by_asc(rental_package::Column::DurationMinutes)
        .order_by_asc(rental_package::Column::Id)
        .all(app.db.read())
        .await?;
    Ok(Packages { items: rows.into_iter().map(PackageView::from).collect() })
}

/// All packages, newest first.
#[utoipa::path(get, path = "/admin/packages", tag = "staff", extensions(("x-permission" = json!(Permission::PricesRead))), params(PageQuery), security(("staff" = [])), responses((status = 200, body = Page<PackageView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn list_packages_for_staff(
    _: Staff,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PackageView>>> {
    let (at, id) = (rental_package::Column::CreatedAt, rental_package::Column::Id);
    let rows = page.apply(rental_package::Entity::find(), at, id)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor { at: row.created_at, id: row.id.0 }, PackageView::from)?))
}

/// Makes a package and puts it on sale, unless it is to wait.
#[utoipa::path(post, path = "/admin/packages", tag = "staff", extensions(("x-permission" = json!(Permission::PricesChange))), request_body = NewPackage, security(("staff" = [])), responses((status = 201, body = PackageView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn create_package(
    staff: Staff,
    State(app): State<App>,
    Json(new): Json<NewPackage>,
) -> Result<(StatusCode, Json<PackageView>)> {
    staff.may(Permission::PricesChange)?;
    check(&new)?;
    let package = app
        .db
        .write(move |tx| {
            let (staff, new) = (staff.clone(), new.clone());
            Box::pin(async move {
                let package = add(tx, &new).await?;
                let changes =
                    serde_json::json!({ "name": package.name, "price_paisa": package.price_paisa.0 });
                audit::note(tx, &staff, "package.create", "rental_packages", package.id, changes).await?;
                Ok(package)
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(package.into())))
}

/// Replaces all fields of a package: its price, what it says, or whether it is on sale. Rentals that run keep their terms.
#[utoipa::path(put, path = "/admin/packages/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::PricesChange))), request_body = NewPackage, security(("staff" = [])), params(("id" = RentalPackageId, Path)), responses((status = 200, body = PackageView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn replace_package(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<RentalPackageId>,
    Json(new): Json<NewPackage>,
) -> Result<Json<PackageView>> {
    staff.may(Permission::PricesChange)?;
    check(&new)?;
    let replaced = app.db.write(move |tx| {
        let (staff, new) = (staff.clone(), new.clone());
        Box::pin(async move {
            let before = rental_package::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
            let before = PackageView::from(before.ok_or(resource::Refusal::EntryNotFound)?);
            let after = PackageView::from(row(tx, id, &new).update(tx).await?);
            let changes = resource::changed(serde_json::to_value(before)?, serde_json::to_value(&after)?);
            audit::note(tx, &staff, "package.update", "rental_packages", id, changes).await?;
            Ok(after)
        })
    });
    Ok(Json(replaced.await?))
}

fn check(new: &NewPackage) -> Result<(), Problem> {
    if new.name.trim().is_empty() || new.name.chars().count() > limits::NAME_MAX {
        return Err(Problem::invalid("/name", format!("must have 1 to {} characters", limits::NAME_MAX)));
    }
    if new.description.chars().count() > limits::DESCRIPTION_MAX {
        let detail = format!("must have at most {} characters", limits::DESCRIPTION_MAX);
        return Err(Problem::invalid("/description", detail));
    }
    if !(1..=limits::PACKAGE_MINUTES_MAX).contains(&new.duration_minutes) {
        let detail = format!("must be 1 to {}", limits::PACKAGE_MINUTES_MAX);
        return Err(Problem::invalid("/duration_minutes", detail));
    }
    if new.price.positive("/price/amount")? > limits::PACKAGE_PRICE_MAX {
        return Err(Problem::invalid(
            "/price/amount",
            format!("must be at most {}", limits::PACKAGE_PRICE_MAX),
        ));
    }
    check_rules(new)
}

fn check_rules(new: &NewPackage) -> Result<(), Problem> {
    if !(0..=limits::FREE_MINUTES_MAX).contains(&new.free_minutes) {
        let detail = format!("must be 0 to {}", limits::FREE_MINUTES_MAX);
        return Err(Problem::invalid("/free_minutes", detail));
    }
    let Some(cap) = new.daily_cap else { return Ok(()) };
    let cap = cap.positive("/daily_cap/amount")?;
    if new.payment_model == PaymentModel::Prepaid && cap < new.price.into() {
        return Err(Problem::invalid("/daily_cap/amount", "must not be below the price"));
    }
    Ok(())
}

async fn add(tx: &Tx, new: &NewPackage) -> Result<rental_package::Model> {
    let made = rental_package::ActiveModel {
        package_metadata: Set(serde_json::json!({})),
        created_at: Set(tx.now()),
        ..row(tx, RentalPackageId::from(tx.new_uuid()), new)
    };
    Ok(made.insert(tx).await?)
}

/// What staff write, as columns.
fn row(tx: &Tx, id: RentalPackageId, new: &NewPackage) -> rental_package::ActiveModel {
    rental_package::ActiveModel {
        id: Set(id),
        name: Set(new.name.trim().to_owned()),
        description: Set(new.description.trim().to_owned()),
        duration_minutes: Set(new.duration_minutes),
        price_paisa: Set(new.price.into()),
        package_type: Set(new.package_type),
        payment_model: Set(new.payment_model),
        free_minutes: Set(new.free_minutes),
        daily_cap_paisa: Set(new.daily_cap.map(Paisa::from)),
        is_active: Set(new.is_active),
        updated_at: Set(tx.now()),
        ..Default::default()
    }
}
