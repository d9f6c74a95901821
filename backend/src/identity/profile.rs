//! `GET`, `PUT` and `PATCH users/profile`: what a rider says of themselves. PUT replaces all of it, PATCH what it names.

use crate::app::App;
use crate::auth::Rider;
use crate::db::Tx;
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::{Json, parse_json};
use crate::identity::News;
use crate::identity::trail::{self, Deed, Origin, Trace};
use crate::{limits, media, news};
use axum::extract::State;
use chrono::NaiveDate;
use entities::id::UserId;
use entities::media_upload::MediaPurpose;
use entities::user;
use entities::user_profile::{self, Gender};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, Set,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What a rider says of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// Given name.
    #[serde(default)]
    #[schema(example = "Sita", max_length = 200)]
    first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    #[schema(example = "Rai", max_length = 200)]
    last_name: Option<String>,
    /// Where they live.
    #[serde(default)]
    #[schema(example = "Kathmandu", max_length = 200)]
    city: Option<String>,
    /// `YYYY-MM-DD`, in the past and not before 1900.
    #[serde(default)]
    #[schema(example = "2000-02-29")]
    date_of_birth: Option<NaiveDate>,
    /// As they state it.
    #[serde(default)]
    gender: Option<Gender>,
    /// Whom to call.
    #[serde(default)]
    #[schema(example = "Hari, 9801234567", max_length = 200)]
    emergency_contact: Option<String>,
    /// The `file_url` of a picture that the rider uploaded as `profile`.
    #[serde(default)]
    #[schema(
        example = "/api/v1/media/01890f3e-7cc2-7000-8000-000000000001/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.jpg",
        max_length = 200
    )]
    profile_picture: Option<String>,
}

/// A profile and whether it is complete.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileView {
    #[serde(flatten)]
    profile: Profile,
    /// Names, city and date of birth are there.
    is_complete: bool,
    /// How much of what makes it complete is there.
    #[schema(example = 75, minimum = 0, maximum = 100)]
    completeness_percent: u8,
    /// What is missing for that.
    #[schema(example = json!(["date_of_birth"]))]
    missing_fields: Vec<&'static str>,
}

impl ProfileView {
    /// The profile of a rider.
    pub(crate) async fn of(db: &impl ConnectionTrait, user: UserId) -> Result<Self> {
        let (user, profile) = load(db, user).await?;
        Ok(Profile::from((user, profile)).into())
    }
}

/// Whether everything is there that staff may ask for before a rental.
pub(crate) async fn is_complete(db: &impl ConnectionTrait, user: UserId) -> Result<bool> {
    let found = find(db, user).await?.map(Profile::from);
    Ok(found.is_some_and(|profile| profile.needed().iter().all(|(_, is_there)| *is_there)))
}

impl From<Profile> for ProfileView {
    fn from(profile: Profile) -> Self {
        let needed = profile.needed();
        let missing_fields: Vec<_> =
            needed.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
        let there = needed.len() - missing_fields.len();
        Self {
            is_complete: missing_fields.is_empty(),
            completeness_percent: u8::try_from(there * 100 / needed.len()).unwrap_or(0),
            missing_fields,
            profile,
        }
    }
}

impl From<(user::Model, user_profile::Model)> for Profile {
    fn from((user, profile): (user::Model, user_profile::Model)) -> Self {
        Self {
            first_name: user.first_name,
            last_name: user.last_name,
            city: profile.city,
            date_of_birth: profile.date_of_birth,
            gender: profile.gender,
            emergency_contact: profile.emergency_contact,
            profile_picture: user.profile_picture,
        }
    }
}

impl Profile {
    /// What makes a profile complete, and whether it is there.
    fn needed(&self) -> [(&'static str, bool); 4] {
        [
            ("first_name", self.first_name.is_some()),
            ("last_name", self.last_name.is_some()),
            ("city", self.city.is_some()),
            ("date_of_birth", self.date_of_birth.is_some()),
        ]
    }

    /// The names of what differs: the trail says what was changed, not what people are called.
    fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let (Value::Object(one), Value::Object(other)) =
            (serde_json::to_value(self)?, serde_json::to_value(other)?)
        else {
            return Err(Error::internal("a profile is an object"));
        };
        Ok(one
            .into_iter()
            .filter(|(name, value)| other.get(name) != Some(value))
            .map(|(name, _)| name)
            .collect())
    }

    fn check(mut self, today: NaiveDate) -> Result<Self, Problem> {
        for (pointer, text) in [
            ("/first_name", &mut self.first_name),
            ("/last_name", &mut self.last_name),
            ("/city", &mut self.city),
            ("/emergency_contact", &mut self.emergency_contact),
            ("/profile_picture", &mut self.profile_picture),
        ] {
            let trimmed = text.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            if trimmed.as_ref().is_some_and(|text| text.chars().count() > limits::PROFILE_TEXT_MAX) {
                return Err(Problem::invalid(
                    pointer,
                    format!("must have at most {} characters", limits::PROFILE_TEXT_MAX),
                ));
            }
            if trimmed.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
                return Err(Problem::invalid(pointer, "must not contain control characters"));
            }
            *text = trimmed;
        }
        let earliest = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap_or(NaiveDate::MIN);
        if self.date_of_birth.is_some_and(|born| born < earliest || born >= today) {
            return Err(Problem::invalid("/date_of_birth", "must be a day in the past"));
        }
        Ok(self)
    }
}

/// The rider's profile.
#[utoipa::path(get, path = "/users/profile", tag = "users", security(("rider" = [])), responses((status = 200, body = ProfileView), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
pub(super) async fn show_profile(rider: Rider, State(app): State<App>) -> Result<Json<ProfileView>> {
    Ok(Json(ProfileView::of(app.db.read(), rider.user_id).await?))
}

/// Replaces the rider's profile: what is absent is gone.
#[utoipa::path(put, path = "/users/profile", tag = "users", security(("rider" = [])), request_body = Profile, responses((status = 200, body = ProfileView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn replace_profile(
    rider: Rider,
    origin: Origin,
    State(app): State<App>,
    Json(profile): Json<Profile>,
) -> Result<Json<ProfileView>> {
    let profile = profile.check(app.clock.now().date_naive())?;
    write(&app, rider, origin, move |_| Ok(profile.clone())).await
}

/// Changes parts of the rider's profile: what is absent stays, what is null is gone.
#[utoipa::path(patch, path = "/users/profile", tag = "users", security(("rider" = [])), request_body = Profile, responses((status = 200, body = ProfileView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn change_profile(
    rider: Rider,
    origin: Origin,
    State(app): State<App>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<ProfileView>> {
    let today = app.clock.now().date_naive();
    write(&app, rider, origin, move |before| {
        let Value::Object(mut whole) = serde_json::to_value(before)? else {
            return Err(Error::internal("a profile is an object"));
        };
        whole.extend(changes.clone());
        let profile: Profile = parse_json(&serde_json::to_vec(&whole)?)?;
        Ok(profile.check(today)?)
    })
    .await
}

async fn write(
    app: &App,
    rider: Rider,
    origin: Origin,
    change: impl Fn(&Profile) -> Result<Profile> + Send + Sync + 'static,
) -> Result<Json<ProfileView>> {
    let change = std::sync::Arc::new(change);
    let write = app.db.write(move |tx| {
        let (change, origin) = (change.clone(), origin.clone().within(rider.session_id));
        Box::pin(async move {
            let (user, row) = load(tx, rider.user_id).await?;
            let before = Profile::from((user.clone(), row.clone()));
            let after = change(&before)?;
            let changed = after.differences(&before)?;
            if !changed.is_empty() {
                hang(tx, rider.user_id, &before.profile_picture, &after.profile_picture).await?;
                save(tx, user, row, &after).await?;
                let changed = Some(serde_json::json!({ "changed": changed }));
                let trace = Trace { after: changed, ..Trace::of(rider.user_id) };
                trail::note(tx, &origin, Deed::Update, trace).await?;
            }
            Ok(ProfileView::from(after))
        })
    });
    Ok(Json(write.await?))
}

/// Takes the new picture and lets the old one go. Addresses elsewhere are refused: others see this picture, and its
/// host would see them.
async fn hang(tx: &Tx, rider: UserId, before: &Option<String>, after: &Option<String>) -> Result<()> {
    if before == after {
        return Ok(());
    }
    if let Some(after) = after {
        media::claim_at(tx, rider, MediaPurpose::Profile, after, "/profile_picture").await?;
    }
    match before {
        Some(before) => media::release(tx, &[before]).await,
        None => Ok(()),
    }
}

async fn save(tx: &Tx, user: user::Model, row: user_profile::Model, profile: &Profile) -> Result<()> {
    let id = user.id;
    let profile = profile.clone();
    let is_complete = profile.needed().iter().all(|(_, is_there)| *is_there);
    let mut user = user.into_active_model();
    user.first_name = Set(profile.first_name);
    user.last_name = Set(profile.last_name);
    user.profile_picture = Set(profile.profile_picture);
    user.updated_at = Set(tx.now());
    user.update(tx).await?;
    let mut row = row.into_active_model();
    row.city = Set(profile.city);
    row.date_of_birth = Set(profile.date_of_birth);
    row.gender = Set(profile.gender);
    row.emergency_contact = Set(profile.emergency_contact);
    row.updated_at = Set(tx.now());
    row.update(tx).await?;
    if is_complete {
        news::publish(tx, &News::ProfileCompleted { user: id }).await?;
    }
    Ok(())
}

async fn load(db: &impl ConnectionTrait, user_id: UserId) -> Result<(user::Model, user_profile::Model)> {
    let found = find(db, user_id).await?;
    found.ok_or_else(|| Error::internal(format!("users {user_id} has no profile")))
}

async fn find(
    db: &impl ConnectionTrait,
    user_id: UserId,
) -> Result<Option<(user::Model, user_profile::Model)>> {
    let found = user_profile::Entity::find()
        .filter(user_profile::Column::UserId.eq(user_id))
        .find_also_related(user::Entity)
        .one(db)
        .await?;
    Ok(found.and_then(|(profile, user)| user.map(|user| (user, profile))))
}
