//! The result of a run.

use std::fmt;

use serde::Serialize;

use super::args::Plan;
use super::cpu::{Sample, microseconds};
use super::drive::Sums;

/// What was measured. Latencies are in microseconds, from the intended moment of sending to the end of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Connections that were used.
    pub connections: u32,
    /// Requests a second that were asked for; `null` is as fast as it goes.
    pub asked_per_second: Option<u64>,
    /// Answers a second that came.
    pub answers_per_second: f64,
    /// Good answers within the measured time.
    pub answers: u64,
    /// Answers with a release on offer.
    pub offers: u64,
    /// Answers that refuse to answer now (429, 503).
    pub busy: u64,
    /// Requests without an answer, with another status, or never sent because all connections waited.
    pub errors: u64,
    /// Half of the answers took no longer.
    pub p50: u64,
    /// 99 of 100 answers took no longer.
    pub p99: u64,
    /// 999 of 1000 answers took no longer.
    pub p999: u64,
    /// The longest answer.
    pub max: u64,
    /// Processor time of the server for one request, in microseconds, with the warming up; `null` when no process was named.
    pub server_microseconds_per_request: Option<f64>,
}

impl Report {
    #[allow(clippy::cast_precision_loss)] // for print
    pub(super) fn new(plan: &Plan, sums: &Sums, before: &Sample, after: &Sample) -> Self {
        let latency = &sums.latency;
        let spent = (!before.is_empty()).then(|| microseconds(before, after));
        // Processor time was taken around the whole run.
        let share = plan.span.as_secs_f64() / (plan.span + plan.warm_up).as_secs_f64();
        let requests = (latency.total() + sums.busy + sums.statuses).max(1) as f64 / share;
        Self {
            connections: plan.connections,
            asked_per_second: plan.rate,
            answers_per_second: latency.total() as f64 / sums.seconds,
            answers: latency.total(),
            offers: sums.offers,
            busy: sums.busy,
            errors: sums.broken + sums.statuses + sums.unsent,
            p50: latency.quantile(500),
            p99: latency.quantile(990),
            p999: latency.quantile(999),
            max: latency.max(),
            server_microseconds_per_request: spent.map(|spent| spent as f64 / requests),
        }
    }
}

impl fmt::Display for Report {
    #[allow(clippy::cast_precision_loss)] // for print
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |microseconds: u64| microseconds as f64 / 1_000.0;
        let asked = self.asked_per_second.map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{rate} asked for"));
        writeln!(f, "requests    {:>10.0} a second over {} connections ({asked})", self.answers_per_second, self.connections)?;
        writeln!(f, "answers     {:>10} good, {} with an offer, {} busy, {} errors", self.answers, self.offers, self.busy, self.errors)?;
        for (name, value) in [("p50", self.p50), ("p99", self.p99), ("p99.9", self.p999), ("longest", self.max)] {
            writeln!(f, "{name:<11} {:>10.2} ms", millis(value))?;
        }
        match self.server_microseconds_per_request {
            Some(spent) => writeln!(f, "processor   {spent:>10.1} us of the server for one request"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::args::tests::args;

    #[test]
    fn a_report_reads_well() {
        let plan = args(&["--rate", "1000", "--for", "8s", "--warm-up", "2s"]).plan().unwrap();
        let mut sums = Sums { offers: 3, busy: 100, broken: 1, unsent: 2, seconds: 8.0, ..Sums::default() };
        (0..7_900).for_each(|number| sums.latency.add(200 + number));
        // One second of processor time in ten seconds with 10,000 requests, 8,000 of them measured.
        let report = Report::new(&plan, &sums, &Sample::from([(1, 0)]), &Sample::from([(1, 100)]));
        assert_eq!(report.server_microseconds_per_request, Some(100.0));
        insta::assert_snapshot!(report.to_string());
    }

    #[test]
    fn without_a_process_there_is_no_processor_time() {
        let report = Report::new(&args(&[]).plan().unwrap(), &Sums { seconds: 1.0, ..Sums::default() }, &Sample::new(), &Sample::new());
        assert_eq!((report.server_microseconds_per_request, report.p99), (None, 0));
    }
}
