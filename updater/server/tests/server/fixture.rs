//! A server on a free port, and a client of few lines that can also misbehave.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use update_server::clock::Clock;
use update_server::http::pace::Pace;
use update_server::http::places::Room;
use update_server::http::{App, Settings, routes, serve};
use update_server::policy::Time;
use update_server::publish::online;
use update_server::store::Db;
use update_server::store::tokens::{self, Role};

/// 2026-11-21T00:00:00Z
pub const NOW: Time = Time(1_795_219_200_000);
pub const FLATCAR: &str = "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}";

/// Long enough for an honest client on a busy machine, short enough to be waited for.
pub const PATIENCE: serve::Patience = serve::Patience {
    headers: Duration::from_secs(2),
    request: Duration::from_secs(20),
    upload: Duration::from_secs(60),
    body: Pace { patience: Duration::from_secs(20), rate: 1024 },
    answer: Pace { patience: Duration::from_secs(20), rate: 1024 },
    age: Duration::from_secs(600),
    last: Duration::from_secs(600),
};

pub struct Server {
    pub address: SocketAddr,
    pub app: App,
    pub clock: Clock,
    pub admin: String,
    pub dir: TempDir,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self
    }
}

/// Each database that tests are to run on: SQLite in `dir`, and a new database on the Postgres server, where there is one.
pub async fn databases(dir: &Path) -> Vec<String> {
    let mut all = vec![dir.join("server.db").display().to_string()];
    if let Ok(url) = std::env::var("SLIPWAY_TEST_POSTGRES") {
        let name = format!("t{:x}", rand());
        let admin = sqlx::PgPool::connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
        let (base, query) = url.split_once('?').map_or((url.as_str(), String::new()), |(base, query)| (base, format!("?{query}")));
        let (server, _) = base.rsplit_once('/').unwrap();
        all.push(format!("{server}/{name}{query}"));
    }
    all
}

pub async fn open(database: &str) -> Db {
    if database.starts_with("postgres") { Db::postgres(database).await.unwrap() } else { Db::sqlite(Path::new(database)).await.unwrap() }
}

fn rand() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

impl Server {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
        Self::on(db, dir, online::Keys::default()).await
    }

    /// One on each database that tests are to run on.
    pub async fn everywhere() -> Vec<Self> {
        let mut servers = Vec::new();
        let outer = tempfile::tempdir().unwrap();
        for database in databases(outer.path()).await {
            let dir = tempfile::tempdir().unwrap();
            let database = if database.starts_with("postgres") { database } else { dir.path().join("server.db").display().to_string() };
            servers.push(Self::on(open(&database).await, dir, online::Keys::default()).await);
        }
        servers
    }

    pub async fn on(db: Db, dir: TempDir, keys: online::Keys) -> Self {
        Self::limited(db, dir, keys, serve::Limits { patience: PATIENCE, room: Room::default() }).await
    }

    /// One that is less patient, or has less room.
    pub async fn strict(limits: serve::Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
        Self::limited(db, dir, online::Keys::default(), limits).await
    }

    /// One whose data folder and SQLite file are in `dir`.
    pub async fn start_in(dir: TempDir) -> Self {
        let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
        Self::on(db, dir, online::Keys::default()).await
    }

    /// One whose data folder somebody else takes care of.
    pub async fn serving(db: Db, settings: Settings) -> Self {
        let limits = serve::Limits { patience: PATIENCE, room: Room::default() };
        Self::whole(db, tempfile::tempdir().unwrap(), settings, online::Keys::default(), limits).await
    }

    /// Another one on the same database.
    pub async fn beside(&self, settings: Settings) -> Self {
        Self::serving(self.app.db.clone(), settings).await
    }

    /// The same with online keys.
    pub async fn beside_with(&self, settings: Settings, keys: online::Keys) -> Self {
        let limits = serve::Limits { patience: PATIENCE, room: Room::default() };
        Self::whole(self.app.db.clone(), tempfile::tempdir().unwrap(), settings, keys, limits).await
    }

    async fn limited(db: Db, dir: TempDir, keys: online::Keys, limits: serve::Limits) -> Self {
        let settings = Settings { data: dir.path().to_owned(), ..Settings::default() };
        Self::whole(db, dir, settings, keys, limits).await
    }

    async fn whole(db: Db, dir: TempDir, settings: Settings, keys: online::Keys, limits: serve::Limits) -> Self {
        let clock = Clock::manual(NOW);
        let (app, _) = App::new(db, clock.clone(), keys, settings);
        app.layout.create().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve::serve(listener, routes::router(app.clone()), limits, app.metrics.clone(), stopped));
        let mut server = Self { address, app, clock, admin: String::new(), dir, stop };
        server.admin = server.token(Role::Admin).await;
        server
    }

    /// Sends a request to any server; `None` when it dies over it.
    pub async fn send_to(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = format!("{request}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        let _ = stream.write_all(&bytes).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: all.get(end + 4..).unwrap_or_default().to_vec(), head })
    }

    pub async fn put_to(address: &str, token: &str, path: &str, bytes: &[u8]) -> Option<Answer> {
        let (authorization, digest) = (format!("Bearer {token}"), hex::encode(Sha256::digest(bytes)));
        let headers = [("Authorization", authorization.as_str()), ("X-Content-SHA256", digest.as_str())];
        Self::send_to(address, "PUT", &format!("/api/v1/files/{path}"), &headers, bytes).await
    }

    pub async fn post_to(address: &str, token: &str, path: &str) -> Option<Answer> {
        Self::send_to(address, "POST", path, &[("Authorization", &format!("Bearer {token}"))], b"").await
    }

    pub async fn api_to(address: &str, token: &str, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        Self::send_to(address, method, &format!("/api/v1{path}"), &headers, body.to_string().as_bytes()).await
    }

    pub async fn token(&self, role: Role) -> String {
        let mut tx = self.app.db.begin().await.unwrap();
        let (_, secret) = tokens::create(&mut tx, role.name(), role, None, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        secret
    }

    /// Sends bytes as they are and reads until the server hangs up.
    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses early hangs up while we still write.
        let _ = stream.write_all(bytes).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(all.len());
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, body: all.get(end + 4..).unwrap_or_default().to_vec(), head }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = format!("{request}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub async fn api_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, &format!("/api/v1{path}"), &headers, body.as_bytes()).await
    }

    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.api_as(&self.admin, method, path, body).await
    }

    pub async fn put_file(&self, path: &str, bytes: &[u8]) -> Answer {
        self.put_file_as(path, bytes, &hex::encode(Sha256::digest(bytes))).await
    }

    pub async fn put_file_as(&self, path: &str, bytes: &[u8], digest: &str) -> Answer {
        let authorization = format!("Bearer {}", self.admin);
        let headers = [("Authorization", authorization.as_str()), ("X-Content-SHA256", digest)];
        self.send("PUT", &format!("/api/v1/files/{path}"), &headers, bytes).await
    }

    pub async fn omaha(&self, xml: &str) -> Answer {
        self.send("POST", "/v1/update/", &[("Content-Type", "text/xml")], xml.as_bytes()).await
    }

    /// A release of the stock application, with everybody's turn at once.
    pub async fn stock_release(&self, version: &str, payload: &[u8]) {
        let folder = format!("flatcar-{version}");
        self.put_file(&format!("targets/{folder}/update.gz"), payload).await.ok();
        let release = serde_json::json!({ "app": FLATCAR, "version": version, "folder": folder, "files": ["update.gz"] });
        self.api("POST", "/releases", Some(release)).await.ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// What a stock update_engine sends: the attributes and their order are those of its source.
pub fn stock(machine: &str, version: &str, boot: &str, inside: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<request protocol="3.0" version="update_engine-0.4.10" updaterversion="update_engine-0.4.10" installsource="scheduler" ismachine="1">
    <os version="Chateau" platform="CoreOS" sp="{version}_x86_64"></os>
    <app appid="{FLATCAR}" version="{version}" track="stable" bootid="{{{boot}}}" oem="qemu" oemversion="1.0" alephversion="4081.2.0" machineid="{machine}" machinealias="" lang="en-US" board="amd64-usr" hardware_class="" delta_okay="false" >
        {inside}
    </app>
</request>
"#
    )
}

pub const CHECK: &str =
    r#"<ping active="1"></ping><updatecheck></updatecheck><event eventtype="3" eventresult="2" previousversion=""></event>"#;
