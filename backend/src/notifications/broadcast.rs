//! `POST admin/broadcast`: staff write to many riders at once, as a notice of the class `admin_notices`.
//!
//! The request writes down what is to be said and to whom; a job says it ([`run`]), some riders at a time, and can
//! be seen and stopped meanwhile (`staff.rs`). Whom it is for is decided rider by rider when their turn comes;
//! who signs up later is left out.

pub mod run;
pub(super) mod staff;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::broadcast::{self, BroadcastState, Segment};
use entities::id::{AdminProfileId, BroadcastId};
use sea_orm::{EntityTrait, PaginatorTrait, Set};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Permission, Staff};
use crate::error::{Error, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json};
use crate::idempotency::{self, Answered};
use crate::limits::{NOTIFICATION_MESSAGE_MAX, NOTIFICATION_TITLE_MAX};
use crate::notifications::notice::checked;
use crate::{audit, jobs};

/// What to say, and to whom.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBroadcast {
    /// In a few words.
    #[schema(example = "Dashain greetings", min_length = 1, max_length = 120)]
    title: String,
    /// In some sentences.
    #[schema(example = "All stations stay open over the holidays.", min_length = 1, max_length = 600)]
    message: String,
    /// To whom.
    segment: Segment,
}

/// A message to many riders, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct BroadcastView {
    id: BroadcastId,
    /// Who wrote it.
    admin_id: AdminProfileId,
    /// In a few words.
    #[schema(example = "Dashain greetings")]
    title: String,
    /// In some sentences.
    #[schema(example = "All stations stay open over the holidays.")]
    message: String,
    segment: Segment,
    state: BroadcastState,
    /// Riders of the segment when it was written.
    #[schema(example = 1200)]
    total: i64,
    /// Riders whose turn has come.
    #[schema(example = 400)]
    done: i64,
    /// Those among them who were told: in the app, or on another way that is open.
    #[schema(example = 398)]
    told: i64,
    created_at: DateTime<Utc>,
    /// When it was through, or stopped.
    finished_at: Option<DateTime<Utc>>,
}

/// Writes to all riders of a segment. The answer comes before they are told; `GET admin/broadcasts/{id}` shows how
/// far it is.
#[utoipa::path(post, path = "/admin/broadcast", tag = "staff", extensions(("x-permission" = json!(Permission::Broadcast))), security(("staff" = [])),
    params(("Idempotency-Key" = String, Header, description = "8 to 128 printable characters, new for each message", min_length = 8, max_length = 128)),
    request_body = NewBroadcast, responses(
    (status = 202, body = BroadcastView),
    (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 413, body = ProblemBody),
    (status = 415, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn write_to_many(
    staff: Staff,
    State(app): State<App>,
    key: IdempotencyKey,
    Json(new): Json<NewBroadcast>,
) -> Result<Answered> {
    staff.may(Permission::Broadcast)?;
    let title = checked("/title", &new.title, NOTIFICATION_TITLE_MAX)?;
    let message = checked("/message", &new.message, NOTIFICATION_MESSAGE_MAX)?;
    let total = run::riders(new.segment, app.clock.now()).count(app.db.read()).await?;
    let total = i64::try_from(total).map_err(anyhow::Error::from)?;
    let (segment, request) = (new.segment, new);
    idempotency::once(&app, staff.user_id, "broadcast", key, &request, move |tx| {
        let (staff, title, message) = (staff.clone(), title.clone(), message.clone());
        Box::pin(async move {
            let id = BroadcastId(tx.new_uuid());
            let row = broadcast::ActiveModel {
                id: Set(id),
                admin_id: Set(staff.admin_id),
                title: Set(title.clone()),
                message: Set(message),
                segment: Set(segment),
                state: Set(BroadcastState::Running),
                after_user: Set(None),
                total: Set(total),
                done: Set(0),
                told: Set(0),
                created_at: Set(tx.now()),
                finished_at: Set(None),
            };
            broadcast::Entity::insert(row).exec_without_returning(tx).await?;
            jobs::enqueue(tx, run::QUEUE.name, &run::Run { broadcast: id }, tx.now(), Some(id.to_string()))
                .await?;
            let changes = serde_json::json!({ "segment": segment, "title": title });
            audit::note(tx, &staff, "notifications.broadcast", "broadcasts", id, changes).await?;
            let row = broadcast::Entity::find_by_id(id).one(tx).await?;
            let row = row.ok_or_else(|| Error::internal("a broadcast vanished"))?;
            Ok((StatusCode::ACCEPTED, BroadcastView::from(row)))
        })
    })
    .await
}

impl From<broadcast::Model> for BroadcastView {
    fn from(row: broadcast::Model) -> Self {
        Self {
            id: row.id,
            admin_id: row.admin_id,
            title: row.title,
            message: row.message,
            segment: row.segment,
            state: row.state,
            total: row.total,
            done: row.done,
            told: row.told,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}
