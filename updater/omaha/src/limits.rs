//! How large a document may be. A stock request has some 1.5 KiB, 4 levels, 16 attributes on an element.

/// Largest document, in bytes; what Nebraska allows as well.
pub const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of elements. The deepest that means something is `response/app/updatecheck/manifest/packages/package`, 6.
pub const MAX_DEPTH: usize = 16;
/// Most elements of a document: nothing we know has more than some tens.
pub const MAX_ELEMENTS: usize = 2048;
/// Most attributes of one element.
pub const MAX_ATTRIBUTES: usize = 64;
/// Longest value of an attribute, in bytes, as it stands in the document.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Longest name of an element or attribute, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Most applications in a request or response; stock clients have one.
pub const MAX_APPS: usize = 16;
/// Most events of one application; stock clients send one, omaha-like clients some at once.
pub const MAX_EVENTS: usize = 32;
/// Most places to download from.
pub const MAX_URLS: usize = 32;
/// Most packages in a manifest: the system, and its extensions.
pub const MAX_PACKAGES: usize = 64;
/// Most actions in a manifest.
pub const MAX_ACTIONS: usize = 16;
/// Longest `cause` of an event, in bytes: a line for the operator's table.
pub const MAX_CAUSE_BYTES: usize = 1024;
