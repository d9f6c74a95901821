//! The product as a process of its own: started, killed, started again, stopped and audited from outside.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use simulator::rest::OneTimePasswords;
use tokio::time::sleep;

/// The end that the kernel gives to a process that aborts.
const SIGABRT: i32 = 6;
/// The first port that is tried; below those that the kernel gives to outgoing connections.
const PORTS_FROM: u16 = 12_000;
/// How many ports there are before the kernel's own.
const PORTS: u16 = 20_000;
/// How often a waiting test looks again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// How long a process may take to answer or to stop, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory, the addresses of the process that works on it, and its settings.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    dir: PathBuf,
    ports: [u16; 5],
    settings: Vec<(&'static str, String)>,
}

impl Site {
    /// A site that works on SQLite in `dir`, on ports that are free now.
    pub(crate) fn in_directory(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), ports: std::array::from_fn(|_| free_port()), settings: Vec::new() }
    }

    /// The same with one setting more: `database.url` is `DATABASE__URL`.
    pub(crate) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.settings.push((key, value.to_string()));
        self
    }

    /// Where stations connect.
    pub(crate) fn stations_address(&self) -> String {
        local(self.ports[0])
    }

    /// Where its processes keep everything.
    pub(crate) fn directory(&self) -> &Path {
        &self.dir
    }

    /// The gateway's control server.
    pub(crate) fn control_address(&self) -> String {
        local(self.ports[1])
    }

    /// Where Prometheus asks.
    pub(crate) fn metrics_url(&self) -> String {
        format!("http://{}/metrics", local(self.ports[4]))
    }

    /// The public API.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", local(self.ports[2]))
    }

    /// Everything that its processes have said so far.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Starts `chautari up`; it is not ready yet.
    pub(crate) fn up(&self, crash_at: Option<&str>) -> Server {
        let mut command = self.command();
        if let Some(crash_at) = crash_at {
            command.arg("--crash-at").arg(crash_at);
        }
        let log = || self.open_log();
        let child = command.arg("up").stdin(Stdio::null()).stdout(log()).stderr(log()).spawn();
        Server { child: child.expect("the binary starts"), ready_url: format!("{}/readyz", self.base_url()) }
    }

    /// Runs a command to its end and returns what it printed, `Err` if it failed.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(self.open_log());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        stdin.write_all(input.as_bytes()).expect("the command reads its input");
        drop(stdin);
        let done = child.wait_with_output().expect("the command ends");
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            Ok(printed)
        } else {
            Err(format!("{arguments:?}: {}\n{printed}", done.status))
        }
    }

    /// `chautari audit`: `Err` tells what it found.
    pub(crate) async fn audit(&self) -> Result<(), String> {
        let site = self.clone();
        let audited = tokio::task::spawn_blocking(move || site.run(&["audit"], "").map(drop));
        audited.await.expect("the audit does not panic")
    }

    fn command(&self) -> Command {
        let [stations, control, public, internal, metrics] = self.ports.map(local);
        let mut command = Command::new(env!("CARGO_BIN_EXE_chautari"));
        command.current_dir(&self.dir).arg("--data-dir").arg(&self.dir);
        for (key, value) in [
            ("GATEWAY__LISTEN", stations),
            ("GATEWAY__CONTROL_LISTEN", control.clone()),
            ("GATEWAY__BACKEND_URL", format!("http://{internal}")),
            ("GATEWAY__ADMISSION__PENDING_RETRY_MS", "100".to_owned()),
            ("GATEWAY__ADMISSION__RETRY_MIN_MS", "100".to_owned()),
            ("GATEWAY__ADMISSION__RECONNECT_MIN_MS", "50".to_owned()),
            ("GATEWAY__ADMISSION__RECONNECT_MAX_MS", "300".to_owned()),
            ("GATEWAY__ADMISSION__RECONNECT_SPREAD_MS", "50".to_owned()),
            // Power cuts and crashes make every station of these tests come and go.
            ("GATEWAY__FLAPPING__PAUSE_MS", "100".to_owned()),
            ("BACKEND__LISTEN", public.clone()),
            ("BACKEND__INTERNAL_LISTEN", internal),
            ("BACKEND__PUBLIC_URL", format!("http://{public}")),
            ("BACKEND__GATEWAYS", format!("http://{control}")),
            ("BACKEND__EJECT_LIFE_MS", "2500".to_owned()),
            ("BACKEND__REQUESTS_PER_MINUTE_PER_IP", "0".to_owned()),
            ("SMS__PROVIDER", "console".to_owned()),
            ("PAYMENTS__SANDBOX", "true".to_owned()),
            ("METRICS__LISTEN", metrics),
            ("LOG__FORMAT", "json".to_owned()),
        ] {
            command.env(format!("CHAUTARI__{key}"), value);
        }
        for (key, value) in &self.settings {
            command.env(format!("CHAUTARI__{key}"), value);
        }
        command
    }

    fn open_log(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.log()).expect("the log can be written")
    }
}

/// One run of `chautari up`. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    ready_url: String,
}

/// How a server came to its end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It aborted, as it does at a crash point.
    Aborted,
    /// Any other way; nothing in these tests asks for it.
    Otherwise(ExitStatus),
}

impl Server {
    /// Waits until it is ready, or until it has ended.
    pub(crate) async fn ready(&mut self, http: &reqwest::Client) -> Result<(), Ended> {
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            if let Some(ended) = self.ended() {
                return Err(ended);
            }
            if http.get(&self.ready_url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
            waited += LOOK_AGAIN;
        }
        panic!("{} does not become ready", self.ready_url);
    }

    /// The process's number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process takes a signal");
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<Ended> {
        let status = self.child.try_wait().expect("the process can be asked")?;
        Some(if status.signal() == Some(SIGABRT) { Ended::Aborted } else { Ended::Otherwise(status) })
    }

    /// Asks it to stop, as `systemctl stop` does, and waits; `Err` if it does not end well.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        self.signal("TERM");
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return if status.success() { Ok(()) } else { Err(format!("the stop ended with {status}")) };
            }
            sleep(LOOK_AGAIN).await;
            waited += LOOK_AGAIN;
        }
        Err(format!("the process does not stop within {PATIENCE:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one-time codes where the console provider shows them: in the log.
pub(crate) struct LoggedPasswords(pub(crate) PathBuf);

impl OneTimePasswords for LoggedPasswords {
    fn newest_for(&self, phone: &str) -> Option<String> {
        let log = fs::read_to_string(&self.0).ok()?;
        let mut texts = log.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let fields = &line["fields"];
            (fields["to"] == phone).then(|| fields["text"].as_str().map(str::to_owned))?
        });
        let digits = |word: &str| word.chars().filter(char::is_ascii_digit).collect::<String>();
        texts.next_back()?.split_whitespace().map(digits).find(|code| code.len() == 6)
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A port that nobody listens on. Other test processes begin their search elsewhere.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 97).unwrap_or_default() * 200;
    for _ in 0..PORTS {
        let port = PORTS_FROM + start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind(local(port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
