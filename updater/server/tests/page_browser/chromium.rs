//! A tiny client for Chromium's DevTools protocol over its pipe: NUL-terminated JSON in, NUL-terminated JSON out.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

/// How long anything may take: Chromium's first start on a busy machine is the slowest.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at again.
const LOOK: Duration = Duration::from_millis(100);
/// The program, from the Debian package of the same name.
pub(crate) const PROGRAM: &str = "chromium";

/// A browser with one open page. Ends with its value.
pub(crate) struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    next: u64,
    session: Option<String>,
    /// What went wrong on any page: exceptions, errors on the console, violations of the content security policy.
    pub(crate) complaints: Vec<String>,
    loaded: bool,
    _profile: tempfile::TempDir,
}

/// Whether there is a browser on this machine.
pub(crate) fn installed() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file()))
}

impl Browser {
    #[allow(clippy::disallowed_methods, reason = "the one place where this test starts a program")]
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The shell moves the pipes to the descriptors on which Chromium expects them, then becomes Chromium.
        let mut command = std::process::Command::new("sh");
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh", PROGRAM, "--headless", "--remote-debugging-pipe"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.args(["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1280,900"]);
        if rustix::process::geteuid().is_root() {
            // Chromium refuses its sandbox to root; the pages it sees here are our own.
            command.arg("--no-sandbox");
        }
        let mut child = command.arg("about:blank").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                if serde_json::from_slice(&message).is_ok_and(|message: Value| sender.send(message).is_err()) {
                    break;
                }
            }
        });
        let mut browser = Self { child, to, from, next: 0, session: None, complaints: Vec::new(), loaded: false, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Asks the browser something and waits for its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{message}\0").as_bytes()).unwrap();
        to.flush().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left).unwrap_or_else(|error| panic!("no answer of the browser to {method}: {error}"));
            if answer["id"] == json!(self.next) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.notice(&answer);
        }
    }

    fn notice(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loaded = true,
            "Runtime.exceptionThrown" => self.complaints.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if params["type"] == "error" => self.complaints.push(params["args"].to_string()),
            "Log.entryAdded" if params["entry"]["level"] == "error" => self.complaints.push(params["entry"].to_string()),
            _ => {}
        }
    }

    /// Lets events come in for a moment.
    fn listen(&mut self) {
        if let Ok(event) = self.from.recv_timeout(LOOK) {
            self.notice(&event);
        }
    }

    /// Opens a page and waits until it is there.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        self.loaded = false;
        self.call("Page.navigate", &json!({"url": url}));
        self.await_load();
    }

    /// Waits for the page that a form or a link leads to; ask for it before.
    #[track_caller]
    pub(crate) fn await_load(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !self.loaded {
            assert!(Instant::now() < end, "the page does not load");
            self.listen();
        }
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            assert!(Instant::now() < end, "never true: {expression}; the page says: {}", self.value("document.body.innerText"));
            self.listen();
        }
    }

    /// What the page says.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        self.value("document.body.innerText").as_str().unwrap().to_owned()
    }

    /// Types into a field and sends its form with the Enter key.
    #[track_caller]
    pub(crate) fn type_and_enter(&mut self, field: &str, text: &str) {
        let found = self.value(&format!("(() => {{ const f = document.querySelector({field:?}); if (f) f.focus(); return !!f; }})()"));
        assert_eq!(found, json!(true), "there is no {field} in: {}", self.text());
        self.call("Input.insertText", &json!({"text": text}));
        self.loaded = false;
        let key = json!({"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        for kind in ["keyDown", "keyUp"] {
            let mut event = key.clone();
            event["type"] = json!(kind);
            self.call("Input.dispatchKeyEvent", &event);
        }
        self.await_load();
    }

    /// Allows or forbids scripts on pages opened from now on.
    pub(crate) fn scripts(&mut self, allowed: bool) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({"value": !allowed}));
    }

    /// Light or dark.
    pub(crate) fn scheme(&mut self, scheme: &str) {
        self.call("Emulation.setEmulatedMedia", &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}));
    }

    /// Writes a picture of the whole page.
    pub(crate) fn picture(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        self.next += 1;
        if let Some(mut to) = self.to.take() {
            let _ = to.write_all(format!("{}\0", json!({"id": self.next, "method": "Browser.close"})).as_bytes());
        }
        // It ends when it is told to or when its pipe is closed; whoever does not is ended.
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            let _ = self.from.recv_timeout(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
