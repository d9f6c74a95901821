//! `chautari audit`: a read-only check that rentals, places, commands and the ledger agree.

use std::fmt::Write;

use backend::app::App;
use backend::payments::audit::Finding;

/// What one look at the books found.
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Reads the books of one moment, even while they are being written.
    pub(crate) async fn make(app: &App) -> anyhow::Result<Self> {
        let moment = app.db.snapshot().await?;
        let mut findings = backend::payments::audit::audit(&moment).await?;
        findings.extend(backend::rentals::audit::audit(&moment, app.clock.now()).await?);
        Ok(Self { findings })
    }

    /// Whether the books contradict nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_clean() {
            return f.write_str("audit: clean. Rentals R1–R8, places, commands and the ledger L1–L8 agree.");
        }
        writeln!(f, "audit: {} finding(s)", self.findings.len())?;
        let mut lines = String::new();
        for finding in &self.findings {
            writeln!(lines, "  {finding}")?;
        }
        f.write_str(lines.trim_end())
    }
}
