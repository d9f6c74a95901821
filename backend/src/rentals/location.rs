//! `POST rentals/{id}/location`: where the rider's telephone is while the power bank is out.

use super::{Refusal, detail};
use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::limits;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{RentalId, RentalLocationId, UserId};
use entities::rental::RentalStatus;
use entities::rental_location;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the telephone is.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Whereabouts {
    /// Degrees north.
    #[schema(minimum = -90, maximum = 90, example = 27.7154)]
    pub latitude: f64,
    /// Degrees east.
    #[schema(minimum = -180, maximum = 180, example = 85.3123)]
    pub longitude: f64,
    /// Metres that it may be off.
    #[serde(default = "usual_accuracy_m")]
    #[schema(minimum = 0, maximum = 100_000, default = 10.0, example = 12.5)]
    pub accuracy: f64,
}

fn usual_accuracy_m() -> f64 {
    10.0
}

/// A place that was noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordedLocation {
    /// Its id.
    pub id: RentalLocationId,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres that it may be off.
    pub accuracy: f64,
    /// When.
    pub recorded_at: DateTime<Utc>,
}

/// Notes where the rider's telephone is, while the power bank is out.
#[utoipa::path(post, path = "/rentals/{id}/location", tag = "rentals", security(("rider" = [])), request_body = Whereabouts,
    params(("id" = RentalId, Path)),
    responses((status = 201, body = RecordedLocation), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn record(
    State(app): State<App>,
    rider: Rider,
    Path(id): Path<RentalId>,
    Json(place): Json<Whereabouts>,
) -> Result<(StatusCode, Json<RecordedLocation>)> {
    place.check()?;
    let write = app.db.write(move |tx| Box::pin(async move { note(tx, rider.user_id, id, place).await }));
    Ok((StatusCode::CREATED, Json(write.await?.into())))
}

impl Whereabouts {
    fn check(self) -> Result<(), Problem> {
        for (pointer, value, least, most) in [
            ("/latitude", self.latitude, -90.0, 90.0),
            ("/longitude", self.longitude, -180.0, 180.0),
            ("/accuracy", self.accuracy, 0.0, limits::LOCATION_ACCURACY_MAX_M),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Problem::invalid(pointer, format!("must be {least} to {most}")));
            }
        }
        Ok(())
    }
}

/// One place at a time: the rental's row is locked, so a telephone that sends without end fills no table.
async fn note(tx: &Tx, user: UserId, id: RentalId, place: Whereabouts) -> Result<rental_location::Model> {
    let rental = detail::own_locked(tx, user, id).await?;
    if !matches!(rental.status, RentalStatus::Active | RentalStatus::Overdue) {
        return Err(Refusal::InvalidRentalStatus.into());
    }
    let newest = rental_location::Entity::find()
        .filter(rental_location::Column::RentalId.eq(id))
        .order_by_desc(rental_location::Column::RecordedAt)
        .one(tx)
        .await?;
    if let Some(newest) = newest {
        let wait = newest.recorded_at + limits::LOCATION_PAUSE - tx.now();
        if let Ok(seconds @ 1..) = u64::try_from(wait.num_seconds()) {
            return Err(Refusal::LocationTooSoon.problem().retry_after_s(seconds).limit(1).into());
        }
    }
    let row = rental_location::ActiveModel {
        id: Set(tx.new_uuid().into()),
        rental_id: Set(id),
        latitude: Set(place.latitude),
        longitude: Set(place.longitude),
        accuracy: Set(place.accuracy),
        recorded_at: Set(tx.now()),
    };
    Ok(row.insert(tx).await?)
}

impl From<rental_location::Model> for RecordedLocation {
    fn from(row: rental_location::Model) -> Self {
        let rental_location::Model { id, latitude, longitude, accuracy, recorded_at, .. } = row;
        Self { id, latitude, longitude, accuracy, recorded_at }
    }
}
