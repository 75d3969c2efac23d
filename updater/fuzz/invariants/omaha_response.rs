//! No document makes the parser panic, and an answer that was accepted is the same after writing and reading it.

use omaha::{MAX_APPS, MAX_BYTES, Response};

/// Panics when the invariant does not hold for `bytes`.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(response) = Response::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_BYTES && response.apps.len() <= MAX_APPS);
    let stock = response.stock();
    let xml = response.to_xml();
    if xml.len() <= MAX_BYTES {
        let again = Response::parse(xml.as_bytes());
        assert_eq!(again.as_ref(), Ok(&response), "{xml}");
        assert_eq!(again.as_ref().map(Response::stock), Ok(stock), "a stock client sees the same");
    }
}
