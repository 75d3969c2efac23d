//! From candidates to what is wanted: merges the sources, and asks what has a check.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::candidate::Turn;
use crate::{Candidate, Entries, Health};

/// Time from one round of checks to the next.
const ROUND: Duration = Duration::from_secs(5);
/// Checks at a time.
const AT_ONCE: usize = 32;

/// Says for ever what is to be announced of what `sources` hold.
pub(crate) async fn follow(mut sources: [watch::Receiver<Vec<Candidate>>; 2], wanted: watch::Sender<Entries>) -> Infallible {
    let mut health = Health::default();
    let mut round = Instant::now();
    loop {
        let candidates: Vec<Candidate> = sources.iter_mut().flat_map(|source| source.borrow_and_update().clone()).collect();
        health.keep(&candidates);
        publish(&wanted, health.wanted(&candidates));
        let checked: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.check.is_some()).collect();
        let [one, other] = &mut sources;
        let news = async {
            tokio::select! {
                Ok(()) = one.changed() => {}
                Ok(()) = other.changed() => {}
                else => std::future::pending().await,
            }
        };
        if checked.is_empty() {
            news.await;
            // What is new is asked at once.
            round = Instant::now();
            continue;
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(round) => {}
            () = news => {
                round = round.min(Instant::now());
                continue;
            }
        }
        let mut answers = stream::iter(checked).map(ask).buffer_unordered(AT_ONCE);
        while let Some((candidate, answer)) = answers.next().await {
            let turn = health.told(candidate, answer.is_ok());
            match (turn, answer) {
                (Turn::Up, _) => tracing::info!("{} answers its check", candidate.announcement.by),
                (Turn::Down, Err(error)) => tracing::warn!("{} is not announced any more: {error}", candidate.announcement.by),
                _ => {}
            }
            publish(&wanted, health.wanted(&candidates));
        }
        round = Instant::now() + ROUND;
    }
}

async fn ask(candidate: &Candidate) -> (&Candidate, Result<(), crate::CheckError>) {
    let answer = match &candidate.check {
        Some(check) => check.ask(candidate.address()).await,
        None => Ok(()),
    };
    (candidate, answer)
}

fn publish(wanted: &watch::Sender<Entries>, entries: Entries) {
    wanted.send_if_modified(|known| {
        let changed = *known != entries;
        *known = entries;
        changed
    });
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::{Announcement, Check, Key};

    fn candidate(service: &str, address: SocketAddr, check: Option<Check>) -> Candidate {
        let announcement = Announcement {
            address: address.ip(),
            port: address.port(),
            protocol: Default::default(),
            tags: Vec::new(),
            by: service.to_owned(),
        };
        Candidate { key: Key::new(service, "n1", "a").unwrap(), announcement, check }
    }

    #[tokio::test(start_paused = true)]
    async fn what_answers_is_announced_and_what_stops_answering_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (units, units_seen) = watch::channel(vec![candidate("web", address, Some(Check::Tcp))]);
        let (containers, containers_seen) = watch::channel(vec![candidate("db", address, None)]);
        let (wanted, mut seen) = watch::channel(Entries::new());
        let task = tokio::spawn(follow([containers_seen, units_seen], wanted));
        seen.wait_for(|entries| entries.len() == 2).await.unwrap();
        drop(listener);
        let begin = Instant::now();
        seen.wait_for(|entries| entries.len() == 1).await.unwrap();
        assert!(begin.elapsed() >= ROUND, "one failed check is not enough");
        assert!(seen.borrow().contains_key("slipway/services/db/n1:a"));
        containers.send(Vec::new()).unwrap();
        units.send(Vec::new()).unwrap();
        seen.wait_for(Entries::is_empty).await.unwrap();
        task.abort();
    }
}
