//! A machine for the tests of single parts: one file that goes away, a list of answers, time that passes only where somebody waits.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::error::ReadError;
use super::host::{Device, Host, Medium};
use super::http::{Answer, HttpError, Request};

#[derive(Default)]
pub(super) struct Fake {
    /// The file that is there, and until when.
    pub(super) file: (&'static str, Duration),
    /// What is answered, the last one for ever; after how long.
    pub(super) answers: RefCell<Vec<Result<Answer, HttpError>>>,
    pub(super) asked: RefCell<Vec<Request>>,
    pub(super) now: Cell<Duration>,
}

impl Fake {
    pub(super) fn answering(answers: Vec<Result<Answer, HttpError>>) -> Self {
        Self { answers: RefCell::new(answers), ..Self::default() }
    }
}

impl Host for Fake {
    fn read(&self, path: &str, _max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        Ok((path == self.file.0 && self.now.get() < self.file.1).then(Vec::new))
    }

    fn devices(&self) -> Result<Vec<Device>, ReadError> {
        Ok(Vec::new())
    }

    fn mount(&self, _device: &Device) -> Result<Box<dyn Medium + '_>, ReadError> {
        Err(ReadError::NotPermitted)
    }

    fn guestinfo(&self, _key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(None)
    }

    fn http(&self, request: &Request) -> Result<Answer, HttpError> {
        self.asked.borrow_mut().push(request.clone());
        let mut answers = self.answers.borrow_mut();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, pause: Duration) {
        self.now.set(self.now.get() + pause);
    }
}
