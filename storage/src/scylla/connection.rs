//! Finds the cluster, and says what a caller can react to of what it answered.

use super::Settings;
use super::schema;
use super::statements::Statements;
use crate::StoreError;
use ::scylla::client::execution_profile::ExecutionProfile;
use ::scylla::client::session::Session;
use ::scylla::client::session_builder::SessionBuilder;
use ::scylla::errors::{
    DbError, ExecutionError, NewSessionError, NextPageError, PagerExecutionError, PrepareError,
    RequestAttemptError, RequestError,
};
use ::scylla::policies::load_balancing::DefaultPolicy;
use ::scylla::statement::{Consistency, SerialConsistency};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// Pauses between two looks for a cluster that is away.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A session with its prepared statements.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) statements: Statements,
}

/// Why the cluster could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node was reached, or none let us in.
    #[error("no node of the CQL cluster could be used: {0}")]
    Session(#[from] Box<NewSessionError>),
    /// The keyspace or a table could not be made.
    #[error("the schema of the CQL cluster could not be brought up to date: {0}")]
    Schema(#[from] Box<ExecutionError>),
    /// The tables are not those that this version knows.
    #[error("the tables of the CQL cluster are not those of this version: {0}")]
    Tables(#[from] Box<PrepareError>),
}

/// Looks for the cluster until it is found; the session then reconnects by itself.
pub(super) async fn look_for(settings: Settings, found: watch::Sender<Option<Arc<Connection>>>) {
    let mut pause = PAUSE_MIN;
    loop {
        match connect(&settings).await {
            Ok(connection) => {
                info!(keyspace = %settings.keyspace, "the telemetry store is connected");
                found.send_replace(Some(Arc::new(connection)));
                // The session lives as long as the sender: a closed store aborts this task.
                return found.closed().await;
            }
            Err(error) => warn!(%error, "the telemetry store is out of reach"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Connects once, and makes what the schema lacks.
pub(super) async fn connect(settings: &Settings) -> Result<Connection, ConnectError> {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if !settings.local_datacenter.is_empty() {
        policy = policy.prefer_datacenter(settings.local_datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(Duration::from_millis(settings.write_timeout_ms.max(settings.read_timeout_ms))))
        .load_balancing_policy(policy.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .default_execution_profile_handle(profile.into_handle());
    if !settings.user.is_empty() {
        builder = builder.user(&settings.user, &settings.password);
    }
    let session = builder.build().await.map_err(Box::new)?;
    schema::migrate(&session, settings).await.map_err(Box::new)?;
    let statements = Statements::prepare(&session).await.map_err(Box::new)?;
    Ok(Connection { session, statements })
}

/// What a caller can react to, of what the driver said.
pub(super) fn store_error(error: &ExecutionError) -> StoreError {
    match error {
        ExecutionError::RequestTimeout(_) => StoreError::Timeout,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => database_error(error),
        _ => StoreError::Unavailable,
    }
}

/// The same for an answer of several pages.
pub(super) fn pager_error(error: &PagerExecutionError) -> StoreError {
    match error {
        PagerExecutionError::NextPageError(NextPageError::RequestFailure(error)) => match error {
            RequestError::RequestTimeout(_) => StoreError::Timeout,
            RequestError::LastAttemptError(RequestAttemptError::DbError(error, _)) => database_error(error),
            _ => StoreError::Unavailable,
        },
        _ => StoreError::Unavailable,
    }
}

fn database_error(error: &DbError) -> StoreError {
    match error {
        DbError::WriteTimeout { .. } | DbError::ReadTimeout { .. } => StoreError::Timeout,
        _ => StoreError::Unavailable,
    }
}
