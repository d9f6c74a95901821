//! The two servers, each a child process on its own runtime.

use crate::world;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::any;
use axum::{Router, http::Uri};
use backend::app::{self, App};
use backend::clock::Clock;
use backend::config::{Secrets, Settings, SmsProvider};
use backend::random::Random;
use protocol::clock::SystemClock;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How a child learns what it is.
const ROLE: &str = "--serve=";
const PHONE: &str = "+9779851000900";

/// A child process that listens, until this is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Child,
    _stdin: ChildStdin,
}

impl Server {
    /// The product on a database that it fills, and a rider's token.
    pub(super) fn product(database: &str) -> (Self, String) {
        let (server, token) = Self::start("product", json!(database));
        (server, token.as_str().unwrap().to_owned())
    }

    /// An axum handler that answers these bodies, each at the path of its operation.
    pub(super) fn memory(answers: &[Vec<u8>]) -> Self {
        let texts: Vec<_> = answers.iter().map(|answer| String::from_utf8_lossy(answer)).collect();
        Self::start("memory", json!(texts)).0
    }

    fn start(role: &str, told: Value) -> (Self, Value) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(format!("{ROLE}{role}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{told}").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["address"].as_str().unwrap().parse().unwrap();
        (Self { address, child, _stdin: stdin }, said["token"].clone())
    }

    /// User and system time of all its threads, from the scheduler's own account in nanoseconds.
    pub(super) fn cpu_us(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = |task: std::fs::DirEntry| -> f64 {
            // A thread that ends meanwhile was idle.
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or(0.0)
        };
        tasks.map(|task| nanoseconds(task.unwrap())).sum::<f64>() / 1_000.0
    }

    /// In a second without requests.
    pub(super) fn cpu_us_at_rest(&self) -> f64 {
        const LOOK: Duration = Duration::from_secs(3);
        let before = self.cpu_us();
        std::thread::sleep(LOOK);
        (self.cpu_us() - before) / LOOK.as_secs_f64()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Becomes a server if the arguments say so, until standard input ends.
pub(super) fn run_if_child() -> bool {
    let role = std::env::args().find_map(|argument| argument.strip_prefix(ROLE).map(str::to_owned));
    let Some(role) = role else { return false };
    let mut told = String::new();
    std::io::stdin().read_line(&mut told).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    // The parent is gone once standard input ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match role.as_str() {
        "product" => runtime.block_on(serve_product(told.as_str().unwrap())),
        _ => runtime.block_on(serve_memory(&told)),
    }
    true
}

async fn serve_memory(bodies: &Value) {
    let bodies = bodies.as_array().unwrap().iter().map(|body| Bytes::from(body.as_str().unwrap().to_owned()));
    let paths = crate::OPERATIONS.map(|(_, path, _)| format!("/api/v1/{}", path.split('?').next().unwrap()));
    let kept: HashMap<String, Bytes> = paths.iter().cloned().zip(bodies).collect();
    let kept = Arc::new(kept);
    let answer = move |uri: Uri| {
        let body = kept[uri.path()].clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], body).into_response() }
    };
    let router = paths.iter().fold(Router::new(), |router, path| router.route(path, any(answer.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", json!({ "address": listener.local_addr().unwrap() }));
    axum::serve(listener, router).await.unwrap();
}

async fn serve_product(database: &str) {
    let mut settings = Settings::default();
    settings.database.url = database.to_owned();
    settings.backend.gateways = Vec::new();
    settings.sms.provider = Some(SmsProvider::Console);
    let secrets = Secrets {
        internal_key: "an-internal-key-for-benches".to_owned(),
        previous_internal_key: None,
        otp_key: [7; 32],
        station_masters: BTreeMap::from([(1, [9; 32])]),
    };
    let clock = Clock::new(Arc::new(SystemClock::new()));
    let app = App::open(settings, secrets, clock, Random::from_system()).await.unwrap();
    app.migrate().await.unwrap();
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let internal = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = public.local_addr().unwrap();
    let served = tokio::spawn(app::serve(app.clone(), public, internal, CancellationToken::new()));
    let signed_in = sign_in(&app, address).await;
    world::fill(&app.db, signed_in["user"]["id"].as_str().unwrap().parse().unwrap()).await;
    println!("{}", json!({ "address": address, "token": signed_in["access_token"] }));
    served.await.unwrap().unwrap();
}

async fn sign_in(app: &App, address: SocketAddr) -> Value {
    let http = reqwest::Client::builder().build().unwrap();
    let post = async |path: &str, body: Value| {
        let answer = http.post(format!("http://{address}/api/v1/auth/otp/{path}")).json(&body).send().await;
        answer.unwrap().error_for_status().unwrap().json::<Value>().await.unwrap()
    };
    post("request", json!({ "identifier": PHONE })).await;
    let code = app.otp_outbox.newest_code_for(PHONE).unwrap();
    post("verify", json!({ "identifier": PHONE, "otp": code })).await
}
