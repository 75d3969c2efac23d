//! A small fleet in a database of its own, and a browser of few words.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::json;
use tower::ServiceExt;
use update_server::clock::Clock;
use update_server::page::{self, Page};
use update_server::policy::{
    Canaries, CanaryCounts, Control, Counts, Follow, Grant, Group, Outcome, Ramp, Rollout, RolloutId, Salt, Settings, Share, Span, Time,
    Windows,
};
use update_server::store::machines::{Facts, Failure, Record, Standing};
use update_server::store::tokens::Role;
use update_server::store::{Db, audit, catalog, events, grants, groups, machines, rollouts, tokens};

/// Monday, 2026-01-05 00:00 UTC: when everything began.
pub(crate) const START: Time = Time(1_767_571_200_000);
/// What the pages take for now.
pub(crate) const NOW: Time = Time(START.0 + 10 * 3_600_000);
pub(crate) const APP: &str = "e96281a6-d1af-4bde-9a0a-97b76e56dc57";
pub(crate) const HOST: &str = "updates.test";

/// The fleet, and the server's pages on it.
pub(crate) struct Fleet {
    _dir: tempfile::TempDir,
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) app: Router,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `name=value` of the cookie it sets.
    pub(crate) fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

impl Fleet {
    /// Groups and tokens, nothing else.
    pub(crate) async fn empty(base_url: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
        let clock = Clock::manual(NOW);
        let app = page::router(Page::new(db.clone(), clock.clone(), base_url.map(str::to_owned)));
        Self { _dir: dir, db, clock, app }
    }

    /// Two groups, three releases, a rollout that runs, one that the brake stopped, one that is done, and nine machines.
    pub(crate) async fn small() -> Self {
        let fleet = Self::empty(None).await;
        fill(&fleet.db).await;
        fleet
    }

    /// Makes a token and answers its secret.
    pub(crate) async fn token(&self, name: &str, role: Role) -> String {
        let mut tx = self.db.begin().await.unwrap();
        let (_, secret) = tokens::create(&mut tx, name, role, None, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        secret
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(Method::GET, path, &[("cookie", cookie)], "").await
    }

    /// Sends a form as a browser does.
    pub(crate) async fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let origin = format!("http://{HOST}");
        let headers = [("cookie", cookie), ("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, path, &headers, form).await
    }

    /// Signs in; answers the cookie.
    pub(crate) async fn sign_in(&self, name: &str, role: Role) -> String {
        let secret = self.token(name, role).await;
        let answer = self.post("/sign-in", "", &format!("token={secret}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.cookie()
    }

    /// The form token that the session's pages carry.
    pub(crate) async fn form_token(&self, cookie: &str) -> String {
        let page = self.get("/", cookie).await;
        let (_, rest) = page.body.split_once(r#"name="form_token" value=""#).expect("the page has a form");
        rest.split('"').next().unwrap().to_owned()
    }

    pub(crate) async fn state(&self, id: i64) -> update_server::policy::State {
        rollouts::get(&self.db, RolloutId(id)).await.unwrap().unwrap().rollout.state
    }
}

pub(crate) fn group(name: &str, channel: &str) -> Group {
    Group {
        name: name.to_owned(),
        follow: Follow::Channel(channel.to_owned()),
        enabled: true,
        windows: Windows::default(),
        parallel: None,
        defaults: Settings::default(),
    }
}

pub(crate) fn release(version: &str) -> catalog::New {
    let package = catalog::Package { name: "root.erofs.zst".to_owned(), size: 1, sha256: "00".repeat(32), sha1_base64: None };
    let offer = catalog::Offer { folder: format!("slipway-vm-{version}-amd64"), packages: vec![package], source: catalog::Source::Signed };
    catalog::New { app: APP.to_owned(), arch: "amd64".to_owned(), version: version.parse().unwrap(), rollback_index: 0, offer }
}

fn machine(number: usize, group: &str, version: &str, facts: Facts) -> Record {
    let mut record = Record {
        id: 0,
        app: APP.to_owned(),
        machine_id: format!("{number:032x}"),
        group: group.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        oem: "qemu".to_owned(),
        state: Standing::Idle,
        first_seen: START - Span::hours(48),
        last_seen: NOW - Span::minutes(10),
        facts,
    };
    record.state = record.standing();
    record
}

/// Stores machines and answers them with their numbers.
pub(crate) async fn store(db: &Db, mut all: Vec<Record>) -> Vec<Record> {
    let mut tx = db.begin().await.unwrap();
    machines::add(&mut tx, &all.iter().collect::<Vec<_>>()).await.unwrap();
    let names: Vec<_> = all.iter().map(|record| (record.app.clone(), record.machine_id.clone())).collect();
    let names: Vec<_> = names.iter().map(|(app, id)| (app.as_str(), id.as_str())).collect();
    for stored in machines::lock(&mut tx, &names).await.unwrap() {
        let record = all.iter_mut().find(|record| record.machine_id == stored.machine_id).unwrap();
        record.id = stored.id;
    }
    machines::write(&mut tx, &all.iter().collect::<Vec<_>>()).await.unwrap();
    for record in &all {
        machines::hear(&mut tx, &[(&record.app, &record.machine_id)], record.last_seen).await.unwrap();
    }
    tx.commit().await.unwrap();
    all
}

async fn fill(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    for group in [
        Group { parallel: Some(50), ..group("stable", "stable") },
        Group {
            windows: serde_json::from_value(
                json!({"zone": "Europe/Berlin", "open": [{"days": ["mon", "tue"], "at": "02:00", "length": "4h"}]}),
            )
            .unwrap(),
            ..group("edge", "edge")
        },
    ] {
        groups::put(&mut tx, &group, START).await.unwrap();
    }
    let mut ids = Vec::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        ids.push(catalog::add(&mut tx, &release(version), START).await.unwrap().unwrap());
    }
    for (channel, release) in [("stable", ids[2]), ("edge", ids[2])] {
        let release = catalog::release(&mut tx, release).await.unwrap().unwrap().release;
        catalog::point(&mut tx, channel, &release).await.unwrap();
    }
    let ramp: Ramp = "0h:1,10h:50,24h:100".parse().unwrap();
    let settings = Settings { ramp, canaries: Canaries { tags: vec!["canary".to_owned()], ..Canaries::default() }, ..Settings::default() };
    let salt = Salt("salt".to_owned());
    // Rollout 1: done yesterday.
    let mut done = Rollout::new(RolloutId(0), ids[1], salt.clone(), settings.clone(), START - Span::hours(30));
    done.state = serde_json::from_value(json!({"state": "done", "at": START - Span::hours(2)})).unwrap();
    let all = Counts { population: 6, granted: 6, completed: 6, ..Counts::default() };
    add(&mut tx, "stable", done, all, &[]).await;
    // Rollout 2: runs.
    let mut running = Rollout::new(RolloutId(0), ids[2], salt.clone(), settings.clone(), START);
    running.canaries_held = Some(Span::hours(1));
    let canaries = CanaryCounts { granted: 1, completed: 1, bad: 0 };
    let counts = Counts { population: 6, granted: 3, completed: 1, rolled_back: 1, canaries, ..Counts::default() };
    let points: Vec<_> = [(0, 0, 0, 0), (2, 1, 0, 0), (4, 1, 1, 0), (7, 2, 1, 0), (9, 3, 1, 1)].to_vec();
    add(&mut tx, "stable", running, counts, &points).await;
    // Rollout 3: the brake stopped it.
    let mut stopped = Rollout::new(RolloutId(0), ids[2], salt, Settings::default(), START);
    let bad = Counts { population: 3, granted: 3, completed: 1, rolled_back: 1, silent: 1, ..Counts::default() };
    let why = json!({"canary": false, "failed": 0, "rolled-back": 1, "silent": 1, "judged": 3, "share": 10, "limit": 5});
    stopped.state = serde_json::from_value(json!({"state": "stopped", "why": why, "at": NOW - Span::minutes(20)})).unwrap();
    stopped.running_since = None;
    add(&mut tx, "edge", stopped, bad, &[(0, 0, 0, 0), (9, 3, 1, 1)]).await;
    audit::note(&mut tx, START, "anna", "rollout.start", "group/stable/rollout/2", None::<&()>, Some(&json!({"version": "1.2.0"})))
        .await
        .unwrap();
    let (before, after) = (json!({"state": "running"}), json!({"state": "stopped", "why": why}));
    audit::note(&mut tx, NOW - Span::minutes(20), "server", "rollout.brake", "group/edge/rollout/3", Some(&before), Some(&after))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    fill_machines(db).await;
}

async fn add(tx: &mut update_server::store::Tx, group: &str, rollout: Rollout, counts: Counts, points: &[(u64, u64, u64, u64)]) {
    let state = rollout.state.clone();
    let started = rollout.started_at;
    let id = rollouts::add(tx, group, &rollout, counts.population, started).await.unwrap();
    let mut stored = rollouts::lock(tx, &[id]).await.unwrap().remove(0);
    (stored.counts, stored.rollout.state) = (counts, state);
    rollouts::write(tx, &mut stored).await.unwrap();
    for (hours, granted, completed, rolled_back) in points {
        let point = rollouts::Point {
            at: started + Span::hours(*hours),
            share: Share::percent(u32::try_from(*hours).unwrap() * 5),
            counts: Counts {
                population: counts.population,
                granted: *granted,
                completed: *completed,
                rolled_back: *rolled_back,
                ..Counts::default()
            },
        };
        rollouts::add_point(tx, id, &point).await.unwrap();
    }
}

async fn fill_machines(db: &Db) {
    let failure = Failure {
        at: NOW - Span::hours(1),
        code: 44,
        cause: Some("unit docker.service failed: no space left on device".to_owned()),
        release: Some("1.2.0".to_owned()),
        rolled_back: true,
    };
    let idle = Facts::default;
    let busy = Facts { open: Some(RolloutId(2)), ..idle() };
    let bad = Facts { failure: Some(failure), quarantined: vec!["1.2.0".parse().unwrap()], open: Some(RolloutId(2)), ..idle() };
    let cloned = Facts { duplicates: 3, alias: "build host".to_owned(), group_fixed: true, pin: Some("1.1.0".parse().unwrap()), ..idle() };
    let all = store(
        db,
        vec![
            machine(1, "stable", "1.2.0", Facts { alias: "web-1.example".to_owned(), tags: vec!["canary".to_owned()], ..idle() }),
            machine(2, "stable", "1.1.0", busy),
            machine(3, "stable", "1.1.0", bad.clone()),
            machine(4, "stable", "1.1.0", cloned),
            machine(5, "stable", "1.1.0", idle()),
            Record { last_seen: NOW - Span::hours(30), ..machine(6, "stable", "1.0.0", idle()) },
            machine(7, "edge", "1.2.0", idle()),
            machine(8, "edge", "1.1.0", bad),
            machine(9, "nobody-made-this", "1.1.0", idle()),
        ],
    )
    .await;
    let cause = Some("unit docker.service failed: no space left on device".to_owned());
    let grant = |machine: usize, rollout, outcome, canary| grants::Stored {
        machine: all[machine - 1].id,
        rollout: RolloutId(rollout),
        grant: Grant { outcome, ..Grant::new(START + Span::hours(3), canary) },
        code: (outcome == Outcome::RolledBack).then_some(44),
        cause: cause.clone().filter(|_| outcome == Outcome::RolledBack),
    };
    let event = |machine: usize, hours, kind, result, version: &str| events::Event {
        machine: all[machine - 1].id,
        at: START + Span::hours(hours),
        kind,
        result,
        code: (result == 0).then_some(44),
        cause: cause.clone().filter(|_| result == 0),
        version: version.to_owned(),
        previous: None,
        release: Some("1.2.0".to_owned()),
    };
    let mut tx = db.begin().await.unwrap();
    let list = [
        grant(1, 2, Outcome::Completed, true),
        grant(2, 2, Outcome::Pending, false),
        grant(3, 2, Outcome::RolledBack, false),
        grant(8, 3, Outcome::RolledBack, false),
    ];
    grants::write(&mut tx, &list).await.unwrap();
    let list = [event(3, 3, 13, 1, "1.1.0"), event(3, 4, 14, 1, "1.1.0"), event(3, 5, 3, 1, "1.1.0"), event(3, 6, 3, 0, "1.1.0")];
    events::add(&mut tx, &list).await.unwrap();
    tx.commit().await.unwrap();
}

/// Pauses a rollout behind the page's back.
pub(crate) async fn pause(db: &Db, id: i64, by: &str, why: &str) {
    let mut tx = db.begin().await.unwrap();
    let mut stored = rollouts::lock(&mut tx, &[RolloutId(id)]).await.unwrap().remove(0);
    stored.rollout.control(Control::Pause { by: by.to_owned(), why: why.to_owned() }, &stored.counts, NOW).unwrap();
    rollouts::write(&mut tx, &mut stored).await.unwrap();
    tx.commit().await.unwrap();
}
