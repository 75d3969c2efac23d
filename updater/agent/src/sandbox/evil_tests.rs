//! The daemon against workers that lie, hang, die or flood, and against a whole repository gone bad.

use std::sync::Arc;
use std::time::Duration;

use payload::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::messages::{FetchAnswer, FetchAsk, Role, VerifyAnswer, VerifyAsk};
use super::testing::{QUICK, Repository, Server, Step, ok, reply};
use super::wire::{Pipe, WireError};
use super::{FetchedFrames, Fetcher, Kind, Sources, Workers, verify};
use crate::daemon::host::{Access, Failure, FailureKind, Offer, Refusal, RefusalKind, Wanted};
use crate::stage::testing::{TestRelease, machine};
use crate::stage::{DiskSlot, stage};

/// A present before everything in the tests expires, and after the machine's own clock was set.
const NOW: i64 = 1_800_000_000;

fn sources(dir: &std::path::Path, root: &[u8]) -> Sources {
    let initial_root = dir.join("initial.json");
    std::fs::write(&initial_root, root).unwrap();
    Sources { kept: dir.join("tuf"), initial_root }
}

fn offer(server: &Server, version: Version) -> Offer {
    let base = format!("{}/targets/slipway-vm-{version}-{}/", server.url, crate::slot::arch());
    Offer { version, bases: vec![base], poll_interval: None }
}

fn wanted() -> Wanted {
    Wanted { app_id: payload::app_id("slipway", "vm"), arch: crate::slot::arch().to_owned() }
}

async fn judge(
    repository: Repository,
    root: &[u8],
    version: Version,
    wanted: &Wanted,
    now: i64,
) -> Result<crate::daemon::host::VerifiedRelease, Refusal> {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(move |request| repository.answer(request)).await;
    let sources = sources(dir.path(), root);
    verify(&Workers::InProcess(QUICK), &sources, &server.access(), &offer(&server, version), wanted, now).await
}

fn release() -> TestRelease {
    TestRelease::new(Version::new(1, 2, 3), 1)
}

#[tokio::test]
async fn a_signed_release_is_verified_and_staged_over_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Arc::new(Repository::new(release(), 7));
    let served = Arc::clone(&repository);
    // The first transfer of the root breaks off after its first frame and a bit.
    let first = repository.release.release.parts[0].known_ways().next().unwrap().stored_frames[0] as usize;
    let server = Server::start(move |request| {
        let whole = !request.headers.contains_key("range");
        match served.files.get(&request.path) {
            Some(content) if request.path.ends_with("root.erofs.zst") && whole => {
                reply("200 OK", &[("Content-Length", content.len().to_string()), ("ETag", "\"1\"".to_owned())], &content[..first + 1000])
            }
            _ => served.answer(request),
        }
    })
    .await;
    let (workers, access) = (Workers::InProcess(QUICK), server.access());
    let sources = sources(dir.path(), &repository.root);
    let judged = verify(&workers, &sources, &access, &offer(&server, Version::new(1, 2, 3)), &wanted(), NOW).await.unwrap();
    assert_eq!(judged.release, repository.release.release);
    assert_eq!(judged.expires, Some(super::testing::EXPIRES.parse().unwrap()));
    for role in Role::ALL {
        assert_eq!(std::fs::read(sources.kept.join(role.file())).unwrap(), repository.files[&format!("/tuf/{}", role.file())], "{role:?}");
    }
    let places = machine(dir.path());
    let slot = DiskSlot::new(crate::disk::linux(), places.clone(), crate::daemon::host::Slot::A, crate::daemon::host::Slot::B).unwrap();
    let lease = Arc::new(tokio::sync::Mutex::new(())).lock_owned().await;
    let mut frames = FetchedFrames::new(&workers, &access, judged.bases.clone());
    stage(Box::new(slot), lease, &judged.release, &mut frames, |_, _| {}).await.unwrap();
    assert!(crate::stage::testing::holds(&places, &repository.release));
    let ranges = server.requests.lock().unwrap().iter().filter(|request| request.headers.contains_key("range")).count();
    assert!(ranges >= 1, "resumed by a range");
    // A second verification has all it needs and asks for little.
    let before = server.paths().len();
    verify(&workers, &sources, &access, &offer(&server, Version::new(1, 2, 3)), &wanted(), NOW).await.unwrap();
    assert_eq!(&server.paths()[before..before + 2], ["/tuf/2.root.json", "/tuf/timestamp.json"]);
}

/// T02, T12, T16
#[tokio::test]
async fn what_is_not_signed_for_us_now_is_refused() {
    let good = Repository::new(release(), 7);
    let version = Version::new(1, 2, 3);
    let other_keys = Repository::new(release(), 8).root;
    let root = good.root.clone();
    let cases = [
        (Repository::new(release(), 7), other_keys, version.clone(), wanted(), NOW, RefusalKind::WrongKey),
        (Repository::new(release(), 7), root.clone(), version.clone(), wanted(), 5_000_000_000, RefusalKind::Expired),
        (Repository::new(release(), 7), root.clone(), Version::new(1, 2, 4), wanted(), NOW, RefusalKind::Missing),
        (
            Repository::new(release(), 7),
            root.clone(),
            version.clone(),
            Wanted { app_id: payload::app_id("slipway", "metal"), ..wanted() },
            NOW,
            RefusalKind::WrongApp,
        ),
        (
            Repository::new(release(), 7),
            root.clone(),
            version.clone(),
            Wanted { arch: "s390x".to_owned(), ..wanted() },
            NOW,
            RefusalKind::WrongArch,
        ),
        // The note says one thing, the description another: both are signed, neither is believed alone.
        (
            Repository::noted(release(), 7, |note| note["version"] = "1.2.4".into()),
            root.clone(),
            Version::new(1, 2, 4),
            wanted(),
            NOW,
            RefusalKind::WrongVersion,
        ),
    ];
    for (repository, root, version, wanted, now, expected) in cases {
        let refusal = judge(repository, &root, version, &wanted, now).await.unwrap_err();
        assert_eq!(refusal.kind, expected, "{refusal}");
    }
}

/// T20, T23: a captive portal, a server that is down, one that floods.
#[tokio::test]
async fn a_repository_that_misbehaves_is_a_refusal_and_leaves_the_trusted_files_alone() {
    let root = Repository::new(release(), 7).root;
    let portal = |_: &super::testing::Request| ok(b"<html>please log in</html>");
    let flood = |_: &super::testing::Request| vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Forever(vec![b'x'; 65536])];
    let down = |_: &super::testing::Request| reply("503 Service Unavailable", &[], b"");
    let dir = tempfile::tempdir().unwrap();
    let sources = sources(dir.path(), &root);
    for (server, expected) in [
        (Server::start(portal).await, RefusalKind::Malformed),
        (Server::start(flood).await, RefusalKind::Malformed),
        (Server::start(down).await, RefusalKind::Unreachable),
    ] {
        let outcome =
            verify(&Workers::InProcess(QUICK), &sources, &server.access(), &offer(&server, Version::new(1, 2, 3)), &wanted(), NOW).await;
        assert_eq!(outcome.unwrap_err().kind, expected);
        assert_eq!(std::fs::read(sources.kept.join("root.json")).unwrap(), root);
        assert!(!sources.kept.join("timestamp.json").exists());
    }
}

#[tokio::test]
async fn a_mirror_helps_when_the_server_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(release(), 7);
    let sources = sources(dir.path(), &repository.root);
    let down = Server::start(|_| reply("503 Service Unavailable", &[], b"")).await;
    let mirror = Server::start(move |request| repository.answer(request)).await;
    let access = Access { mirrors: vec![mirror.url.clone()], ..down.access() };
    let judged = verify(&Workers::InProcess(QUICK), &sources, &access, &offer(&down, Version::new(1, 2, 3)), &wanted(), NOW).await.unwrap();
    assert!(judged.bases.iter().any(|base| base.starts_with(&mirror.url)));
}

/// T15, T21: the content changes between two ranges, a range is ignored, a range is wrong.
#[tokio::test]
async fn ranges_that_do_not_fit_are_survived_or_refused() {
    type Change = fn(&super::testing::Request, &[u8]) -> Vec<Step>;
    let honest: Change = |request, content| super::testing::file(request, content, "\"1\"");
    let ignores: Change = |_, content| ok(content);
    let wrong: Change = |request, content| {
        if request.headers.contains_key("range") {
            reply("206 Partial Content", &[("Content-Range", format!("bytes 0-9/{}", content.len()))], &content[..10])
        } else {
            ok(content)
        }
    };
    let changed: Change = |request, content| super::testing::file(request, content, &format!("\"{}\"", request.number));
    let encoded: Change = |_, content| reply("200 OK", &[("Content-Encoding", "gzip".to_owned())], content);
    let garbled: Change = |request, content| {
        let mut garbled = content.to_vec();
        let middle = garbled.len() / 2;
        garbled[middle] ^= 1;
        super::testing::file(request, &garbled, "\"1\"")
    };
    for (name, change, fine) in [
        ("honest", honest, true),
        ("ignores", ignores, true),
        ("wrong", wrong, false),
        ("changed", changed, false),
        ("encoded", encoded, false),
        ("garbled", garbled, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let release = release();
        let files = release.files.clone();
        let server = Server::start(move |request| {
            let name = request.path.rsplit('/').next().unwrap().to_owned();
            let content = &files[&name];
            // Break the first answer off within its last frame, so that there is a second, for a range.
            let mut steps = change(request, content);
            if request.number == 0
                && let Some(Step::Send(bytes)) = steps.first_mut()
            {
                bytes.truncate(bytes.len() - 5000);
            }
            steps
        })
        .await;
        let places = machine(dir.path());
        let slot = DiskSlot::new(crate::disk::linux(), places.clone(), crate::daemon::host::Slot::A, crate::daemon::host::Slot::B).unwrap();
        let lease = Arc::new(tokio::sync::Mutex::new(())).lock_owned().await;
        let (workers, access) = (Workers::InProcess(QUICK), server.access());
        let mut frames = FetchedFrames::new(&workers, &access, vec![format!("{}/", server.url)]);
        let outcome = stage(Box::new(slot), lease, &release.release, &mut frames, |_, _| {}).await;
        assert_eq!(outcome.is_ok(), fine, "{name}: {outcome:?}");
        assert_eq!(places.entry(crate::daemon::host::Slot::B).exists(), fine, "{name}");
    }
}

/// A worker that reads one question and then does something evil.
fn scripted(evil: impl FnOnce(Pipe<UnixStream>) -> std::pin::Pin<Box<dyn Future<Output = ()>>> + 'static) -> Pipe<UnixStream> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let local = async move {
        let mut pipe = Pipe::new(theirs, None);
        let _ = pipe.receive::<FetchAsk>().await;
        evil(pipe).await;
    };
    tokio::task::spawn_local(local);
    Pipe::new(ours, Some(Duration::from_millis(300)))
}

#[tokio::test]
async fn an_evil_fetcher_is_a_typed_failure() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let ask = || async {
                let cases: Vec<(&str, Pipe<UnixStream>)> = vec![
                    ("dies", scripted(|pipe| Box::pin(async move { drop(pipe) }))),
                    (
                        "hangs",
                        scripted(|pipe| {
                            Box::pin(async move {
                                std::future::pending::<()>().await;
                                drop(pipe);
                            })
                        }),
                    ),
                    (
                        "lies",
                        scripted(|mut pipe| Box::pin(async move { pipe.send(&FetchAnswer::Frame { number: 0, url: 0 }).await.unwrap() })),
                    ),
                    (
                        "floods",
                        scripted(|mut pipe| {
                            Box::pin(async move {
                                pipe.send(&FetchAnswer::Bytes).await.unwrap();
                                let _ = pipe.send_data(&vec![0; 1 << 20]).await;
                            })
                        }),
                    ),
                    ("talks nonsense", scripted(|mut pipe| Box::pin(async move { pipe.send(&"what?").await.unwrap() }))),
                ];
                cases
            };
            for (name, pipe) in ask().await {
                let mut fetcher = Fetcher::over(pipe);
                let failure: Failure = fetcher.small(vec!["http://x/".to_owned()], 1000).await.unwrap_err();
                assert_eq!(failure.kind, FailureKind::Helper, "{name}: {failure}");
            }
        })
        .await;
}

/// Speaks the wire by hand.
fn raw(script: &'static [u8]) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    tokio::spawn(async move {
        let _ = theirs.write_all(script).await;
        let mut sink = vec![0; 4096];
        while theirs.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    });
    ours
}

fn fetcher_works(kind: Kind, evil: &'static [u8]) -> UnixStream {
    match kind {
        Kind::Fetch => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            tokio::spawn(super::fetch::serve(theirs, QUICK));
            ours
        }
        Kind::Verify => raw(evil),
    }
}

#[tokio::test]
async fn an_evil_verifier_can_only_refuse_or_break_off() {
    type Connect = fn(Kind) -> UnixStream;
    let connects: [(&str, Connect); 4] = [
        ("a path outside", |kind| fetcher_works(kind, b"C\0\0\0\x34{\"answer\":\"want\",\"path\":\"../../secret\",\"max_bytes\":9}")),
        ("too long", |kind| fetcher_works(kind, b"C\xff\xff\xff\xff")),
        ("data first", |kind| fetcher_works(kind, b"D\0\0\0\x01x")),
        ("vouches for nonsense", |kind| {
            fetcher_works(kind, b"C\0\0\0\x42{\"answer\":\"verified\",\"folder\":\"x\",\"expires\":12345,\"signatures\":[]}D\0\0\0\x02{}")
        }),
    ];
    for (name, connect) in connects {
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(dir.path(), b"root");
        let server = Server::start(|_| ok(b"x")).await;
        let outcome =
            verify(&Workers::Scripted { connect }, &sources, &server.access(), &offer(&server, Version::new(1, 2, 3)), &wanted(), NOW)
                .await;
        let refusal = outcome.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Internal, "{name}: {refusal}");
        assert!(server.paths().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn workers_survive_an_evil_daemon() {
    for script in [&b"C\0\0\0\x02{}"[..], b"D\0\0\0\x01x", b"C\xff\xff\xff\xff", b""] {
        for kind in [Kind::Fetch, Kind::Verify] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(script).await.unwrap();
            drop(ours);
            let ended: Result<(), WireError> = match kind {
                Kind::Fetch => super::fetch::serve(theirs, QUICK).await,
                Kind::Verify => super::verify::serve(theirs).await,
            };
            assert!(ended.is_err() || kind == Kind::Fetch, "{kind:?} {script:?}");
        }
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    tokio::spawn(super::verify::serve(theirs));
    let mut pipe = Pipe::new(ours, Some(Duration::from_secs(5)));
    pipe.send(&VerifyAsk::Bytes).await.unwrap();
    let VerifyAnswer::Refused { kind, .. } = pipe.receive().await.unwrap() else { panic!("a verdict without a question") };
    assert_eq!(kind, RefusalKind::Internal);
}
