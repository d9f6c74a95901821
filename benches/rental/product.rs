//! The product as a process of its own, with what the bench needs to be allowed in.

use serde_json::{Value, json};
use simulator::rest::{OneTimePasswords, Rest};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chautari");
const PUBLIC: &str = "http://127.0.0.1:27480";
pub(super) const STATION_PORT: &str = "127.0.0.1:27420";
const STAFF: (&str, &str) = ("bench@chautari.example", "a-password-of-a-bench");

pub(super) struct Product {
    pub(super) rest: Rest,
    /// Reads the codes that riders are sent.
    pub(super) log: Log,
    data_dir: PathBuf,
    database: Option<String>,
    child: Child,
}

/// The product's log, where the console's texts are.
pub(super) struct Log(PathBuf);

impl OneTimePasswords for Log {
    fn newest_for(&self, phone: &str) -> Option<String> {
        let log = fs::read_to_string(&self.0).ok()?;
        let (_, text) = log.lines().rev().find_map(|line| line.split_once(phone))?;
        text.split(|letter: char| !letter.is_ascii_digit()).find(|word| word.len() == 6).map(str::to_owned)
    }
}

impl Product {
    pub(super) async fn start(data_dir: &Path, database: Option<&str>) -> Self {
        let path = data_dir.join("log");
        let log = File::create(&path).unwrap();
        let database = database.map(str::to_owned);
        let mut command = command(data_dir, database.as_deref());
        command.arg("up").stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let product = Self {
            rest: Rest::new(PUBLIC).unwrap(),
            log: Log(path),
            data_dir: data_dir.to_owned(),
            database,
            child,
        };
        for _ in 0..100 {
            if product.rest.get::<Value>("app/health").await.is_ok() {
                return product;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the product does not come up: {}", fs::read_to_string(&product.log.0).unwrap());
    }

    /// Runs another command on the same data and answers what it printed.
    pub(super) fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut command = command(&self.data_dir, self.database.as_deref());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// The API as staff use it.
    pub(super) async fn staff(&self) -> Rest {
        let (email, password) = STAFF;
        self.run(&["staff", "create", "--email", email, "--password-stdin"], &format!("{password}\n"));
        let body = json!({ "email": email, "password": password });
        let signed_in: Value = self.rest.post("admin/login", &body).await.unwrap();
        self.rest.with_access_token(signed_in["token"].as_str().unwrap().to_owned())
    }

    /// User and system time of all its threads, from the scheduler's own account in nanoseconds.
    pub(super) fn cpu_us(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = |task: fs::DirEntry| -> f64 {
            // A thread that ends meanwhile was idle.
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or(0.0)
        };
        tasks.map(|task| nanoseconds(task.unwrap())).sum::<f64>() / 1_000.0
    }

    /// Stops it as an operator does, and lets it look at its own books.
    pub(super) fn stop_and_audit(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap();
        println!("{}", self.run(&["audit"], "").trim_end());
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Already gone unless the bench failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data_dir: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data-dir")
        .arg(data_dir)
        .env("CHAUTARI__GATEWAY__LISTEN", STATION_PORT)
        .env("CHAUTARI__GATEWAY__CONTROL_LISTEN", "127.0.0.1:27421")
        .env("CHAUTARI__GATEWAY__BACKEND_URL", "http://127.0.0.1:27481")
        .env("CHAUTARI__BACKEND__LISTEN", "127.0.0.1:27480")
        .env("CHAUTARI__BACKEND__INTERNAL_LISTEN", "127.0.0.1:27481")
        .env("CHAUTARI__BACKEND__PUBLIC_URL", PUBLIC)
        .env("CHAUTARI__BACKEND__GATEWAYS", "http://127.0.0.1:27421")
        // A station that the gateway has not heard of yet asks again soon.
        .env("CHAUTARI__GATEWAY__ADMISSION__PENDING_RETRY_MS", "500")
        // All riders of the bench share one address.
        .env("CHAUTARI__BACKEND__REQUESTS_PER_MINUTE_PER_IP", "0")
        .env("CHAUTARI__METRICS__LISTEN", "127.0.0.1:27490")
        .env("CHAUTARI__SMS__PROVIDER", "console")
        .env("CHAUTARI__PAYMENTS__SANDBOX", "true");
    if let Some(url) = database {
        command.env("CHAUTARI__DATABASE__URL", url);
    }
    command
}
