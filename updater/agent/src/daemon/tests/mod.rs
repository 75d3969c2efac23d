//! The whole loop against a scripted host, in virtual time.

mod script;
mod time;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use script::Script;
use time::Virtual;
use tokio::sync::{mpsc, oneshot, watch};

use super::host::{Slot, TurnAnswer};
use super::{Command, Daemon, Reply, Request, Silent};
use crate::config::Settings;
use crate::config::model::{CHECK_INTERVAL, CHECK_JITTER};
use crate::history::{History, What};
use crate::machine::test_support::{ill, settled};
use crate::machine::{Machine, Persisted, Status, TransitionError};
use crate::store::Store;

/// The outside of a daemon that runs.
struct Outside {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    time: Rc<Virtual>,
}

impl Outside {
    async fn ask(&self, request: Request) -> Result<Reply, TransitionError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command { request, reply }).await.unwrap();
        answer.await.unwrap()
    }

    async fn until(&mut self, state: &str) -> Status {
        self.status.wait_for(|status| status.state == state).await.unwrap().clone()
    }
}

fn write_config(root: &Path, text: &str) {
    std::fs::create_dir_all(root.join("etc/slipway")).unwrap();
    std::fs::write(root.join("etc/slipway/updater.toml"), text).unwrap();
}

const CONFIG: &str = "server = \"http://10.0.2.2:8080\"\n[reboot]\nwait-for-users = \"0s\"\n";

/// Runs a daemon in `root` until `story` is told, then stops it as SIGTERM does.
fn run<F: Future<Output = ()>>(root: &Path, host: &Script, story: impl FnOnce(Outside) -> F) {
    let store = Store::open(crate::disk::linux(), root).unwrap();
    let machine = Machine::new(host.booted.clone(), store.load().unwrap().persisted, Settings::default());
    let (status, shown) = watch::channel(machine.status());
    let (requests, commands) = mpsc::channel(4);
    let (_reload, reloads) = mpsc::channel(1);
    let daemon = Daemon {
        machine,
        host,
        store,
        history: History::new(root),
        config_root: root.to_owned(),
        metrics: root.join("metrics.prom"),
        clock: Rc::clone(&host.time),
        notifier: Silent,
        commands,
        status,
    };
    let story = story(Outside { commands: requests, status: shown, time: Rc::clone(&host.time) });
    host.time.run(daemon.run(story, reloads));
}

fn on_disk(root: &Path) -> Persisted {
    Store::open(crate::disk::linux(), root).unwrap().load().unwrap().persisted
}

fn prepare(persisted: &Persisted) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write_config(root.path(), CONFIG);
    Store::open(crate::disk::linux(), root.path()).unwrap().save(persisted).unwrap();
    root
}

#[test]
fn an_update_is_found_staged_tried_and_committed() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| {
        outside.until("fetching").await;
        outside.until("rebooting").await;
        outside.time.sleep(Duration::from_secs(1)).await;
    });
    let calls = host.calls();
    assert_eq!(calls[0], "check http://10.0.2.2:8080 first=true on-demand=false");
    let deeds: Vec<&str> = calls.iter().map(String::as_str).filter(|call| !call.starts_with("report")).collect();
    assert_eq!(deeds[1..], ["verify 1.1.0 amd64", "stage 1.1.0 in b", "staged", "flip b", "reboot"]);

    let host = Script::new(Slot::B, 2, "1.1.0");
    run(root.path(), &host, async |mut outside| {
        outside.until("idle").await;
        outside.time.sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(host.calls()[..3], ["health within 300 s", "commit b", "report 3/2"]);
    let persisted = on_disk(root.path());
    assert_eq!(persisted.committed, Some(Slot::B));
    assert!(persisted.outbox.is_empty());
    let told: Vec<What> = History::new(root.path()).last(99).unwrap().into_iter().map(|entry| entry.what).collect();
    assert_eq!(told, [What::Started, What::Staged, What::Rebooting, What::Trial, What::Committed]);
}

#[test]
fn an_ill_release_is_left_reported_and_not_tried_again() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| drop(outside.until("rebooting").await));

    let host = Script::new(Slot::B, 2, "1.1.0");
    *host.health.borrow_mut() = ill("docker did not answer");
    run(root.path(), &host, async |mut outside| {
        outside.until("rebooting").await;
        outside.time.sleep(Duration::from_secs(1)).await;
    });
    assert!(host.calls().contains(&"default a".to_owned()) && host.calls().contains(&"reboot".to_owned()), "{:?}", host.calls());

    let host = Script::new(Slot::A, 3, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| {
        let status = outside.until("rolled-back").await;
        assert_eq!(status.quarantine[0].cause, "docker did not answer");
        outside.time.sleep(Duration::from_secs(24 * 3600)).await;
        let error = outside.ask(Request::Apply { despite_quarantine: None }).await;
        assert!(error.is_ok());
        outside.time.sleep(Duration::from_secs(1)).await;
        assert_eq!(outside.status.borrow().outcome.as_ref().unwrap().result, "refused");
    });
    let calls = host.calls();
    assert!(calls.iter().filter(|call| call.starts_with("check")).count() > 20);
    assert!(!calls.iter().any(|call| call.starts_with("stage")), "{calls:?}");
    assert!(calls.contains(&"report 3/0".to_owned()) && calls.contains(&"discard b".to_owned()));
}

#[test]
fn a_day_without_news_is_a_question_now_and_then_and_leaves_nothing_but_its_time() {
    const HOUR: Duration = Duration::from_secs(3600);
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    let remembered = || {
        let mut files: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        (files, Persisted { last_checked: None, metadata_checked: None, metadata_expires: None, ..on_disk(root.path()) })
    };
    run(root.path(), &host, async |mut outside| {
        outside.until("idle").await;
        outside.time.sleep(HOUR).await;
        let (before, asked) = (remembered(), on_disk(root.path()).last_checked);
        outside.time.sleep(HOUR * 23).await;
        assert_eq!(remembered(), before);
        assert!(on_disk(root.path()).last_checked > asked);
        assert_eq!(outside.status.borrow().state, "idle");
    });
    let calls = host.calls();
    let (checks, others): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.starts_with("check "));
    assert!(checks.len() >= 24 * 60 / 50, "{checks:?}");
    assert_eq!(others, ["refresh"], "the signed metadata is looked at once a day");
    let checks = host.checks.borrow();
    let (least, most) = (CHECK_INTERVAL - CHECK_JITTER, CHECK_INTERVAL + CHECK_JITTER);
    assert!(checks.windows(2).all(|pair| (least..=most).contains(&(pair[1] - pair[0]))), "{checks:?}");
}

#[test]
fn ending_in_the_middle_of_a_download_leaves_what_the_next_start_needs() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| {
        outside.until("fetching").await;
        outside.time.sleep(Duration::from_secs(50)).await;
        let progress = outside.status.borrow().progress.unwrap();
        assert!(progress.done > 0 && progress.done < progress.total);
    });
    assert!(!host.calls().contains(&"staged".to_owned()), "the work was dropped");
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| drop(outside.until("rebooting").await));
    assert!(host.calls().contains(&"flip b".to_owned()));
}

#[test]
fn a_download_can_be_cancelled() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| {
        outside.until("fetching").await;
        outside.ask(Request::Cancel).await.unwrap();
        outside.until("idle").await;
        outside.time.sleep(Duration::from_secs(200)).await;
        assert!(matches!(outside.ask(Request::Cancel).await, Err(TransitionError::Refused { .. })));
    });
    assert!(!host.calls().contains(&"staged".to_owned()));
}

#[test]
fn the_configuration_is_read_again_and_a_wrong_one_is_not_used() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    run(root.path(), &host, async |mut outside| {
        outside.until("idle").await;
        write_config(root.path(), "servr = \"http://elsewhere\"\n");
        outside.ask(Request::Check).await.unwrap();
        let status = outside.status.borrow().clone();
        let error = status.configuration_error.unwrap();
        assert!(error.contains("did you mean `server`?"), "{error}");
        outside.time.sleep(Duration::from_secs(1)).await;
        write_config(root.path(), "server = \"http://10.0.2.3\"\n");
        outside.ask(Request::Check).await.unwrap();
        assert_eq!(outside.status.borrow().configuration_error, None);
        outside.time.sleep(Duration::from_secs(1)).await;
    });
    let calls = host.calls();
    assert_eq!(calls, ["check http://10.0.2.2:8080 first=true on-demand=true", "check http://10.0.2.3 first=false on-demand=true"]);
}

#[test]
fn nothing_is_begun_when_the_intention_cannot_be_written() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    run(root.path(), &host, async |mut outside| {
        outside.until("idle").await;
        // A folder in the place of the file: no rename succeeds.
        std::fs::remove_file(root.path().join("state.json")).unwrap();
        std::fs::create_dir_all(root.path().join("state.json/in the way")).unwrap();
        outside.ask(Request::Apply { despite_quarantine: None }).await.unwrap();
        outside.time.sleep(Duration::from_secs(1)).await;
        assert_eq!(outside.status.borrow().outcome.as_ref().unwrap().result, "failed");
    });
    assert!(!host.calls().iter().any(|call| call.starts_with("stage") || call.starts_with("flip")), "{:?}", host.calls());
}

#[test]
fn why_and_history_answer_in_json() {
    let root = prepare(&settled("1.0.0"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    run(root.path(), &host, async |mut outside| {
        outside.until("idle").await;
        let Ok(Reply::Text(text)) = outside.ask(Request::Why).await else { panic!("no text") };
        let explanation: crate::why::Explanation = serde_json::from_str(&text).unwrap();
        let rules: Vec<&str> = explanation.rules.iter().map(|rule| rule.rule.as_str()).collect();
        assert_eq!(rules, ["running", "configuration", "enabled", "server", "check", "metadata", "offer", "floor", "reboot"]);
        let Ok(Reply::Text(text)) = outside.ask(Request::History { count: u32::MAX }).await else { panic!("no text") };
        assert_eq!(text, "[]");
    });
}

#[test]
fn users_who_are_logged_in_are_warned_and_waited_for() {
    let root = prepare(&settled("1.0.0"));
    write_config(root.path(), "server = \"http://10.0.2.2\"\n[reboot]\nwait-for-users = \"3m\"\n");
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    *host.users.borrow_mut() = vec!["core".to_owned()];
    run(root.path(), &host, async |mut outside| {
        outside.until("waiting-for-reboot").await;
        let before = outside.time.elapsed();
        outside.until("rebooting").await;
        let waited = (outside.time.elapsed() - before).as_secs();
        assert!((175..=185).contains(&waited), "{waited}");
        outside.time.sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(host.calls().iter().filter(|call| *call == "warn users").count(), 2);
}

#[test]
fn the_figures_follow_the_state() {
    let root = prepare(&settled("1.0.0"));
    write_config(root.path(), "server = \"http://10.0.2.2\"\n[reboot]\nstrategy = \"off\"\n");
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    let figures = || std::fs::read_to_string(root.path().join("metrics.prom")).unwrap();
    let says = |line: &str| assert!(figures().lines().any(|had| had == line), "{line}\n{}", figures());
    run(root.path(), &host, async |mut outside| {
        outside.until("idle").await;
        says("slipway_updater_state{state=\"idle\"} 1");
        assert!(!figures().contains("metadata_expires"), "nothing is known yet");
        outside.until("fetching").await;
        says("slipway_updater_state{state=\"fetching\"} 1");
        outside.until("waiting-for-reboot").await;
        says("slipway_updater_info{version=\"1.0.0\",slot=\"a\",available=\"1.1.0\"} 1");
        says("slipway_updater_metadata_expires_seconds 1798070400");
        // And the server goes on to hear of it.
        outside.time.sleep(Duration::from_secs(2 * 3600)).await;
        assert_eq!(outside.status.borrow().state, "waiting-for-reboot");
    });
    assert!(host.calls().iter().filter(|call| *call == "ping").count() >= 2, "{:?}", host.calls());

    let host = Script::new(Slot::B, 2, "1.1.0");
    run(root.path(), &host, async |mut outside| drop(outside.until("idle").await));
    says("slipway_updater_trial_passed 1");
}

#[test]
fn a_turn_is_waited_for_shown_and_given_up() {
    let root = prepare(&settled("1.0.0"));
    let config = |strategy: &str| format!("server = \"http://10.0.2.2\"\n[reboot]\nstrategy = \"{strategy}\"\nwait-for-users = \"0s\"\n");
    write_config(root.path(), &config("etcd-lock"));
    let host = Script::new(Slot::A, 1, "1.0.0");
    *host.offer.borrow_mut() = Some("1.1.0".to_owned());
    let refused = || TurnAnswer::Refused("n2 has it (lock_held)".to_owned());
    host.turns.borrow_mut().extend([refused(), refused(), refused()]);
    run(root.path(), &host, async |mut outside| {
        let waiting = |status: &Status| status.waiting.as_ref().is_some_and(|waiting| waiting.text.contains("n2 has it"));
        outside.status.wait_for(waiting).await.unwrap();
        let Ok(Reply::Text(why)) = outside.ask(Request::Why).await else { panic!("no text") };
        assert!(why.contains("waits for a turn to reboot: n2 has it (lock_held)"), "{why}");
        // Not any more, and then all the same: the turn is asked for when the one before is given up.
        write_config(root.path(), &config("off"));
        assert!(outside.ask(Request::Check).await.is_err());
        write_config(root.path(), &config("etcd-lock"));
        assert!(outside.ask(Request::Check).await.is_err());
        outside.until("rebooting").await;
        outside.time.sleep(Duration::from_secs(1)).await;
    });
    let calls = host.calls();
    let turns: Vec<&str> = calls.iter().map(String::as_str).filter(|call| call.contains("turn") || *call == "reboot").collect();
    assert_eq!(turns, ["take turn", "give up turn", "turn given up", "take turn", "take turn", "take turn", "reboot"]);
    let told: Vec<What> = History::new(root.path()).last(99).unwrap().into_iter().map(|entry| entry.what).collect();
    assert_eq!(told.iter().filter(|what| **what == What::Waiting).count(), 2, "{told:?}");
}
