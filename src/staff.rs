//! `chautari staff create`: the first person who may sign in to the console.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use backend::app::App;
use backend::staff::{self, NewStaff};

/// Creates a member of staff; the password never stands on the command line, where others could read it.
pub(crate) async fn create(app: &App, email: &str, role: &str, password_stdin: bool) -> anyhow::Result<()> {
    let password = if password_stdin { read_line()? } else { ask_twice()? };
    let role = role.parse().map_err(|_| anyhow::anyhow!("{role} is not a role"))?;
    staff::create(app, NewStaff { email: email.to_owned(), password, role }).await?;
    println!("{email} may sign in to the console now.");
    Ok(())
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("no password on standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask_twice() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask at; pass the password with --password-stdin");
    }
    let password = rpassword::prompt_password("Password: ")?;
    if password != rpassword::prompt_password("The same again: ")? {
        bail!("the two passwords differ");
    }
    Ok(password)
}
