//! Published versions of the app: `POST app/version/check` and `admin/app-versions`.

use crate::app::App;
use crate::cache::{Fresh, Section};
use crate::error::{Error, Problem, ProblemBody, Result};
use crate::extract::Json;
use crate::limits;
use crate::resource::{Checks, Resource, columns};
use axum::extract::State;
use chrono::{DateTime, Utc};
use entities::app_version;
use entities::user_device::Platform;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A published version of the app.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppVersionFields {
    /// Semantic: major.minor.patch.
    #[schema(example = "1.4.0")]
    version: String,
    /// For which telephones.
    platform: Platform,
    /// Whether older apps must be updated before they go on.
    #[serde(default)]
    is_mandatory: bool,
    /// Where to get it.
    #[schema(example = "https://play.google.com/store/apps/details?id=np.chautari")]
    download_url: String,
    /// What is new, for people.
    release_notes: String,
    /// From when on it is offered.
    released_at: DateTime<Utc>,
}

impl Resource for AppVersionFields {
    const NAME: &'static str = "app_version";
    const PATH: &'static str = "/admin/app-versions";
    const STALE: &'static [Section] = &[Section::Versions];
    const UNIQUE: &'static [&'static str] = &["/version", "/platform"];
    columns! {
        app_version: version, platform, is_mandatory, download_url, release_notes, released_at;
        stamps: created_at;
        off: -
    }

    fn check(&mut self, checks: &mut Checks) {
        checks.text("/version", &mut self.version, limits::NAME_MAX);
        let strict = Version::parse(&self.version).is_ok();
        checks.require(strict, "/version", || "must be major.minor.patch, like 1.4.0".to_owned());
        checks.link("/download_url", &mut self.download_url, limits::LINK_MAX);
        checks.text_or_empty("/release_notes", &mut self.release_notes, limits::ANSWER_MAX);
    }
}

/// The app that asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InstalledVersion {
    /// Where it runs.
    platform: Platform,
    /// What it is; `v1.4` is read as `1.4.0`.
    #[schema(example = "1.3.2", max_length = 100)]
    current_version: String,
}

/// Whether there is a newer version.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct VersionAdvice {
    /// There is a newer one.
    update_available: bool,
    /// A version that was published after the installed one must not be skipped.
    is_mandatory: bool,
    /// The newest, if any was published.
    latest_version: Option<String>,
    /// Where to get it.
    download_url: Option<String>,
    /// What is new.
    release_notes: Option<String>,
}

/// Whether the installed app is up to date.
#[utoipa::path(post, path = "/app/version/check", tag = "app", request_body = InstalledVersion, responses((status = 200, body = VersionAdvice), (status = 422, body = ProblemBody)))]
pub(super) async fn check(
    State(app): State<App>,
    Json(installed): Json<InstalledVersion>,
) -> Result<Json<VersionAdvice>> {
    let current = lenient(&installed.current_version)
        .ok_or_else(|| Problem::invalid("/current_version", "must be a version like 1.4.0"))?;
    let published = published(&app, installed.platform).await?;
    Ok(Json(advise(&published, &current)))
}

struct Published {
    version: Version,
    is_mandatory: bool,
    download_url: String,
    release_notes: String,
}

fn advise(published: &[Published], current: &Version) -> VersionAdvice {
    let newest = published.iter().max_by(|left, right| left.version.cmp_precedence(&right.version));
    let newer = |other: &Published| other.version.cmp_precedence(current).is_gt();
    VersionAdvice {
        update_available: newest.is_some_and(newer),
        is_mandatory: published.iter().any(|version| version.is_mandatory && newer(version)),
        latest_version: newest.map(|newest| newest.version.to_string()),
        download_url: newest.map(|newest| newest.download_url.clone()),
        release_notes: newest.map(|newest| newest.release_notes.clone()),
    }
}

/// What apps say of themselves: a leading `v` and missing zeros are forgiven.
fn lenient(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    if text.len() > limits::NAME_MAX {
        return None;
    }
    let numbers_end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(numbers_end);
    let missing = 2_usize.checked_sub(numbers.matches('.').count())?;
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

async fn published(app: &App, platform: Platform) -> Result<Arc<Vec<Published>>> {
    let load = async {
        let rows = app_version::Entity::find()
            .filter(app_version::Column::Platform.eq(platform))
            .order_by_desc(app_version::Column::ReleasedAt)
            .limit(limits::LISTED_MAX)
            .all(app.db.read())
            .await?;
        let now = app.clock.now();
        let until = rows.iter().map(|row| row.released_at).filter(|at| *at > now).min();
        let value = rows.into_iter().filter(|row| row.released_at <= now).map(|row| {
            let broken = |error| Error::internal(format!("app_versions {}: version: {error}", row.id));
            Ok(Published {
                version: Version::parse(&row.version).map_err(broken)?,
                is_mandatory: row.is_mandatory,
                download_url: row.download_url,
                release_notes: row.release_notes,
            })
        });
        Ok(Fresh { value: value.collect::<Result<_>>()?, until })
    };
    app.cache.get(Section::Versions, platform.as_str(), load).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_meaning_and_a_mandatory_one_cannot_be_skipped() {
        let published: Vec<_> =
            [("1.0.0", false), ("1.2.0", true), ("1.10.0", false), ("2.0.0-beta.1", false)]
                .map(|(version, is_mandatory)| Published {
                    version: Version::parse(version).unwrap(),
                    is_mandatory,
                    download_url: "/app".to_owned(),
                    release_notes: version.to_owned(),
                })
                .into();
        for (current, update_available, is_mandatory) in [
            ("0.9", true, true),
            ("1.1.9", true, true),
            ("1.2.0-rc.1", true, true),
            ("1.2.0", true, false),
            ("1.9.99", true, false),
            ("1.10.0", true, false),
            ("2.0.0-beta.1+build.7", false, false),
            ("2.0.0", false, false),
            ("v3", false, false),
        ] {
            let advice = advise(&published, &lenient(current).unwrap());
            assert_eq!(
                (advice.update_available, advice.is_mandatory),
                (update_available, is_mandatory),
                "{current}"
            );
            assert_eq!(advice.latest_version.as_deref(), Some("2.0.0-beta.1"));
        }
        assert_eq!(advise(&[], &Version::new(1, 0, 0)).latest_version, None);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "one", "1..2", "1.2.3.4", "-1", "1.02.3", "1.2.3-", "99999999999999999999999"] {
            assert_eq!(lenient(text), None, "{text}");
        }
    }
}
