//! `POST` and `PUT auth/device`, `GET auth/devices`, `DELETE auth/devices/{id}`: the telephones that a rider uses
//! the app on, for push messages and for signing one of them out.
//!
//! An installation of the app belongs to who registered it last: the one before gets no more messages there.

use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, Path};
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::identity::{Refusal, session, sightings};
use crate::limits;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use entities::id::{UserDeviceId, UserId};
use entities::user_device::{self, Platform};
use entities::user_session;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// How much of an installation's id is shown to those who need not know it.
const DEVICE_ID_SHOWN: usize = 4;

/// A telephone, as the app knows it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceFields {
    /// The installation's own id, made by the app once.
    #[schema(example = "8b0c7a52-8f53-4a0e-9a51-2f6f6c1d9c11", min_length = 8, max_length = 128)]
    device_id: String,
    /// Where the app runs.
    device_type: Platform,
    /// For push messages; none reach the telephone without it.
    #[serde(default)]
    #[schema(example = "fcm-token", max_length = 4096)]
    fcm_token: Option<String>,
    /// What its owner calls it.
    #[serde(default)]
    #[schema(example = "Sita's phone", max_length = 100)]
    device_name: Option<String>,
    /// The version of the app.
    #[serde(default)]
    #[schema(example = "1.4.0", max_length = 100)]
    app_version: Option<String>,
    /// The version of its system.
    #[serde(default)]
    #[schema(example = "Android 15", max_length = 100)]
    os_version: Option<String>,
}

/// A telephone of the rider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceView {
    /// Its id here.
    id: UserDeviceId,
    /// The installation's own id; only its end for staff who may not change riders.
    #[schema(example = "8b0c7a52-8f53-4a0e-9a51-2f6f6c1d9c11")]
    device_id: String,
    /// Where the app runs.
    device_type: Platform,
    /// What its owner calls it.
    #[schema(example = "Sita's phone")]
    device_name: Option<String>,
    /// The version of the app.
    #[schema(example = "1.4.0")]
    app_version: Option<String>,
    /// The version of its system.
    #[schema(example = "Android 15")]
    os_version: Option<String>,
    /// Whether push messages are sent there.
    gets_push: bool,
    /// When the app was last heard of.
    last_active: DateTime<Utc>,
    /// Since when it is known.
    created_at: DateTime<Utc>,
}

/// All telephones of a rider.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Devices {
    /// The one that was heard of last first.
    items: Vec<DeviceView>,
}

impl From<user_device::Model> for DeviceView {
    fn from(row: user_device::Model) -> Self {
        Self {
            id: row.id,
            device_id: row.device_id,
            device_type: row.device_type,
            device_name: row.device_name,
            app_version: row.app_version,
            os_version: row.os_version,
            gets_push: row.is_active && row.fcm_token.is_some(),
            last_active: row.last_active,
            created_at: row.created_at,
        }
    }
}

impl DeviceView {
    /// For those who need not know the installation's own id: with it a telephone can be taken over.
    pub(crate) fn without_its_id(self) -> Self {
        let end: Vec<char> = self.device_id.chars().rev().take(DEVICE_ID_SHOWN).collect();
        Self { device_id: format!("…{}", end.into_iter().rev().collect::<String>()), ..self }
    }
}

impl DeviceFields {
    fn check(mut self) -> Result<Self, Problem> {
        let (least, most) = (limits::DEVICE_ID_MIN, limits::DEVICE_ID_MAX);
        let id_fits = (least..=most).contains(&self.device_id.len());
        if !id_fits || !self.device_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = format!("must have {least} to {most} printable characters without spaces");
            return Err(Problem::invalid("/device_id", detail));
        }
        self.fcm_token = self.fcm_token.filter(|token| !token.is_empty());
        let token_fits = |token: &String| {
            token.len() <= limits::FCM_TOKEN_MAX && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !self.fcm_token.as_ref().is_none_or(token_fits) {
            return Err(Problem::invalid("/fcm_token", "is not a token of Firebase"));
        }
        for (pointer, text) in [
            ("/device_name", &mut self.device_name),
            ("/app_version", &mut self.app_version),
            ("/os_version", &mut self.os_version),
        ] {
            let trimmed = text.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            let fits = |text: &String| {
                text.chars().count() <= limits::NAME_MAX && !text.chars().any(char::is_control)
            };
            if !trimmed.as_ref().is_none_or(fits) {
                let detail = format!("must have at most {} printable characters", limits::NAME_MAX);
                return Err(Problem::invalid(pointer, detail));
            }
            *text = trimmed;
        }
        Ok(self)
    }
}

/// Tells on which telephone this session runs. Sent again with new values, it replaces the old ones.
#[utoipa::path(post, path = "/auth/device", tag = "auth", security(("rider" = [])), request_body = DeviceFields, responses((status = 200, body = DeviceView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn register_device(
    rider: Rider,
    origin: Origin,
    State(app): State<App>,
    Json(fields): Json<DeviceFields>,
) -> Result<Json<DeviceView>> {
    let fields = fields.check()?;
    let write = app.db.write(move |tx| {
        let (fields, origin) = (fields.clone(), origin.clone().within(rider.session_id));
        Box::pin(async move { register(tx, rider, fields, &origin).await })
    });
    Ok(Json(write.await?.into()))
}

/// The same as `POST`: a new push token or version of the app.
#[utoipa::path(put, path = "/auth/device", tag = "auth", security(("rider" = [])), request_body = DeviceFields, responses((status = 200, body = DeviceView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn replace_device(
    rider: Rider,
    origin: Origin,
    state: State<App>,
    fields: Json<DeviceFields>,
) -> Result<Json<DeviceView>> {
    register_device(rider, origin, state, fields).await
}

/// The rider's telephones.
#[utoipa::path(get, path = "/auth/devices", tag = "auth", security(("rider" = [])), responses((status = 200, body = Devices), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn list_devices(rider: Rider, State(app): State<App>) -> Result<Json<Devices>> {
    Ok(Json(Devices { items: of(app.db.read(), rider.user_id).await? }))
}

/// Forgets a telephone and ends the sessions on it.
#[utoipa::path(delete, path = "/auth/devices/{id}", tag = "auth", params(("id" = UserDeviceId, Path)), security(("rider" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn delete_device(
    rider: Rider,
    origin: Origin,
    State(app): State<App>,
    Path(id): Path<UserDeviceId>,
) -> Result<StatusCode> {
    let write = app.db.write(move |tx| {
        let origin = origin.clone().within(rider.session_id);
        Box::pin(async move {
            let found = user_device::Entity::find_by_id(id)
                .filter(user_device::Column::UserId.eq(rider.user_id))
                .one(tx)
                .await?;
            let device = found.ok_or(Refusal::DeviceNotFound)?;
            session::revoke_on(tx, rider.user_id, id).await?;
            user_device::Entity::delete_by_id(id).exec(tx).await?;
            trail::note(tx, &origin, Deed::Delete, trace_of(&device)).await
        })
    });
    write.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The telephones of a rider, the one that was heard of last first.
pub(crate) async fn of(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<DeviceView>> {
    let rows = user_device::Entity::find()
        .filter(user_device::Column::UserId.eq(user))
        .order_by_desc(user_device::Column::LastActive)
        .limit(limits::DEVICES_MAX)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(DeviceView::from).collect())
}

/// No more push messages to a telephone that is signed out.
pub(super) async fn silence(tx: &Tx, user: UserId, device: UserDeviceId) -> Result<()> {
    let silent = user_device::ActiveModel { is_active: Set(false), ..Default::default() };
    user_device::Entity::update_many()
        .set(silent)
        .filter(user_device::Column::Id.eq(device))
        .filter(user_device::Column::UserId.eq(user))
        .exec(tx)
        .await?;
    Ok(())
}

/// No more push messages to any telephone of a rider.
pub(super) async fn silence_all(tx: &Tx, user: UserId) -> Result<()> {
    let silent = user_device::ActiveModel { is_active: Set(false), ..Default::default() };
    user_device::Entity::update_many()
        .set(silent)
        .filter(user_device::Column::UserId.eq(user))
        .exec(tx)
        .await?;
    Ok(())
}

async fn register(
    tx: &Tx,
    rider: Rider,
    fields: DeviceFields,
    origin: &Origin,
) -> Result<user_device::Model> {
    let known = user_device::Column::DeviceId.eq(&fields.device_id);
    let before = user_device::Entity::find().filter(known.clone()).one(tx).await?;
    if let Some(token) = &fields.fcm_token {
        // A token that moved must not ring at the telephone's last owner.
        user_device::Entity::update_many()
            .col_expr(user_device::Column::FcmToken, Expr::value(None::<String>))
            .filter(user_device::Column::FcmToken.eq(token))
            .filter(user_device::Column::DeviceId.ne(&fields.device_id))
            .exec(tx)
            .await?;
    }
    upsert(tx, rider.user_id, fields).await?;
    let device = user_device::Entity::find().filter(known).one(tx).await?;
    let device = device.ok_or_else(|| Error::internal("a device is not there after its insert"))?;
    let on_it = user_session::ActiveModel { device_id: Set(Some(device.id)), ..Default::default() };
    user_session::Entity::update_many()
        .set(on_it)
        .filter(user_session::Column::Id.eq(rider.session_id))
        .exec(tx)
        .await?;
    sightings::note(tx, rider.user_id, &device.device_id).await?;
    match before {
        Some(before) if before.user_id == rider.user_id => {}
        Some(_) => {
            // Their sessions go on, and this telephone has nothing to say about them any more.
            user_session::Entity::update_many()
                .col_expr(user_session::Column::DeviceId, Expr::value(None::<uuid::Uuid>))
                .filter(user_session::Column::DeviceId.eq(device.id))
                .filter(user_session::Column::UserId.ne(rider.user_id))
                .exec(tx)
                .await?;
            trail::note(tx, origin, Deed::Create, trace_of(&device)).await?;
        }
        None => trail::note(tx, origin, Deed::Create, trace_of(&device)).await?,
    }
    forget_oldest(tx, rider.user_id).await?;
    Ok(device)
}

async fn upsert(tx: &Tx, user: UserId, fields: DeviceFields) -> Result<()> {
    let row = user_device::ActiveModel {
        id: Set(UserDeviceId::from(tx.new_uuid())),
        user_id: Set(user),
        device_id: Set(fields.device_id),
        device_name: Set(fields.device_name),
        device_type: Set(fields.device_type),
        os_version: Set(fields.os_version),
        app_version: Set(fields.app_version),
        fcm_token: Set(fields.fcm_token),
        is_active: Set(true),
        last_verified: Set(tx.now()),
        last_active: Set(tx.now()),
        created_at: Set(tx.now()),
    };
    use user_device::Column;
    let replaced = [
        Column::UserId,
        Column::DeviceName,
        Column::DeviceType,
        Column::OsVersion,
        Column::AppVersion,
        Column::FcmToken,
        Column::IsActive,
        Column::LastVerified,
        Column::LastActive,
    ];
    let replace = OnConflict::column(Column::DeviceId).update_columns(replaced).to_owned();
    user_device::Entity::insert(row).on_conflict(replace).exec_without_returning(tx).await?;
    Ok(())
}

/// A rider has few telephones; whoever makes up ids fills no table.
async fn forget_oldest(tx: &Tx, user: UserId) -> Result<()> {
    let surplus: Vec<UserDeviceId> = user_device::Entity::find()
        .select_only()
        .column(user_device::Column::Id)
        .filter(user_device::Column::UserId.eq(user))
        .order_by_desc(user_device::Column::LastActive)
        .order_by_desc(user_device::Column::Id)
        .offset(limits::DEVICES_MAX)
        .limit(limits::DEVICES_MAX)
        .into_tuple()
        .all(tx)
        .await?;
    if !surplus.is_empty() {
        user_device::Entity::delete_many().filter(user_device::Column::Id.is_in(surplus)).exec(tx).await?;
    }
    Ok(())
}

fn trace_of(device: &user_device::Model) -> Trace {
    Trace {
        user: device.user_id,
        entity: "UserDevice",
        entity_id: device.id.into(),
        before: None,
        after: Some(json!({ "device_type": device.device_type, "app_version": device.app_version })),
    }
}
