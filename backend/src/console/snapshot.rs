//! What the live page shows, read in a handful of queries.

use crate::app::App;
use crate::error::Result;
use crate::stations::presence::ConnectionState;
use crate::stations::view::RENTABLE_LEVEL_MIN_PERCENT;
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use entities::id::{StationId, StationSlotId};
use entities::incident::IncidentState;
use entities::money::Paisa;
use entities::power_bank::PowerBankStatus;
use entities::rental::RentalStatus;
use entities::station_slot::SlotStatus;
use entities::{incident, power_bank, rental, station, station_event, station_slot};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use std::collections::HashMap;

/// Stations, rentals and events that one page shows.
const STATIONS_MAX: u64 = 200;
const RENTALS_MAX: u64 = 50;
const EVENTS_MAX: u64 = 40;
const PASSWORDS_MAX: usize = 8;
/// Digits of a bank's serial that are shown.
const BANK_DIGITS: usize = 6;

/// Everything on the page.
pub(super) struct Live {
    pub(super) stations_online: usize,
    pub(super) banks_ready: u64,
    pub(super) completed_today: u64,
    pub(super) earned_today: String,
    pub(super) in_doubt: u64,
    pub(super) open_incidents: u64,
    pub(super) stations: Vec<StationCard>,
    pub(super) rentals: Vec<RentalRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) passwords: Vec<PasswordRow>,
}

pub(super) struct StationCard {
    pub(super) serial: String,
    pub(super) name: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) presence: &'static str,
    pub(super) presence_detail: String,
    pub(super) rentable: u64,
    pub(super) returnable: usize,
    pub(super) slots: Vec<SlotCell>,
}

pub(super) struct SlotCell {
    pub(super) number: i32,
    /// The CSS class.
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) charge_y: i32,
    pub(super) charge_height: i32,
}

pub(super) struct RentalRow {
    pub(super) code: String,
    pub(super) station: String,
    pub(super) bank: String,
    /// The last digits, enough to tell it from the others on the page.
    pub(super) bank_end: String,
    pub(super) since: String,
    pub(super) state: &'static str,
}

pub(super) struct EventRow {
    pub(super) id: String,
    pub(super) time: String,
    pub(super) station: String,
    pub(super) text: String,
    pub(super) tone: &'static str,
}

pub(super) struct PasswordRow {
    pub(super) identifier: String,
    pub(super) code: String,
    pub(super) time: String,
}

impl Live {
    /// Reads the state of now.
    pub(super) async fn now(app: &App) -> Result<Self> {
        let db = app.db.read();
        let rows = station::Entity::find()
            .order_by_asc(station::Column::StationName)
            .limit(STATIONS_MAX)
            .all(db)
            .await?;
        let names: HashMap<StationId, String> =
            rows.iter().map(|row| (row.id, row.station_name.clone())).collect();
        let ids: Vec<StationId> = names.keys().copied().collect();
        let slots = station_slot::Entity::find()
            .filter(station_slot::Column::StationId.is_in(ids.clone()))
            .order_by_asc(station_slot::Column::SlotNumber)
            .all(db)
            .await?;
        let banks =
            power_bank::Entity::find().filter(power_bank::Column::CurrentStation.is_in(ids)).all(db).await?;
        let stations = station_cards(app, rows, slots, &banks);
        let (completed_today, earned) = takings_since(app, start_of_day(app.clock.now())).await?;
        Ok(Self {
            stations_online: stations.iter().filter(|card| card.presence == "online").count(),
            banks_ready: stations.iter().map(|card| card.rentable).sum(),
            completed_today,
            earned_today: earned.to_string(),
            in_doubt: crate::rentals::staff::in_doubt(app.clock.now()).count(db).await?,
            open_incidents: incident::Entity::find()
                .filter(incident::Column::State.eq(IncidentState::Open))
                .count(db)
                .await?,
            stations,
            rentals: open_rentals(app, &names).await?,
            events: newest_events(app, &names).await?,
            passwords: passwords(app),
        })
    }
}

fn station_cards(
    app: &App,
    rows: Vec<station::Model>,
    slots: Vec<station_slot::Model>,
    banks: &[power_bank::Model],
) -> Vec<StationCard> {
    let in_slot: HashMap<StationSlotId, &power_bank::Model> =
        banks.iter().filter_map(|bank| Some((bank.current_slot?, bank))).collect();
    let mut by_station: HashMap<StationId, Vec<station_slot::Model>> = HashMap::new();
    for slot in slots {
        by_station.entry(slot.station_id).or_default().push(slot);
    }
    let card = |row: station::Model| {
        let slots = by_station.remove(&row.id).unwrap_or_default();
        let ready = |slot: &&station_slot::Model| {
            slot.status == SlotStatus::Occupied
                && in_slot.get(&slot.id).is_some_and(|bank| {
                    bank.status == PowerBankStatus::Available
                        && bank.battery_level.is_some_and(|level| level >= RENTABLE_LEVEL_MIN_PERCENT)
                })
        };
        let (presence, presence_detail) = presence_words(app, row.id);
        StationCard {
            rentable: if presence == "online" { slots.iter().filter(ready).count() as u64 } else { 0 },
            returnable: slots.iter().filter(|slot| slot.status == SlotStatus::Available).count(),
            slots: slots.iter().map(|slot| slot_cell(slot, in_slot.get(&slot.id).copied())).collect(),
            presence,
            presence_detail,
            serial: row.serial_number,
            name: row.station_name,
            latitude: row.latitude,
            longitude: row.longitude,
        }
    };
    rows.into_iter().map(card).collect()
}

fn presence_words(app: &App, station_id: StationId) -> (&'static str, String) {
    let known = app.presence.connection(station_id);
    let since = known.since.map(|at| format!(" since {} {}", day(at), clock_time(at))).unwrap_or_default();
    let closed = known.last_close.map(|closed| format!(": {}", closed.reason)).unwrap_or_default();
    let detail = match known.state {
        ConnectionState::Suspect => format!("a sign of life is overdue{since}"),
        ConnectionState::Online if known.flapping_since.is_some() => format!("comes and goes{since}"),
        ConnectionState::Online => format!("here{since}"),
        ConnectionState::Unknown => "its gateway does not answer".to_owned(),
        ConnectionState::Offline if known.quarantined_until.is_some() => {
            "two devices use its identity".to_owned()
        }
        ConnectionState::Offline => format!("no gateway has its session{since}{closed}"),
    };
    (known.state.as_str(), detail)
}

fn slot_cell(slot: &station_slot::Model, bank: Option<&power_bank::Model>) -> SlotCell {
    let level = bank.and_then(|bank| bank.battery_level).unwrap_or(0).clamp(0, 100);
    let (kind, title) = match (slot.status, bank) {
        (SlotStatus::Occupied, Some(bank)) if level < RENTABLE_LEVEL_MIN_PERCENT => {
            ("low", format!("{} at {level} %", bank.serial_number))
        }
        (SlotStatus::Occupied, Some(bank)) => ("charged", format!("{} at {level} %", bank.serial_number)),
        (SlotStatus::Occupied, None) => ("fault", "a bank that nobody knows".to_owned()),
        (SlotStatus::Available, _) => ("empty-slot", "free".to_owned()),
        (SlotStatus::Maintenance, _) => ("disabled", "out of use".to_owned()),
        (SlotStatus::Error, _) => ("fault", "faulty".to_owned()),
    };
    let charge_height = level / 5;
    SlotCell { number: slot.slot_number, kind, title, charge_y: 22 - charge_height, charge_height }
}

async fn open_rentals(app: &App, names: &HashMap<StationId, String>) -> Result<Vec<RentalRow>> {
    let open = [RentalStatus::Pending, RentalStatus::Active, RentalStatus::Overdue];
    let rows = rental::Entity::find()
        .filter(rental::Column::Status.is_in(open))
        .find_also_related(power_bank::Entity)
        .order_by_desc(rental::Column::CreatedAt)
        .limit(RENTALS_MAX)
        .all(app.db.read())
        .await?;
    let row = |(rental, bank): (rental::Model, Option<power_bank::Model>)| {
        let bank = bank.map(|bank| bank.serial_number).unwrap_or_default();
        RentalRow {
            code: rental.rental_code,
            station: names.get(&rental.station_id).cloned().unwrap_or_default(),
            bank_end: bank.chars().skip(bank.len().saturating_sub(BANK_DIGITS)).collect(),
            bank,
            since: clock_time(rental.started_at.unwrap_or(rental.created_at)),
            state: rental.status.as_str(),
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn newest_events(app: &App, names: &HashMap<StationId, String>) -> Result<Vec<EventRow>> {
    let rows = station_event::Entity::find()
        .filter(station_event::Column::Kind.is_not_in(["inventory", "slot_state"]))
        .order_by_desc(station_event::Column::Id)
        .limit(EVENTS_MAX)
        .all(app.db.read())
        .await?;
    let row = |event: station_event::Model| {
        let (text, tone) = event_words(&event.kind, &event.body);
        EventRow {
            id: event.id.to_string(),
            time: clock_time(event.happened_at),
            station: names.get(&event.station_id).cloned().unwrap_or_default(),
            text,
            tone,
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// An event as a person would say it, and the colour of its line.
fn event_words(kind: &str, body: &Value) -> (String, &'static str) {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |name: &str| body.get(name).and_then(Value::as_u64).unwrap_or(0);
    match kind {
        "bank_inserted" => (
            format!(
                "took bank {} back in slot {} at {} %",
                text("bank"),
                number("slot"),
                number("level_percent")
            ),
            "back",
        ),
        "bank_removed" => {
            (format!("lost bank {} from slot {} without a command", text("bank"), number("slot")), "bad")
        }
        "bank_unreadable" => (format!("cannot read what is in slot {}", number("slot")), "bad"),
        "booted" => (format!("started, boot {}", number("boot_no")), ""),
        "alarm" => (format!("raised alarm {}", number("code")), "bad"),
        "command_result" => {
            let state = body.pointer("/verdict/state").and_then(Value::as_str).unwrap_or("?");
            match state {
                "done" => ("gave a bank out".to_owned(), "out"),
                other => (format!("answered a command: {other}"), "bad"),
            }
        }
        other => (other.replace('_', " "), ""),
    }
}

async fn takings_since(app: &App, since: DateTime<Utc>) -> Result<(u64, Paisa)> {
    let row: Option<(i64, Option<i64>)> = rental::Entity::find()
        .select_only()
        .column_as(rental::Column::Id.count(), "completed")
        .column_as(rental::Column::AmountPaidPaisa.sum().cast_as("bigint"), "earned")
        .filter(rental::Column::Status.eq(RentalStatus::Completed))
        .filter(rental::Column::EndedAt.gte(since))
        .into_tuple()
        .one(app.db.read())
        .await?;
    let (completed, earned) = row.unwrap_or_default();
    Ok((u64::try_from(completed).unwrap_or(0), Paisa(earned.unwrap_or(0))))
}

fn passwords(app: &App) -> Vec<PasswordRow> {
    if !app.settings.backend.demo {
        return Vec::new();
    }
    let row = |sent: crate::identity::sms::SentText| PasswordRow {
        code: sent.text.chars().filter(char::is_ascii_digit).take(6).collect(),
        time: clock_time(sent.at),
        identifier: sent.to,
    };
    app.otp_outbox.newest().into_iter().take(PASSWORDS_MAX).map(row).collect()
}

/// The market's day: Nepal is 5:45 ahead of UTC and has no summer time.
fn nepal() -> Option<FixedOffset> {
    FixedOffset::east_opt(5 * 3_600 + 45 * 60)
}

fn start_of_day(now: DateTime<Utc>) -> DateTime<Utc> {
    let offset = TimeDelta::minutes(5 * 60 + 45);
    let local = (now + offset).date_naive().and_time(chrono::NaiveTime::MIN);
    local.and_utc() - offset
}

/// The day in Nepal.
pub(super) fn day(at: DateTime<Utc>) -> String {
    match nepal() {
        Some(offset) => at.with_timezone(&offset).format("%-d %b").to_string(),
        None => at.format("%-d %b").to_string(),
    }
}

/// The time of day in Nepal.
pub(super) fn clock_time(at: DateTime<Utc>) -> String {
    match nepal() {
        Some(offset) => at.with_timezone(&offset).format("%H:%M:%S").to_string(),
        None => at.format("%H:%M:%S").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_day_begins_at_midnight_in_kathmandu() {
        let just_after = "2026-11-22T18:15:01Z".parse().unwrap();
        assert_eq!(start_of_day(just_after), "2026-11-22T18:15:00Z".parse::<DateTime<Utc>>().unwrap());
        let just_before = "2026-11-22T18:14:59Z".parse().unwrap();
        assert_eq!(start_of_day(just_before), "2026-11-21T18:15:00Z".parse::<DateTime<Utc>>().unwrap());
    }

    #[test]
    fn events_are_said_in_words() {
        let done = json!({ "cmd_id": "x", "verdict": { "state": "done" } });
        assert_eq!(event_words("command_result", &done), ("gave a bank out".to_owned(), "out"));
        let back = json!({ "slot": 3, "bank": "C000000000000001", "level_percent": 40 });
        assert_eq!(
            event_words("bank_inserted", &back).0,
            "took bank C000000000000001 back in slot 3 at 40 %"
        );
    }
}
