//! S11: disks that fail and servers that die, at every step of an upload and a publication.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use update_server::http::Settings;
use update_server::publish::{Disk, Layout, Step, online, verify};
use update_server::store::{Db, catalog};

use crate::fixture::{Answer, NOW, Server};
use crate::publish::Repository;

/// More steps than an upload and a publication have.
const MOST: usize = 400;

/// A disk whose step number `wanted` (from 1) fails with `error`; how many steps were announced.
fn failing(wanted: usize, error: i32) -> (Disk, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let disk =
        Disk::asking(
            move |_: Step| {
                if counted.fetch_add(1, Ordering::SeqCst) + 1 == wanted { Err(io::Error::from_raw_os_error(error)) } else { Ok(()) }
            },
        );
    (disk, count)
}

/// What every disk must hold whatever happened: metadata that verifies as a whole with every file it names, or none at all.
/// Answers the releases it vouches for.
fn whole(data: &Path) -> Vec<String> {
    let layout = Layout::new(data);
    if !layout.tuf().exists() {
        return Vec::new();
    }
    let now = jiff::Timestamp::from_millisecond(NOW.0).unwrap();
    let mut releases: Vec<String> = verify::published(&layout, now).unwrap().iter().map(|new| new.version.to_string()).collect();
    releases.sort();
    releases
}

async fn recorded(db: &Db) -> Vec<String> {
    let mut releases: Vec<String> = catalog::releases(db).await.unwrap().iter().map(|stored| stored.release.version.to_string()).collect();
    releases.sort();
    releases
}

/// Sends every file and publishes; the answers that were no success.
async fn send(server: &Server, repository: &Repository) -> Vec<Answer> {
    let mut refused = Vec::new();
    for (path, bytes) in repository.files() {
        let answer = server.put_file(path, bytes).await;
        if answer.status >= 300 {
            refused.push(answer);
        }
    }
    let answer = server.api("POST", "/publish", None).await;
    if answer.status >= 300 {
        refused.push(answer);
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_at_any_step_publishes_all_or_nothing_and_says_so() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    let first = repository.clone();
    repository.release("1.3.0");
    let mut failed = 0;
    for step in 1..MOST {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().to_owned();
        let server = Server::start_in(dir).await;
        assert!(send(&server, &first).await.is_empty(), "without faults");
        let (disk, count) = failing(step, if step % 2 == 0 { EIO } else { ENOSPC });
        // The same data folder and database on the failing disk.
        let settings = Settings { data: data.clone(), disk, ..Settings::default() };
        let faulty = server.beside(settings).await;
        let refused = send(&faulty, &repository).await;
        if count.load(Ordering::SeqCst) < step {
            break;
        }
        failed += 1;
        let served = whole(&data);
        assert!(served == ["1.2.3"] || served == ["1.2.3", "1.3.0"], "step {step}: {served:?}");
        for answer in &refused {
            assert!([507, 422].contains(&answer.status), "step {step}: {} {}", answer.status, answer.text());
            assert!(!answer.text().is_empty());
        }
        // Once the disk is well, the same commands complete it.
        assert!(send(&server, &repository).await.is_empty(), "step {step}");
        assert_eq!(whole(&data), ["1.2.3", "1.3.0"], "step {step}");
        assert_eq!(recorded(&server.app.db).await, ["1.2.3", "1.3.0"], "step {step}");
        let rest = walk(&server.app.layout.staging);
        assert!(!rest.iter().any(|name| name.contains(".part-")), "step {step} left {rest:?}");
    }
    assert!(failed > 30, "only {failed} steps were tried");
}

fn walk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] }).collect()
}

/// Names the data folder in which the child serves, and the step at which it is killed.
const CHILD: &str = "SLIPWAY_TEST_CHILD";

/// No test: the server that [`a_kill_at_any_step_loses_nothing_that_was_accepted`] kills. It is this program once more, so that
/// the step at which it dies is chosen without any such door in the real one.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (data, step) = told.rsplit_once(':').unwrap();
    let wanted: usize = step.parse().unwrap();
    let count = AtomicUsize::new(0);
    let disk = Disk::asking(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) + 1 == wanted {
            // Not even destructors run.
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
            std::thread::park();
        }
        Ok(())
    });
    let db = Db::sqlite(&Path::new(data).join("server.db")).await.unwrap();
    let server = Server::serving(db, Settings { data: data.into(), disk, ..Settings::default() }).await;
    std::fs::write(Path::new(data).join("address"), format!("{} {}", server.address, server.admin)).unwrap();
    std::future::pending::<()>().await;
}

struct Doomed(Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the child; its address and token.
#[allow(clippy::disallowed_methods, reason = "a server that is killed is a process")]
async fn doomed(data: &Path, step: usize) -> (Doomed, String, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "faults::child", "--nocapture"]).env(CHILD, format!("{}:{step}", data.display()));
    let child = Doomed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let file = data.join("address");
    for _ in 0..3000 {
        if let Some((address, token)) =
            std::fs::read_to_string(&file).ok().and_then(|text| Some(text.split_once(' ')?).map(|(a, b)| (a.to_owned(), b.to_owned())))
        {
            return (child, address, token);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the child did not start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_loses_nothing_that_was_accepted() {
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    let first = repository.clone();
    repository.release("1.3.0");
    let template = tempfile::tempdir().unwrap();
    {
        let server = Server::start_in(TempDir::new_in(template.path()).unwrap()).await;
        assert!(send(&server, &first).await.is_empty());
        server.app.db.close().await;
        copy(server.dir.path(), &template.path().join("data"));
    }
    let mut killed = 0;
    // A prime distance visits different steps of each file; the last files and the publication are visited one by one.
    let total = steps(&template.path().join("data"), &repository).await;
    let chosen = (1..=total).filter(|step| step % 7 == 0 || *step + 24 > total);
    for step in chosen {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        copy(&template.path().join("data"), &data);
        let (mut child, address, token) = doomed(&data, step).await;
        let mut accepted = Vec::new();
        for (path, bytes) in repository.files() {
            match Server::put_to(&address, &token, path, bytes).await {
                Some(answer) if answer.status < 300 => accepted.push((path.clone(), bytes.clone())),
                _ => break,
            }
        }
        if accepted.len() == repository.files().len() {
            let _ = Server::post_to(&address, &token, "/api/v1/publish").await;
        }
        let status = child.0.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "step {step} of {total}");
        killed += 1;
        let served = whole(&data);
        assert!(served == ["1.2.3"] || served == ["1.2.3", "1.3.0"], "step {step}: {served:?}");
        let layout = Layout::new(&data);
        for (path, bytes) in &accepted {
            let kept =
                [&layout.staging, &layout.repository].iter().any(|root| std::fs::read(root.join(path)).is_ok_and(|kept| kept == *bytes));
            assert!(kept, "step {step}: {path} was accepted and is gone");
        }
        // The next start completes what was begun, and the same commands end well.
        let db = Db::sqlite(&data.join("server.db")).await.unwrap();
        let server = Server::serving(db, Settings { data: data.clone(), ..Settings::default() }).await;
        update_server::background::reconcile(&server.app).await.unwrap();
        assert_eq!(recorded(&server.app.db).await, served, "step {step}: what is served is known");
        assert!(send(&server, &repository).await.is_empty(), "step {step}");
        assert_eq!(whole(&data), ["1.2.3", "1.3.0"], "step {step}");
    }
    assert!(killed > 20, "only {killed} steps were tried");
}

/// How many steps sending everything takes.
async fn steps(template: &Path, repository: &Repository) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    copy(template, &data);
    let (disk, count) = failing(0, 0);
    let db = Db::sqlite(&data.join("server.db")).await.unwrap();
    let server = Server::serving(db, Settings { data, disk, ..Settings::default() }).await;
    assert!(send(&server, repository).await.is_empty());
    count.load(Ordering::SeqCst)
}

/// A folder with links as links.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&path).unwrap(), &target).unwrap();
        } else if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn online_keys_that_cannot_be_written_leave_the_old_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let keys = crate::publish::online_keys(dir.path());
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    let server = Server::start_in(dir).await;
    assert!(send(&server, &repository).await.is_empty());
    let before = server.get("/tuf/timestamp.json").await.body;
    for step in 1..60 {
        let (disk, _) = failing(step, 28);
        let settings = Settings { data: server.dir.path().to_owned(), disk, ..Settings::default() };
        let faulty = server.beside_with(settings, online::Keys::read(&keys).unwrap()).await;
        faulty.clock.advance(update_server::policy::Span::hours(4 * 24));
        let outcome = update_server::background::resign(&faulty.app).await;
        whole(server.dir.path());
        if outcome.is_ok() {
            assert_ne!(server.get("/tuf/timestamp.json").await.body, before);
            return;
        }
    }
    panic!("it never got through");
}
