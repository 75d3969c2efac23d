//! A recorded machine behind the trait of the real one. Time passes only where somebody waits.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use cloud_config::source::http::{Answer, HttpError, Method, Request, Route};
use cloud_config::source::{Device, Host, Medium, ReadError};

use crate::case::{Case, Content};

/// Replays a case and writes down what was asked.
pub(crate) struct Recorded {
    case: Case,
    used: RefCell<Vec<usize>>,
    now: Cell<Duration>,
    pub(crate) asked: RefCell<Vec<String>>,
}

impl Recorded {
    pub(crate) fn new(case: Case) -> Self {
        Self { case, used: RefCell::default(), now: Cell::new(Duration::from_secs(7)), asked: RefCell::default() }
    }

    /// How long it all took.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.get() - Duration::from_secs(7)
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }
}

/// A content, as far as it may be read.
fn limited(content: &Content, max: usize) -> Result<Vec<u8>, ReadError> {
    match content {
        Ok(bytes) if bytes.len() > max => Err(ReadError::TooLarge(max)),
        Ok(bytes) => Ok(bytes.clone()),
        Err(error) => Err(match error.as_str() {
            "escapes" => ReadError::Escapes,
            "denied" => ReadError::NotPermitted,
            other => ReadError::Io(other.to_owned()),
        }),
    }
}

impl Host for Recorded {
    fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        self.case.files.get(path).map(|content| limited(content, max)).transpose()
    }

    fn devices(&self) -> Result<Vec<Device>, ReadError> {
        Ok(self.case.devices.clone())
    }

    fn mount(&self, device: &Device) -> Result<Box<dyn Medium + '_>, ReadError> {
        if device.partition_name.as_deref() == Some("broken") {
            return Err(ReadError::Io("wrong superblock".to_owned()));
        }
        Ok(Box::new(RecordedMedium { case: &self.case, node: device.node.clone() }))
    }

    fn guestinfo(&self, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.case.guestinfo.get(key).map(|content| limited(content, usize::MAX)).transpose()
    }

    fn http(&self, request: &Request) -> Result<Answer, HttpError> {
        let verb = if request.method == Method::Get { "GET" } else { "PUT" };
        let way = if request.route == Route::Metadata { "" } else { " (internet)" };
        self.asked.borrow_mut().push(format!("{verb} {}{way}", request.url));
        let fits = |index: &usize| {
            let exchange = &self.case.exchanges[*index];
            exchange.method == request.method && exchange.url == request.url
        };
        let all: Vec<usize> = (0..self.case.exchanges.len()).filter(fits).collect();
        let mut used = self.used.borrow_mut();
        let next = all.iter().find(|index| !used.contains(index)).or(all.last());
        let index = *next.unwrap_or_else(|| panic!("nobody expected {verb} {}", request.url));
        used.push(index);
        let exchange = &self.case.exchanges[index];
        let sent: Vec<(String, String)> = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        assert_eq!(sent, exchange.headers, "headers of {verb} {}", request.url);
        match &exchange.body {
            Ok(body) if body.len() > request.max_bytes => Err(HttpError::TooLarge(request.max_bytes)),
            Ok(body) => {
                self.pass(Duration::from_millis(10));
                Ok(Answer { status: exchange.status, headers: exchange.answer_headers.clone(), body: body.clone() })
            }
            Err(error) if error == "timeout" => {
                self.pass(request.timeout);
                Err(HttpError::Timeout(request.timeout))
            }
            Err(error) if error == "redirect" => Err(HttpError::Redirect("http://198.51.100.1/".to_owned())),
            Err(error) => Err(HttpError::Network(error.clone())),
        }
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, pause: Duration) {
        self.pass(pause);
    }
}

struct RecordedMedium<'a> {
    case: &'a Case,
    node: String,
}

impl Medium for RecordedMedium<'_> {
    fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        self.case.media.get(&(self.node.clone(), path.to_owned())).map(|content| limited(content, max)).transpose()
    }
}
