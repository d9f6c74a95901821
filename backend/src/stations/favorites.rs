//! `stations/{serial_number}/favorite` and `stations/favorites`: the stations that a rider marked.

use crate::app::App;
use crate::auth::Rider;
use crate::db;
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::stations::view::{StationView, by_serial, view};
use axum::extract::State;
use entities::id::UserStationFavoriteId;
use entities::user_station_favorite::{self, Column};
use entities::{station, user_station_favorite::Entity as Favorite};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a station is marked now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MarkedStation)]
pub(super) struct Marked {
    /// What its QR code says.
    #[schema(example = "KTM-0001")]
    serial_number: String,
    /// Whether it is among the rider's favourites.
    is_favorite: bool,
}

/// The rider's favourites, the one marked last first.
#[utoipa::path(get, path = "/stations/favorites", tag = "stations", params(PageQuery), security(("rider" = [])),
    responses((status = 200, body = Page<StationView>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn list_favorites(
    rider: Rider,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StationView>>> {
    let marked = Favorite::find().filter(Column::UserId.eq(rider.user_id));
    let rows =
        page.apply_by_id(marked, Column::Id)?.find_also_related(station::Entity).all(app.db.read()).await?;
    let rows = page.page(rows, |(row, _)| Cursor::of_id(row.id.0), |(_, station)| station)?;
    let stations = rows.items.into_iter().flatten().collect();
    let items = view(&app, stations, Some(rider.user_id)).await?;
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

/// Marks a station. Marking it again changes nothing.
#[utoipa::path(post, path = "/stations/{serial_number}/favorite", tag = "stations", security(("rider" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = Marked), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn mark_favorite(
    rider: Rider,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<Marked>> {
    let station = by_serial(app.db.read(), &serial_number).await?;
    let marked = app.db.write(move |tx| {
        Box::pin(async move {
            let row = user_station_favorite::ActiveModel {
                id: Set(UserStationFavoriteId::from(tx.new_uuid())),
                user_id: Set(rider.user_id),
                station_id: Set(station.id),
                created_at: Set(tx.now()),
            };
            let savepoint = tx.savepoint().await?;
            match Favorite::insert(row).exec_without_returning(&savepoint).await {
                Ok(_) => savepoint.keep().await,
                Err(error) if db::is_unique_violation(&error) => savepoint.undo().await,
                Err(error) => Err(error.into()),
            }
        })
    });
    marked.await?;
    Ok(Json(Marked { serial_number, is_favorite: true }))
}

/// Takes the mark off a station. Without a mark nothing changes.
#[utoipa::path(delete, path = "/stations/{serial_number}/favorite", tag = "stations", security(("rider" = [])),
    params(("serial_number" = String, Path, description = "What the QR code says", example = "KTM-0001")),
    responses((status = 200, body = Marked), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn unmark_favorite(
    rider: Rider,
    State(app): State<App>,
    Path(serial_number): Path<String>,
) -> Result<Json<Marked>> {
    let station = by_serial(app.db.read(), &serial_number).await?;
    let unmarked = app.db.write(move |tx| {
        Box::pin(async move {
            Favorite::delete_many()
                .filter(Column::UserId.eq(rider.user_id))
                .filter(Column::StationId.eq(station.id))
                .exec(tx)
                .await?;
            Ok(())
        })
    });
    unmarked.await?;
    Ok(Json(Marked { serial_number, is_favorite: false }))
}
