//! Several statements in one round trip, each done only if the one before it touched a row.
//!
//! PostgreSQL takes a chain as one statement (`with step_0 as (update … returning …), step_1 as …`). SQLite
//! has no such form: it takes the statements one after the other, in one call, and each looks at `changes()`.
//! What the two do alike is decided here, so that nobody else needs to know.
//!
//! On PostgreSQL no step sees the rows that another one wrote. What a step needs of an earlier one it gets by
//! [`Chain::value_of`].

use std::fmt::{Display, Write};

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

use super::Tx;
use crate::error::Result;

/// Statements that go together; run by [`Tx::run`].
pub struct Chain {
    backend: DbBackend,
    /// What comes before the steps, whatever it touches.
    openings: Vec<String>,
    steps: Vec<String>,
    values: Vec<Value>,
}

/// Where a bound value stands in the statement; shows as `$3`.
#[derive(Clone, Copy, Debug)]
pub struct Place(usize);

/// Names a step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(usize);

/// What a chain did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The value of each step that was done, from the first on.
    pub values: Vec<i64>,
    /// Whether every step was done.
    pub complete: bool,
}

impl Chain {
    /// A value of a statement; answers its place, such as `$3`.
    pub fn bind(&mut self, value: impl Into<Value>) -> Place {
        self.values.push(value.into());
        Place(self.values.len())
    }

    /// An insert of rows that may be there already. Stops nothing.
    pub fn open(&mut self, into: &str, rows: &[String]) {
        let rows = rows.join(" union all select ");
        // The condition tells SQLite that `on conflict` is not a join.
        self.openings.push(format!("insert into {into} select {rows} where true on conflict do nothing"));
    }

    /// Changes the row of `which`; its value is that of `value` after the change.
    pub fn update(&mut self, table: &str, set: &str, which: &str, value: &str) -> Step {
        let (from, condition) = match (self.steps.len(), self.backend) {
            (0, _) => (String::new(), ""),
            // Joined, not asked for with `exists`: PostgreSQL looks at the join's row again, and not at the
            // whole step, when another transaction has changed the row to be updated.
            (next, DbBackend::Postgres) => (format!(" from step_{} as before", next - 1), ""),
            (_, _) => (String::new(), " and changes() > 0"),
        };
        self.add(&format!("update {table} set {set}{from} where {which}{condition}"), value)
    }

    /// Adds rows, each a list of expressions; its value is 1.
    ///
    /// A row that is there already, by any unique index, counts as not touched.
    pub fn insert(&mut self, into: &str, rows: &[String]) -> Step {
        let condition = match (self.steps.len(), self.backend) {
            (0, _) => "true".to_owned(),
            (next, DbBackend::Postgres) => format!("exists (select 1 from step_{})", next - 1),
            (_, _) => "changes() > 0".to_owned(),
        };
        let rows: Vec<_> = rows.iter().map(|row| format!("select {row} where {condition}")).collect();
        let rows = rows.join(" union all ");
        self.add(&format!("insert into {into} {rows} on conflict do nothing"), "1")
    }

    /// The value of an earlier step as an expression. `again` asks for it where the step can be asked no more.
    pub fn value_of(&self, step: Step, again: &str) -> String {
        match self.backend {
            DbBackend::Postgres => format!("(select value from step_{})", step.0),
            _ => format!("({again})"),
        }
    }

    fn add(&mut self, sql: &str, value: &str) -> Step {
        let step = self.steps.len();
        self.steps.push(format!(
            "{sql} returning cast({step} as bigint) as step, cast({value} as bigint) as value"
        ));
        Step(step)
    }

    fn statement(self) -> Statement {
        let mut sql = String::with_capacity(2_048);
        // Writing to a String cannot fail.
        let _ = match self.backend {
            DbBackend::Postgres => write_postgres(&mut sql, &self.openings, &self.steps),
            _ => write_sqlite(&mut sql, &self.openings, &self.steps),
        };
        Statement::from_sql_and_values(self.backend, sql, self.values)
    }
}

impl Tx {
    /// An empty chain for this database.
    pub fn chain(&self) -> Chain {
        let backend = self.get_database_backend();
        Chain { backend, openings: Vec::new(), steps: Vec::new(), values: Vec::new() }
    }

    /// Does the steps of `chain` up to the first that touches nothing.
    pub async fn run(&self, chain: Chain) -> Result<Ran> {
        let steps = chain.steps.len();
        let mut values: Vec<Option<i64>> = vec![None; steps];
        for row in self.query_all_raw(chain.statement()).await? {
            let (step, value) = answer(&row)?;
            if let Some(slot) = usize::try_from(step).ok().and_then(|step| values.get_mut(step)) {
                *slot = Some(value);
            }
        }
        let values: Vec<i64> = values.into_iter().map_while(|value| value).collect();
        Ok(Ran { complete: values.len() == steps, values })
    }
}

fn answer(row: &QueryResult) -> Result<(i64, i64)> {
    Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))
}

fn write_postgres(sql: &mut String, openings: &[String], steps: &[String]) -> std::fmt::Result {
    sql.push_str("with ");
    for (number, opening) in openings.iter().enumerate() {
        write!(sql, "opening_{number} as ({opening}), ")?;
    }
    for (number, step) in steps.iter().enumerate() {
        write!(sql, "{}step_{number} as ({step})", if number == 0 { "" } else { ", " })?;
    }
    for number in 0..steps.len() {
        let with = if number == 0 { "" } else { " union all" };
        write!(sql, "{with} select step, value from step_{number}")?;
    }
    Ok(())
}

fn write_sqlite(sql: &mut String, openings: &[String], steps: &[String]) -> std::fmt::Result {
    for statement in openings.iter().chain(steps) {
        write!(sql, "{statement}; ")?;
    }
    Ok(())
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${}", self.0)
    }
}
