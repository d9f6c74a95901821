//! The HTTP server: how many connections there may be, from whom, and how long a slow one may stay.
//!
//! A connection without a request is closed after a while, whatever it has sent so far: a client that gives
//! away a byte now and then holds no place for ever. A request itself has its own limits in `http`.

use crate::error::Result;
use crate::limits;
use crate::rate::AddressBlock;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::SockRef;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// What a server lets its clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections that may be open at once.
    pub(crate) connections_max: usize,
    /// Connections among them of one network; this machine's own are not counted. None behind a proxy, where
    /// all of them are the proxy's.
    pub(crate) connections_per_block_max: Option<usize>,
    /// How long a new connection may take to send the head of its first request.
    pub(crate) first_request: Duration,
    /// How long a connection may stay without a request after that.
    pub(crate) idle: Duration,
}

impl Bounds {
    /// The usual patience.
    pub(crate) fn new(connections_max: usize, connections_per_block_max: Option<usize>) -> Self {
        Self {
            connections_max,
            connections_per_block_max,
            first_request: limits::FIRST_REQUEST_TIMEOUT,
            idle: limits::IDLE_CONNECTION_TIMEOUT,
        }
    }
}

/// Serves until `shutdown`, then lets open requests finish for a while.
pub(crate) async fn listen(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    shutdown: CancellationToken,
) -> Result<()> {
    let connections = TaskTracker::new();
    let places = Arc::new(Mutex::new(Places::default()));
    let late = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            }
        };
        match Place::take(&places, peer, bounds) {
            Ok(place) => {
                let connection = Connection { peer, bounds, shutdown: shutdown.clone(), late: late.clone() };
                connections.spawn(connection.serve(stream, router.clone(), place));
            }
            // Closed at once: a queue of unread connections would hold up those that have a place.
            Err(full) => {
                metrics::counter!("chautari_http_connections_refused_total", "reason" => full).increment(1);
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits::SHUTDOWN_GRACE, connections.wait()).await.is_err() {
        late.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// Who is connected.
#[derive(Default)]
struct Places {
    taken: usize,
    by_block: HashMap<AddressBlock, usize>,
}

/// A connection's place, given back when dropped.
struct Place {
    places: Arc<Mutex<Places>>,
    block: Option<AddressBlock>,
}

impl Place {
    /// Takes a place, or says which bound is reached.
    fn take(places: &Arc<Mutex<Places>>, peer: SocketAddr, bounds: Bounds) -> Result<Self, &'static str> {
        let mut all = locked(places);
        if all.taken >= bounds.connections_max {
            return Err("connections_max");
        }
        let counted = bounds.connections_per_block_max.filter(|_| !peer.ip().to_canonical().is_loopback());
        let block = counted.map(|_| AddressBlock::network(peer.ip()));
        if let (Some(block), Some(max)) = (block, counted) {
            let taken = all.by_block.entry(block).or_default();
            if *taken >= max {
                return Err("connections_per_block_max");
            }
            *taken += 1;
        }
        all.taken += 1;
        metrics::gauge!("chautari_http_connections").increment(1.0);
        Ok(Self { places: places.clone(), block })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = locked(&self.places);
        all.taken -= 1;
        if let Some(block) = self.block
            && let Some(taken) = all.by_block.get_mut(&block)
        {
            *taken -= 1;
            if *taken == 0 {
                all.by_block.remove(&block);
            }
        }
        metrics::gauge!("chautari_http_connections").decrement(1.0);
    }
}

/// One client's connection.
struct Connection {
    peer: SocketAddr,
    bounds: Bounds,
    shutdown: CancellationToken,
    /// Cancelled when what is still open must end.
    late: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router, place: Place) {
        // A failure here shows at the first read.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(limits::SEND_TIMEOUT));
        let activity = Arc::new(Mutex::new(Activity::begins_now()));
        let (peer, watched) = (self.peer, activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            answer(router.clone(), request.map(Body::new), peer, OpenRequest::begin(&watched))
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The patience below covers all of a connection's life; hyper's own timer would only know HTTP/1.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(limits::STREAMS_PER_CONNECTION);
        let served = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(served);
        let patience = tokio::time::sleep(self.bounds.first_request);
        tokio::pin!(patience);
        let mut is_ending = false;
        loop {
            tokio::select! {
                // How a connection ends is the client's affair; requests have been logged by then.
                _ = served.as_mut() => break,
                () = self.shutdown.cancelled(), if !is_ending => {
                    is_ending = true;
                    served.as_mut().graceful_shutdown();
                }
                () = self.late.cancelled() => break,
                () = patience.as_mut() => {
                    let now = Instant::now();
                    let (until, has_asked) = locked(&activity).patience(now, self.bounds);
                    if until > now {
                        patience.as_mut().reset(until);
                    } else if is_ending || !has_asked {
                        break;
                    } else {
                        // An answer that is still being written may finish.
                        is_ending = true;
                        served.as_mut().graceful_shutdown();
                        patience.as_mut().reset(now + self.bounds.first_request);
                    }
                }
            }
        }
        drop(place);
    }
}

async fn answer(
    router: Router,
    mut request: Request,
    peer: SocketAddr,
    open: OpenRequest,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Body::new(WatchedBody { body, _open: open })))
}

/// What a connection has been doing.
struct Activity {
    open_requests: usize,
    has_asked: bool,
    quiet_since: Instant,
}

impl Activity {
    fn begins_now() -> Self {
        Self { open_requests: 0, has_asked: false, quiet_since: Instant::now() }
    }

    /// Until when to wait for the next request, and whether there ever was one.
    fn patience(&self, now: Instant, bounds: Bounds) -> (Instant, bool) {
        let until = match (self.open_requests, self.has_asked) {
            (0, true) => self.quiet_since + bounds.idle,
            (0, false) => self.quiet_since + bounds.first_request,
            _ => now + bounds.idle,
        };
        (until, self.has_asked)
    }
}

/// A request until the last byte of its answer is made.
struct OpenRequest(Arc<Mutex<Activity>>);

impl OpenRequest {
    fn begin(activity: &Arc<Mutex<Activity>>) -> Self {
        let mut watched = locked(activity);
        watched.open_requests += 1;
        watched.has_asked = true;
        Self(activity.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut watched = locked(&self.0);
        watched.open_requests -= 1;
        watched.quiet_since = Instant::now();
    }
}

/// An answer's body that keeps its request open.
struct WatchedBody {
    body: Body,
    _open: OpenRequest,
}

impl HttpBody for WatchedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Nothing that holds these locks can panic half-way.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    fn bounds() -> Bounds {
        Bounds {
            connections_max: 64,
            connections_per_block_max: Some(64),
            first_request: Duration::from_millis(300),
            idle: Duration::from_millis(900),
        }
    }

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        served: tokio::task::JoinHandle<Result<()>>,
    }

    async fn start(bounds: Bounds) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            "late"
        });
        let router = Router::new().route("/", get(|| async { "here" })).route("/slow", slow);
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(listen(listener, router, bounds, shutdown.clone()));
        Running { address, shutdown, served }
    }

    impl Running {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }
    }

    async fn ask(stream: &mut TcpStream, head: &[u8]) -> String {
        stream.write_all(head).await.unwrap();
        let mut answer = vec![0; 1_024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Sends a byte every 50 ms until the server closes, and answers how long that took.
    async fn dribble(mut stream: TcpStream, bytes: &[u8]) -> Duration {
        let began = Instant::now();
        for byte in bytes.iter().cycle() {
            let mut answer = [0; 64];
            let closed = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
            if matches!(closed, Ok(Ok(0) | Err(_))) || stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "it holds its place for ever");
        }
        began.elapsed()
    }

    #[tokio::test]
    async fn a_client_that_gives_away_a_byte_now_and_then_is_closed_while_others_are_served() {
        let server = start(bounds()).await;
        let mut slow = tokio::task::JoinSet::new();
        // In the head of HTTP/1, in the preface of HTTP/2, and before either is known.
        for bytes in [
            &b"GET / HTTP/1.1\r\nx-a: b\r\nx-b: cccccccccccccccccccccccccccc"[..],
            b"PRI * HTTP/2.0",
            b"\r\n",
        ] {
            for _ in 0..5 {
                slow.spawn(dribble(server.connect().await, bytes));
            }
        }
        for _ in 0..10 {
            assert!(ask(&mut server.connect().await, HEAD).await.ends_with("here"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while let Some(took) = slow.join_next().await {
            assert!(took.unwrap() < Duration::from_millis(1_500));
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_been_used_is_kept_for_a_while_and_then_closed() {
        let server = start(bounds()).await;
        let mut stream = server.connect().await;
        for _ in 0..3 {
            assert!(ask(&mut stream, HEAD).await.ends_with("here"));
            tokio::time::sleep(Duration::from_millis(450)).await;
        }
        let began = Instant::now();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(began.elapsed() < Duration::from_millis(1_500));
        let mut used = server.connect().await;
        assert!(ask(&mut used, HEAD).await.ends_with("here"));
        assert!(
            dribble(used, b"GET / HTTP/1.1\r\nx-a: bbbbbbbbbbbbbbbbbbb").await < Duration::from_millis(2_500)
        );
    }

    #[tokio::test]
    async fn a_request_may_take_longer_than_an_idle_connection() {
        let server = start(bounds()).await;
        let mut stream = server.connect().await;
        assert!(ask(&mut stream, b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await.ends_with("late"));
    }

    #[tokio::test]
    async fn more_connections_than_there_are_places_are_closed_and_a_place_is_given_again() {
        let server = start(Bounds { connections_max: 2, idle: Duration::from_secs(60), ..bounds() }).await;
        let (mut first, mut second) = (server.connect().await, server.connect().await);
        assert!(ask(&mut first, HEAD).await.ends_with("here"));
        assert!(ask(&mut second, HEAD).await.ends_with("here"));
        let mut third = server.connect().await;
        assert!(matches!(third.read(&mut [0; 8]).await, Ok(0) | Err(_)));
        drop(first);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(ask(&mut server.connect().await, HEAD).await.ends_with("here"));
    }

    #[tokio::test]
    async fn one_network_cannot_take_all_places() {
        let places = Arc::new(Mutex::new(Places::default()));
        let bounds = Bounds { connections_per_block_max: Some(2), ..bounds() };
        let from = |address: &str| Place::take(&places, SocketAddr::new(address.parse().unwrap(), 1), bounds);
        let (first, _second) = (from("10.0.0.1").unwrap(), from("10.0.0.2").unwrap());
        assert_eq!(from("10.0.0.3").err(), Some("connections_per_block_max"));
        assert_eq!(from("::ffff:10.0.0.3").err(), Some("connections_per_block_max"));
        let _elsewhere = from("10.0.1.1").unwrap();
        let _local = [(); 3].map(|()| from("127.0.0.1").unwrap());
        let _six = [from("2001:db8::1").unwrap(), from("2001:db8:0:0:9::2").unwrap()];
        assert_eq!(from("2001:db8::ffff").err(), Some("connections_per_block_max"));
        let _other_six = from("2001:db8:0:1::1").unwrap();
        drop(first);
        let _again = from("10.0.0.3").unwrap();
        assert_eq!(locked(&places).by_block.len(), 4);
    }

    #[tokio::test]
    async fn a_stop_lets_open_requests_finish_and_closes_idle_connections() {
        let server = start(Bounds { idle: Duration::from_secs(60), ..bounds() }).await;
        let (mut idle, mut busy) = (server.connect().await, server.connect().await);
        assert!(ask(&mut idle, HEAD).await.ends_with("here"));
        let asked =
            tokio::spawn(async move { ask(&mut busy, b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.shutdown.cancel();
        assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(asked.await.unwrap().ends_with("late"));
        server.served.await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
