//! The gate's report, a file that the daemon reads.

use std::io::{self, Read};
use std::path::Path;

use crate::daemon::host::HealthReport;

/// Where the gate leaves its report.
pub const REPORT: &str = "/run/updater/health.json";
/// The unit that runs the gate.
pub const UNIT: &str = "updater-health.service";
/// Longest report, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Writes the report so that a reader sees all of it or none.
pub fn write(path: &Path, report: &HealthReport) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    crate::disk::show(path, &serde_json::to_vec_pretty(report)?)
}

/// Reads a report.
pub fn read(path: &Path) -> io::Result<HealthReport> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Removes an old report, so that it cannot pass for a new one.
pub fn forget(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::host::HealthCheck;

    #[test]
    fn a_report_is_read_as_written_and_not_found_when_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("updater/health.json");
        let check = HealthCheck { name: "docker".into(), passed: false, detail: "no answer".into(), millis: 3 };
        let report = HealthReport { passed: false, cause: Some("docker: no answer".into()), checks: vec![check] };
        write(&path, &report).unwrap();
        assert_eq!(read(&path).unwrap(), report);
        forget(&path).unwrap();
        forget(&path).unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, "{}").unwrap();
        assert!(read(&path).is_err(), "half a report is none");
    }
}
