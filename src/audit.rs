//! `chautari audit`: a read-only check that rentals, places, commands and the ledger agree.

use std::sync::Arc;

use anyhow::Context;
use backend::clock::Clock;
use backend::payments::audit::Finding;
use entities::{ledger_entry, rental, station};
use protocol::clock::SystemClock;
use sea_orm::{EntityTrait, PaginatorTrait};

use crate::books;
use crate::settings::Settings;

/// What one look at the books found.
pub(crate) struct Report {
    findings: Vec<Finding>,
    stations: u64,
    rentals: u64,
    ledger_entries: u64,
}

impl Report {
    /// Reads the books of one moment, even while they are being written. Makes and migrates nothing.
    pub(crate) async fn make(settings: &Settings) -> anyhow::Result<Self> {
        let clock = Clock::new(Arc::new(SystemClock::new()));
        let db = books::open(settings).await?;
        let moment = db.snapshot().await?;
        let mut findings = backend::payments::audit::audit(&moment)
            .await
            .map_err(anyhow::Error::from)
            .context("cannot read the books; an older schema is brought up to date by `chautari migrate`")?;
        findings.extend(backend::rentals::audit::audit(&moment, clock.now()).await?);
        Ok(Self {
            findings,
            stations: station::Entity::find().count(&moment).await?,
            rentals: rental::Entity::find().count(&moment).await?,
            ledger_entries: ledger_entry::Entity::find().count(&moment).await?,
        })
    }

    /// Whether the books contradict nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { findings, stations, rentals, ledger_entries } = self;
        if findings.is_empty() {
            write!(
                f,
                "audit: clean. R1–R8, L1–L4, L6, L8, L9, statements, clearing, invoices, inventories, inbox and commands agree"
            )?;
        } else {
            write!(f, "audit: {} finding(s)", findings.len())?;
        }
        write!(f, " ({stations} stations, {rentals} rentals, {ledger_entries} ledger entries).")?;
        findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}
