//! The Omaha v3 protocol as Flatcar's and CoreOS's update_engine speak it: types and XML, no I/O.
//!
//! [`Request`] is what a machine sends, [`Response`] what a server answers; both can be parsed and written, so that one crate
//! serves the agent, the server and their tests. Parsing is bounded in bytes, depth and count ([`limits`]), knows no DTD, and
//! tolerates elements and attributes it does not know; writing never produces XML that a parser could refuse.
//!
//! | module | content |
//! | --- | --- |
//! | [`request`] | what a machine says: its applications, pings, checks and events |
//! | [`response`] | what a server answers: where to get which version |
//! | [`event`] | event types, results and error codes |
//! | [`limits`] | how large a document may be |
//! | [`error`] | why one was refused |
//! | `xml` | the small XML beneath, over quick-xml |
//!
//! ```
//! use omaha::{App, Request, Response, UpdateCheck, UpdateStatus};
//!
//! let app = App { id: "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}".into(), update_check: Some(UpdateCheck::default()), ..App::default() };
//! let xml = Request { apps: vec![app], ..Request::default() }.to_xml();
//! assert_eq!(Request::parse(xml.as_bytes())?.apps[0].events.len(), 0);
//!
//! let answer = br#"<response protocol="3.0"><app appid="x" status="ok"><updatecheck status="noupdate"/></app></response>"#;
//! let check = Response::parse(answer)?.apps.remove(0).update_check.expect("it is there");
//! assert_eq!(check.status, UpdateStatus::NoUpdate);
//! # Ok::<(), omaha::ParseError>(())
//! ```

pub mod error;
pub mod event;
pub mod limits;
pub mod request;
pub mod response;
#[cfg(test)]
mod test_data;
mod xml;

pub use error::ParseError;
pub use event::{Event, EventResult, EventType};
pub use limits::{MAX_APPS, MAX_BYTES, MAX_DEPTH, MAX_EVENTS};
pub use request::{App, Os, Request, UpdateCheck, same_app};
pub use response::{Action, AppResponse, AppStatus, Manifest, Package, Response, UpdateCheckResponse, UpdateStatus};
