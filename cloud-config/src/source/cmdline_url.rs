//! `cloud-config-url=` on the kernel command line: a person at the boot loader, or a network boot, says where to look.

use std::time::Duration;

use super::error::SourceError;
use super::host::Host;
use super::http::{HttpError, checked_url, shown};
use super::limits::USER_DATA_BYTES;
use super::net::Net;
use super::{Blob, Part};

/// What this source may take in total: the network may have to come up first, on machines whose switches think for half a
/// minute about every link.
pub(super) const BUDGET: Duration = Duration::from_secs(60);

pub(super) fn fetch(host: &dyn Host, url: &str) -> Result<Part, SourceError> {
    checked_url(url).map_err(|_| SourceError::Http { url: shown(url), error: HttpError::Url })?;
    let bytes = Net::new(host, BUDGET).over_the_internet().need(url, USER_DATA_BYTES)?;
    Ok(Part { user_data: Blob::unless_empty(shown(url), bytes), ..Part::default() })
}
