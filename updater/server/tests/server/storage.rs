//! S11: a full database, the real server killed under load, and a data folder that comes back from yesterday's backup.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use update_server::background::findings::{self, Kind};
use update_server::http::Settings;
use update_server::policy::{RolloutId, Span};
use update_server::store::{Db, rollouts};

use crate::fixture::{Answer, CHECK, FLATCAR, Server, databases, open, stock};
use crate::publish::Repository;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_refuses_keeps_what_it_has_and_works_again_when_there_is_room() {
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    server.omaha(&stock("before", "1.0.0", "b", CHECK)).await.ok();
    let Db::Sqlite { writer, .. } = &server.app.db else { panic!("another database") };
    let pages = async |pages: u32| {
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).execute(writer).await.unwrap();
    };
    // SQLite takes the present size where it is larger.
    pages(1).await;
    let (mut accepted, mut refused) = (BTreeSet::from(["before".to_owned()]), 0);
    for number in 0..400 {
        let name = format!("m{number:04}");
        let answer = server.omaha(&stock(&name, "1.0.0", "b", CHECK)).await;
        match answer.status {
            200 => drop(accepted.insert(name)),
            503 => refused += 1,
            status => panic!("{status}: {}", answer.text()),
        }
        if refused > 20 {
            break;
        }
    }
    assert!(refused > 20, "it never got full: {} were accepted", accepted.len());
    // What changes nothing but a number in a page that is there is still taken, or refused; nothing else.
    assert!([200, 503].contains(&server.omaha(&stock("before", "1.0.0", "b", CHECK)).await.status));
    let rows = server.app.db.rows("SELECT machine_id FROM machines", &[]).await.unwrap();
    let kept: BTreeSet<String> = rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect();
    assert_eq!(kept, accepted, "every machine that was answered is kept, and no other");
    assert!(server.app.metrics.render().contains("database_errors_total"));
    // The very next request with room is served: nothing has to be started anew.
    let Db::Sqlite { writer, .. } = &server.app.db else { panic!("another database") };
    sqlx::query("PRAGMA max_page_count = 1000000").execute(writer).await.unwrap();
    server.omaha(&stock("after", "1.0.0", "b", CHECK)).await.ok();
    server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable" }))).await.ok();
}

/// The real program.
struct Real {
    child: Child,
    address: String,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Real {
    /// Starts it; `before` is what a shell does first.
    #[allow(clippy::disallowed_methods, reason = "the real program is a process")]
    fn start(data: &Path, before: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_update-server");
        let line = format!("{before}\nexec \"$0\" serve --data \"$1\" --listen 127.0.0.1:0 --json");
        let mut command = Command::new("sh");
        command.args(["-c", &line, program]).arg(data).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { child, address: said["listen"].as_str().unwrap().to_owned() }
    }

    async fn omaha(&self, machine: &str) -> Option<Answer> {
        let body = stock(machine, "1.0.0", "b", CHECK);
        Server::send_to(&self.address, "POST", "/v1/update", &[("Content-Type", "text/xml")], body.as_bytes()).await
    }
}

/// A data folder as `init` makes it, with a token and a release of the stock application.
#[allow(clippy::disallowed_methods, reason = "the real program is a process")]
async fn made(dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_update-server")).args(["init", "--json", "--data"]).arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    said["token"].as_str().unwrap().to_owned()
}

async fn release(real: &Real, token: &str, version: &str, size: usize) -> u16 {
    let folder = format!("flatcar-{version}");
    let answer = Server::put_to(&real.address, token, &format!("targets/{folder}/update.gz"), &vec![7; size]).await.unwrap();
    if answer.status >= 300 {
        return answer.status;
    }
    let body = json!({ "app": FLATCAR, "version": version, "folder": folder, "files": ["update.gz"] });
    Server::api_to(&real.address, token, "POST", "/releases", &body).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_killed_under_load_keeps_every_answer_and_never_exceeds_a_share() {
    let dir = tempfile::tempdir().unwrap();
    let token = made(dir.path()).await;
    let mut real = Real::start(dir.path(), "");
    assert_eq!(release(&real, &token, "2.0.0", 10).await, 201);
    let api = async |real: &Real, method: &str, path: &str, body: serde_json::Value| {
        let answer = Server::api_to(&real.address, &token, method, path, &body).await.unwrap();
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.text());
    };
    api(&real, "PUT", "/groups/stable", json!({ "channel": "stable", "enabled": true })).await;
    // The fleet is there before the rollout begins.
    for machine in 0..60 {
        real.omaha(&format!("m{machine}")).await.unwrap().ok();
    }
    let rollout = json!({ "version": "2.0.0", "move-channel": true, "ramp": "0s:50" });
    api(&real, "POST", "/groups/stable/rollouts", rollout).await;
    let (mut heard, mut given) = (BTreeSet::new(), BTreeSet::new());
    for (round, kill_after) in [3, 0, 7, 12, 1, 5].into_iter().enumerate() {
        // Eight at once, so that a kill hits batches of several.
        let (done, mut answers) = tokio::sync::mpsc::unbounded_channel();
        for client in 0..8 {
            let (done, address) = (done.clone(), real.address.clone());
            tokio::spawn(async move {
                for turn in 0..40 {
                    let machine = format!("m{}", (client * 41 + turn * 7 + round) % 60);
                    let new = format!("new-{round}-{client}-{turn}");
                    for machine in [machine, new] {
                        let body = stock(&machine, "1.0.0", "b", CHECK);
                        let answer =
                            Server::send_to(&address, "POST", "/v1/update", &[("Content-Type", "text/xml")], body.as_bytes()).await;
                        let Some(answer) = answer.filter(|answer| answer.status == 200) else { return };
                        let _ = done.send((machine, answer.text().contains("<url ")));
                    }
                }
            });
        }
        drop(done);
        let mut count = 0;
        while let Some((machine, update)) = answers.recv().await {
            if update {
                given.insert(machine.clone());
            }
            heard.insert(machine);
            count += 1;
            if count == kill_after + 1 {
                real.child.kill().unwrap();
            }
        }
        real.child.wait().unwrap();
        let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
        let names = async |sql: &str| -> BTreeSet<String> {
            db.rows(sql, &[]).await.unwrap().iter().map(|row| row.text(0).unwrap().to_owned()).collect()
        };
        let known = names("SELECT machine_id FROM machines").await;
        assert!(heard.is_subset(&known), "round {round}: {:?} were answered and forgotten", heard.difference(&known));
        let grants = names("SELECT m.machine_id FROM grants g JOIN machines m ON m.id = g.machine").await;
        assert!(given.is_subset(&grants), "round {round}: {:?} were given it, and nobody knows", given.difference(&grants));
        let counts = rollouts::get(&db, RolloutId(1)).await.unwrap().unwrap().counts;
        assert_eq!(counts.granted, grants.len() as u64, "round {round}: counts and grants agree");
        assert!(grants.len() <= 30, "round {round}: {} of at most 30", grants.len());
        db.close().await;
        real = Real::start(dir.path(), "");
    }
    assert!(!given.is_empty(), "nobody was given anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_takes_no_more_refuses_uploads_and_check_ins_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let token = made(dir.path()).await;
    // No file grows beyond 512 KiB, the database's log among them; the signal that would kill the process is ignored, so writes fail.
    let real = Real::start(dir.path(), "trap '' XFSZ; ulimit -f 1024");
    assert_eq!(release(&real, &token, "1.5.0", 2 << 20).await, 507, "a payload that does not fit");
    assert_eq!(release(&real, &token, "2.0.0", 1000).await, 201, "a small one does");
    let (mut heard, mut refused) = (BTreeSet::new(), 0);
    for number in 0..2000 {
        let machine = format!("m{number}");
        let answer = real.omaha(&machine).await.unwrap();
        match answer.status {
            200 => drop(heard.insert(machine)),
            503 => refused += 1,
            status => panic!("{status}: {}", answer.text()),
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "it never got full");
    assert!(!walk_parts(dir.path()), "what did not fit was taken away again");
    drop(real);
    // With room again, everything that was answered is there, and the rest comes back by itself.
    let real = Real::start(dir.path(), "");
    assert_eq!(real.omaha("one-more").await.unwrap().status, 200);
    assert_eq!(release(&real, &token, "1.5.0", 2 << 20).await, 201);
    drop(real);
    let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
    let rows = db.rows("SELECT machine_id FROM machines", &[]).await.unwrap();
    let known: BTreeSet<String> = rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect();
    assert!(heard.is_subset(&known), "{:?} were answered and forgotten", heard.difference(&known));
}

fn walk_parts(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.file_name().unwrap().to_string_lossy().starts_with(".part-") || (path.is_dir() && !path.is_symlink() && walk_parts(&path))
    })
}

async fn kinds(server: &Server) -> Vec<Kind> {
    let found = findings::look(&server.app).await.unwrap();
    server.app.findings.replace(found.clone());
    found.into_iter().map(|finding| finding.kind).collect()
}

/// What the page and the health check say.
async fn said(server: &Server) -> serde_json::Value {
    server.get("/health").await.json()["findings"].clone()
}

async fn publish(server: &Server, repository: &Repository) {
    for (path, bytes) in repository.files() {
        server.put_file(path, bytes).await.ok();
    }
    server.api("POST", "/publish", None).await.ok();
}

/// Lets a release spread through the only group, to everybody at once.
async fn spread(server: &Server, version: &str) {
    server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable" }))).await.ok();
    let rollout = json!({ "version": version, "move-channel": true });
    server.api("POST", "/groups/stable/rollouts", Some(rollout)).await.ok();
    server.clock.advance(Span::seconds(1));
}

/// A machine of ours that says what it runs.
fn ours(machine: &str, version: &str) -> String {
    stock(machine, version, "b", CHECK).replace(FLATCAR, &payload::app_id("slipway", "vm"))
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_backup_rolls_nobody_back_is_noticed_and_healed_by_publishing_again() {
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    let yesterday = repository.clone();
    let server = Server::start().await;
    publish(&server, &yesterday).await;
    spread(&server, "1.2.3").await;
    assert_eq!(kinds(&server).await, []);
    // Last night's backup: the database through SQLite itself, and the files.
    let backup = tempfile::tempdir().unwrap();
    crate::faults::copy(&server.app.layout.repository, &backup.path().join("repository"));
    let Db::Sqlite { writer, .. } = &server.app.db else { panic!("another database") };
    let into = format!("VACUUM INTO '{}'", backup.path().join("server.db").display());
    sqlx::query(sqlx::AssertSqlSafe(into)).execute(writer).await.unwrap();
    // Today: a release that half of the fleet already runs.
    repository.release("1.3.0");
    publish(&server, &repository).await;
    spread(&server, "1.3.0").await;
    for (machine, version) in [("a", "1.3.0"), ("b", "1.3.0"), ("c", "1.2.3")] {
        server.omaha(&ours(machine, version)).await.ok();
    }
    let served_today = server.get("/tuf/timestamp.json").await.body;
    drop(server);

    // The machine burns; the whole folder comes back from the backup.
    let db = Db::sqlite(&backup.path().join("server.db")).await.unwrap();
    let restored = Server::serving(db, Settings { data: backup.path().to_owned(), ..Settings::default() }).await;
    update_server::background::reconcile(&restored.app).await.unwrap();
    assert_ne!(restored.get("/tuf/timestamp.json").await.body, served_today, "it is the old metadata");
    assert_eq!(kinds(&restored).await, [], "nothing here can know yet");
    for (machine, version) in [("a", "1.3.0"), ("b", "1.3.0"), ("c", "1.2.3")] {
        let answer = restored.omaha(&ours(machine, version)).await.ok();
        assert!(!answer.text().contains("<url "), "nobody is offered anything older: {}", answer.text());
    }
    assert_eq!(kinds(&restored).await, [Kind::MachinesAhead]);
    assert_eq!(said(&restored).await, json!(["machines-ahead"]));
    let text = restored.app.findings.all().remove(0).text;
    assert!(text.contains("2 machines") && text.contains("1.3.0"), "{text}");
    // What was published is published again, and the fleet goes on.
    publish(&restored, &repository).await;
    spread(&restored, "1.3.0").await;
    assert_eq!(kinds(&restored).await, []);
    assert_eq!(said(&restored).await, json!([]));
    assert!(restored.omaha(&ours("c", "1.2.3")).await.ok().text().contains("<url "));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_older_than_the_database_are_noticed_and_what_they_lack_is_not_offered() {
    let outer = tempfile::tempdir().unwrap();
    for database in databases(outer.path()).await {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().to_owned();
        let server = Server::serving(open(&database).await, Settings { data: data.clone(), ..Settings::default() }).await;
        let mut repository = Repository::new(1);
        repository.release("1.2.3");
        publish(&server, &repository).await;
        let backup = tempfile::tempdir().unwrap();
        crate::faults::copy(&server.app.layout.repository, &backup.path().join("repository"));
        repository.release("1.3.0");
        publish(&server, &repository).await;
        spread(&server, "1.3.0").await;
        assert!(server.omaha(&ours("c", "1.2.3")).await.ok().text().contains("<url "), "{database}");
        drop(server);

        // Only the folder comes back from the backup; the database knows better.
        std::fs::remove_dir_all(data.join("repository")).unwrap();
        crate::faults::copy(&backup.path().join("repository"), &data.join("repository"));
        let server = Server::serving(open(&database).await, Settings { data: data.clone(), ..Settings::default() }).await;
        assert_eq!(kinds(&server).await, [Kind::FilesRestored, Kind::FilesMissing], "{database}");
        update_server::background::reconcile(&server.app).await.unwrap();
        assert_eq!(kinds(&server).await, [Kind::FilesRestored], "what is gone is not offered, {database}");
        assert!(!server.omaha(&ours("d", "1.2.3")).await.ok().text().contains("<url "), "{database}");
        assert_eq!(said(&server).await, json!(["files-restored"]));
        // Publishing again brings the release back, without anybody lifting a block.
        publish(&server, &repository).await;
        assert_eq!(kinds(&server).await, [], "{database}");
        assert!(server.omaha(&ours("d", "1.2.3")).await.ok().text().contains("<url "), "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_expired_is_noticed() {
    let server = Server::start().await;
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    publish(&server, &repository).await;
    assert_eq!(kinds(&server).await, []);
    server.clock.advance(Span::hours(8 * 24));
    assert_eq!(kinds(&server).await, [Kind::MetadataInvalid]);
}
