//! A window with the connection that writes it.

use super::compaction::Tail;
use super::window::{self, Window};
use super::{Shared, store_error};
use crate::StoreError;
use protocol::types::StationId;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;

/// A window that the writer has open, or will open when it is needed.
pub(super) struct OpenWindow {
    pub(super) window: Arc<Window>,
    /// `None` before the first use and after a failure: SQLite may have ended the transaction by
    /// itself, so the next use begins with a fresh connection.
    connection: Option<SqliteConnection>,
    /// `None` until it is counted.
    pub(super) tail: Option<Tail>,
}

impl OpenWindow {
    pub(super) fn new(window: Arc<Window>, connection: Option<SqliteConnection>) -> Self {
        Self { window, connection, tail: None }
    }

    /// The writing connection.
    pub(super) async fn connection(&mut self, shared: &Shared) -> Result<&mut SqliteConnection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let error = |error: sqlx::Error| failed("a telemetry file cannot be opened", &error);
                let mut fresh = window::connect(&self.window.path, &shared.settings).await.map_err(error)?;
                // A commit that was reported as failed may have happened all the same.
                shared.stations.load(&mut fresh).await.map_err(error)?;
                fresh
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Takes note of rows that have been committed to the tail.
    pub(super) fn grow(&mut self, counts: impl IntoIterator<Item = (StationId, u64)>) {
        if let Some(tail) = &mut self.tail {
            tail.grow(counts);
        }
    }

    /// Gives up the connection and what is known of the tail; gives the error for the caller.
    ///
    /// Logged where failing begins: a full disk fails many times a second.
    pub(super) fn write_failed(
        &mut self,
        shared: &Shared,
        what: &'static str,
        error: &sqlx::Error,
    ) -> StoreError {
        self.connection = None;
        self.tail = None;
        if shared.failing().is_some() { store_error(error) } else { failed(what, error) }
    }

    /// Ends the writing: the last connection of a file copies its log into it and removes the log.
    pub(super) async fn close(self) -> Result<(), StoreError> {
        let Some(connection) = self.connection else { return Ok(()) };
        connection.close().await.map_err(|error| failed("a telemetry file cannot be closed", &error))
    }
}

/// Logs what SQLite said, once, and gives what a caller can react to.
pub(super) fn failed(what: &'static str, error: &sqlx::Error) -> StoreError {
    let kind = store_error(error);
    tracing::error!(%error, kind = kind.label(), "{what}");
    kind
}
