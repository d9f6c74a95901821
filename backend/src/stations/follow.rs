//! Follows one gateway's presence stream for ever.

use crate::app::App;
use crate::limits;
use crate::stations::gateway_lines::GatewayLines;
use protocol::control::PresenceLine;
use tokio_util::sync::CancellationToken;

/// Reads `GET /control/v1/presence` of the gateway at `url` into the map, and again after every end.
pub(super) async fn follow(app: App, url: String, shutdown: CancellationToken) {
    let mut pause = limits::PRESENCE_RETRY_MIN;
    while !shutdown.is_cancelled() {
        let ended = tokio::select! {
            ended = read_stream(&app, &url) => ended,
            () = shutdown.cancelled() => return,
        };
        match ended {
            Ok(()) => pause = limits::PRESENCE_RETRY_MIN,
            Err(error) => tracing::debug!(gateway = %url, error = format!("{error:#}"), "no presence stream"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(limits::PRESENCE_RETRY_MAX),
            () = shutdown.cancelled() => return,
        }
    }
}

/// Answers `Ok` when a stream that had spoken ends.
async fn read_stream(app: &App, url: &str) -> anyhow::Result<()> {
    let silence = std::time::Duration::from_millis(limits::PRESENCE_SILENCE_MS);
    let request = app.http.get(format!("{}/control/v1/presence", url.trim_end_matches('/')));
    let request = request.bearer_auth(&app.secrets.internal_key);
    let response = tokio::time::timeout(silence, request.send()).await??.error_for_status()?;
    let mut lines = GatewayLines::of(response);
    while let Some(line) = lines.next::<PresenceLine>().await? {
        app.presence.apply(url, line);
    }
    Ok(())
}
