//! `POST auth/logout`: this session ends, or all of them.

use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{ProblemBody, Result};
use crate::extract::Query;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::identity::{devices, session};
use axum::extract::State;
use axum::http::StatusCode;
use entities::user_session;
use sea_orm::EntityTrait;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

/// How much ends.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HowFar {
    /// All sessions of the rider, on every telephone; only this one if absent.
    #[serde(default)]
    all: bool,
}

/// Ends the session, or with `all=true` every session of the rider. Telephones that are signed out get no more
/// push messages.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", params(HowFar), security(("rider" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn log_out(
    rider: Rider,
    origin: Origin,
    State(app): State<App>,
    Query(how_far): Query<HowFar>,
) -> Result<StatusCode> {
    let write = app.db.write(move |tx| {
        let origin = origin.clone().within(rider.session_id);
        Box::pin(async move { end(tx, rider, how_far.all, &origin).await })
    });
    write.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(tx: &Tx, rider: Rider, all: bool, origin: &Origin) -> Result<()> {
    if all {
        session::revoke_all(tx, rider.user_id).await?;
        devices::silence_all(tx, rider.user_id).await?;
    } else if let Some(session) = user_session::Entity::find_by_id(rider.session_id).one(tx).await? {
        session::revoke_family(tx, rider.user_id, session.family).await?;
        if let Some(device) = session.device_id {
            devices::silence(tx, rider.user_id, device).await?;
        }
    }
    let how_far = json!({ "all": all });
    let trace = Trace { after: Some(how_far), ..Trace::of(rider.user_id) };
    trail::note(tx, origin, Deed::Logout, trace).await
}
