//! A real update server on this machine's loopback, with a data folder of its own.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;
use image_builder::progress::Progress;
use image_builder::qemu::machine::{Forward, SERVICE_ADDRESS};
use image_builder::release::publish::{Destination, publish};
use reqwest::Method;
use serde_json::{Value, json};

use crate::pace::Deadline;

/// Where the guest finds the server.
const GUEST_PORT: u16 = 8080;
/// How long the server may take to answer after its start.
const START: Duration = Duration::from_secs(60);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(30);
/// Environment variable with the program, where it is not beside the tests.
const PROGRAM_ENV: &str = "SLIPWAY_UPDATE_SERVER";

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct UpdateServer {
    child: Mutex<Option<Child>>,
    program: Utf8PathBuf,
    data: Utf8PathBuf,
    log: Utf8PathBuf,
    port: u16,
    token: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl UpdateServer {
    /// Sets one up and starts it; its log goes to `logs`.
    pub fn start(logs: &Utf8Path) -> anyhow::Result<Self> {
        let dir = crate::scratch::dir("server")?;
        let data = Utf8Path::from_path(dir.path()).context("the temporary folder's name is not UTF-8")?.join("data");
        let program = program()?;
        std::fs::create_dir_all(logs).with_context(|| format!("making {logs}"))?;
        let init = Cmd::new(&program).args(["--json", "init", "--data", data.as_str()]).output().context("setting up the server")?;
        let init: Value = serde_json::from_slice(&init).context("reading what `update-server init` said")?;
        let token = init["token"].as_str().context("`update-server init` printed no token")?.to_owned();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("looking for a free port")?
            .port();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Self {
            child: Mutex::new(None),
            program,
            data,
            log: logs.join("update-server.log"),
            port,
            token,
            // The server ends connections that are quiet; minutes pass between two calls here, so none is kept.
            client: reqwest::Client::builder().timeout(CALL).pool_max_idle_per_host(0).build().context("setting up HTTP")?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().context("setting up HTTP")?,
            _dir: dir,
        };
        server.resume()?;
        Ok(server)
    }

    /// What leads a guest to it.
    #[must_use]
    pub fn service(&self) -> Forward {
        Forward { host: self.port, guest: GUEST_PORT }
    }

    /// Its address as the guest sees it.
    #[must_use]
    pub fn guest_url() -> String {
        format!("http://{SERVICE_ADDRESS}:{GUEST_PORT}")
    }

    /// Its data folder, for those who have stolen it.
    #[must_use]
    pub fn data(&self) -> &Utf8Path {
        &self.data
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash does.
    pub fn stop(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port and data.
    pub fn resume(&self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log).with_context(|| format!("opening {}", self.log))?;
        let base = Self::guest_url();
        let args = ["serve", "--data", self.data.as_str(), "--listen", &format!("127.0.0.1:{}", self.port), "--base-url", &base];
        let child = crate::process::start(self.program.as_str(), &args.map(str::to_owned), &log)?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Deadline::after(START).wait("the update server answers", || {
            if let Some(child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
                && let Some(status) = child.try_wait().context("asking for the server")?
            {
                bail!("the update server ended with {status}; see {}", self.log);
            }
            Ok(self
                .runtime
                .block_on(async { self.client.get(format!("{}/health", self.url())).send().await })
                .ok()
                .filter(|answer| answer.status().is_success()))
        })?;
        Ok(())
    }

    /// Copies all it has, as a nightly backup does; it is not running meanwhile.
    pub fn back_up(&self) -> anyhow::Result<tempfile::TempDir> {
        let copy = crate::scratch::dir("backup")?;
        self.stop();
        Cmd::new("cp").args(["-a", "--reflink=auto", "--"]).arg(&self.data).arg(copy.path()).run().context("backing up the server")?;
        self.resume()?;
        Ok(copy)
    }

    /// Puts a backup in the place of all it has.
    pub fn restore(&self, backup: &tempfile::TempDir) -> anyhow::Result<()> {
        self.stop();
        std::fs::remove_dir_all(&self.data).with_context(|| format!("removing {}", self.data))?;
        let name = self.data.file_name().context("the server's data has no name")?;
        Cmd::new("cp")
            .args(["-a", "--reflink=auto", "--"])
            .arg(backup.path().join(name))
            .arg(&self.data)
            .run()
            .context("restoring the server")?;
        self.resume()
    }

    /// Sends it a repository of releases.
    pub fn publish(&self, repository: &Utf8Path) -> anyhow::Result<()> {
        let to = Destination { server: &self.url(), token: &self.token };
        publish(repository.as_std_path(), to, &Progress::silent()).with_context(|| format!("publishing {repository}"))?;
        Ok(())
    }

    /// A new address at which so many machines find each other, as they see it.
    pub fn discovery(&self, size: u8) -> anyhow::Result<String> {
        let url = format!("{}/discovery/new?size={size}", self.url());
        let answer = self.runtime.block_on(async {
            let answer = self.client.get(&url).send().await?.error_for_status()?;
            answer.text().await
        });
        let given = answer.context("asking for a discovery address")?;
        let token = given.trim().rsplit('/').next().filter(|token| !token.is_empty()).with_context(|| format!("{given:?} has no token"))?;
        Ok(format!("{}/discovery/{token}", Self::guest_url()))
    }

    /// Gives a version to every machine of the group `stable` that asks.
    pub fn roll_out(&self, version: &str) -> anyhow::Result<()> {
        self.call(Method::PUT, "groups/stable", Some(&json!({ "channel": "stable" })))?;
        // One machine is the whole group here, and made to fail on purpose: the brake would end the scenario.
        let body = json!({ "version": version, "move-channel": true, "ramp": "0s:100", "brake": { "max-failures": 100 } });
        self.call(Method::POST, "groups/stable/rollouts", Some(&body)).map(drop)
    }

    /// What it knows of a machine.
    pub fn machine(&self, id: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, &format!("machines/{id}"), None)
    }

    /// Calls the administration API; `path` is below `/api/v1/`.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/{path}", self.url());
        let mut request = self.client.request(method.clone(), &url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answered = self.runtime.block_on(async {
            let answer = request.send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
        });
        let (status, bytes) = answered.with_context(|| format!("{method} {path}"))?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&bytes));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).with_context(|| format!("reading the answer to {method} {path}"))
    }
}

impl Drop for UpdateServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The program that cargo built beside the tests.
fn program() -> anyhow::Result<Utf8PathBuf> {
    if let Ok(named) = std::env::var(PROGRAM_ENV) {
        return Ok(named.into());
    }
    let tests = std::env::current_exe().context("finding the tests")?;
    let found = tests.ancestors().skip(1).take(2).map(|dir| dir.join("update-server")).find(|path| path.exists());
    let found =
        found.with_context(|| format!("there is no update-server beside {}; `cargo build -p update-server` makes it", tests.display()))?;
    Utf8PathBuf::from_path_buf(found).ok().context("the path of the update server is not UTF-8")
}
