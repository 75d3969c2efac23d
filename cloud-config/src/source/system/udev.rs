//! Waiting until udev has seen what was plugged in when the machine came up.

use std::time::Duration;

use crate::source::error::ReadError;
use crate::source::host::Host;

/// udev keeps this file for as long as it has events to work on.
const QUEUE: &str = "/run/udev/queue";
/// Longest wait: a drive that needs longer is not worth the boot of everybody else.
const SETTLE: Duration = Duration::from_secs(10);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Waits until udev has nothing to do: by then drivers of SATA and other slow drives are loaded and their media read. Without udev
/// there is nothing to wait for.
pub(super) fn settle(host: &dyn Host) {
    let deadline = host.now().saturating_add(SETTLE);
    while matches!(host.read(QUEUE, 0), Ok(Some(_)) | Err(ReadError::TooLarge(_))) {
        if host.now() >= deadline {
            tracing::warn!(seconds = SETTLE.as_secs(), "udev is still busy; disks it has not come to are not seen");
            return;
        }
        host.sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fake::Fake;

    #[test]
    fn waits_as_long_as_udev_is_busy_and_no_longer_than_the_limit() {
        let (no, some, ever) = (Duration::ZERO, Duration::from_millis(175), Duration::MAX);
        let table = [(QUEUE, no, no), (QUEUE, some, Duration::from_millis(200)), (QUEUE, ever, SETTLE), ("/run/udev/control", ever, no)];
        for (path, busy, expected) in table {
            let host = Fake { file: (path, busy), ..Fake::default() };
            settle(&host);
            assert_eq!(host.now.get(), expected, "{path} for {busy:?}");
        }
    }
}
