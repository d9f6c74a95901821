//! What was done and what went wrong, for people who must find out later. Newest first.

pub(super) mod actions;
pub(super) mod system;
pub(super) mod users;

use crate::error::{Problem, Result};
use crate::limits;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Select};
use serde::Deserialize;
use utoipa::IntoParams;

/// From when to when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Period {
    /// Not before this moment.
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    to: Option<DateTime<Utc>>,
}

impl Period {
    fn apply<E: EntityTrait>(&self, mut query: Select<E>, at: E::Column) -> Select<E> {
        if let Some(from) = self.from {
            query = query.filter(at.gte(from));
        }
        if let Some(to) = self.to {
            query = query.filter(at.lt(to));
        }
        query
    }
}

/// Only rows with this word, if one is given.
pub(super) fn only<E: EntityTrait>(
    query: Select<E>,
    column: E::Column,
    name: &str,
    word: Option<&String>,
) -> Result<Select<E>, Problem> {
    let Some(word) = word else { return Ok(query) };
    if word.chars().count() > limits::LOG_WORD_MAX || word.contains('\0') {
        return Err(Problem::invalid(name, format!("must have at most {} characters", limits::LOG_WORD_MAX)));
    }
    Ok(query.filter(column.eq(word)))
}
