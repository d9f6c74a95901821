//! `chautari trace`: the frames of one station, live and explained.

use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use entities::station;
use protocol::control::{TraceDirection, TraceEnd, TraceLine, TracedFrame};
use protocol::explain::time_of_day;
use protocol::types::StationId;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::books;
use crate::cli::Trace;
use crate::control::Control;
use crate::settings::Settings;

/// The longest line that a gateway may send.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Prints until the trace ends by itself, or nobody reads any more.
pub(crate) async fn run(asked: Trace, settings: &Settings, control: &Control) -> anyhow::Result<()> {
    let station_id = find(&asked.station, settings).await?;
    let path = format!("stations/{station_id}/trace?seconds={}", asked.seconds);
    let mut response = control.call(Method::GET, &path).await?;
    let mut out = std::io::stdout();
    let has_colours = out.is_terminal();
    let mut pending = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the gateway broke the trace off")? {
        pending.extend_from_slice(&chunk);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let parsed: TraceLine = serde_json::from_slice(&line)?;
            let is_last = matches!(parsed, TraceLine::End { .. });
            let text = if asked.json {
                Some(String::from_utf8(line)?.trim_end().to_owned())
            } else {
                explain(&parsed, has_colours)
            };
            // Nobody reads any more: that is an end, too.
            if text.is_some_and(|text| writeln!(out, "{text}").and_then(|()| out.flush()).is_err()) || is_last
            {
                return Ok(());
            }
        }
        if pending.len() > LINE_BYTES_MAX {
            bail!("the gateway sends a line without an end");
        }
    }
    bail!("the gateway ended the trace without a word; is it still running?")
}

/// A station by its id or by what its sticker says.
async fn find(named: &str, settings: &Settings) -> anyhow::Result<StationId> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let db = books::open(settings).await?;
    let known = station::Entity::find().filter(station::Column::SerialNumber.eq(named));
    let row = known.one(db.read()).await.context("cannot read the books")?;
    let Some(row) = row else { bail!("no station has the serial number {named}, and it is no station's id") };
    db.close().await.map_err(anyhow::Error::from)?;
    Ok(row.id.0.into())
}

fn explain(line: &TraceLine, has_colours: bool) -> Option<String> {
    let grey = |at_ms: u64, text: String| {
        Some(format!("{}  {}", time_of_day(at_ms), paint("90", has_colours, &text)))
    };
    match line {
        TraceLine::Frame(frame) => Some(explain_frame(frame, has_colours)),
        TraceLine::Begin { station_id, now_ms, until_ms, epoch, .. } => {
            let session = epoch
                .map_or_else(|| "without a session here".to_owned(), |epoch| format!("in session {epoch}"));
            let until = time_of_day(*until_ms);
            grey(*now_ms, format!(" *  station {station_id} {session}; the trace ends at {until} UTC"))
        }
        TraceLine::Closed { at_ms, epoch, is_session, reason } => {
            let what = if *is_session { "session" } else { "login" };
            grey(*at_ms, format!(" *  the connection of {what} {epoch} is closed: {reason}"))
        }
        TraceLine::Dropped { lines } => Some(format!(
            "{:12}  {}",
            "",
            paint("31", has_colours, &format!(" *  {lines} lines came too fast and are not shown"))
        )),
        TraceLine::Tick { .. } => None,
        TraceLine::End { reason } => {
            let why = match reason {
                TraceEnd::TimeOver => "its time is over",
                TraceEnd::Stopping => "the gateway stops",
            };
            Some(format!("{:12}  {}", "", paint("90", has_colours, &format!(" *  the trace ends: {why}"))))
        }
    }
}

fn explain_frame(frame: &TracedFrame, has_colours: bool) -> String {
    let (mark, colour) = match frame.direction {
        TraceDirection::FromStation => ("-->", "36"),
        TraceDirection::ToStation => ("<--", "32"),
    };
    let text = format!("{mark} {:<11} #{:<4} {}", frame.message, frame.seq, frame.text);
    format!("{}  {}", time_of_day(frame.at_ms), paint(colour, has_colours, &text))
}

fn paint(colour: &str, has_colours: bool, text: &str) -> String {
    if has_colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::types::Epoch;

    #[test]
    fn a_frame_is_a_line_with_time_direction_message_and_meaning() {
        let frame = TracedFrame {
            at_ms: 1_000,
            direction: TraceDirection::FromStation,
            epoch: Epoch(1),
            is_session: true,
            message: "HEARTBEAT".to_owned(),
            seq: 4,
            ack: 2,
            bytes: 20,
            text: "the link lives".to_owned(),
        };
        let line = explain(&TraceLine::Frame(frame), false).unwrap();
        assert_eq!(line, "00:00:01.000  --> HEARTBEAT   #4    the link lives");
    }
}
