use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// A server that gives each connection the next answer, and tells what it was asked.
fn serve(answers: &[&str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = vec![0; 8192];
            let count = stream.read(&mut request).unwrap_or(0);
            let _ = tell.send(String::from_utf8_lossy(&request[..count]).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (base, asked)
}

fn get(url: String) -> Request {
    Request { method: Method::Get, url, headers: Vec::new(), max_bytes: 10, timeout: Duration::from_secs(20), route: Route::Metadata }
}

#[test]
fn an_answer_comes_with_status_headers_and_content() {
    let (base, asked) = serve(&["HTTP/1.1 404 Not Found\r\nMetadata-Flavor: Google\r\nContent-Length: 4\r\n\r\nnone"]);
    let request = Request { method: Method::Put, headers: vec![("x-token", "abc".to_owned())], ..get(format!("{base}/a?b=c")) };
    let answer = Client::metadata().unwrap().send(&request).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (404, b"none".as_slice()));
    assert_eq!(answer.header("metadata-flavor"), Some("Google"));
    let asked = asked.recv().unwrap().to_lowercase();
    assert!(asked.starts_with("put /a?b=c http/1.1\r\n") && asked.contains("\r\nx-token: abc\r\n"), "{asked}");
    assert!(asked.contains("\r\ncontent-length: 0\r\n"), "{asked}");
}

#[test]
fn metadata_is_never_redirected() {
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: http://198.51.100.1/evil?secret=1\r\nContent-Length: 0\r\n\r\n");
        let (base, _asked) = serve(&[&head]);
        let error = Client::metadata().unwrap().send(&get(base)).unwrap_err();
        assert_eq!(error, HttpError::Redirect("http://198.51.100.1/evil?...".to_owned()));
        assert!(!error.is_transient());
    }
}

#[test]
fn answers_that_are_too_long_are_refused_whether_they_say_so_or_not() {
    let said = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n";
    let unsaid = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234567890";
    let fits = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789";
    let (base, _asked) = serve(&[said, unsaid, fits]);
    let client = Client::metadata().unwrap();
    assert_eq!(client.send(&get(base.clone())), Err(HttpError::TooLarge(10)));
    assert_eq!(client.send(&get(base.clone())), Err(HttpError::TooLarge(10)));
    assert_eq!(client.send(&get(base)).unwrap().body.len(), 10);
}

#[test]
fn silence_and_noise_are_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let request = Request { timeout: Duration::from_millis(50), ..get(silent) };
    assert_eq!(Client::metadata().unwrap().send(&request), Err(HttpError::Timeout(Duration::from_millis(50))));
    drop(listener);
    let error = Client::metadata().unwrap().send(&Request { timeout: Duration::from_secs(20), ..request }).unwrap_err();
    assert!(matches!(error, HttpError::Network(_)) && error.is_transient(), "{error}");
    let (base, _asked) = serve(&["SSH-2.0-OpenSSH\r\n"]);
    assert!(Client::metadata().unwrap().send(&get(base)).unwrap_err().is_transient());
}

#[test]
fn a_value_from_the_network_cannot_become_another_header() {
    for value in ["a\r\nHost: evil", "a\nb", "a\0b"] {
        let request = Request { headers: vec![("x-token", value.to_owned())], ..get("http://127.0.0.1:1/".to_owned()) };
        assert_eq!(Client::metadata().unwrap().send(&request), Err(HttpError::Header("x-token")));
    }
}

#[test]
fn a_request_can_be_sent_from_inside_a_runtime() {
    let (base, _asked) = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async { Client::metadata().unwrap().send(&get(base)) });
    assert_eq!(answer.unwrap().body, b"ok");
}

#[test]
fn only_plain_http_urls_are_asked() {
    for url in ["http://169.254.169.254/x", "https://example.org", "http://[fd00::1]:80/"] {
        assert!(checked_url(url).is_ok(), "{url}");
    }
    let long = format!("http://example.org/{}", "x".repeat(URL_BYTES));
    for url in ["", "/etc/passwd", "file:///etc/shadow", "ftp://example.org", "http://", "http://user@example.org/", "http://u:p@e/", &long]
    {
        assert_eq!(checked_url(url), Err(HttpError::Url), "{url}");
    }
}

#[test]
fn what_is_shown_of_a_url_holds_no_secret() {
    assert_eq!(shown("http://user:pass@example.org/a?token=1#x"), "http://example.org/a?...");
    assert_eq!(shown("no url\r\nat all"), "no urlat all");
    assert!(shown(&format!("http://e/{}", "x".repeat(9999))).len() <= 200);
}

#[test]
fn redirects_of_a_users_url_stay_outside_and_come_to_an_end() {
    let urls = |list: &[&str]| list.iter().map(|url| Url::parse(url).unwrap()).collect::<Vec<_>>();
    let from = urls(&["http://example.org/"]);
    for good in ["http://cdn.example.org/", "https://example.org/", "http://10.0.2.2/", "http://[2001:db8::1]/"] {
        assert!(may_redirect(&from, &Url::parse(good).unwrap()), "{good}");
    }
    for bad in [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://169.254.169.254/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://[::ffff:169.254.169.254]/",
        "http://2130706433/",
        "file:///etc/passwd",
    ] {
        assert!(!may_redirect(&from, &Url::parse(bad).unwrap()), "{bad}");
    }
    assert!(!may_redirect(&urls(&["https://example.org/"]), &from[0]), "https falls back to http");
    let many = vec![from[0].clone(); MAX_REDIRECTS + 1];
    assert!(!may_redirect(&many, &from[0]) && may_redirect(&many[1..], &from[0]));
}
