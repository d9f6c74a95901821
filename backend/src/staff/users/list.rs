//! `GET admin/users`: find riders.

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{Json, Query};
use crate::identity::identifier::Identifier;
use crate::limits;
use crate::money::{Money, Paisa};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::id::UserId;
use entities::user::{self, UserStatus};
use entities::user_kyc::{self, KycStatus};
use entities::{user_points, wallet};
use sea_orm::sea_query::{Expr, ExprTrait, Func, IntoCondition, LikeExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Select,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Which riders.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// A whole number, e-mail address, referral code or id, or the beginning of a name.
    #[param(max_length = 100, example = "sita")]
    search: Option<String>,
    /// Only these.
    status: Option<UserStatus>,
    /// Only those whose proof of identity stands there; `none` for those who never sent one.
    #[param(inline)]
    kyc: Option<KycFilter>,
    /// Who joined then or later.
    joined_from: Option<DateTime<Utc>>,
    /// Who joined before.
    joined_before: Option<DateTime<Utc>>,
    /// Items on the page, 1–100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 64)]
    cursor: Option<String>,
}

/// Where a rider's proof of identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KycFilter {
    /// Never sent.
    None,
    /// Waits for a review.
    Pending,
    /// Taken.
    Approved,
    /// Not taken.
    Rejected,
}

/// A rider in the list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserRow {
    /// Their id.
    id: UserId,
    /// The name that others see.
    #[schema(example = "sita.rai")]
    username: Option<String>,
    /// Proven number.
    #[schema(example = "+9779801234567")]
    phone_number: Option<String>,
    /// Proven address.
    #[schema(example = "sita@example.com")]
    email: Option<String>,
    /// Given name.
    #[schema(example = "Sita")]
    first_name: Option<String>,
    /// Family name.
    #[schema(example = "Rai")]
    last_name: Option<String>,
    /// Whether they may use the system.
    status: UserStatus,
    /// Where their proof of identity stands; null if they never sent one.
    kyc_status: Option<KycStatus>,
    /// What they can spend.
    balance: Money,
    /// Points that they can spend.
    #[schema(example = 120)]
    points: i32,
    /// Rentals that are not over.
    #[schema(example = 0)]
    open_rentals: i32,
    /// When they joined.
    created_at: DateTime<Utc>,
    /// When they asked to be forgotten.
    deleted_at: Option<DateTime<Utc>>,
}

/// Riders, the newest first.
#[utoipa::path(get, path = "/admin/users", tag = "staff", extensions(("x-permission" = json!(Permission::UsersRead))), params(Which), security(("staff" = [])), responses((status = 200, body = Page<UserRow>), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn list_users(
    staff: Staff,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Page<UserRow>>> {
    staff.may(Permission::UsersRead)?;
    let db = app.db.read();
    let page = PageQuery { limit: which.limit, cursor: which.cursor.clone() };
    let query = page.apply(filtered(&which)?, user::Column::CreatedAt, user::Column::Id)?;
    let rows = query.all(db).await?;
    let cursor = |row: &user::Model| Cursor { at: row.created_at, id: row.id.into() };
    let page = page.page(rows, cursor, |row| row)?;
    let ids: Vec<UserId> = page.items.iter().map(|row| row.id).collect();
    let mut beside = Beside::of(db, &ids).await?;
    let items = page.items.into_iter().map(|row| beside.join(row)).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

fn filtered(which: &Which) -> Result<Select<user::Entity>, Problem> {
    let mut query = user::Entity::find();
    if let Some(text) = which.search.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        if text.chars().count() > limits::NAME_MAX || text.chars().any(char::is_control) {
            let detail = format!("must have at most {} printable characters", limits::NAME_MAX);
            return Err(Problem::invalid("search", detail));
        }
        query = query.filter(is_called(text));
    }
    if let Some(status) = which.status {
        query = query.filter(user::Column::Status.eq(status));
    }
    if let Some(kyc) = which.kyc {
        query = query.filter(stands(kyc));
    }
    if let Some(from) = which.joined_from {
        query = query.filter(user::Column::CreatedAt.gte(from));
    }
    if let Some(before) = which.joined_before {
        query = query.filter(user::Column::CreatedAt.lt(before));
    }
    Ok(query)
}

/// What is unique is looked for whole and by its index; names by their beginning.
fn is_called(text: &str) -> Condition {
    if let Ok(id) = text.parse::<UserId>() {
        return user::Column::Id.eq(id).into_condition();
    }
    match Identifier::parse(text) {
        Ok(Identifier::Phone(number)) => return user::Column::PhoneNumber.eq(number).into_condition(),
        Ok(Identifier::Email(address)) => {
            return Expr::expr(Func::lower(Expr::col(user::Column::Email))).eq(address).into_condition();
        }
        Err(_) => {}
    }
    let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let begins = |column: user::Column| {
        let pattern = LikeExpr::new(format!("{escaped}%")).escape('!');
        Expr::expr(Func::lower(Expr::col(column))).like(pattern)
    };
    Condition::any()
        .add(user::Column::ReferralCode.eq(text.to_uppercase()))
        .add(begins(user::Column::Username))
        .add(begins(user::Column::FirstName))
        .add(begins(user::Column::LastName))
}

fn stands(kyc: KycFilter) -> Condition {
    let sent = user_kyc::Entity::find().select_only().expr(Expr::val(1)).filter(
        Expr::col((user_kyc::Entity, user_kyc::Column::UserId)).equals((user::Entity, user::Column::Id)),
    );
    let status = match kyc {
        KycFilter::None => return Expr::exists(sent.into_query()).not().into_condition(),
        KycFilter::Pending => KycStatus::Pending,
        KycFilter::Approved => KycStatus::Approved,
        KycFilter::Rejected => KycStatus::Rejected,
    };
    let there = sent.filter(user_kyc::Column::Status.eq(status));
    Expr::exists(there.into_query()).into_condition()
}

/// What other tables know of the riders on a page: three questions, whatever its length.
struct Beside {
    kyc: HashMap<UserId, KycStatus>,
    balances: HashMap<UserId, Paisa>,
    points: HashMap<UserId, i32>,
}

impl Beside {
    async fn of(db: &impl ConnectionTrait, ids: &[UserId]) -> Result<Self> {
        let ids = || ids.iter().copied();
        let kyc = user_kyc::Entity::find().filter(user_kyc::Column::UserId.is_in(ids())).all(db).await?;
        let wallets = wallet::Entity::find().filter(wallet::Column::UserId.is_in(ids())).all(db).await?;
        let points =
            user_points::Entity::find().filter(user_points::Column::UserId.is_in(ids())).all(db).await?;
        Ok(Self {
            kyc: kyc.into_iter().map(|row| (row.user_id, row.status)).collect(),
            balances: wallets.into_iter().map(|row| (row.user_id, row.balance_paisa)).collect(),
            points: points.into_iter().map(|row| (row.user_id, row.current_points)).collect(),
        })
    }

    fn join(&mut self, row: user::Model) -> UserRow {
        UserRow {
            kyc_status: self.kyc.remove(&row.id),
            balance: self.balances.remove(&row.id).unwrap_or(Paisa::ZERO).into(),
            points: self.points.remove(&row.id).unwrap_or(0),
            id: row.id,
            username: row.username,
            phone_number: row.phone_number,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            status: row.status,
            open_rentals: row.open_rentals,
            created_at: row.created_at,
            deleted_at: row.deleted_at,
        }
    }
}
