//! The log on the server's side: what the product has stored, read from its database and its ports, a line of JSON each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::server::Site;

/// Shorter words may stand in a log by chance.
const SECRET_DIGITS_MIN: usize = 32;
/// The part of a station's stream that is searched for.
const PAYLOAD: std::ops::Range<usize> = 48..72;
const EVENTS: &str = "SELECT json_object('what', 'event', 'station', lower(hex(station_id)), 'event_no', event_no, \
    'epoch', printf('%016x', epoch), 'kind', kind, 'body', json(body), 'parked', parked, \
    'applied', applied_at IS NOT NULL) FROM station_events ORDER BY station_id, event_no";
const COMMANDS: &str = "SELECT json_object('what', 'command', 'cmd_id', lower(hex(id)), 'station', \
    lower(hex(station_id)), 'kind', kind, 'state', state, 'uncertain', uncertain, 'bank', bank_serial, \
    'rental', lower(hex(rental_id))) FROM commands ORDER BY id";
const RENTALS: &str = "SELECT json_object('what', 'rental', 'rental', lower(hex(id)), 'status', status, \
    'cmd_id', lower(hex(eject_cmd_id)), 'paid', amount_paid_paisa) FROM rentals ORDER BY id";
const INCIDENTS: &str = "SELECT json_object('what', 'incident', 'kind', kind, 'state', state, \
    'detail', json(detail)) FROM incidents ORDER BY id";
const CROWD: &str = "SELECT json_object('what', 'crowd_station', 'station', lower(hex(id))) FROM stations \
    WHERE serial_number LIKE 'LOAD-%' ORDER BY id";
const OPEN: &str = "SELECT (SELECT count(*) FROM commands WHERE state IN ('new', 'offered', 'received')) \
    + (SELECT count(*) FROM rentals WHERE status IN ('pending', 'active', 'overdue')) \
    + (SELECT count(*) FROM station_events WHERE applied_at IS NULL AND NOT parked)";

/// Everything that is stored, in a stable order.
pub(super) async fn stored(site: &Site) -> Vec<String> {
    let mut books = open(site).await;
    let mut lines = Vec::new();
    for statement in [EVENTS, COMMANDS, RENTALS, INCIDENTS, CROWD] {
        let rows: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut books).await.expect("the books");
        lines.extend(rows);
    }
    books.close().await.expect("the books close");
    lines
}

/// How many commands and rentals have no end yet, and events no effect.
pub(super) async fn open_ends(site: &Site) -> i64 {
    let mut books = open(site).await;
    let open = sqlx::query_scalar(OPEN).fetch_one(&mut books).await.expect("the books");
    books.close().await.expect("the books close");
    open
}

async fn open(site: &Site) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(site.directory().join("chautari.db")).read_only(true);
    options.connect().await.expect("the books can be read")
}

/// Which session of each station the gateway would send a command to, and how many it names twice.
pub(super) async fn routes(site: &Site, http: &reqwest::Client) -> Vec<Value> {
    let key = fs::read_to_string(site.directory().join("secrets/internal_key")).expect("the internal key");
    let url = format!("http://{}/control/v1/presence", site.control_address());
    let asked = http.get(url).bearer_auth(key.trim()).send().await;
    let mut answer =
        asked.and_then(reqwest::Response::error_for_status).expect("the gateway tells of presence");
    let (mut buffer, mut routes) = (Vec::new(), Vec::new());
    while let Some(chunk) = answer.chunk().await.expect("the stream goes on") {
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Value = serde_json::from_slice(&buffer[..end]).expect("a line of JSON");
            buffer.drain(..=end);
            match line["line"].as_str() {
                Some("snapshot_end") => return routes,
                Some("station") => routes
                    .push(json!({ "what": "route", "station": line["station_id"], "epoch": line["epoch"] })),
                _ => {}
            }
        }
    }
    panic!("the presence stream ended inside of its snapshot");
}

/// What `/metrics` says; nothing while nobody answers.
pub(super) async fn metrics(site: &Site, http: &reqwest::Client) -> String {
    let scraped = async { http.get(site.metrics_url()).send().await?.text().await };
    scraped.await.unwrap_or_default()
}

/// Its numbers, by everything that stands before the number.
pub(super) fn numbers(metrics: &str) -> BTreeMap<String, f64> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (series, number) = line.rsplit_once(' ')?;
            Some((series.to_owned(), number.parse().ok()?))
        })
        .collect()
}

/// Everything that must not be in a log: the keys of the product, of its stations, and what stations have sent.
pub(super) fn secrets(site: &Site, streams: &[Vec<u8>]) -> Vec<Value> {
    let mut secrets = Vec::new();
    let mut add = |of: &str, secret: &str| {
        if secret.len() >= SECRET_DIGITS_MIN {
            secrets.push(json!({ "of": of, "secret": secret }));
        }
    };
    let files = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|file| file.path());
    for file in files(&site.directory().join("secrets")).chain(files(&site.directory().join("stickers"))) {
        let content = fs::read(&file).unwrap_or_default();
        add("key", &hex::encode(&content));
        let text = String::from_utf8_lossy(&content);
        text.split_whitespace().filter(|word| is_key(word)).for_each(|word| add("key", word));
    }
    // Behind the header, the versions and the station's id: the nonce and what follows.
    for payload in streams.iter().filter_map(|stream| stream.get(PAYLOAD)) {
        add("payload", &hex::encode(payload));
        add("payload", &format!("{payload:?}").replace(['[', ']'], ""));
    }
    secrets
}

/// A word as long as a key of 16 bytes that no id is.
fn is_key(word: &str) -> bool {
    word.len() >= SECRET_DIGITS_MIN && !word.contains('-') && !word.contains(':')
}

/// Writes lines to a file.
pub(super) fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.join("\n")).expect("the export can be written");
}
