//! What a person names by URL and can do without for once.

use std::time::Duration;

use super::error::SourceError;
use super::host::Host;
use super::http::Method;
use super::net::Net;

/// Fetches what is at `url`: at most `max_bytes`, and again and again within `budget`, because the network may just be coming up.
///
/// # Errors
/// With why there is nothing, without the address.
pub fn fetch(host: &dyn Host, url: &str, max_bytes: usize, budget: Duration) -> Result<Vec<u8>, String> {
    outcome(&Net::new(host, budget).over_the_internet(), url, max_bytes, budget)
}

/// As [`fetch`], for something large: one attempt may take the whole budget.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_large(host: &dyn Host, url: &str, max_bytes: usize, budget: Duration) -> Result<Vec<u8>, String> {
    outcome(&Net::new(host, budget).over_the_internet().patiently(), url, max_bytes, budget)
}

fn outcome(net: &Net<'_>, url: &str, max_bytes: usize, budget: Duration) -> Result<Vec<u8>, String> {
    match net.ask(Method::Get, url, max_bytes, &[]) {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(format!("the server answers with status {}", answer.status)),
        Err(SourceError::Budget { last, .. }) => Err(format!("no answer within {:.0} s ({last})", budget.as_secs_f32())),
        Err(SourceError::Http { error, .. }) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fake::Fake;
    use crate::source::http::{Answer, HttpError, Route};

    const URL: &str = "https://keys.internal/ada";
    const BUDGET: Duration = Duration::from_secs(20);

    fn answer(status: u16) -> Result<Answer, HttpError> {
        Ok(Answer { status, headers: Vec::new(), body: b"keys".to_vec() })
    }

    fn down() -> Result<Answer, HttpError> {
        Err(HttpError::Network("no route".to_owned()))
    }

    #[test]
    fn a_network_that_comes_up_late_is_waited_for() {
        let host = Fake::answering(vec![down(), down(), answer(503), answer(200)]);
        assert_eq!(fetch(&host, URL, 10, BUDGET).as_deref(), Ok(b"keys".as_slice()));
        let asked = host.asked.borrow();
        assert_eq!((asked.len(), asked[0].route, asked[0].max_bytes), (4, Route::Internet, 10));
    }

    #[test]
    fn what_is_large_is_waited_for_as_well_and_gets_all_the_time() {
        let host = Fake::answering(vec![down(), answer(200)]);
        assert_eq!(fetch_large(&host, URL, 10, BUDGET).as_deref(), Ok(b"keys".as_slice()));
        let asked = host.asked.borrow();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0].timeout, BUDGET);
        assert!(asked[1].timeout < BUDGET, "the second attempt has what is left");
    }

    #[test]
    fn a_network_that_does_not_come_up_costs_the_budget_and_no_more() {
        let host = Fake::answering(vec![down()]);
        assert_eq!(fetch(&host, URL, 10, BUDGET).unwrap_err(), "no answer within 20 s (no route)");
        assert_eq!(host.now.get(), BUDGET);
        assert!(fetch(&host, URL, 10, Duration::ZERO).unwrap_err().contains("no time left"));
    }

    #[test]
    fn answers_that_do_not_get_better_end_it() {
        for (given, expected) in [
            (answer(403), "status 403"),
            (answer(404), "status 404"),
            (Err(HttpError::TooLarge(10)), "more than 10 bytes"),
            (Err(HttpError::Redirect("http://a/".to_owned())), "not followed"),
        ] {
            let host = Fake::answering(vec![given]);
            let error = fetch(&host, URL, 10, BUDGET).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert_eq!(host.asked.borrow().len(), 1);
        }
    }
}
