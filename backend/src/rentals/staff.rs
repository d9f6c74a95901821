//! Rentals as staff see them, and the decisions that only people may take.

use super::case::Case;
use super::detail::{self, Rental};
use super::machine::rental::{Event, StaffDecision};
use super::{Refusal, places};
use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::command::{self, CommandState};
use entities::id::{RentalId, UserId};
use entities::rental::{self, RentalStatus};
use sea_orm::{ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which rentals to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// `open` (default), `in_doubt` or `lost`.
    pub view: Option<View>,
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

/// Rentals that are not final, newest first.
#[utoipa::path(get, path = "/admin/rentals", tag = "staff", extensions(("x-permission" = json!(Permission::RentalsRead))), security(("staff" = [])), params(Filter, PageQuery),
    responses((status = 200, body = Page<StaffRental>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Staff,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<StaffRental>>> {
    let query = match filter.view.unwrap_or(View::Open) {
        View::Open => rental::Entity::find().filter(rental::Column::Status.is_in(places::OPEN)),
        View::InDoubt => in_doubt(app.clock.now()),
        View::Lost => rental::Entity::find().filter(rental::Column::LostAt.is_not_null()),
    };
    let rows = page.apply(query, rental::Column::CreatedAt, rental::Column::Id)?.all(app.db.read()).await?;
    let rows = page.page(rows, |row| Cursor { at: row.created_at, id: row.id.into() }, |row| row)?;
    let users: Vec<UserId> = rows.items.iter().map(|row| row.user_id).collect();
    let shown = detail::view(app.db.read(), rows.items, app.clock.now()).await?;
    let items =
        users.into_iter().zip(shown).map(|(user_id, rental)| StaffRental { user_id, rental }).collect();
    Ok(Json(Page { items, next_cursor: rows.next_cursor }))
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
    staff.may(Permission::RentalsChange)?;
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
pub(crate) fn in_doubt(now: DateTime<Utc>) -> sea_orm::Select<rental::Entity> {
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
