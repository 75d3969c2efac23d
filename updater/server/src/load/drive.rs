//! The connections and their schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::args::Plan;
use super::connection::{Answer, Connection};
use super::histogram::Histogram;
use crate::simulate::Random;

/// After this long an answer counts as an error; machines give up no sooner.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that broke waits before it is made again, so that a server that is down is not hammered.
const RECONNECT: Duration = Duration::from_millis(100);
/// Draws of which requests are events; apart from those of the machines' ids.
const EVENTS: u64 = 0x6576_656e_7473;

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    /// Microseconds from the intended moment to the end of the answer.
    pub(super) latency: Histogram,
    /// Answers with a release on offer.
    pub(super) offers: u64,
    /// Answers that refuse to answer now: 429 and 503.
    pub(super) busy: u64,
    /// All other answers that are not 200.
    pub(super) statuses: u64,
    /// Requests without an answer: refused, broken or late.
    pub(super) broken: u64,
    /// Requests that came due before the end and were not even sent by then.
    pub(super) unsent: u64,
    /// Seconds that were measured.
    pub(super) seconds: f64,
}

impl Sums {
    fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.offers += other.offers;
        self.busy += other.busy;
        self.statuses += other.statuses;
        self.broken += other.broken;
    }
}

/// What all connections share.
struct Run {
    plan: Plan,
    /// Number of the next request.
    next: AtomicU64,
    begin: Instant,
    measured_from: Instant,
    end: Instant,
}

/// Connects, sends as planned, and sums up.
pub(super) async fn drive(plan: &Plan) -> anyhow::Result<Sums> {
    // One connection first: a wrong address should be one error, not a thousand.
    TcpStream::connect(&plan.address).await.with_context(|| format!("connecting to {}", plan.address))?;
    let begin = Instant::now();
    let measured_from = begin + plan.warm_up;
    let end = measured_from + plan.span;
    let run = Arc::new(Run { plan: plan.clone(), next: AtomicU64::new(0), begin, measured_from, end });
    let mut connections = JoinSet::new();
    for _ in 0..plan.connections {
        connections.spawn(Arc::clone(&run).connection());
    }
    let mut sums = Sums::default();
    while let Some(part) = connections.join_next().await {
        sums.merge(&part.context("a connection's task failed")?);
    }
    sums.seconds = plan.span.as_secs_f64();
    if let Some(rate) = plan.rate {
        let due = count_before(rate, plan.warm_up + plan.span);
        sums.unsent = due.saturating_sub(run.next.load(Ordering::Relaxed));
    }
    ensure!(sums.latency.total() > 0, "{} answered none of the requests within {PATIENCE:?}", plan.address);
    Ok(sums)
}

/// When request `number` is due after the begin. In whole milliseconds, because timers are no finer: at high rates requests
/// come due in small herds, as they do where many machines are.
fn due(rate: u64, number: u64) -> Duration {
    Duration::from_millis(u64::try_from(u128::from(number) * 1_000 / u128::from(rate.max(1))).unwrap_or(u64::MAX))
}

/// How many requests are due before `span` has passed.
fn count_before(rate: u64, span: Duration) -> u64 {
    u64::try_from((span.as_millis() * u128::from(rate)).div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl Run {
    /// One connection: takes the next request, waits until it is due, sends it, waits for the answer.
    async fn connection(self: Arc<Self>) -> Sums {
        let (mut sums, mut id, mut request) = (Sums::default(), String::new(), Vec::new());
        let mut open: Option<Connection<TcpStream>> = None;
        loop {
            let overdue = Instant::now() > self.end + PATIENCE;
            if overdue || self.intended(self.next.load(Ordering::Relaxed)) >= self.end {
                return sums;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let intended = self.intended(number);
            if intended >= self.end {
                return sums;
            }
            sleep_until(intended).await;
            self.write(number, &mut id, &mut request);
            let answer = match timeout_at(intended.max(Instant::now()) + PATIENCE, self.ask(&mut open, &request)).await {
                Ok(Some(answer)) => Some(answer),
                // The answer may still come, and would be taken for that to the next request.
                Ok(None) | Err(_) => {
                    open = None;
                    None
                }
            };
            if intended >= self.measured_from {
                sums.note(answer, intended.elapsed());
            }
            if answer.is_none() {
                tokio::time::sleep(RECONNECT).await;
            }
        }
    }

    /// The moment at which request `number` is meant to be sent: by the schedule, or now.
    fn intended(&self, number: u64) -> Instant {
        self.plan.rate.map_or_else(Instant::now, |rate| self.begin + due(rate, number))
    }

    fn write(&self, number: u64, id: &mut String, request: &mut Vec<u8>) {
        let machine = u32::try_from(number % u64::from(self.plan.machines)).unwrap_or(0);
        let event = Random::of(self.plan.seed ^ EVENTS, number).chance(self.plan.event_share.as_ppm().into());
        self.plan.template.write(event, self.plan.seed, machine, id, request);
    }

    async fn ask(&self, open: &mut Option<Connection<TcpStream>>, request: &[u8]) -> Option<Answer> {
        if open.is_none() {
            let stream = TcpStream::connect(&self.plan.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            *open = Some(Connection::new(stream));
        }
        open.as_mut()?.ask(request).await.ok()
    }
}

impl Sums {
    fn note(&mut self, answer: Option<Answer>, took: Duration) {
        match answer {
            None => self.broken += 1,
            Some(Answer::Status(429 | 503)) => self.busy += 1,
            Some(Answer::Status(_)) => self.statuses += 1,
            Some(good) => {
                self.offers += u64::from(good == Answer::Offer);
                self.latency.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::load::args::tests::args;

    #[test]
    fn the_schedule_is_exact_in_the_long_run() {
        for (rate, number, millis) in [(1_000, 5, 5), (37, 37, 1_000), (3, 1, 333), (3, 3, 1_000), (20_000, 19, 0), (20_000, 20, 1)] {
            assert_eq!(due(rate, number), Duration::from_millis(millis), "request {number} at {rate} a second");
        }
        for rate in [1, 3, 37, 999, 20_000] {
            let span = Duration::from_millis(1_500);
            let count = count_before(rate, span);
            assert!(due(rate, count) >= span && due(rate, count - 1) < span, "{rate}");
        }
    }

    /// A server that answers everything it reads with `answer` per request, and hangs up after `requests` on each connection.
    async fn server(answer: &'static str, requests: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    for _ in 0..requests {
                        match stream.read(&mut buffer).await {
                            Ok(read) if read > 0 => stream.write_all(answer.as_bytes()).await.unwrap(),
                            _ => return,
                        }
                    }
                });
            }
        });
        format!("http://{address}/v1/update")
    }

    const NOTHING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";

    async fn measure(url: &str, more: &[&str]) -> anyhow::Result<Sums> {
        let line = [&["--url", url, "--connections", "4", "--warm-up", "20ms", "--for", "200ms"], more].concat();
        drive(&args(&line).plan().unwrap()).await
    }

    #[tokio::test]
    async fn a_fixed_rate_is_kept() {
        let sums = measure(&server(NOTHING, usize::MAX).await, &["--rate", "500"]).await.unwrap();
        assert_eq!((sums.latency.total() + sums.unsent, sums.broken), (100, 0), "{sums:?}");
    }

    #[tokio::test]
    async fn flat_out_is_as_fast_as_the_connections_go() {
        let sums = measure(&server(NOTHING, usize::MAX).await, &[]).await.unwrap();
        assert!(sums.latency.total() > 100 && sums.unsent == 0, "{}", sums.latency.total());
    }

    #[tokio::test]
    async fn refusals_and_broken_connections_are_no_answers() {
        let busy = measure(&server(BUSY, usize::MAX).await, &[]).await;
        assert!(busy.unwrap_err().to_string().contains("answered none"));
        // Every other request meets a connection that hangs up.
        let broken = measure(&server(NOTHING, 1).await, &["--rate", "100"]).await.unwrap();
        assert!(broken.broken > 0 && broken.latency.total() > 0, "{} broken", broken.broken);
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_one_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let error = format!("{:#}", measure(&url, &[]).await.unwrap_err());
        assert!(error.starts_with("connecting to 127.0.0.1:"), "{error}");
    }
}
