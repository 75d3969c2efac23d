//! Processor time of processes, from `/proc`.

use std::collections::BTreeMap;
use std::io;

/// Ticks a second in `/proc`: part of the kernel's interface to programs on every architecture we run on.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time in ticks by process.
pub(super) type Sample = BTreeMap<u32, u64>;

/// The processor time of `roots` and all their descendants, which for a database are its workers.
pub(super) fn sample(roots: &[u32]) -> io::Result<Sample> {
    if roots.is_empty() {
        return Ok(Sample::new());
    }
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process that ends meanwhile is not there any more.
        if let Some(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parse) {
            all.insert(pid, stat);
        }
    }
    if let Some(missing) = roots.iter().find(|root| !all.contains_key(root)) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no process {missing}")));
    }
    let belongs = |mut pid: u32| {
        // A chain of parents ends at process 1; the bound guards against a table read while it changed.
        for _ in 0..all.len() {
            if roots.contains(&pid) {
                return true;
            }
            let Some((parent, _)) = all.get(&pid) else { return false };
            pid = *parent;
        }
        false
    };
    Ok(all.iter().filter(|(pid, _)| belongs(**pid)).map(|(pid, (_, ticks))| (*pid, *ticks)).collect())
}

/// Microseconds of processor time between two samples; processes that appeared in between count from zero.
pub(super) fn microseconds(before: &Sample, after: &Sample) -> u64 {
    let spent = after.iter().map(|(pid, ticks)| ticks.saturating_sub(before.get(pid).copied().unwrap_or(0)));
    spent.sum::<u64>() * (1_000_000 / TICKS_PER_SECOND)
}

/// Parent and ticks (user and system) out of `/proc/PID/stat`. The name in brackets may hold anything, brackets too.
fn parse(stat: &str) -> Option<(u32, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_whatever_the_process_is_called() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 0 0 0 150 50 3 4 20 0 1 0 1 1 1";
        assert_eq!(parse(stat), Some((7, 200)));
        assert_eq!(parse("42 (x) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_found_and_no_process_is_not() {
        let me = std::process::id();
        assert!(sample(&[me]).unwrap().contains_key(&me));
        assert!(sample(&[u32::MAX]).is_err());
        assert!(sample(&[]).unwrap().is_empty());
    }

    #[test]
    fn only_what_was_spent_in_between_counts() {
        let before = Sample::from([(1, 100), (2, 5)]);
        let after = Sample::from([(1, 150), (3, 10)]);
        assert_eq!(microseconds(&before, &after), 600_000);
    }
}
