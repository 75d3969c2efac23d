//! A verifier that was taken over and lies: what it says must be borne out by signatures.

use payload::Version;
use tokio::net::UnixStream;
use trust::repository::RootDraft;
use trust::{KeySigner, Role as Tuf, Root, Signer, Statement};

use super::messages::{Role, Signatures, VerifyAnswer, VerifyAsk};
use super::testing::{EXPIRES, QUICK, Repository, Server};
use super::wire::Pipe;
use super::{Kind, Sources, Workers, fetch, verify};
use crate::daemon::host::{Offer, Refusal, RefusalKind, VerifiedRelease, Wanted};
use crate::stage::testing::TestRelease;

/// As in the tests of honest workers.
const NOW: i64 = 1_800_000_000;
/// Seed of the keys that are trusted.
const OURS: u8 = 7;
/// Seed of the thief's.
const THEIRS: u8 = 66;

fn repository(seed: u8) -> Repository {
    Repository::new(TestRelease::new(Version::new(1, 2, 3), 1), seed)
}

fn signatures(statement: &Statement) -> Signatures {
    statement.signatures.iter().map(|(id, signature)| (id.to_string(), hex::encode(signature.to_bytes()))).collect()
}

/// Version 2 of the root that the holder of `seed` would like, signed with that key.
fn second_root(seed: u8) -> Vec<u8> {
    let key = KeySigner::from_seed(&[seed; 32]);
    let first = Root::open(&repository(OURS).root).unwrap();
    let draft = Tuf::ALL.into_iter().fold(RootDraft::new(EXPIRES.parse().unwrap()), |draft, role| draft.role(role, 1, [key.public_key()]));
    // A draft of the right version, whoever signs it.
    let mut value: serde_json::Value = serde_json::from_slice(&draft.sign(&[&key]).unwrap()).unwrap();
    value["signed"]["version"] = (first.version + 1).into();
    let message = trust::canonical::to_vec(&value["signed"]).unwrap();
    value["signatures"][0]["sig"] = hex::encode(key.sign(&message).unwrap().to_bytes()).into();
    serde_json::to_vec(&value).unwrap()
}

type Lie = fn(Pipe<UnixStream>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hears the question out.
async fn listen(pipe: &mut Pipe<UnixStream>) {
    let VerifyAsk::Start { have, .. } = pipe.receive().await.unwrap() else { panic!("no start") };
    for _ in have {
        pipe.receive_data(1 << 22).await.unwrap();
    }
}

async fn rotate_to(pipe: &mut Pipe<UnixStream>, file: &[u8]) {
    let statement = Statement::of(Tuf::Root, file).unwrap();
    pipe.send(&VerifyAnswer::Rotate { signatures: signatures(&statement) }).await.unwrap();
    let _ = pipe.send_data(&statement.signed).await;
}

/// Vouches for the release of the repository at the URL that was configured, with the targets of `seed`.
async fn vouch(pipe: &mut Pipe<UnixStream>, seed: u8) {
    let repository = repository(seed);
    let folder = repository.release.release.folder();
    pipe.send(&VerifyAnswer::WantRelease { folder: folder.clone(), max_bytes: 1 << 20 }).await.unwrap();
    let Ok(VerifyAsk::Bytes) = pipe.receive().await else { return };
    pipe.receive_data(1 << 20).await.unwrap();
    let statement = Statement::of(Tuf::Targets, &repository.files["/tuf/targets.json"]).unwrap();
    let _ = pipe.send(&VerifyAnswer::Verified { folder, expires: NOW + 1, signatures: signatures(&statement) }).await;
    let _ = pipe.send_data(&statement.signed).await;
}

fn workers(lie: Lie, kind: Kind) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    match kind {
        Kind::Fetch => drop(tokio::spawn(fetch::serve(theirs, QUICK))),
        Kind::Verify => drop(tokio::spawn(async move {
            let mut pipe = Pipe::new(theirs, None);
            listen(&mut pipe).await;
            lie(pipe).await;
        })),
    }
    ours
}

fn wanted() -> Wanted {
    Wanted { app_id: payload::app_id("slipway", "vm"), arch: crate::slot::arch().to_owned() }
}

type Judged = (Result<VerifiedRelease, Refusal>, Vec<u8>, Vec<String>);

/// What comes of it when the network serves `served` and the verifier speaks; and the root that is kept afterwards.
async fn judge(served: u8, connect: fn(Kind) -> UnixStream) -> Judged {
    judge_for(&wanted(), Version::new(1, 2, 3), served, connect).await
}

/// The same on a machine that is `wanted` and was offered `version`.
async fn judge_for(wanted: &Wanted, version: Version, served: u8, connect: fn(Kind) -> UnixStream) -> Judged {
    let dir = tempfile::tempdir().unwrap();
    let repository_served = repository(served);
    let server = Server::start(move |request| repository_served.answer(request)).await;
    let sources = Sources { kept: dir.path().join("tuf"), initial_root: dir.path().join("initial.json") };
    std::fs::write(&sources.initial_root, repository(OURS).root).unwrap();
    let base = format!("{}/targets/slipway-vm-1.2.3-{}/", server.url, crate::slot::arch());
    let offer = Offer { version, bases: vec![base], poll_interval: None };
    let outcome = verify(&Workers::Scripted { connect }, &sources, &server.access(), &offer, wanted, NOW).await;
    let mut kept: Vec<String> =
        std::fs::read_dir(&sources.kept).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    kept.sort();
    (outcome, std::fs::read(sources.kept.join("root.json")).unwrap(), kept)
}

#[tokio::test]
async fn a_lie_is_not_believed_and_leaves_no_root_behind() {
    type Worker = fn(Kind) -> UnixStream;
    let cases: [(&str, u8, Worker); 6] = [
        ("a root of the thief's", OURS, |kind| {
            workers(|mut pipe| Box::pin(async move { rotate_to(&mut pipe, &second_root(THEIRS)).await }), kind)
        }),
        ("a root on its word", OURS, |kind| {
            let lie: Lie = |mut pipe| {
                Box::pin(async move {
                    pipe.send(&VerifyAnswer::Trust { role: Role::Root }).await.unwrap();
                    let _ = pipe.send_data(&repository(THEIRS).root).await;
                })
            };
            workers(lie, kind)
        }),
        ("no root any more", OURS, |kind| {
            let lie: Lie = |mut pipe| {
                Box::pin(async move {
                    pipe.send(&VerifyAnswer::Forget { role: Role::Root }).await.unwrap();
                    vouch(&mut pipe, THEIRS).await;
                })
            };
            workers(lie, kind)
        }),
        ("the thief's release from the thief's server", THEIRS, |kind| {
            workers(|mut pipe| Box::pin(async move { vouch(&mut pipe, THEIRS).await }), kind)
        }),
        ("the thief's release under our targets", THEIRS, |kind| {
            let lie: Lie = |mut pipe| {
                Box::pin(async move {
                    // Other bytes than those that were signed for: the network and the verifier are in one hand.
                    let folder = repository(OURS).release.release.folder();
                    pipe.send(&VerifyAnswer::WantRelease { folder: folder.clone(), max_bytes: 1 << 20 }).await.unwrap();
                    pipe.send(&VerifyAnswer::Want { path: "timestamp.json".to_owned(), max_bytes: 1 << 16 }).await.unwrap();
                    let statement = Statement::of(Tuf::Targets, &repository(OURS).files["/tuf/targets.json"]).unwrap();
                    let answer = VerifyAnswer::Verified { folder: format!("{folder}x"), expires: NOW, signatures: signatures(&statement) };
                    pipe.send(&answer).await.unwrap();
                    let _ = pipe.send_data(&statement.signed).await;
                })
            };
            workers(lie, kind)
        }),
        ("another question", OURS, |kind| {
            let lie: Lie = |mut pipe| Box::pin(async move { pipe.send(&VerifyAnswer::Fresh { expires: NOW + 5 }).await.unwrap() });
            workers(lie, kind)
        }),
    ];
    for (name, served, connect) in cases {
        let (outcome, root, _) = judge(served, connect).await;
        let refusal = outcome.expect_err(name);
        assert_eq!(refusal.kind, RefusalKind::Internal, "{name}: {refusal}");
        assert!(root == repository(OURS).root, "{name}: the root was replaced");
    }
}

#[tokio::test]
async fn a_signed_release_for_other_machines_is_not_believed() {
    let connect: fn(Kind) -> UnixStream = |kind| workers(|mut pipe| Box::pin(async move { vouch(&mut pipe, OURS).await }), kind);
    let cases = [
        ("another application", Wanted { app_id: payload::app_id("slipway", "metal"), ..wanted() }, 3),
        ("another architecture", Wanted { arch: "s390x".to_owned(), ..wanted() }, 3),
        ("another version", wanted(), 4),
    ];
    for (name, wanted, patch) in cases {
        let refusal = judge_for(&wanted, Version::new(1, 2, patch), OURS, connect).await.0.expect_err(name);
        assert!(refusal.kind == RefusalKind::Internal && refusal.text.contains("another release"), "{name}: {refusal}");
    }
    assert!(judge(OURS, connect).await.0.is_ok(), "and the same words about the right one are");
}

#[tokio::test]
async fn what_signatures_bear_out_is_believed() {
    // The same conversation as the thief's, with our keys: the tests above refuse the lie and not the form.
    let (outcome, root, _) = judge(OURS, |kind| {
        let honest: Lie = |mut pipe| {
            Box::pin(async move {
                rotate_to(&mut pipe, &second_root(OURS)).await;
                vouch(&mut pipe, OURS).await;
            })
        };
        workers(honest, kind)
    })
    .await;
    assert_eq!(outcome.unwrap().release, repository(OURS).release.release);
    assert_eq!(Root::open(&root).unwrap().version, 2);
}

#[tokio::test]
async fn what_was_seen_is_not_forgotten_on_a_verifiers_word() {
    let connect: fn(Kind) -> UnixStream = |kind| {
        let lie: Lie = |mut pipe| {
            Box::pin(async move {
                let timestamp = repository(OURS).files["/tuf/timestamp.json"].clone();
                pipe.send(&VerifyAnswer::Trust { role: Role::Timestamp }).await.unwrap();
                pipe.send_data(&timestamp).await.unwrap();
                pipe.send(&VerifyAnswer::Forget { role: Role::Timestamp }).await.unwrap();
                vouch(&mut pipe, OURS).await;
            })
        };
        workers(lie, kind)
    };
    let (outcome, _, kept) = judge(OURS, connect).await;
    assert!(outcome.is_ok());
    assert_eq!(kept, ["root.json", "timestamp.json"]);
}
