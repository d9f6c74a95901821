//! Keyset pages: newest first, a cursor that stays right while rows are added.

use crate::error::{Problem, Result};
use crate::limits;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items on the page, 1–100; 20 if absent.
    pub limit: Option<u64>,
    /// `next_cursor` of the page before; the first page if absent.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, newest first unless the operation says otherwise.
    pub items: Vec<T>,
    /// Ask with it for the page after this one; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The place in a list after which a page begins: the sort time and the id of the last item seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The sort time of that item.
    pub at: DateTime<Utc>,
    /// Its id, which decides between equal times.
    pub id: Uuid,
}

impl Cursor {
    /// The characters of its text form.
    pub const LENGTH: usize = 48;
    /// What its text form looks like: a time of our age in microseconds, and an id.
    pub const PATTERN: &str = "^000[0-9a-f]{45}$";

    /// A place in a list that is in the order of its ids alone: they are UUIDv7, so that is the order of time.
    pub fn of_id(id: Uuid) -> Self {
        Self { at: DateTime::UNIX_EPOCH, id }
    }

    /// Its text form: opaque to callers.
    pub fn text(self) -> String {
        format!("{}{}", hex::encode(self.at.timestamp_micros().to_be_bytes()), self.id.simple())
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = hex::decode(text).ok()?.try_into().ok()?;
        let (at, id) = bytes.split_first_chunk::<8>()?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*at))?;
        Some(Self { at, id: Uuid::from_slice(id).ok()? })
    }
}

impl PageQuery {
    /// How many items, in bounds.
    pub fn limit(&self) -> Result<u64, Problem> {
        match self.limit.unwrap_or(limits::PAGE_DEFAULT) {
            limit @ 1..=limits::PAGE_MAX => Ok(limit),
            _ => Err(Problem::invalid("limit", format!("must be 1 to {}", limits::PAGE_MAX))),
        }
    }

    /// Where the page begins.
    pub fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        let Some(text) = &self.cursor else { return Ok(None) };
        Cursor::parse(text)
            .map(Some)
            .ok_or_else(|| Problem::invalid("cursor", "is not a cursor of this list"))
    }

    /// Orders a query newest first and cuts it to this page, plus one row that tells whether more follow.
    pub fn apply<E: EntityTrait>(
        &self,
        query: Select<E>,
        at: E::Column,
        id: E::Column,
    ) -> Result<Select<E>, Problem> {
        let mut query = query.order_by_desc(at).order_by_desc(id).limit(self.limit()? + 1);
        if let Some(cursor) = self.cursor()? {
            query = query.filter(
                Condition::any()
                    .add(at.lt(cursor.at))
                    .add(Condition::all().add(at.eq(cursor.at)).add(id.lt(cursor.id))),
            );
        }
        Ok(query)
    }

    /// Like [`PageQuery::apply`] in the order of ids alone, which is the order of time; with [`Cursor::of_id`].
    pub fn apply_by_id<E: EntityTrait>(&self, query: Select<E>, id: E::Column) -> Result<Select<E>, Problem> {
        let query = query.order_by_desc(id).limit(self.limit()? + 1);
        Ok(match self.cursor()? {
            Some(cursor) => query.filter(id.lt(cursor.id)),
            None => query,
        })
    }

    /// Makes the page of rows fetched by [`PageQuery::apply`].
    pub fn page<R, T>(
        &self,
        mut rows: Vec<R>,
        cursor: impl Fn(&R) -> Cursor,
        item: impl FnMut(R) -> T,
    ) -> Result<Page<T>, Problem> {
        let limit = self.limit()? as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| cursor(row).text()) } else { None };
        Ok(Page { items: rows.into_iter().map(item).collect(), next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let cursor =
            Cursor { at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), id: Uuid::max() };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        assert_eq!(Cursor::parse("00"), None);
        assert_eq!(Cursor::parse("zz"), None);
    }
}
