//! Idempotency keys: a repeated request gets the first one's answer, and its effect happens once.

use crate::app::App;
use crate::db::{Tx, WriteFuture};
use crate::error::{Error, RequestRefusal, Result};
use crate::extract::IdempotencyKey;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use entities::id::{IdempotencyKeyId, UserId};
use entities::idempotency_key::{self as keys, IdempotencyState};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The answer of an operation that money or metal depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON body.
    pub body: serde_json::Value,
    /// Whether this was answered from the book instead of being done.
    pub replayed: bool,
}

impl IntoResponse for Answered {
    fn into_response(self) -> Response {
        let replayed = HeaderValue::from_static(if self.replayed { "true" } else { "false" });
        (self.status, [(HeaderName::from_static("idempotency-replayed"), replayed)], axum::Json(self.body))
            .into_response()
    }
}

/// Does `work` once for (`user`, `route`, `key`), in one transaction with the memory of its answer.
///
/// `request` is what makes the request the same one. A refused request leaves nothing behind: it may be sent
/// again with the same key when its reason has gone. Of two at the same time one does the work and the other
/// gets its answer.
pub async fn once<T, F>(
    app: &App,
    user: UserId,
    route: &'static str,
    key: IdempotencyKey,
    request: &impl Serialize,
    work: F,
) -> Result<Answered>
where
    T: Serialize + Send,
    F: for<'a> Fn(&'a Tx) -> WriteFuture<'a, (StatusCode, T)> + Send + Sync + 'static,
{
    let fingerprint = fingerprint(request)?;
    let work = std::sync::Arc::new(work);
    app.db
        .write(move |tx| {
            let (key, fingerprint, work) = (key.clone(), fingerprint.clone(), work.clone());
            Box::pin(async move {
                let Some(row) = claim(tx, user, route, &key, &fingerprint).await? else {
                    return replay(tx, user, route, &key, &fingerprint).await;
                };
                let (status, value) = work(tx).await?;
                let body = serde_json::to_value(value)?;
                keys::ActiveModel {
                    id: Set(row),
                    state: Set(IdempotencyState::Completed),
                    response_status: Set(Some(i32::from(status.as_u16()))),
                    response_body: Set(Some(body.clone())),
                    ..Default::default()
                }
                .update(tx)
                .await?;
                Ok(Answered { status, body, replayed: false })
            })
        })
        .await
}

/// Takes the key, and answers with its row's id, or with nothing if it was taken before.
async fn claim(
    tx: &Tx,
    user: UserId,
    route: &str,
    key: &IdempotencyKey,
    fingerprint: &str,
) -> Result<Option<IdempotencyKeyId>> {
    let id = IdempotencyKeyId::from(tx.new_uuid());
    let row = keys::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        key: Set(key.0.clone()),
        route: Set(route.to_owned()),
        fingerprint: Set(fingerprint.to_owned()),
        state: Set(IdempotencyState::InProgress),
        response_status: Set(None),
        response_body: Set(None),
        created_at: Set(tx.now()),
    };
    // A second transaction with this key waits here for the first one's end on PostgreSQL.
    let unique = [keys::Column::UserId, keys::Column::Route, keys::Column::Key];
    let inserted = keys::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok((inserted == 1).then_some(id))
}

async fn replay(
    tx: &Tx,
    user: UserId,
    route: &str,
    key: &IdempotencyKey,
    fingerprint: &str,
) -> Result<Answered> {
    let row = keys::Entity::find()
        .filter(keys::Column::UserId.eq(user))
        .filter(keys::Column::Route.eq(route))
        .filter(keys::Column::Key.eq(&key.0))
        .one(tx)
        .await?
        .ok_or_else(|| Error::internal("a taken idempotency key has no row"))?;
    if row.fingerprint != fingerprint {
        return Err(RequestRefusal::IdempotencyKeyReused.into());
    }
    let (Some(status), Some(body)) = (row.response_status, row.response_body) else {
        return Err(Error::internal(format!("idempotency key {:?} has no answer", row.id)));
    };
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status =
        status.ok_or_else(|| Error::internal(format!("idempotency key {:?}: not a status", row.id)))?;
    Ok(Answered { status, body, replayed: true })
}

fn fingerprint(request: &impl Serialize) -> Result<String> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(request)?)))
}
