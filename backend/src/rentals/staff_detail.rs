//! `GET admin/rentals/{id}`: a rental with all that staff need to decide about it.

use super::Refusal;
use super::detail;
use super::issues::{self, RentalIssue};
use super::location::RecordedLocation;
use super::remote::view::StationCommand;
use super::staff::StaffRental;
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::limits;
use crate::money::Money;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::hold::{self, HoldState};
use entities::id::{IncidentId, RentalId};
use entities::incident::{self, IncidentKind};
use entities::{command, rental, rental_location};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;

/// A rental with what belongs to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffRentalDetail {
    /// The rental and whose it is.
    #[serde(flatten)]
    pub rental: StaffRental,
    /// The money set aside for it.
    pub held: Option<HeldMoney>,
    /// What stations were told for it, newest first.
    pub commands: Vec<StationCommand>,
    /// What the rider reported, newest first.
    pub issues: Vec<RentalIssue>,
    /// Where the rider's telephone was last, newest first.
    pub locations: Vec<RecordedLocation>,
    /// What staff should look at, newest first.
    pub incidents: Vec<RentalIncident>,
}

/// The money set aside for a rental.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldMoney {
    /// What became of it.
    pub state: HoldState,
    /// How much it is, in money and points.
    pub amount: Money,
    /// Of that, how many points.
    pub points: i32,
    /// How much of it was charged.
    pub captured: Money,
}

/// Something about a rental that staff should look at.
#[derive(Debug, Serialize, ToSchema)]
pub struct RentalIncident {
    /// Its id.
    pub id: IncidentId,
    /// What kind of thing it is.
    pub kind: IncidentKind,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When staff were done with it.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// One rental, with its money, its commands, and what was reported of it.
#[utoipa::path(get, path = "/admin/rentals/{id}", tag = "staff", extensions(("x-permission" = json!(Permission::RentalsRead))), security(("staff" = [])), params(("id" = RentalId, Path)),
    responses((status = 200, body = StaffRentalDetail), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn show(
    State(app): State<App>,
    _: Staff,
    Path(id): Path<RentalId>,
) -> Result<Json<StaffRentalDetail>> {
    let (db, now) = (app.db.read(), app.clock.now());
    let row = rental::Entity::find_by_id(id).one(db).await?.ok_or(Refusal::RentalNotFound)?;
    let user_id = row.user_id;
    let rental = detail::view(db, vec![row], now).await?.pop().ok_or(Refusal::RentalNotFound)?;
    let held = hold::Entity::find().filter(hold::Column::RentalId.eq(id)).one(db).await?;
    Ok(Json(StaffRentalDetail {
        rental: StaffRental { user_id, rental },
        held: held.map(HeldMoney::from),
        commands: commands(db, id, now).await?,
        issues: issues::of_rental(db, id).await?.into_iter().map(|issue| issue.linked(&app)).collect(),
        locations: locations(db, id).await?,
        incidents: incidents(db, id).await?,
    }))
}

async fn commands(
    db: &impl ConnectionTrait,
    id: RentalId,
    now: DateTime<Utc>,
) -> Result<Vec<StationCommand>> {
    let rows = command::Entity::find()
        .filter(command::Column::RentalId.eq(id))
        .order_by_desc(command::Column::CreatedAt)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| StationCommand::of(row, now)).collect())
}

async fn locations(db: &impl ConnectionTrait, id: RentalId) -> Result<Vec<RecordedLocation>> {
    let rows = rental_location::Entity::find()
        .filter(rental_location::Column::RentalId.eq(id))
        .order_by_desc(rental_location::Column::RecordedAt)
        .limit(limits::LOCATIONS_SHOWN)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(RecordedLocation::from).collect())
}

async fn incidents(db: &impl ConnectionTrait, id: RentalId) -> Result<Vec<RentalIncident>> {
    let rows = incident::Entity::find()
        .filter(incident::Column::RentalId.eq(id))
        .order_by_desc(incident::Column::CreatedAt)
        .limit(limits::PAGE_MAX)
        .all(db)
        .await?;
    let shown = |row: incident::Model| RentalIncident {
        id: row.id,
        kind: row.kind,
        created_at: row.created_at,
        resolved_at: row.resolved_at,
    };
    Ok(rows.into_iter().map(shown).collect())
}

impl From<hold::Model> for HeldMoney {
    fn from(row: hold::Model) -> Self {
        Self {
            state: row.state,
            amount: row.amount_paisa.into(),
            points: row.points,
            captured: row.captured_paisa.into(),
        }
    }
}
