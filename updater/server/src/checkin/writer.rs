//! The task that commits batches.
//!
//! A request hands its check-ins over and waits. While one batch is being committed the next one gathers, so that the
//! price of a commit is shared by as many machines as come meanwhile, and a lonely one waits for nobody. **Nothing is
//! answered before its batch is durable.**

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::batch::Engine;
use super::{CheckIn, Reply};
use crate::metrics::Metrics;

/// Requests that may wait for the database; more are told to come again (503), which is kinder than a timeout.
pub const QUEUE: usize = 20_000;
/// Check-ins in one transaction: large enough to share a commit, small enough to be done within some milliseconds.
const BATCH: usize = 1000;
/// How long a second check-in is waited for once the server is busy. Fewer, larger transactions leave more of the
/// processor to the machines' requests.
const LINGER: Duration = Duration::from_millis(2);
/// From this many check-ins in one batch on the server counts as busy.
const BUSY: usize = 8;

struct Waiting {
    said: Vec<CheckIn>,
    answer: oneshot::Sender<(Vec<CheckIn>, Vec<Reply>)>,
}

/// Where requests hand over what machines said.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("said", &self.said).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many wait already.
    #[error("too many requests wait for the database")]
    Full,
    /// The database did not take it, or the server is going down.
    #[error("the check-in could not be stored")]
    NotStored,
}

impl Writer {
    /// Starts the task; it ends, after its last batch, when all writers are dropped.
    #[must_use]
    pub fn start(engine: Engine, metrics: Metrics) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, incoming) = mpsc::channel(QUEUE);
        (Self { queue }, tokio::spawn(work(engine, incoming, metrics)))
    }

    /// Hands over what a machine said and waits until it is durable; gives it back with the replies, in the same order.
    ///
    /// # Errors
    /// It was not stored; the machine is to come again.
    pub async fn check_in(&self, said: Vec<CheckIn>) -> Result<(Vec<CheckIn>, Vec<Reply>), Refused> {
        let (answer, wait) = oneshot::channel();
        self.queue.try_send(Waiting { said, answer }).map_err(|_| Refused::Full)?;
        wait.await.map_err(|_| Refused::NotStored)
    }
}

async fn work(mut engine: Engine, mut incoming: mpsc::Receiver<Waiting>, metrics: Metrics) {
    let mut last = 0;
    while let Some(first) = incoming.recv().await {
        if last >= BUSY {
            tokio::time::sleep(LINGER).await;
        }
        let mut waiting = vec![first];
        let mut size = waiting[0].said.len();
        while size < BATCH {
            let Ok(next) = incoming.try_recv() else { break };
            size += next.said.len();
            waiting.push(next);
        }
        last = size;
        let began = Instant::now();
        commit(&mut engine, waiting, &metrics).await;
        metrics.batch(size, began.elapsed());
    }
}

async fn commit(engine: &mut Engine, mut waiting: Vec<Waiting>, metrics: &Metrics) {
    let sizes: Vec<usize> = waiting.iter().map(|waiting| waiting.said.len()).collect();
    let said: Vec<CheckIn> = waiting.iter_mut().flat_map(|waiting| std::mem::take(&mut waiting.said)).collect();
    match engine.run(&said).await {
        Ok((replies, tally)) => {
            metrics.tally(&tally);
            let (mut replies, mut said) = (replies.into_iter(), said.into_iter());
            for (waiting, size) in waiting.into_iter().zip(sizes) {
                // Whoever does not wait any more has hung up; what it said is stored all the same.
                let _ = waiting.answer.send((said.by_ref().take(size).collect(), replies.by_ref().take(size).collect()));
            }
        }
        Err(error) => {
            // Dropping the senders tells the requests that nothing was stored.
            metrics.database_error();
            tracing::error!(%error, machines = said.len(), "a batch of check-ins could not be stored");
        }
    }
}
