//! PostgreSQL's own client with scripts of one statement, one script for each rider.

use crate::{ROUND, Rider, Round};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The scripts' files.
pub(super) struct Scripts {
    _directory: TempDir,
    short: Vec<PathBuf>,
    whole: Vec<PathBuf>,
}

impl Scripts {
    pub(super) fn write(riders: &[Rider]) -> Self {
        let directory = TempDir::new().unwrap();
        let file = |name: String, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let numbered = || riders.iter().enumerate();
        let short =
            numbered().map(|(number, rider)| file(format!("short-{number}.sql"), short(rider))).collect();
        let whole =
            numbered().map(|(number, rider)| file(format!("whole-{number}.sql"), whole(rider))).collect();
        Self { short, whole, _directory: directory }
    }

    pub(super) fn run_short(&self, url: &str, clients: usize) -> Round {
        run(&self.short, url, clients)
    }

    pub(super) fn run_whole(&self, url: &str, clients: usize) -> Round {
        run(&self.whole, url, clients)
    }
}

/// Debit, credit, entry, postings.
fn short(rider: &Rider) -> String {
    one_line(&format!("with {} {};", balances_and_entry(rider), postings(rider)))
}

/// And what the rider sees.
fn whole(rider: &Rider) -> String {
    one_line(&format!(
        "with {}, posted as ({}), wallet as (
             update wallets set balance_paisa = debit.balance_paisa, updated_at = now() from debit
             where user_id = '{}' returning wallets.id, wallets.balance_paisa)
         insert into wallet_transactions (id, wallet_id, transaction_type, amount_paisa, balance_before_paisa,
             balance_after_paisa, description, metadata, created_at)
         select gen_random_uuid(), id, 'debit', 1, balance_paisa + 1, balance_paisa, 'Held for a rental', '{{}}', now()
         from wallet;",
        balances_and_entry(rider),
        postings(rider),
        rider.id
    ))
}

fn balances_and_entry(rider: &Rider) -> String {
    format!(
        "debit as (
             update ledger_balances set balance_paisa = balance_paisa - 1, updated_at = now()
             where account_id = '{}' and balance_paisa >= 1 returning balance_paisa),
         credit as (
             update ledger_balances set balance_paisa = ledger_balances.balance_paisa + 1, updated_at = now()
             from debit where account_id = '{}' returning account_id),
         entry as (
             insert into ledger_entries (id, kind, business_key, description, happened_at, created_at)
             select gen_random_uuid(), 'rental_hold', gen_random_uuid()::text, 'Held for a rental', now(), now()
             from credit returning id)",
        rider.wallet_account, rider.hold_account
    )
}

fn postings(rider: &Rider) -> String {
    format!(
        "insert into ledger_postings (id, entry_id, account_id, amount_paisa)
         select gen_random_uuid(), entry.id, side.account, side.amount from entry,
             (values ('{}'::uuid, 1::bigint), ('{}'::uuid, -1::bigint)) as side (account, amount)",
        rider.wallet_account, rider.hold_account
    )
}

/// pgbench reads a statement to its semicolon; one line is easier to read in its messages.
fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run(scripts: &[PathBuf], url: &str, clients: usize) -> Round {
    let mut command = Command::new(program());
    command.args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"]);
    command.args(["--client", &clients.to_string(), "--time", &ROUND.as_secs().to_string()]);
    for script in scripts {
        command.arg("--file").arg(script);
    }
    let output = command.arg(url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")).expect("pgbench says its rate");
    let tps: f64 = tps.split(' ').next().unwrap().parse().unwrap();
    Round { debits: (tps * ROUND.as_secs_f64()).round() as u64, took: ROUND, cpu_us: None }
}

/// In the path, or where Debian puts it.
fn program() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let installed = versions.map(|version| version.unwrap().path().join("bin/pgbench"));
    installed.filter(|path| path.exists()).max().unwrap_or_else(|| Path::new("pgbench").to_owned())
}
