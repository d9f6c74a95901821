//! The live trace of one station, from every gateway that is heard: it may log in at another one meanwhile.

use crate::app::App;
use crate::limits;
use crate::stations::gateway_lines::GatewayLines;
use crate::stations::presence::wire_station_id;
use entities::id::StationId;
use futures::stream::{BoxStream, SelectAll, StreamExt, unfold};
use protocol::control::TraceLine;
use reqwest::StatusCode;
use std::time::Duration;

/// What a watcher is told.
pub(crate) enum Traced {
    /// A gateway's line.
    Line(TraceLine),
    /// A gateway does not tell, or no longer.
    Silent {
        /// Its control address.
        gateway: String,
        /// Why.
        why: &'static str,
    },
}

/// All lines until each gateway has ended its trace, after [`limits::TRACE_LIFE`] at the latest.
///
/// Dropping it ends the traces.
pub(crate) async fn trace(app: &App, station: StationId) -> SelectAll<BoxStream<'static, Traced>> {
    let mut all = SelectAll::new();
    for gateway in app.presence.gateways_heard() {
        let opened = open(app, &gateway, station).await;
        let lines = match opened {
            Ok(lines) => unfold(Some((lines, gateway)), next_line).boxed(),
            Err(why) => futures::stream::iter([Traced::Silent { gateway, why }]).boxed(),
        };
        all.push(lines);
    }
    all
}

async fn open(app: &App, gateway: &str, station: StationId) -> Result<GatewayLines, &'static str> {
    let seconds = limits::TRACE_LIFE.as_secs();
    let station = wire_station_id(station);
    let url =
        format!("{}/control/v1/stations/{station}/trace?seconds={seconds}", gateway.trim_end_matches('/'));
    let request = app.http.get(url).bearer_auth(&app.secrets.internal_key).send();
    let silence = Duration::from_millis(limits::PRESENCE_SILENCE_MS);
    let Ok(Ok(response)) = tokio::time::timeout(silence, request).await else {
        return Err("it does not answer");
    };
    match response.status() {
        StatusCode::OK => Ok(GatewayLines::of(response)),
        StatusCode::SERVICE_UNAVAILABLE => Err("others trace as many stations as it allows at once"),
        _ => Err("it refuses"),
    }
}

async fn next_line(open: Option<(GatewayLines, String)>) -> Option<(Traced, Option<(GatewayLines, String)>)> {
    let (mut lines, gateway) = open?;
    match lines.next().await {
        Ok(Some(line)) => Some((Traced::Line(line), Some((lines, gateway)))),
        Ok(None) => None,
        Err(error) => {
            tracing::debug!(%gateway, error = format!("{error:#}"), "a trace broke");
            Some((Traced::Silent { gateway, why: "its trace broke" }, None))
        }
    }
}
