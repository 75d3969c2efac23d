//! The result as text: a chart with the numbers beside it.

use std::fmt::Write;

use super::outcomes::{Event, Hour, Outcomes};
use crate::policy::{Change, Counts, Share, Span, State};

/// Width of the chart's bars.
const BAR: u64 = 40;
/// What the bars are made of.
const LEGEND: &str = "# completed  + busy  x bad  . allowed";
/// Rows of the chart; longer runs show every second, third... hour.
const ROWS: usize = 36;

/// The whole report.
#[must_use]
pub fn text(outcomes: &Outcomes) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(outcomes, &mut text);
    text
}

fn write(outcomes: &Outcomes, out: &mut String) -> std::fmt::Result {
    let scenario = &outcomes.scenario;
    let days = Span::hours(u64::from(scenario.hours));
    writeln!(out, "{} machines for {days}, seed {}, release {}", scenario.machines, scenario.seed, scenario.release)?;
    writeln!(out, "ramp {}, brake {}", scenario.settings.ramp, scenario.settings.brake)?;
    writeln!(out, "the release fails on {}, silences {}\n", scenario.failures, scenario.silent)?;
    chart(outcomes, out)?;
    bandwidth(outcomes, out)?;
    versions(outcomes, out)?;
    writeln!(out, "\nwhat the rollout did by itself")?;
    for event in &outcomes.events {
        writeln!(out, "  {}  {}", clock(event.second), says(event))?;
    }
    if outcomes.events.is_empty() {
        writeln!(out, "  nothing")?;
    }
    brake(outcomes, out)?;
    verdict(outcomes, out)?;
    writeln!(out, "\ndigest {}", outcomes.digest)
}

fn chart(outcomes: &Outcomes, out: &mut String) -> std::fmt::Result {
    writeln!(out, "  hour  allowed  granted  {LEGEND:<42}   completed     busy   failed   silent")?;
    let every = outcomes.hours.len().div_ceil(ROWS).max(1);
    let (mut last, mut same): (Option<(u64, Counts)>, Option<u32>) = (None, None);
    for hour in outcomes.hours.iter().filter(|hour| (hour.ends as usize).is_multiple_of(every)) {
        let Hour { ends, counts, .. } = hour;
        // A held rollout stands still for hours; one line says so.
        if last.replace((hour.allowed, *counts)) == Some((hour.allowed, *counts)) {
            same = Some(*ends);
            continue;
        }
        still(same.take(), out)?;
        let (busy, failed) = (counts.in_flight(), counts.failed + counts.rolled_back);
        write!(out, "  {ends:>4} {:>8} {:>8}  |{}|", hour.allowed, counts.granted, bar(hour))?;
        writeln!(out, "{:>12} {busy:>8} {failed:>8} {:>8}", counts.completed, counts.silent)?;
    }
    still(same, out)
}

fn still(until: Option<u32>, out: &mut String) -> std::fmt::Result {
    until.map_or(Ok(()), |until| writeln!(out, "  {until:>4}        :        :  no change until then"))
}

/// Completed, busy and bad machines as parts of the population, and what else is allowed.
fn bar(hour: &Hour) -> String {
    let Counts { population, completed, granted, .. } = hour.counts;
    let cells = |count: u64| usize::try_from((u128::from(count) * u128::from(BAR)).div_ceil(u128::from(population.max(1)))).unwrap_or(0);
    let mut bar = String::new();
    for (sign, until) in
        [('#', completed), ('+', granted.saturating_sub(hour.counts.bad())), ('x', granted), ('.', hour.allowed), (' ', population)]
    {
        while bar.len() < cells(until) {
            bar.push(sign);
        }
    }
    bar
}

fn bandwidth(outcomes: &Outcomes, out: &mut String) -> std::fmt::Result {
    let (hours, seconds) = (&outcomes.hours, u64::from(outcomes.scenario.hours) * 3_600);
    let bytes: u64 = hours.iter().map(|hour| hour.bytes).sum();
    let peak = hours.iter().map(|hour| hour.peak_rate).max().unwrap_or(0);
    let busiest = hours.iter().max_by_key(|hour| hour.bytes);
    writeln!(out, "\ndownloads    {} in all", scaled(decimal(bytes), "B"))?;
    writeln!(out, "  mean       {}", scaled(decimal(bytes / seconds.max(1)) * 8.0, "bit/s"))?;
    if let Some(hour) = busiest {
        writeln!(out, "  worst hour {} (hour {})", scaled(decimal(hour.bytes / 3_600) * 8.0, "bit/s"), hour.ends)?;
    }
    writeln!(out, "  peak       {}", scaled(decimal(peak) * 8.0, "bit/s"))?;
    let requests: u64 = hours.iter().map(|hour| hour.requests).sum();
    let peak = hours.iter().map(|hour| hour.peak_requests).max().unwrap_or(0);
    writeln!(out, "requests     {:>10.1} a second on average, {peak} in the busiest second", decimal(requests) / decimal(seconds.max(1)))
}

/// Machines by version at four moments.
fn versions(outcomes: &Outcomes, out: &mut String) -> std::fmt::Result {
    let last = outcomes.hours.len();
    let mut moments = [1, last / 4, last / 2, last].map(|hour| hour.clamp(1, last.max(1))).to_vec();
    moments.dedup();
    write!(out, "\nversions   ")?;
    for moment in &moments {
        write!(out, "{:>12}", format!("hour {moment}"))?;
    }
    for (index, version) in outcomes.versions.iter().enumerate() {
        write!(out, "\n  {:<9}", version.to_string())?;
        for moment in &moments {
            let hour = outcomes.hours.get(moment - 1);
            write!(out, "{:>12}", hour.and_then(|hour| hour.versions.get(index)).copied().unwrap_or(0))?;
        }
    }
    writeln!(out)
}

fn says(event: &Event) -> String {
    match &event.change {
        Change::CanariesHeld => "enough canaries completed, the soak begins".to_owned(),
        Change::Stopped(stop) => format!("the brake stopped it: {stop}"),
        Change::Done => "done: everybody was granted it, and nobody is busy".to_owned(),
    }
}

/// Machines at whose number the brake's limit is shown: its sample, and what fleets have.
const EXAMPLES: [u64; 3] = [100, 1_000, 100_000];

/// What it takes to stop the rollout, and how far from that it was.
fn brake(outcomes: &Outcomes, out: &mut String) -> std::fmt::Result {
    let (brake, counts) = (&outcomes.scenario.settings.brake, outcomes.counts());
    let takes = |judged: u64| brake.fewest(judged).map(|fewest| format!("{fewest} of {judged}"));
    let takes: Vec<String> = [brake.sample].into_iter().chain(EXAMPLES).filter_map(takes).collect();
    writeln!(out, "\nthe brake")?;
    if takes.is_empty() {
        return writeln!(out, "  tolerates everything");
    }
    writeln!(out, "  takes {} machines gone wrong", takes.join(", "))?;
    let (bad, judged) = (counts.bad(), counts.judged());
    match outcomes.stopped() {
        Some(Event { second, counts, .. }) => {
            let Counts { granted, population, .. } = counts;
            let (part, busy) = (Share::ratio(*granted, *population), counts.in_flight());
            writeln!(out, "  stopped it after {}, at {granted} machines ({part}), of which {busy} were still busy", clock(*second))
        }
        None => {
            let most =
                brake.fewest(brake.basis(judged, counts.population)).map_or_else(String::new, |most| format!(", {most} were too many"));
            writeln!(out, "  let it go on: {bad} of {judged} judged machines went wrong ({}){most}", Share::ratio(bad, judged))
        }
    }
}

fn verdict(outcomes: &Outcomes, out: &mut String) -> std::fmt::Result {
    let (counts, machines) = (outcomes.counts(), u64::from(outcomes.scenario.machines));
    writeln!(out, "\nin the end")?;
    let stands = match &outcomes.state {
        State::Running => "is still running",
        State::Paused { .. } => "is paused",
        State::Stopped { .. } => "was stopped by the brake",
        State::Done { .. } => "is done",
    };
    let Counts { granted, completed, rolled_back, .. } = counts;
    writeln!(out, "  the rollout {stands}: {granted} of {machines} machines were granted the release, {completed} run it")?;
    writeln!(out, "  {} machines were harmed: {rolled_back} rolled back, {} never came back", outcomes.harmed(), outcomes.gone)?;
    if outcomes.stopped().is_some() {
        writeln!(out, "  the brake kept the release from {} machines", machines.saturating_sub(granted))?;
    }
    let waits: Vec<String> = outcomes.reasons.iter().map(|(rule, times)| format!("{rule} {times}")).collect();
    writeln!(out, "  {} check-ins; told to wait: {}", outcomes.checks, waits.join(", "))
}

/// `1 02:03:04`, or `02:03:04` on the first day.
fn clock(second: u32) -> String {
    let (days, rest) = (second / 86_400, second % 86_400);
    let time = format!("{:02}:{:02}:{:02}", rest / 3_600, rest % 3_600 / 60, rest % 60);
    if days > 0 { format!("{days} {time}") } else { time }
}

/// `     27.5 Gbit/s`
fn scaled(number: f64, unit: &str) -> String {
    let (scale, prefix) = [(1e12, 'T'), (1e9, 'G')].into_iter().find(|(scale, _)| number >= *scale).unwrap_or((1e6, 'M'));
    format!("{:>10.1} {prefix}{unit}", number / scale)
}

/// For print, where the last digits of a large number do not matter.
#[allow(clippy::cast_precision_loss)]
const fn decimal(number: u64) -> f64 {
    number as f64
}
