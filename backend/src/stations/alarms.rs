//! Tells staff of stations that come and go, and of two devices with one identity: once an episode.

use crate::app::App;
use crate::error::Result;
use crate::incidents::{self, About};
use entities::id::StationId;
use entities::incident::IncidentKind;
use entities::station;
use protocol::control::StationTrouble;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The episodes that staff were told of and that go on, each by its begin.
#[derive(Debug, Default)]
pub struct Told(HashMap<(StationId, IncidentKind), u64>);

struct Episode {
    station: StationId,
    kind: IncidentKind,
    since_ms: u64,
    detail: Value,
}

/// Writes an incident for each episode that staff do not know of yet.
///
/// A restart, a second process or a second look at the same episode makes no second incident: its begin
/// is the incident's key.
pub async fn tell_staff(app: &App, told: &mut Told) -> Result<()> {
    let episodes: Vec<Episode> = app
        .presence
        .troubles()
        .into_iter()
        .flat_map(|(station, trouble)| episodes(station, &trouble))
        .collect();
    let goes_on = |key: &(StationId, IncidentKind)| {
        episodes.iter().any(|episode| (episode.station, episode.kind) == *key)
    };
    told.0.retain(|key, _| goes_on(key));
    for episode in episodes {
        let key = (episode.station, episode.kind);
        if told.0.get(&key) == Some(&episode.since_ms) {
            continue;
        }
        let since_ms = episode.since_ms;
        write(app, episode).await?;
        told.0.insert(key, since_ms);
    }
    Ok(())
}

fn episodes(station: StationId, trouble: &StationTrouble) -> Vec<Episode> {
    let flapping = trouble.flapping.map(|flapping| Episode {
        station,
        kind: IncidentKind::StationFlapping,
        since_ms: flapping.since_ms,
        detail: json!({
            "sessions": flapping.sessions,
            "within_s": flapping.within_ms / 1_000,
            "why": "It connects again and again: look at its power, its antenna and its modem.",
        }),
    });
    let quarantine = trouble.quarantine.map(|quarantine| Episode {
        station,
        kind: IncidentKind::IdentityConflict,
        since_ms: quarantine.since_ms,
        detail: json!({
            "quarantined_s": quarantine.until_ms.saturating_sub(quarantine.since_ms) / 1_000,
            "why": "Two devices log in as this station: its key was copied. Neither gets a session; provision it anew.",
        }),
    });
    flapping.into_iter().chain(quarantine).collect()
}

async fn write(app: &App, episode: Episode) -> Result<()> {
    let Episode { station, kind, since_ms, detail } = episode;
    let written = app.db.write(move |tx| {
        let detail = detail.clone();
        Box::pin(async move {
            // A gateway that tests take for ours may know stations that we do not.
            let known = station::Entity::find_by_id(station).one(tx).await?;
            let about = About { station: known.map(|row| row.id), ..About::default() };
            incidents::report(tx, kind, format!("{station}:{since_ms}"), about, detail).await
        })
    });
    written.await
}
