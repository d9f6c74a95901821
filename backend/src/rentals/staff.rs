//! Rentals as staff see them, and the decisions that only people may take.

use super::case::Case;
use super::detail::{self, Rental};
use super::machine::rental::{Event, StaffDecision};
use super::{Refusal, history, places};
use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::calendar::{end_of_day_in_nepal, start_of_day_in_nepal};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use crate::{audit, limits};
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use entities::command::{self, CommandState};
use entities::id::{RentalId, UserId};
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QuerySelect, Select};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which rentals to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// `open` if absent, or `all` if another filter is given.
    #[param(inline)]
    pub view: Option<View>,
    /// Only in this state.
    pub status: Option<RentalStatus>,
    /// Only of this rider.
    pub user_id: Option<UserId>,
    /// Only begun at the station of this serial number.
    #[param(min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9-]+$", example = "KTM-001")]
    pub station_sn: Option<String>,
    /// Asked for on this day in Kathmandu, or later.
    #[param(example = "2026-01-15")]
    pub start_date: Option<NaiveDate>,
    /// Asked for on this day in Kathmandu, or earlier.
    #[param(example = "2026-01-31")]
    pub end_date: Option<NaiveDate>,
}

/// Which rentals to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// All that are not final.
    Open,
    /// Those whose bank nobody can place (R8: none of them waits unseen).
    InDoubt,
    /// Those whose bank was charged as lost, also those where it came back after all.
    Lost,
    /// Every one.
    All,
}

/// A rental and whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffRental {
    /// The rider.
    pub user_id: UserId,
    /// The rental as the rider sees it.
    #[serde(flatten)]
    pub rental: Rental,
}

/// What staff found out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// What happened.
    pub decision: Decision,
    /// When the bank came back; now if absent. Only for `returned`.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// How they know.
    #[schema(min_length = 1, max_length = 1_000, example = "The rider handed it in at our office")]
    pub reason: String,
}

/// A rental that ends although no station saw its bank.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceComplete {
    /// When the bank came back; now if absent.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// How they know.
    #[schema(min_length = 1, max_length = 1_000, example = "The rider handed it in at our office")]
    pub reason: String,
}

/// What staff found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// In doubt: the bank never left.
    NotEjected,
    /// In doubt: the rider has it.
    Ejected,
    /// Out, or lost: it is back in our hands.
    Returned,
}

/// Rentals, newest first: those that are not final, unless asked otherwise.
#[utoipa::path(get, path = "/admin/rentals", tag = "staff", extensions(("x-permission" = json!(Permission::RentalsRead))), security(("staff" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<StaffRental>), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Staff,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffRental>>> {
    let Some(query) = filter.query(&app).await? else {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    };
    let rows = page.apply(query, rental::Column::CreatedAt, rental::Column::Id)?.all(app.db.read()).await?;
    let rows = page.page(rows, |row| Cursor { at: row.created_at, id: row.id.into() }, |row| row)?;
    let users: Vec<UserId> = rows.items.iter().map(|row| row.user_id).collect();
    let shown = detail::view(app.db.read(), rows.items, app.clock.now()).await?;
    let items =
        users.into_iter().zip(shown).map(|(user_id, rental)| StaffRental { user_id, rental }).collect();
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
}

impl Filter {
    /// None if nothing can match.
    async fn query(&self, app: &App) -> Result<Option<Select<rental::Entity>>> {
        let is_narrowed = self.status.is_some()
            || self.user_id.is_some()
            || self.station_sn.is_some()
            || self.start_date.is_some()
            || self.end_date.is_some();
        let otherwise = if is_narrowed { View::All } else { View::Open };
        let mut query = match self.view.unwrap_or(otherwise) {
            View::Open => rental::Entity::find().filter(rental::Column::Status.is_in(places::OPEN)),
            View::InDoubt => in_doubt(app.clock.now()),
            View::Lost => rental::Entity::find().filter(rental::Column::LostAt.is_not_null()),
            View::All => rental::Entity::find(),
        };
        if let Some(status) = self.status {
            query = query.filter(rental::Column::Status.eq(status));
        }
        if let Some(user) = self.user_id {
            query = query.filter(rental::Column::UserId.eq(user));
        }
        if let Some(serial) = &self.station_sn {
            let Some(station) = history::station_named(app.db.read(), serial).await? else { return Ok(None) };
            query = query.filter(rental::Column::StationId.eq(station));
        }
        if let Some(day) = self.start_date {
            query = query.filter(rental::Column::CreatedAt.gte(start_of_day_in_nepal(day)));
        }
        if let Some(day) = self.end_date {
            query = query.filter(rental::Column::CreatedAt.lt(end_of_day_in_nepal(day)));
        }
        Ok(Some(query))
    }
}

/// Settles a rental that no station can settle.
#[utoipa::path(post, path = "/admin/rentals/{id}/decision", tag = "staff", extensions(("x-permission" = json!(Permission::RentalsChange))), security(("staff" = [])),
    params(("id" = RentalId, Path)), request_body = Decide,
    responses((status = 200, body = Rental), (status = "4XX", body = ProblemBody)))]
pub(crate) async fn decide(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<RentalId>,
    Json(decide): Json<Decide>,
) -> Result<Json<Rental>> {
    settle(&app, staff, id, decide).await
}

/// Ends a rental whose power bank is in our hands: the decision `returned` by its own name. It is charged for the time
/// until then.
#[utoipa::path(post, path = "/admin/rentals/{id}/force-complete", tag = "staff", extensions(("x-permission" = json!(Permission::RentalsChange))), security(("staff" = [])),
    params(("id" = RentalId, Path)), request_body = ForceComplete,
    responses((status = 200, body = Rental), (status = "4XX", body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn force_complete(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<RentalId>,
    Json(ForceComplete { at, reason }): Json<ForceComplete>,
) -> Result<Json<Rental>> {
    settle(&app, staff, id, Decide { decision: Decision::Returned, at, reason }).await
}

async fn settle(app: &App, staff: Staff, id: RentalId, decide: Decide) -> Result<Json<Rental>> {
    staff.may(Permission::RentalsChange)?;
    if !(1..=limits::DESCRIPTION_MAX).contains(&decide.reason.trim().chars().count())
        || decide.reason.contains('\0')
    {
        let detail = format!("must have 1 to {} characters", limits::DESCRIPTION_MAX);
        return Err(Problem::invalid("/reason", detail).into());
    }
    let write = app.db.write(move |tx| {
        let (decide, staff) = (decide.clone(), staff.clone());
        Box::pin(async move {
            let row = rental::Entity::find_by_id(id).one(tx).await?.ok_or(Refusal::RentalNotFound)?;
            if row.user_id == staff.user_id {
                return Err(Refusal::OwnRental.into());
            }
            let case = Case::load(tx, id).await?;
            let decision = match decide.decision {
                Decision::NotEjected => StaffDecision::NotEjected,
                Decision::Ejected => StaffDecision::Ejected,
                Decision::Returned => StaffDecision::Returned { at: decide.at.unwrap_or(tx.now()) },
            };
            let event = Event::Staff(decision);
            if case.state.step(&case.terms, event, tx.now()).next == case.state {
                return Err(Refusal::InvalidRentalStatus.into());
            }
            let applied = case.step(tx, event, None).await?;
            audit::note(tx, &staff, "rental.decide", "rentals", id, serde_json::to_value(&decide)?).await?;
            let row = rental::Entity::find_by_id(id).one(tx).await?;
            let row = row.ok_or_else(|| Error::internal("a rental vanished"))?;
            Ok((detail::view(tx, vec![row], tx.now()).await?, applied))
        })
    });
    let (mut shown, applied) = write.await?;
    applied.count(app.clock.now());
    Ok(Json(shown.pop().ok_or(Refusal::RentalNotFound)?))
}

/// Pending, offered, past the expiry (or declared unknowable), and not settled.
pub(crate) fn in_doubt(now: DateTime<Utc>) -> Select<rental::Entity> {
    let eject = rental::Entity::belongs_to(command::Entity)
        .from(rental::Column::EjectCmdId)
        .to(command::Column::Id)
        .into();
    rental::Entity::find()
        .join(JoinType::InnerJoin, eject)
        .filter(rental::Column::Status.eq(RentalStatus::Pending))
        .filter(command::Column::State.is_in([CommandState::Offered, CommandState::Received]))
        .filter(
            Condition::any()
                .add(command::Column::Uncertain.eq(true))
                .add(command::Column::ExpiresAt.lte(now)),
        )
}
