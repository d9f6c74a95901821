//! `POST admin/users/{id}/notice`: staff write to one rider, as a notice of the class `admin_notices`.

use axum::extract::State;
use axum::http::StatusCode;
use entities::id::UserId;
use entities::notification_template::NotificationType;
use entities::{notification_rule, user};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::audit;
use crate::auth::{Permission, Staff};
use crate::db::Tx;
use crate::error::{Problem, ProblemBody, Result};
use crate::extract::{IdempotencyKey, Json, Path};
use crate::idempotency::{self, Answered};
use crate::limits::{NOTIFICATION_MESSAGE_MAX, NOTIFICATION_TITLE_MAX};
use crate::notifications::message::{self, Message};
use crate::notifications::{Notified, Refusal};

/// The class of what staff write.
const CLASS: &str = "admin_notices";

/// What to say.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// In a few words.
    #[schema(example = "We found your cable", min_length = 1, max_length = 120)]
    title: String,
    /// In some sentences.
    #[schema(example = "It waits for you at Thamel Chowk.", min_length = 1, max_length = 600)]
    message: String,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeWritten {
    /// To whom.
    user_id: UserId,
}

/// Writes to one rider. Refused while the class is switched off on every way that reaches the rider.
#[utoipa::path(post, path = "/admin/users/{id}/notice", tag = "staff", extensions(("x-permission" = json!(Permission::NoticesWrite))), security(("staff" = [])),
    params(("id" = UserId, Path), ("Idempotency-Key" = String, Header, description = "8 to 128 printable characters, new for each notice", min_length = 8, max_length = 128)),
    request_body = Notice, responses(
    (status = 201, body = NoticeWritten),
    (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody),
    (status = 409, body = ProblemBody),
    (status = 413, body = ProblemBody),
    (status = 415, body = ProblemBody),
    (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody),
    (status = 503, body = ProblemBody),
))]
pub(crate) async fn write_to_one(
    staff: Staff,
    State(app): State<App>,
    Path(user): Path<UserId>,
    key: IdempotencyKey,
    Json(notice): Json<Notice>,
) -> Result<Answered> {
    staff.may(Permission::NoticesWrite)?;
    let title = checked("/title", &notice.title, NOTIFICATION_TITLE_MAX)?;
    let message = checked("/message", &notice.message, NOTIFICATION_MESSAGE_MAX)?;
    let request = (user, notice);
    idempotency::once(&app, staff.user_id, "notice", key, &request, move |tx| {
        let (staff, title, words) = (staff.clone(), title.clone(), message.clone());
        Box::pin(async move {
            let rider = user::Entity::find_by_id(user).filter(user::Column::DeletedAt.is_null());
            rider.one(tx).await?.ok_or_else(Problem::not_found)?;
            let rule = rule(tx).await?.ok_or(Refusal::NoticesSwitchedOff)?;
            let changes = serde_json::json!({ "title": title });
            let message = Message {
                template: None,
                title,
                message: words,
                kind: NotificationType::System,
                data: serde_json::json!({}),
                dedup_key: format!("notice:{}", tx.new_uuid()),
            };
            if message::write(tx, user, &rule, &message).await? != Notified::Written {
                return Err(Refusal::NoticesSwitchedOff.into());
            }
            audit::note(tx, &staff, "notifications.notice", "users", user, changes).await?;
            Ok((StatusCode::CREATED, NoticeWritten { user_id: user }))
        })
    })
    .await
}

/// How notices go.
pub(super) async fn rule(tx: &Tx) -> Result<Option<notification_rule::Model>> {
    let rule =
        notification_rule::Entity::find().filter(notification_rule::Column::NotificationType.eq(CLASS));
    Ok(rule.one(tx).await?)
}

/// A text of staff without blanks around it.
pub(super) fn checked(pointer: &str, text: &str, max: usize) -> Result<String, Problem> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= max;
    let is_readable = !text.chars().any(|letter| letter.is_control() && letter != '\n');
    match fits && is_readable {
        true => Ok(text.to_owned()),
        false => Err(Problem::invalid(
            pointer,
            format!("must have 1 to {max} characters, and no control characters"),
        )),
    }
}
