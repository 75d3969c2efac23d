//! Waiting until every seat is taken.

use std::fmt;
use std::time::Duration;

use super::{Client, Error};
use crate::Roll;
use crate::wire::WrongAnswer;

/// How far it is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Who is there, as far as is known.
    pub roll: Option<Roll>,
    /// What is in the way at the moment, and when it is tried again.
    pub trouble: Option<String>,
}

/// `2 of 3 machines are there; https://... cannot be reached: ...; asked again in 4 s`
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.roll, &self.trouble) {
            (Some(roll), None) => write!(f, "{roll}"),
            (Some(roll), Some(trouble)) => write!(f, "{roll}; {trouble}"),
            (None, Some(trouble)) => f.write_str(trouble),
            (None, None) => f.write_str("asking who is there"),
        }
    }
}

impl Client {
    /// Waits until every seat is taken, however long that takes, and says who has them. `report` hears of everything that changes.
    ///
    /// What the network loses is asked again, ever more slowly. Each event is a reason to read the whole list again, so that an
    /// entry that was replaced or removed is never counted by its old value.
    ///
    /// # Errors
    /// What time will not heal: there is no such address, or what answers is no discovery service.
    pub async fn wait_until_complete(&self, mut report: impl FnMut(&Progress)) -> Result<Roll, Error> {
        let mut progress = Progress { roll: None, trouble: None };
        let mut failures = 0;
        loop {
            match self.look(&mut progress, &mut report).await {
                Ok(Some(roll)) => return Ok(roll),
                Ok(None) => failures = 0,
                Err(error) if error.passing() => {
                    let pause = self.pause(failures);
                    failures += 1;
                    let trouble = format!("{error}; asked again in {} s", pause.as_secs_f32().ceil());
                    tell(&mut progress, |progress| progress.trouble = Some(trouble), &mut report);
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads who is there; if that is not enough, waits for an event, or for the server to end an idle wait.
    async fn look(&self, progress: &mut Progress, report: &mut impl FnMut(&Progress)) -> Result<Option<Roll>, Error> {
        let (roll, index) = self.indexed_roll().await?;
        let known = roll.clone();
        tell(progress, |progress| *progress = Progress { roll: Some(known), trouble: None }, report);
        if roll.complete() {
            return Ok(Some(roll));
        }
        let next = index.saturating_add(1).to_string();
        let began = tokio::time::Instant::now();
        match self.get(&[], &[("recursive", "true"), ("wait", "true"), ("waitIndex", &next)]).await {
            Ok(_) => {}
            // An idle wait ends with nothing in it, or is cut off.
            Err(Error::Answer(WrongAnswer::Json(_)) | Error::Timeout { .. }) => {
                // A server that hangs up at once must not be asked in a circle.
                if began.elapsed() < self.patience.first_pause {
                    tokio::time::sleep(self.patience.first_pause).await;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Doubles with each failure in a row.
    fn pause(&self, failures: u32) -> Duration {
        self.patience.first_pause.saturating_mul(2u32.saturating_pow(failures)).min(self.patience.longest_pause)
    }
}

/// Changes the progress and reports it if it is another one now.
fn tell(progress: &mut Progress, change: impl FnOnce(&mut Progress), report: &mut impl FnMut(&Progress)) {
    let before = progress.clone();
    change(progress);
    if *progress != before {
        report(progress);
    }
}
