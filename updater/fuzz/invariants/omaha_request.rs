//! No document makes the parser panic, and a request that was accepted is the same after writing and reading it.

use omaha::{MAX_APPS, MAX_BYTES, MAX_EVENTS, Request};

/// Panics when the invariant does not hold for `bytes`.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(request) = Request::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_BYTES && request.apps.len() <= MAX_APPS);
    assert!(request.apps.iter().all(|app| app.events.len() <= MAX_EVENTS));
    let xml = request.to_xml();
    // Escaping can make a document of the largest size a little larger.
    if xml.len() <= MAX_BYTES {
        assert_eq!(Request::parse(xml.as_bytes()).as_ref(), Ok(&request), "{xml}");
    }
}
