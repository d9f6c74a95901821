//! A provider's server: a book behind a lock, an API that may misbehave, and pages for people.

use crate::control;
use crate::misbehaviour::{Misbehaviour, Plan, Temper};
use crate::world::World;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// The greatest request that a double reads, bytes.
const BODY_MAX_BYTES: usize = 1 << 20;

/// What makes a server a certain provider: the implementing struct is its book.
pub trait Provider: Sized + Send + 'static {
    /// What programs call. Every call is remembered and may be mistreated.
    fn api() -> Router<Arc<Site<Self>>>;

    /// What people see: hosted pages and their buttons. Always works.
    fn pages() -> Router<Arc<Site<Self>>>;
}

/// A running double. It stops when this is dropped.
#[derive(Debug)]
pub struct Double<P: Provider> {
    site: Arc<Site<P>>,
    server: AbortHandle,
}

impl<P: Provider> Double<P> {
    /// Starts one on a free port of this machine.
    pub async fn start(book: P, world: World) -> io::Result<Self> {
        Self::serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, book, world)
    }

    /// Starts one on a port of the caller's choice.
    pub fn serve(listener: TcpListener, book: P, world: World) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let site = Arc::new(Site {
            address,
            world,
            book: Mutex::new(book),
            temper: Mutex::default(),
            received: Mutex::default(),
        });
        let gate = middleware::from_fn_with_state(site.clone(), gate::<P>);
        let router =
            P::api().route_layer(gate).merge(P::pages()).merge(control::routes()).with_state(site.clone());
        let server = tokio::spawn(accept(listener, router)).abort_handle();
        Ok(Self { site, server })
    }
}

impl<P: Provider> Drop for Double<P> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl<P: Provider> Deref for Double<P> {
    type Target = Arc<Site<P>>;

    fn deref(&self) -> &Self::Target {
        &self.site
    }
}

/// What handlers and tests share of a double.
#[derive(Debug)]
pub struct Site<P> {
    address: SocketAddr,
    world: World,
    book: Mutex<P>,
    temper: Mutex<Temper>,
    received: Mutex<Vec<Received>>,
}

/// A call to the API, as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub method: Method,
    /// Where, with the query.
    pub uri: Uri,
    /// As they came.
    pub headers: HeaderMap,
    /// As it came.
    pub body: Bytes,
}

impl<P> Site<P> {
    /// Where clients are pointed to: `http://127.0.0.1:40123`, no slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its clock and its ids.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What the provider knows. Do not hold it across an await.
    pub fn book(&self) -> MutexGuard<'_, P> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mistreats the next `times` calls.
    pub fn misbehave(&self, what: Misbehaviour, times: usize) {
        self.misbehave_at("", what, times);
    }

    /// Mistreats the next `times` calls whose path contains `path`.
    pub fn misbehave_at(&self, path: &str, what: Misbehaviour, times: usize) {
        self.order(Plan { what, times, path: path.to_owned() });
    }

    /// Forgets all misbehaviour that was ordered.
    pub fn behave(&self) {
        self.temper().0.clear();
    }

    /// Every call to the API so far, mistreated ones too.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn order(&self, plan: Plan) {
        self.temper().0.push(plan);
    }

    pub(crate) fn temper(&self) -> MutexGuard<'_, Temper> {
        self.temper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Remembers a call and treats it as ordered.
async fn gate<P: Provider>(State(site): State<Arc<Site<P>>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let call = Received {
        at: site.world.now(),
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    site.received.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let what = site.temper().take(parts.uri.path());
    let work = next.run(Request::from_parts(parts, Body::from(body)));
    match what {
        None => work.await,
        Some(what) => treat(what, work).await,
    }
}

async fn treat(what: Misbehaviour, work: impl Future<Output = Response>) -> Response {
    match what {
        Misbehaviour::Slow { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            work.await
        }
        Misbehaviour::LosesAnswer => {
            work.await;
            hang_up()
        }
        Misbehaviour::Stalls => {
            work.await;
            std::future::pending().await
        }
        Misbehaviour::HangsUp => hang_up(),
        Misbehaviour::Fails { status } => {
            let body = r#"{"code":0,"error_message":"Service is currently unavailable"}"#;
            (status_of(status), [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Misbehaviour::HtmlPage { status } => {
            let page = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>\
                        <body><center><h1>502 Bad Gateway</h1></center><hr>nginx</body></html>";
            (status_of(status), Html(page)).into_response()
        }
        Misbehaviour::BreaksJson => {
            let (mut parts, body) = work.await.into_parts();
            let whole = to_bytes(body, BODY_MAX_BYTES).await.unwrap_or_default();
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
        }
        Misbehaviour::Floods { bytes } => {
            ([(header::CONTENT_TYPE, "application/json")], format!("\"{}\"", "x".repeat(bytes)))
                .into_response()
        }
    }
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Marks an answer that is never sent: the connection is closed instead.
#[derive(Clone, Copy)]
struct HangUp;

fn hang_up() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(HangUp);
    response
}

async fn accept(listener: TcpListener, router: Router) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let service = TowerToHyperService::new(Line(router.clone()));
        connections.spawn(async move {
            // A connection that ends in an error was mistreated, or its caller went away.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A router whose answers may be no answer at all.
#[derive(Clone)]
struct Line(Router);

impl tower::Service<hyper::Request<Incoming>> for Line {
    type Response = Response;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Incoming>) -> Self::Future {
        let answer = tower::ServiceExt::oneshot(self.0.clone(), request.map(Body::new));
        Box::pin(async move {
            let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
            match response.extensions().get::<HangUp>() {
                Some(HangUp) => Err(io::Error::other("the double hangs up")),
                None => Ok(response),
            }
        })
    }
}
