//! Read-only check that the books of rentals, commands, holds and places agree (R1–R8).

use super::bills;
use super::delivery::{self, DOUBT_FOR_STAFF};
use super::overdue;
use super::pricing::RULES_VERSION;
use crate::error::Result;
pub use crate::payments::audit::Finding;
use chrono::{DateTime, Utc};
use entities::command::{self, CommandState};
use entities::hold::{self, HoldState};
use entities::id::{CommandId, PowerBankId, RentalId, StationId, StationSlotId, UserId};
use entities::incident::{self, IncidentKind};
use entities::job::{self, JobState};
use entities::money::Paisa;
use entities::power_bank::{self, PowerBankStatus};
use entities::rental::{self, RentalStatus};
use entities::{rental_extension, station_event, station_inventory, station_slot, user};
use protocol::control::Inventory;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Everything that contradicts a rule at `now`; nothing in a healthy installation.
pub async fn audit(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<Finding>> {
    let books = Books::read(db).await?;
    let mut findings = Findings(Vec::new());
    one_open_rental_per_bank(&books, &mut findings);
    seats_are_counted(&books, &mut findings);
    holds_are_resolved_once(&books, &mut findings);
    what_is_out_has_evidence(&books, &mut findings);
    banks_are_in_one_place(&books, &mut findings);
    lost_banks_are_nowhere(&books, &mut findings);
    bills_can_be_made_again(&books, &mut findings)?;
    extensions_are_in_the_terms(&books, &mut findings);
    effects_happened(&books, &mut findings);
    nothing_waits_unseen(&books, now, &mut findings);
    commands_are_whole(&books, &mut findings);
    inventories_agree(&books, &mut findings)?;
    inbox_is_applied(&books, &mut findings);
    Ok(findings.0)
}

/// Rules: `R1` to `R8`, `commands`, `inventory`, `inbox`.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        rule: &'static str,
        table: &'static str,
        id: impl fmt::Display,
        what: impl Into<String>,
    ) {
        self.0.push(Finding { rule, table, id: id.to_string(), what: what.into() });
    }
}

struct Books {
    rentals: Vec<rental::Model>,
    commands: HashMap<CommandId, command::Model>,
    holds: HashMap<RentalId, hold::Model>,
    users: Vec<user::Model>,
    banks: Vec<power_bank::Model>,
    slots: HashMap<(StationId, i32), StationSlotId>,
    inventories: Vec<station_inventory::Model>,
    newest_event: HashMap<StationId, i64>,
    waiting_events: Vec<station_event::Model>,
    /// (queue, command or rental) of jobs that will run.
    live_jobs: HashSet<(String, String)>,
    incidents: Vec<incident::Model>,
    extensions: Vec<rental_extension::Model>,
}

impl Books {
    async fn read(db: &impl ConnectionTrait) -> Result<Self> {
        let commands = command::Entity::find().all(db).await?;
        let holds = hold::Entity::find().all(db).await?;
        let slots = station_slot::Entity::find().all(db).await?;
        let events = station_event::Entity::find().all(db).await?;
        let mut newest_event = HashMap::new();
        for event in &events {
            let newest = newest_event.entry(event.station_id).or_insert(0);
            *newest = event.event_no.max(*newest);
        }
        let live = job::Entity::find()
            .filter(job::Column::Queue.is_in([delivery::QUEUE.name, overdue::QUEUE.name]))
            .filter(job::Column::State.is_in([JobState::Ready, JobState::Running]))
            .all(db)
            .await?;
        let about = |job: &job::Model| {
            let named = job.payload.get("command").or_else(|| job.payload.get("rental"));
            named.and_then(|id| id.as_str()).unwrap_or_default().to_owned()
        };
        Ok(Self {
            rentals: rental::Entity::find().all(db).await?,
            commands: commands.into_iter().map(|row| (row.id, row)).collect(),
            holds: holds.into_iter().map(|row| (row.rental_id, row)).collect(),
            users: user::Entity::find().all(db).await?,
            banks: power_bank::Entity::find().all(db).await?,
            slots: slots.into_iter().map(|row| ((row.station_id, row.slot_number), row.id)).collect(),
            inventories: station_inventory::Entity::find().all(db).await?,
            newest_event,
            waiting_events: events.into_iter().filter(|row| row.applied_at.is_none()).collect(),
            live_jobs: live.iter().map(|job| (job.queue.clone(), about(job))).collect(),
            incidents: incident::Entity::find().all(db).await?,
            extensions: rental_extension::Entity::find().all(db).await?,
        })
    }

    fn open(&self) -> impl Iterator<Item = &rental::Model> {
        self.rentals.iter().filter(|row| is_open(row.status))
    }

    fn eject(&self, rental: &rental::Model) -> Option<&command::Model> {
        self.commands.get(&rental.eject_cmd_id?)
    }

    fn has_job(&self, queue: &str, id: impl fmt::Display) -> bool {
        self.live_jobs.contains(&(queue.to_owned(), id.to_string()))
    }

    fn has_incident(&self, rental: RentalId, kinds: &[IncidentKind]) -> bool {
        self.incidents.iter().any(|row| row.rental_id == Some(rental) && kinds.contains(&row.kind))
    }
}

fn is_open(status: RentalStatus) -> bool {
    match status {
        RentalStatus::Pending | RentalStatus::Active | RentalStatus::Overdue => true,
        RentalStatus::Lost | RentalStatus::Completed | RentalStatus::Cancelled => false,
    }
}

fn one_open_rental_per_bank(books: &Books, findings: &mut Findings) {
    let mut seen: HashSet<PowerBankId> = HashSet::new();
    for rental in books.open() {
        match rental.power_bank_id {
            Some(bank) if !seen.insert(bank) => {
                findings.add("R1", "rentals", rental.id, format!("bank {bank} has another open rental"));
            }
            Some(_) => {}
            None => findings.add("R1", "rentals", rental.id, "open without a bank"),
        }
    }
}

fn seats_are_counted(books: &Books, findings: &mut Findings) {
    let mut seats: HashMap<UserId, i32> = HashMap::new();
    for rental in books.open().filter(|row| row.seat_released_at.is_none()) {
        *seats.entry(rental.user_id).or_default() += 1;
    }
    for user in &books.users {
        let seated = seats.get(&user.id).copied().unwrap_or(0);
        if user.open_rentals != seated {
            let what = format!("open_rentals is {}, but {seated} rentals count", user.open_rentals);
            findings.add("R2", "users", user.id, what);
        }
    }
}

fn holds_are_resolved_once(books: &Books, findings: &mut Findings) {
    for rental in &books.rentals {
        let Some(hold) = books.holds.get(&rental.id) else {
            findings.add("R3", "rentals", rental.id, "has no hold");
            continue;
        };
        let reopened = books.has_incident(rental.id, &[IncidentKind::LateEvidence]);
        let fits = match (rental.status, hold.state) {
            (RentalStatus::Pending, HoldState::Held)
            | (RentalStatus::Active | RentalStatus::Overdue, HoldState::Held)
            | (RentalStatus::Lost | RentalStatus::Completed, HoldState::Captured)
            | (RentalStatus::Cancelled, HoldState::Voided) => true,
            (
                RentalStatus::Active | RentalStatus::Overdue | RentalStatus::Lost | RentalStatus::Completed,
                HoldState::Voided,
            ) => reopened,
            (RentalStatus::Pending, HoldState::Captured | HoldState::Voided)
            | (RentalStatus::Active | RentalStatus::Overdue, HoldState::Captured)
            | (RentalStatus::Lost | RentalStatus::Completed, HoldState::Held)
            | (RentalStatus::Cancelled, HoldState::Held | HoldState::Captured) => false,
        };
        if !fits {
            findings.add(
                "R3",
                "holds",
                hold.id,
                format!("{} while its rental is {}", hold.state, rental.status),
            );
        }
        if hold.amount_paisa != rental.hold_paisa {
            findings.add("R3", "holds", hold.id, "not the amount that the rental says");
        }
    }
}

fn what_is_out_has_evidence(books: &Books, findings: &mut Findings) {
    for rental in &books.rentals {
        let is_proven = books.eject(rental).is_some_and(|eject| eject.state == CommandState::Done);
        match rental.status {
            RentalStatus::Active | RentalStatus::Overdue | RentalStatus::Lost | RentalStatus::Completed
                if !is_proven =>
            {
                findings.add(
                    "R4",
                    "rentals",
                    rental.id,
                    format!("{} and its eject is not done", rental.status),
                );
            }
            RentalStatus::Pending
            | RentalStatus::Active
            | RentalStatus::Overdue
            | RentalStatus::Lost
            | RentalStatus::Completed
            | RentalStatus::Cancelled => {}
        }
    }
}

fn banks_are_in_one_place(books: &Books, findings: &mut Findings) {
    let rented: HashMap<PowerBankId, RentalStatus> =
        books.open().filter_map(|row| Some((row.power_bank_id?, row.status))).collect();
    for bank in &books.banks {
        let in_slot = bank.current_slot.is_some();
        let fits = match (bank.status, rented.get(&bank.id)) {
            (PowerBankStatus::Available, None) => in_slot,
            (PowerBankStatus::Rented, Some(RentalStatus::Pending)) => true,
            (PowerBankStatus::Rented, Some(RentalStatus::Active | RentalStatus::Overdue)) => !in_slot,
            (PowerBankStatus::Missing, None) => !in_slot,
            (PowerBankStatus::Maintenance | PowerBankStatus::Damaged, None) => true,
            (
                PowerBankStatus::Rented,
                None | Some(RentalStatus::Lost | RentalStatus::Completed | RentalStatus::Cancelled),
            )
            | (
                PowerBankStatus::Available
                | PowerBankStatus::Missing
                | PowerBankStatus::Maintenance
                | PowerBankStatus::Damaged,
                Some(_),
            ) => false,
        };
        if !fits {
            let slot = if in_slot { "in a slot" } else { "in no slot" };
            let rental = rented
                .get(&bank.id)
                .map_or("no open rental".to_owned(), |status| format!("a rental that is {status}"));
            findings.add("R5", "power_banks", bank.id, format!("{}, {slot}, with {rental}", bank.status));
        }
    }
}

/// A bank that was bought is in no slot: as soon as one shows it, the purchase is turned round.
fn lost_banks_are_nowhere(books: &Books, findings: &mut Findings) {
    let lost = books.rentals.iter().filter(|row| row.status == RentalStatus::Lost);
    for rental in lost {
        let bank = books.banks.iter().find(|bank| Some(bank.id) == rental.power_bank_id);
        if bank.is_none_or(|bank| bank.current_slot.is_some()) {
            findings.add("R5", "rentals", rental.id, "lost, and its bank is in a slot");
        }
    }
}

fn bills_can_be_made_again(books: &Books, findings: &mut Findings) -> Result<()> {
    let billed = books.rentals.iter().filter(|row| {
        matches!(row.status, RentalStatus::Lost | RentalStatus::Completed)
            && row.rules_version == RULES_VERSION
    });
    for rental in billed {
        let Ok(bill) = bills::of(rental) else {
            findings.add("R6", "rentals", rental.id, format!("{} without its times", rental.status));
            continue;
        };
        let charged = Paisa(rental.amount_paid_paisa.0 + rental.due_paisa.0);
        if charged != bill.total || rental.overdue_amount_paisa != bill.late_fee {
            let what = format!("charged {charged}, the bill is {}", bill.total);
            findings.add("R6", "rentals", rental.id, what);
        }
    }
    Ok(())
}

/// What riders bought is what their bills are made of.
fn extensions_are_in_the_terms(books: &Books, findings: &mut Findings) {
    for rental in &books.rentals {
        // Terms that cannot be read are found by their bill.
        let Ok(snapshot) = super::case::snapshot(rental) else { continue };
        let terms = snapshot.extensions.iter().map(|bought| (i64::from(bought.minutes), bought.price_paisa));
        let rows = books.extensions.iter().filter(|row| row.rental_id == rental.id);
        let rows = rows.map(|row| (i64::from(row.extended_minutes), row.extension_cost_paisa.0));
        let (mut terms, mut rows): (Vec<_>, Vec<_>) = (terms.collect(), rows.collect());
        terms.sort_unstable();
        rows.sort_unstable();
        if terms != rows {
            findings.add("R6", "rentals", rental.id, "its terms and its extensions differ");
        }
    }
}

fn effects_happened(books: &Books, findings: &mut Findings) {
    for rental in &books.rentals {
        let Some(eject) = books.eject(rental) else {
            findings.add("R7", "rentals", rental.id, "its eject is missing");
            continue;
        };
        let told = books.has_incident(rental.id, &[IncidentKind::LateEvidence]);
        let fits = match (eject.state, rental.status) {
            (CommandState::New | CommandState::Offered | CommandState::Received, RentalStatus::Pending)
            | (
                CommandState::Expired | CommandState::Rejected | CommandState::Failed,
                RentalStatus::Cancelled,
            )
            | (
                CommandState::Done,
                RentalStatus::Active | RentalStatus::Overdue | RentalStatus::Lost | RentalStatus::Completed,
            ) => true,
            (CommandState::Done, RentalStatus::Cancelled) => told,
            (CommandState::Done, RentalStatus::Pending)
            | (
                CommandState::Expired | CommandState::Rejected | CommandState::Failed,
                RentalStatus::Pending
                | RentalStatus::Active
                | RentalStatus::Overdue
                | RentalStatus::Lost
                | RentalStatus::Completed,
            )
            | (
                CommandState::New | CommandState::Offered | CommandState::Received,
                RentalStatus::Active
                | RentalStatus::Overdue
                | RentalStatus::Lost
                | RentalStatus::Completed
                | RentalStatus::Cancelled,
            ) => false,
        };
        if !fits {
            let what = format!("{} while its eject {} is {}", rental.status, eject.id, eject.state);
            findings.add("R7", "rentals", rental.id, what);
        }
    }
}

fn nothing_waits_unseen(books: &Books, now: DateTime<Utc>, findings: &mut Findings) {
    for rental in books.open() {
        match rental.status {
            RentalStatus::Pending => {
                let Some(eject) = books.eject(rental) else { continue };
                if !books.has_job(delivery::QUEUE.name, eject.id) {
                    findings.add("R8", "rentals", rental.id, "pending, and no job will settle it");
                }
                let is_old = now > eject.expires_at + DOUBT_FOR_STAFF + chrono::TimeDelta::hours(1);
                if is_old && !books.has_incident(rental.id, &[IncidentKind::CommandInDoubt]) {
                    findings.add("R8", "rentals", rental.id, "in doubt for a day, and staff were not told");
                }
            }
            RentalStatus::Active => {
                if !books.has_job(overdue::QUEUE.name, rental.id) {
                    findings.add("R8", "rentals", rental.id, "active, and no job watches its due time");
                }
            }
            // Staff see it in their list, and it is lost at its time.
            RentalStatus::Overdue => {
                if !books.has_job(overdue::QUEUE.name, rental.id) {
                    findings.add("R8", "rentals", rental.id, "overdue, and no job watches until it is lost");
                }
            }
            RentalStatus::Lost | RentalStatus::Completed | RentalStatus::Cancelled => {}
        }
    }
}

fn commands_are_whole(books: &Books, findings: &mut Findings) {
    for row in books.commands.values() {
        match row.state {
            CommandState::New | CommandState::Offered | CommandState::Received => {
                if !books.has_job(delivery::QUEUE.name, row.id) {
                    findings.add(
                        "commands",
                        "commands",
                        row.id,
                        format!("{}, and no job delivers it", row.state),
                    );
                }
            }
            CommandState::Expired | CommandState::Rejected | CommandState::Failed | CommandState::Done => {
                if row.finished_at.is_none() {
                    findings.add("commands", "commands", row.id, format!("{} without a time", row.state));
                }
            }
        }
    }
}

/// A slot table that no event has overtaken shows every bank where the book has it.
fn inventories_agree(books: &Books, findings: &mut Findings) -> Result<()> {
    let banks: HashMap<&str, &power_bank::Model> =
        books.banks.iter().map(|row| (row.serial_number.as_str(), row)).collect();
    let open: HashSet<PowerBankId> = books.open().filter_map(|row| row.power_bank_id).collect();
    for row in &books.inventories {
        let inventory: Inventory = serde_json::from_value(row.body.clone())?;
        // The table itself is an event, the one after the last that it contains.
        let overtaken =
            books.newest_event.get(&row.station_id).is_some_and(|newest| *newest > row.as_of_event_no + 1);
        if overtaken {
            continue;
        }
        for report in &inventory.slots {
            let slot = books.slots.get(&(row.station_id, i32::from(report.slot)));
            let (Some(slot), Some(serial)) = (slot, report.bank) else { continue };
            let Some(bank) = banks.get(serial.to_string().as_str()) else { continue };
            // Another station has seen it since.
            let moved_on = bank.last_updated > row.taken_at;
            if bank.current_slot != Some(*slot) && !open.contains(&bank.id) && !moved_on {
                let what = format!("station {} shows it in slot {}", row.station_id, report.slot);
                findings.add("inventory", "power_banks", bank.id, what);
            }
        }
    }
    Ok(())
}

fn inbox_is_applied(books: &Books, findings: &mut Findings) {
    for event in &books.waiting_events {
        let state = if event.parked { "is parked with an incident" } else { "waits to be applied" };
        let what = format!("event {} of station {} {state}", event.event_no, event.station_id);
        findings.add("inbox", "station_events", event.id, what);
    }
}
