//! The generic resource: one list, read, create, replace and delete for every entity that has no rules.
//!
//! An entity is declared by the struct of what staff write and an `impl Resource`:
//!
//! ```text
//! /// A country whose telephone numbers are accepted.
//! #[derive(Clone, Serialize, Deserialize, ToSchema)]
//! #[serde(deny_unknown_fields)]
//! pub(super) struct CountryFields { name: String, code: String, is_active: bool }
//!
//! impl Resource for CountryFields {
//!     const NAME: &'static str = "country";
//!     const PATH: &'static str = "/admin/countries";
//!     const STALE: &'static [Section] = &[Section::Countries];
//!     const UNIQUE: &'static [&'static str] = &["/code"];
//!     columns! { country: name, code, is_active; stamps: created_at; off: is_active }
//!     fn check(&mut self, checks: &mut Checks) { checks.text("/name", &mut self.name, limits::NAME_MAX); }
//! }
//! ```
//!
//! and by `.merge(resource::routes::<CountryFields>())` in its domain's `routes()`. The moment an entity
//! gets a rule it leaves this file for one of its own; nothing here knows any of them.

mod checks;
mod describe;

pub use checks::Checks;
pub(crate) use describe::routes;

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::cache::Section;
use crate::db::{self, Tx};
use crate::error::{Error, Result};
use crate::extract::{Json, Path, Query};
use crate::page::{Cursor, Page, PageQuery};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::AdminProfileId;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, DbErr, EntityName, EntityTrait, FromQueryResult,
    IntoActiveModel, ModelTrait, QueryFilter,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use uuid::Uuid;

/// What staff write of an entity without rules. The items after [`Resource::check`] are made by `columns!`.
pub trait Resource: Clone + Serialize + DeserializeOwned + ToSchema + Send + Sync + 'static {
    /// One word for it in the audit, like `faq`.
    const NAME: &'static str;
    /// Where staff find it, like `/admin/faqs`.
    const PATH: &'static str;
    /// Who may see it as staff do.
    const MAY_READ: Permission = Permission::ContentRead;
    /// Who may write it.
    const MAY_CHANGE: Permission = Permission::ContentChange;
    /// What of the cache a write makes stale.
    const STALE: &'static [Section];
    /// JSON pointers to the fields that no two rows may share.
    const UNIQUE: &'static [&'static str] = &[];

    /// Trims what people type and notes every field that is wrong.
    fn check(&mut self, checks: &mut Checks);

    /// Who may write this very row, as it was and as it shall be.
    fn may_change(&self) -> Permission {
        Self::MAY_CHANGE
    }

    /// The table.
    type Entity: EntityTrait<Model = Self::Model, ActiveModel = Self::Active, Column = Self::Column>;
    /// Its row.
    type Model: ModelTrait<Entity = Self::Entity>
        + FromQueryResult
        + IntoActiveModel<Self::Active>
        + Send
        + Sync;
    /// A change of its row.
    type Active: ActiveModelTrait<Entity = Self::Entity> + ActiveModelBehavior + Send;
    /// Its columns.
    type Column: ColumnTrait;
    /// Its key: a UUIDv7, so the order of ids is the order of time.
    const ID: Self::Column;
    /// A row with this id and nothing else.
    fn empty(id: Uuid) -> Self::Active;
    /// The fields of a row.
    fn read(row: &Self::Model) -> Self;
    /// Puts all fields into a row.
    fn write(self, row: &mut Self::Active);
    /// Notes who did it and when, as far as the table keeps that.
    fn stamp(row: &mut Self::Active, deed: &Deed);
    /// Switches the row off. Answers `false` if the table has no switch: then deleting deletes.
    fn switch_off(row: &mut Self::Active) -> bool;
    /// The row's id and times.
    fn stamps(row: &Self::Model) -> Stamps;
}

/// What a switch is unless staff say otherwise.
pub(crate) fn on() -> bool {
    true
}

/// Who changes a row, and when.
pub struct Deed {
    pub(crate) by: AdminProfileId,
    pub(crate) at: DateTime<Utc>,
    pub(crate) makes: bool,
}

/// What a row knows of itself.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stamps {
    pub(crate) id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at: Option<DateTime<Utc>>,
}

/// A row as staff see it: its id and times, and the fields beside them.
#[derive(Serialize)]
pub struct Entry<R> {
    #[serde(flatten)]
    stamps: Stamps,
    #[serde(flatten)]
    fields: R,
}

impl<R: Resource> Entry<R> {
    fn of(row: &R::Model) -> Self {
        Self { stamps: R::stamps(row), fields: R::read(row) }
    }
}

crate::refusals! {
    /// What staff are refused, whatever the entity.
    pub enum Refusal {
        EntryNotFound = 404 "entry_not_found" "There is no such entry.",
        AlreadyExists = 409 "already_exists" "Another entry has this value, and it must be unique.",
    }
}

/// All rows, also those that are switched off, newest first.
async fn list<R: Resource>(
    _: Staff,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Entry<R>>>> {
    let rows = page.apply_by_id(R::Entity::find(), R::ID)?.all(app.db.read()).await?;
    Ok(Json(page.page(rows, |row| Cursor::of_id(R::stamps(row).id), |row| Entry::of(&row))?))
}

/// One row.
async fn show<R: Resource>(_: Staff, State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Entry<R>>> {
    let row = R::Entity::find().filter(R::ID.eq(id)).one(app.db.read()).await?;
    Ok(Json(Entry::of(&row.ok_or(Refusal::EntryNotFound)?)))
}

/// Makes a row.
async fn create<R: Resource>(
    staff: Staff,
    State(app): State<App>,
    Json(fields): Json<R>,
) -> Result<(StatusCode, Json<Entry<R>>)> {
    staff.may(R::MAY_CHANGE)?;
    let fields = checked(fields)?;
    staff.may(fields.may_change())?;
    let written = app.db.write(move |tx| {
        let (staff, fields) = (staff.clone(), fields.clone());
        Box::pin(async move {
            let mut row = R::empty(tx.new_uuid());
            fields.write(&mut row);
            R::stamp(&mut row, &Deed { by: staff.admin_id, at: tx.now(), makes: true });
            let row = save::<R>(tx, row, true).await?;
            note::<R>(tx, &staff, "create", None, Some(&row)).await?;
            Ok(row)
        })
    });
    let row = written.await?;
    app.cache.forget(R::STALE).await;
    Ok((StatusCode::CREATED, Json(Entry::of(&row))))
}

/// Replaces all fields of a row.
async fn replace<R: Resource>(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(fields): Json<R>,
) -> Result<Json<Entry<R>>> {
    staff.may(R::MAY_CHANGE)?;
    let fields = checked(fields)?;
    staff.may(fields.may_change())?;
    let written = app.db.write(move |tx| {
        let (staff, fields) = (staff.clone(), fields.clone());
        Box::pin(async move {
            let before = find::<R>(tx, id).await?;
            staff.may(R::read(&before).may_change())?;
            let mut row = R::empty(id);
            fields.write(&mut row);
            R::stamp(&mut row, &Deed { by: staff.admin_id, at: tx.now(), makes: false });
            let row = save::<R>(tx, row, false).await?;
            note::<R>(tx, &staff, "update", Some(&before), Some(&row)).await?;
            Ok(row)
        })
    });
    let row = written.await?;
    app.cache.forget(R::STALE).await;
    Ok(Json(Entry::of(&row)))
}

/// Switches a row off, or deletes it where the table has no switch.
async fn delete<R: Resource>(
    staff: Staff,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    staff.may(R::MAY_CHANGE)?;
    let written = app.db.write(move |tx| {
        let staff = staff.clone();
        Box::pin(async move {
            let before = find::<R>(tx, id).await?;
            staff.may(R::read(&before).may_change())?;
            let mut row = R::empty(id);
            let after = if R::switch_off(&mut row) {
                R::stamp(&mut row, &Deed { by: staff.admin_id, at: tx.now(), makes: false });
                Some(save::<R>(tx, row, false).await?)
            } else {
                R::Entity::delete_many().filter(R::ID.eq(id)).exec(tx).await?;
                None
            };
            note::<R>(tx, &staff, "delete", Some(&before), after.as_ref()).await
        })
    });
    written.await?;
    app.cache.forget(R::STALE).await;
    Ok(StatusCode::NO_CONTENT)
}

fn checked<R: Resource>(mut fields: R) -> Result<R> {
    let mut checks = Checks::default();
    fields.check(&mut checks);
    checks.done()?;
    Ok(fields)
}

async fn find<R: Resource>(tx: &Tx, id: Uuid) -> Result<R::Model> {
    let row = R::Entity::find().filter(R::ID.eq(id)).one(tx).await?;
    Ok(row.ok_or(Refusal::EntryNotFound)?)
}

/// Writes in a savepoint: a value that is taken must not end the transaction around it.
async fn save<R: Resource>(tx: &Tx, row: R::Active, makes: bool) -> Result<R::Model> {
    let savepoint = tx.savepoint().await?;
    let saved = if makes { row.insert(&savepoint).await } else { row.update(&savepoint).await };
    match saved {
        Ok(row) => {
            savepoint.keep().await?;
            Ok(row)
        }
        Err(error) if db::is_unique_violation(&error) => {
            savepoint.undo().await?;
            let taken = Refusal::AlreadyExists.problem();
            Err(R::UNIQUE.iter().fold(taken, |problem, at| problem.field(*at, "must be unique")).into())
        }
        // Somebody deleted it meanwhile.
        Err(DbErr::RecordNotUpdated) => {
            savepoint.undo().await?;
            Err(Refusal::EntryNotFound.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Leaves a trace with every field that changed: its value before and after.
async fn note<R: Resource>(
    tx: &Tx,
    staff: &Staff,
    verb: &str,
    before: Option<&R::Model>,
    after: Option<&R::Model>,
) -> Result<()> {
    let table = R::Entity::default().table_name();
    let Some(id) = after.or(before).map(|row| R::stamps(row).id) else {
        return Err(Error::internal(format!("{table}: a deed without a row")));
    };
    let json = |row: Option<&R::Model>| row.map(R::read).map(serde_json::to_value).transpose();
    let changes = changed(json(before)?.unwrap_or_default(), json(after)?.unwrap_or_default());
    audit::note(tx, staff, &format!("{}.{verb}", R::NAME), table, id, changes).await
}

/// `{"field": [before, after]}` of the fields that differ.
pub(crate) fn changed(before: serde_json::Value, after: serde_json::Value) -> serde_json::Value {
    let fields = |value: &serde_json::Value| value.as_object().cloned().unwrap_or_default();
    let (before, after) = (fields(&before), fields(&after));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let pairs = names.map(|name| (name, before.get(name), after.get(name)));
    let differing = pairs.filter(|(_, was, is)| was != is);
    differing.map(|(name, was, is)| (name.clone(), serde_json::json!([was, is]))).collect()
}

/// The part of `impl Resource` that follows from the columns' names.
///
/// `columns! { module of the entity: fields…; stamps: columns that note who and when; off: switch }`, or
/// `off: -` where deleting deletes the row. A field and its column have the same name, unless it says `field = column`;
/// `Into` converts.
macro_rules! columns {
    (
        $entity:ident: $($field:ident $(= $column:ident)?),+;
        stamps: $($stamp:ident),*;
        off: $off:tt
    ) => {
        type Entity = entities::$entity::Entity;
        type Model = entities::$entity::Model;
        type Active = entities::$entity::ActiveModel;
        type Column = entities::$entity::Column;
        const ID: Self::Column = entities::$entity::Column::Id;

        fn empty(id: uuid::Uuid) -> Self::Active {
            entities::$entity::ActiveModel { id: sea_orm::Set(id.into()), ..Default::default() }
        }

        fn read(row: &Self::Model) -> Self {
            let row = row.clone();
            Self { $($field: $crate::resource::columns!(@column row, $field $($column)?).into(),)+ }
        }

        fn write(self, row: &mut Self::Active) {
            $($crate::resource::columns!(@column row, $field $($column)?) = sea_orm::Set(self.$field.into());)+
        }

        fn stamp(row: &mut Self::Active, deed: &$crate::resource::Deed) {
            $($crate::resource::columns!(@stamp row, deed, $stamp);)*
        }

        fn switch_off(row: &mut Self::Active) -> bool {
            $crate::resource::columns!(@off row, $off)
        }

        fn stamps(row: &Self::Model) -> $crate::resource::Stamps {
            let mut stamps = $crate::resource::Stamps { id: row.id.into(), created_at: None, updated_at: None };
            $($crate::resource::columns!(@show row, stamps, $stamp);)*
            stamps
        }
    };
    (@column $row:ident, $field:ident) => { $row.$field };
    (@column $row:ident, $field:ident $column:ident) => { $row.$column };
    (@stamp $row:ident, $deed:ident, created_at) => {
        if $deed.makes { $row.created_at = sea_orm::Set($deed.at); }
    };
    (@stamp $row:ident, $deed:ident, updated_at) => { $row.updated_at = sea_orm::Set($deed.at); };
    (@stamp $row:ident, $deed:ident, created_by) => {
        if $deed.makes { $row.created_by = sea_orm::Set(Some($deed.by)); }
    };
    (@stamp $row:ident, $deed:ident, updated_by) => { $row.updated_by = sea_orm::Set(Some($deed.by)); };
    (@show $row:ident, $stamps:ident, created_at) => { $stamps.created_at = Some($row.created_at); };
    (@show $row:ident, $stamps:ident, updated_at) => { $stamps.updated_at = Some($row.updated_at); };
    (@show $row:ident, $stamps:ident, $other:ident) => {};
    (@off $row:ident, -) => {{ let _ = $row; false }};
    (@off $row:ident, $switch:ident) => {{ $row.$switch = sea_orm::Set(false); true }};
}
pub(crate) use columns;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_trace_holds_what_changed_and_nothing_else() {
        let (before, after) = (json!({ "a": 1, "b": 2 }), json!({ "a": 1, "b": 3 }));
        assert_eq!(changed(before.clone(), after.clone()), json!({ "b": [2, 3] }));
        assert_eq!(changed(json!(null), after), json!({ "a": [null, 1], "b": [null, 3] }));
        assert_eq!(changed(before.clone(), json!(null)), json!({ "a": [1, null], "b": [2, null] }));
        assert_eq!(changed(before.clone(), before), json!({}));
    }
}
