//! Connections: their limits, and an orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::problem::Problem;
use super::stall::{self, Impatient};

/// How long clients may take; tests are less patient.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To send the headers; machines need milliseconds.
    pub headers: Duration,
    /// From the headers to the head of the answer: a slow body must not hold a place.
    pub request: Duration,
    /// As above, for uploads and publishing.
    pub upload: Duration,
    /// To take some of an answer that is being sent.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (headers, request, upload) = (Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(30 * 60));
        Self { headers, request, upload, stall: stall::PATIENCE }
    }
}

/// Most bytes of all headers of a request.
const HEADER_BYTES: usize = 16 * 1024;
/// Most headers of a request.
const HEADERS: usize = 64;
/// Open connections; below the 20,000 files that a process may have open on common systems.
pub const CONNECTIONS: usize = 15_000;
/// How long running requests may take to end when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves until `stop` says so, then ends connections as their requests end.
///
/// # Errors
/// None today; accept errors are logged and survived.
pub async fn serve(listener: TcpListener, router: Router, patience: Patience, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (draining, drained) = watch::channel(());
    loop {
        let place = tokio::select! {
            () = told(&mut stop) => break,
            place = Arc::clone(&places).acquire_owned() => place,
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
        let (router, stop, alive) = (router.clone(), stop.clone(), drained.clone());
        tokio::spawn(async move {
            connection(stream, peer, router, patience, stop).await;
            drop((place, alive));
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
        let mut request = request.map(axum::body::Body::new);
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
    let connection = http.serve_connection(TokioIo::new(Impatient::new(stream, patience.stall)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = told(&mut stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}
