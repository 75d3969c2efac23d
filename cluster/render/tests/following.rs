//! Files follow a real etcd, whatever happens to it.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

use cluster_store::Report;
use cluster_store::watch::{Change, Follower};
use common::{Etcd, until};
use render::{Resource, Target};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(template: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.j2"), template).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn target(&self, more: &str) -> Target {
        let text = format!("[template]\nsrc = \"a.j2\"\ndest = \"{}\"\n{more}", self.path("a.conf").display());
        let resource = Resource::parse(&self.path("a.toml"), &text, Path::exists);
        Target::new(resource.map_err(|wrong| diagnostics::join(&wrong)).unwrap(), &self.path("run"))
    }

    async fn until(&self, expected: &str) {
        until(&format!("the file is {expected:?}"), async || {
            std::fs::read_to_string(self.path("a.conf")).is_ok_and(|text| text == expected)
        })
        .await;
    }

    fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }
}

const ALL: &str = "{% for pair in gets('/app/*') %}{{ base(pair.key) }}={{ pair.value }};{% endfor %}";

#[tokio::test]
async fn a_file_follows_its_keys_through_restarts_and_compaction() {
    let Some(mut etcd) = Etcd::start().await else { return };
    let mut client = etcd.client().await;
    let place = Place::new(ALL);
    let reload = format!("keys = [\"/app\"]\nreload_cmd = \"echo x >> {}\"\n", place.path("reloads").display());
    let targets = vec![place.target(&reload)];
    client.put("/app/a", "1", None).await.unwrap();
    let access = etcd.access();
    let task = tokio::spawn(async move { render::follow(|| Ok(access.clone()), &targets, &Report::alone("render")).await });
    place.until("a=1;").await;

    // Gone, there again, and a neighbour that only begins alike.
    client.delete("/app/a", None).await.unwrap();
    place.until("").await;
    client.put("/app/a", "2", None).await.unwrap();
    client.put("/application", "x", None).await.unwrap();
    place.until("a=2;").await;

    // Many changes at once are few reloads.
    until("the reload is over", async || place.lines("reloads") >= 3).await;
    let before = place.lines("reloads");
    for value in 0..100 {
        client.put("/app/a", value.to_string(), None).await.unwrap();
    }
    place.until("a=99;").await;
    let reloads = place.lines("reloads") - before;
    assert!(reloads <= 20, "{reloads} reloads for 100 changes");

    // While it is away the file stays; what changed before the watch was there again is not lost, even when its revision is forgotten.
    etcd.kill().await;
    assert_eq!(std::fs::read_to_string(place.path("a.conf")).unwrap(), "a=99;");
    etcd.run().await;
    let mut client = etcd.client().await;
    client.put("/app/b", "1", None).await.unwrap();
    client.delete("/app/a", None).await.unwrap();
    let revision = client.put("/app/b", "2", None).await.unwrap().header().unwrap().revision();
    client.compact(revision, None).await.unwrap();
    place.until("b=2;").await;
    task.abort();
}

#[tokio::test]
async fn a_follower_whose_revision_is_forgotten_reads_all_again() {
    let Some(etcd) = Etcd::start().await else { return };
    let mut client = etcd.client().await;
    client.put("/app/a", "1", None).await.unwrap();
    let mut follower = Follower::new(etcd.client().await, "/app/");
    assert_eq!(follower.next().await.unwrap().len(), 1);
    client.put("/app/b", "1", None).await.unwrap();
    client.delete("/app/a", None).await.unwrap();
    let revision = client.put("/app/c", "1", None).await.unwrap().header().unwrap().revision();
    client.compact(revision, None).await.unwrap();
    let all = [("/app/b", "1"), ("/app/c", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(follower.next().await.unwrap(), [Change::All(all.into())]);
    client.put("/app/d", "1", None).await.unwrap();
    assert_eq!(follower.next().await.unwrap(), [Change::Put("/app/d".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn a_failing_reload_and_a_failing_check_are_tried_again_without_a_change() {
    let Some(etcd) = Etcd::start().await else { return };
    let mut client = etcd.client().await;
    let place = Place::new(ALL);
    for name in ["check-fails", "reload-fails"] {
        std::fs::write(place.path(name), "").unwrap();
    }
    std::fs::write(place.path("a.conf"), "old").unwrap();
    let folder = place.folder.path().display();
    let more = format!(
        "keys = [\"/app\"]\ncheck_cmd = \"test ! -e {folder}/check-fails\"\nreload_cmd = \"echo x >> {folder}/reloads; test ! -e {folder}/reload-fails\"\n"
    );
    let targets = vec![place.target(&more)];
    client.put("/app/a", "1", None).await.unwrap();
    let (access, report) = (etcd.access(), Report::alone("render"));
    let told = report.clone();
    let task = tokio::spawn(async move { render::follow(|| Ok(access.clone()), &targets, &report).await });
    until("the check is reported", async || {
        told.last().is_some_and(|had| had.state == "failing" && had.reason.contains("fails its check"))
    })
    .await;
    assert_eq!(std::fs::read_to_string(place.path("a.conf")).unwrap(), "old");
    std::fs::remove_file(place.path("check-fails")).unwrap();
    place.until("a=1;").await;
    until("the reload was tried again", async || place.lines("reloads") >= 2).await;
    std::fs::remove_file(place.path("reload-fails")).unwrap();
    until("all is well", async || told.last().is_some_and(|had| had.state == "following")).await;
    task.abort();
}

#[tokio::test]
async fn a_thousand_keys_are_rendered_in_no_time() {
    let entries: announce::Entries = (0..1000)
        .map(|at| {
            let value = format!("{{\"address\":\"10.0.{}.{}\",\"port\":80,\"tags\":[\"a\"]}}", at / 250, at % 250);
            (format!("slipway/services/web/n{at}:web:80"), value)
        })
        .collect();
    let place = Place::new("{% for s in services('web') %}\nserver {{ s.machine }} {{ s.endpoint }}\n{% endfor %}\n");
    let target = place.target("services = [\"web\"]\n");
    let mut times = Vec::new();
    for round in 0..11 {
        let mut entries = entries.clone();
        entries.insert("slipway/services/web/x:web:80".to_owned(), format!("{{\"address\":\"10.1.0.{round}\",\"port\":80}}"));
        let begin = Instant::now();
        assert_eq!(target.bring(&entries).await.unwrap(), render::Outcome::Installed);
        times.push(begin.elapsed());
    }
    assert_eq!(place.lines("a.conf"), 1001);
    times.sort();
    println!("1,000 services, rendered and installed with fsync: median {:?}, worst {:?}", times[5], times[10]);
    assert!(times[5].as_millis() < 1000, "{times:?}");
}
