use std::path::Path;
use std::sync::{Arc, Mutex};

use payload::Version;

use super::{Args, Step, quoted, run_at};
use crate::sandbox::testing::{QUICK, Repository, Server, ok, reply};
use crate::stage::testing::TestRelease;

fn now() -> jiff::Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

fn args(dir: &Path, server: &Server, target: Option<&str>, step: Step) -> Args {
    Args {
        metadata_dir: dir.join("metadata"),
        metadata_url: format!("{}/tuf", server.url),
        target_name: target.map(str::to_owned),
        target_base_url: Some(format!("{}/targets/", server.url)),
        target_dir: Some(dir.join("targets")),
        days_in_future: None,
        step,
    }
}

async fn trusting(dir: &Path, repository: Repository) -> (Server, Arc<Mutex<Repository>>) {
    std::fs::write(dir.join("root.json"), &repository.root).unwrap();
    let repository = Arc::new(Mutex::new(repository));
    let served = Arc::clone(&repository);
    let server = Server::start(move |request| served.lock().unwrap().answer(request)).await;
    run_at(&args(dir, &server, None, Step::Init { root: dir.join("root.json") }), now(), QUICK).await.unwrap();
    (server, repository)
}

#[tokio::test]
async fn init_refresh_and_download_keep_what_was_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (server, repository) = trusting(dir.path(), Repository::new(TestRelease::new(Version::new(1, 2, 3), 1), 7)).await;
    run_at(&args(dir.path(), &server, None, Step::Refresh), now(), QUICK).await.unwrap();
    for file in ["root.json", "timestamp.json", "snapshot.json", "targets.json"] {
        assert_eq!(
            std::fs::read(dir.path().join("metadata").join(file)).unwrap(),
            repository.lock().unwrap().files[&format!("/tuf/{file}")]
        );
    }
    let name = format!("slipway-vm-1.2.3-{}/release.json", crate::slot::arch());
    run_at(&args(dir.path(), &server, Some(&name), Step::Download), now(), QUICK).await.unwrap();
    let kept = dir.path().join("targets").join(quoted(&name));
    assert_eq!(std::fs::read(kept).unwrap(), repository.lock().unwrap().files[&format!("/targets/{name}")]);
    let before = server.paths().len();
    run_at(&args(dir.path(), &server, Some(&name), Step::Download), now(), QUICK).await.unwrap();
    assert!(!server.paths()[before..].iter().any(|path| path.starts_with("/targets/")), "it is there already");
}

#[tokio::test]
async fn a_refusal_is_an_error_and_leaves_what_was_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (server, repository) = trusting(dir.path(), Repository::new(TestRelease::new(Version::new(1, 2, 3), 1), 7)).await;
    run_at(&args(dir.path(), &server, None, Step::Refresh), now(), QUICK).await.unwrap();
    let trusted = std::fs::read(dir.path().join("metadata/targets.json")).unwrap();
    let foreign = Repository::new(TestRelease::new(Version::new(1, 2, 4), 2), 8);
    let root = repository.lock().unwrap().root.clone();
    *repository.lock().unwrap() = Repository { root, ..foreign };
    assert!(run_at(&args(dir.path(), &server, None, Step::Refresh), now(), QUICK).await.is_err(), "other keys");
    assert_eq!(std::fs::read(dir.path().join("metadata/targets.json")).unwrap(), trusted);
    let late = "2101-01-01T00:00:00Z".parse().unwrap();
    assert!(run_at(&args(dir.path(), &server, None, Step::Refresh), late, QUICK).await.is_err(), "expired");
    assert!(run_at(&args(dir.path(), &server, Some("no/such"), Step::Download), now(), QUICK).await.is_err());
    assert!(run_at(&args(dir.path(), &server, None, Step::Download), now(), QUICK).await.is_err(), "without a name");
}

#[tokio::test]
async fn a_target_with_other_bytes_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (server, repository) = trusting(dir.path(), Repository::new(TestRelease::new(Version::new(1, 2, 3), 1), 7)).await;
    let name = format!("slipway-vm-1.2.3-{}/release.json", crate::slot::arch());
    repository.lock().unwrap().files.get_mut(&format!("/targets/{name}")).unwrap()[3] ^= 1;
    assert!(run_at(&args(dir.path(), &server, Some(&name), Step::Download), now(), QUICK).await.is_err());
    assert!(!dir.path().join("targets").join(quoted(&name)).exists());
}

#[tokio::test]
async fn what_is_no_root_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_| reply("404 Not Found", &[], b"")).await;
    std::fs::write(dir.path().join("root.json"), "{}").unwrap();
    assert!(run_at(&args(dir.path(), &server, None, Step::Init { root: dir.path().join("root.json") }), now(), QUICK).await.is_err());
    assert!(run_at(&args(dir.path(), &server, None, Step::Refresh), now(), QUICK).await.is_err(), "nothing to start from");
    let portal = Server::start(|_| ok(b"<html>")).await;
    std::fs::create_dir_all(dir.path().join("metadata")).unwrap();
    std::fs::write(dir.path().join("metadata/root.json"), "{}").unwrap();
    assert!(run_at(&args(dir.path(), &portal, None, Step::Refresh), now(), QUICK).await.is_err());
}

#[test]
fn names_become_single_harmless_files() {
    let cases = [("a/b", "a%2Fb"), ("../x", "%2E.%2Fx"), (".", "%2E"), ("plain-1.0_x~", "plain-1.0_x~"), ("é ?#%", "%C3%A9%20%3F%23%25")];
    for (name, expected) in cases {
        assert_eq!(quoted(name), expected);
    }
}
