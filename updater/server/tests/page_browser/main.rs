//! The web page in Debian's Chromium, against the real server. See `browser/test.sh`.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod chromium;
#[path = "../page/fleet.rs"]
#[allow(dead_code, reason = "shared with the tests that need no browser")]
mod fleet;
mod server;

use serde_json::json;
use update_server::policy::State;

use chromium::Browser;
use server::Server;

/// Set where a missing browser is a failure.
const REQUIRED: &str = "SLIPWAY_TEST_BROWSER";
/// Set to a folder to get pictures of all pages.
const PICTURES: &str = "SLIPWAY_TEST_PICTURES";
const PAGES: [&str; 9] = [
    "/",
    "/rollouts",
    "/rollouts/1",
    "/rollouts/2",
    "/rollouts/3",
    "/machines",
    "/machines/00000000000000000000000000000003",
    "/machines/00000000000000000000000000000004",
    "/history",
];
/// A machine that was granted the release of rollout 2.
const GRANTED: &str = "00000000000000000000000000000002";

#[allow(clippy::print_stderr, reason = "a test that did not run must say so")]
fn browser() -> Option<Browser> {
    if chromium::installed() {
        return Some(Browser::start());
    }
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set and there is no `{}`: apt-get install chromium", chromium::PROGRAM);
    eprintln!("skipped: there is no `{}` here (Debian package chromium); set {REQUIRED}=1 to make that a failure", chromium::PROGRAM);
    None
}

#[track_caller]
fn sign_in(browser: &mut Browser, server: &Server) {
    browser.open(&server.url("/"));
    assert_eq!(browser.value("location.pathname"), json!("/sign-in"));
    browser.type_and_enter("#token", &server.secret);
    assert_eq!(browser.value("location.pathname"), json!("/"), "{}", browser.text());
}

#[track_caller]
fn assert_no_complaints(browser: &Browser) {
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[test]
fn every_page_reads_and_a_rollout_pauses_without_scripts() {
    let Some(mut browser) = browser() else { return };
    let server = Server::start();
    browser.scripts(false);
    sign_in(&mut browser, &server);
    for path in PAGES {
        browser.open(&server.url(path));
        let text = browser.text();
        assert!(text.contains("Reload the page for newer numbers."), "{path}: {text}");
        assert!(
            browser.value("document.querySelectorAll('h1').length === 1 && document.styleSheets.length === 1") == json!(true),
            "{path}"
        );
    }
    assert!(server.check_in(GRANTED, "1.1.0").contains(r#"<manifest version="1.2.0""#), "it is offered the release");
    browser.open(&server.url("/rollouts/2"));
    browser.type_and_enter("#why", "disks fill up");
    let text = browser.text();
    assert!(text.contains("Paused by anna") && text.contains("disks fill up") && text.contains("Resume the rollout"), "{text}");
    assert!(matches!(server.state(2), State::Paused { .. }));
    let answer = server.check_in(GRANTED, "1.1.0");
    assert!(answer.contains(r#"status="noupdate""#) && !answer.contains("<manifest"), "the next check gets nothing: {answer}");
    assert_no_complaints(&browser);
}

#[test]
fn news_appear_without_a_reload_and_typing_is_not_disturbed() {
    let Some(mut browser) = browser() else { return };
    let server = Server::start();
    sign_in(&mut browser, &server);
    browser.open(&server.url("/machines"));
    browser.until("document.querySelector('[data-fresh]').dataset.state === 'live'");
    browser.value(
        "window.neverReloaded = true; document.querySelector('#search').focus(); document.querySelector('#search').value = 'typed'; true",
    );
    server.check_in("cafecafecafecafecafecafecafecafe", "1.1.0");
    browser.until("document.querySelector('#list').innerText.includes('cafecafecafe')");
    let kept =
        "window.neverReloaded === true && document.querySelector('#search').value === 'typed' && document.activeElement.id === 'search'";
    assert_eq!(browser.value(kept), json!(true));
    // A rollout that somebody else stops shows itself on a page that is open, and reading on is not disturbed.
    browser.open(&server.url("/rollouts/2"));
    browser.until("document.querySelector('[data-fresh]').dataset.state === 'live'");
    browser.value("window.neverReloaded = true; document.querySelector('#chart-numbers').open = true; true");
    browser.value("fetch('/rollouts/2/pause', {method: 'POST', body: new URLSearchParams({why: 'elsewhere', form_token: document.querySelector('#steer [name=form_token]').value})}).then(() => true)");
    browser.until(
        "document.querySelector('#state').innerText.includes('elsewhere') && document.querySelector('#steer').innerText.includes('Resume')",
    );
    assert_eq!(browser.value("window.neverReloaded === true && document.querySelector('#chart-numbers').open"), json!(true));
    // Out of sight nothing is fetched.
    browser.value("Object.defineProperty(document, 'hidden', {value: true}); document.dispatchEvent(new Event('visibilitychange')); true");
    browser.until("document.querySelector('[data-fresh]').dataset.state === 'held'");
    assert_no_complaints(&browser);
}

/// Form controls without a label, tables without headers, and text that is hard to read, as a list of complaints.
const INSPECT: &str = r"(() => {
  const found = [];
  for (const control of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (!control.labels.length) found.push('no label: ' + control.outerHTML);
  for (const button of document.querySelectorAll('button, a, summary'))
    if (!button.innerText.trim() && !button.getAttribute('aria-label')) found.push('no name: ' + button.outerHTML);
  for (const table of document.querySelectorAll('table'))
    if (!table.querySelector('thead th[scope=col]')) found.push('no headers: ' + table.outerHTML.slice(0, 80));
  for (const picture of document.querySelectorAll('svg'))
    if (picture.getAttribute('aria-hidden') !== 'true' && !picture.querySelector('title')) found.push('no title: ' + picture.outerHTML.slice(0, 80));
  const parse = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length || element.closest('title, desc, option')) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(ratio.toFixed(2) + ': ' + walker.currentNode.data.trim().slice(0, 40));
  }
  if (document.documentElement.scrollWidth > window.innerWidth) found.push('wider than the window');
  return found;
})()";

#[test]
fn every_page_is_labelled_legible_and_clean_in_light_and_dark() {
    let Some(mut browser) = browser() else { return };
    let server = Server::start();
    let pictures = std::env::var_os(PICTURES).map(std::path::PathBuf::from);
    browser.open(&server.url("/sign-in"));
    assert_eq!(browser.value(INSPECT), json!([]));
    sign_in(&mut browser, &server);
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        for path in PAGES {
            browser.open(&server.url(path));
            browser.until("document.querySelector('[data-fresh]').dataset.state === 'live'");
            if let Some(folder) = &pictures {
                browser.picture(&folder.join(format!("{scheme}{}.png", path.replace('/', "-"))));
            }
            assert_eq!(browser.value(INSPECT), json!([]), "{scheme} {path}");
        }
    }
    browser.call("Emulation.setDeviceMetricsOverride", &json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true}));
    for path in PAGES {
        browser.open(&server.url(path));
        if let Some(folder) = &pictures {
            browser.picture(&folder.join(format!("small{}.png", path.replace('/', "-"))));
        }
        assert_eq!(browser.value("document.documentElement.scrollWidth <= window.innerWidth"), json!(true), "{path} on a telephone");
    }
    assert_no_complaints(&browser);
}
