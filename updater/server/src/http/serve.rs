//! Connections: their limits, and an orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::framing::Framed;
use super::pace::{self, Impatient, Pace, Paced};
use super::places::{Places, Room};
use super::problem::Problem;
use crate::metrics::Metrics;

/// How long clients may take; tests are less patient.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To send all of the headers, from the moment the server waits for them; machines need milliseconds.
    pub headers: Duration,
    /// From the headers to the head of the answer: a slow body must not hold a place.
    pub request: Duration,
    /// As above, for uploads and publishing.
    pub upload: Duration,
    /// How slowly a body may come.
    pub body: Pace,
    /// How slowly an answer may be taken.
    pub answer: Pace,
    /// How long a connection is kept for the next request; the one that runs then ends in peace.
    pub age: Duration,
    /// How long an answer that runs beyond that may take altogether.
    pub last: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            request: Duration::from_secs(30),
            upload: Duration::from_secs(30 * 60),
            body: pace::BODY,
            answer: pace::ANSWER,
            // Places come back to whoever waits, and a balancer in front spreads its connections anew.
            age: Duration::from_secs(60 * 60),
            // As long as our own machines try to fetch one part; then they go on where they stopped.
            last: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What limits connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// How long clients may take.
    pub patience: Patience,
    /// How many there may be.
    pub room: Room,
}

/// Most bytes of all headers of a request.
const HEADER_BYTES: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS: usize = 64;
/// How long running requests may take to end when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves until `stop` says so, then ends connections as their requests end.
///
/// # Errors
/// None today; accept errors are logged and survived.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let places = Places::new(limits.room);
    let (draining, drained) = watch::channel(());
    loop {
        let place = tokio::select! {
            () = told(&mut stop) => break,
            place = places.free() => place,
        };
        let (stream, peer) = tokio::select! {
            () = told(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of files, mostly: others end meanwhile.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Some(seat) = place.and_then(|place| places.seat(place, peer.ip())) else {
            // Closed without a word: an answer would cost what the limit is to spare.
            metrics.refused("connections");
            tracing::debug!(%peer, "closed: this address has as many connections as it may");
            continue;
        };
        let (router, stop, alive) = (router.clone(), stop.clone(), drained.clone());
        tokio::spawn(async move {
            connection(stream, peer, router, limits.patience, stop).await;
            drop((seat, alive));
        });
    }
    drop(listener);
    drop(drained);
    // Closed when the last connection is gone.
    let _ = tokio::time::timeout(DRAIN, draining.closed()).await;
    Ok(())
}

/// Waits until the server is told to stop, or nobody is left who could tell.
async fn told(stop: &mut watch::Receiver<bool>) {
    // The value that comes back is locked and must not be held any longer.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, patience: Patience, mut stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(|body| axum::body::Body::new(Paced::new(body, patience.body)));
        request.extensions_mut().insert(ConnectInfo(peer));
        let path = request.uri().path();
        let long = path.starts_with("/api/v1/files/") || path == "/api/v1/publish" || path == "/api/v1/releases";
        let limit = if long { patience.upload } else { patience.request };
        let answer = router.clone().oneshot(request);
        async move {
            let slow = || Problem::new(axum::http::StatusCode::REQUEST_TIMEOUT, "slow", "the request took too long", "").into_response();
            Ok::<_, Infallible>(match tokio::time::timeout(limit, answer).await {
                Ok(Ok(response)) => response,
                Err(_) => slow(),
            })
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(HEADER_BYTES.max(8192))
        .max_headers(HEADERS)
        .half_close(false);
    let stream = Framed::new(Impatient::new(stream, patience.answer));
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = told(&mut stop) => None,
        () = tokio::time::sleep(patience.age) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(patience.last, connection).await.unwrap_or_else(|_| {
                tracing::debug!(%peer, "cut off: its last answer took too long");
                Ok(())
            })
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}
