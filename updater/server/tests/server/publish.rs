//! S02, S10, S11: what may be published, and that nothing half-published is ever seen.

use std::collections::BTreeMap;

use payload::{FRAME_BYTES, Full, Part, PartName, Release, Sha256Digest, Way, app_id, pack};
use serde_json::json;
use trust::repository::{self, RootDraft, TargetsDraft};
use trust::{KeySigner, Role, Root, Signer, Target};
use update_server::policy::Span;
use update_server::publish::online;
use update_server::store::Db;

use crate::fixture::{NOW, Server};

pub struct Repository {
    seed: u8,
    offline: KeySigner,
    online: KeySigner,
    root: Vec<u8>,
    targets: Option<Vec<u8>>,
    version: u64,
    files: BTreeMap<String, Vec<u8>>,
}

/// Length of the root partition's image: whole blocks of its hash tree.
const ROOT_BYTES: u64 = 16 * 4096;

fn stamp(days: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(NOW.0).unwrap() + jiff::SignedDuration::from_hours(24 * days)
}

impl Clone for Repository {
    fn clone(&self) -> Self {
        let Self { seed, root, targets, version, files, .. } = self;
        let mut copy = Self::new(*seed);
        (copy.root, copy.targets, copy.version, copy.files) = (root.clone(), targets.clone(), *version, files.clone());
        copy
    }
}

impl Repository {
    pub fn new(seed: u8) -> Self {
        let (offline, online) = (KeySigner::from_seed(&[seed; 32]), KeySigner::from_seed(&[seed + 1; 32]));
        let mut draft = RootDraft::new(stamp(365));
        for role in [Role::Root, Role::Targets] {
            draft = draft.role(role, 1, [offline.public_key()]);
        }
        for role in [Role::Snapshot, Role::Timestamp] {
            draft = draft.role(role, 1, [online.public_key()]);
        }
        let root = draft.sign(&[&offline]).unwrap();
        Self { seed, offline, online, root, targets: None, version: 0, files: BTreeMap::new() }
    }

    /// Every file by its path.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Adds a release and signs everything anew.
    pub fn release(&mut self, version: &str) -> String {
        let mut parts = Vec::new();
        let mut files = Vec::new();
        for (name, file) in PartName::ALL.into_iter().zip(["root.erofs.zst", "root.verity.zst", "slipway.efi.zst"]) {
            let length = if name == PartName::Verity { payload::verity::tree_bytes(ROOT_BYTES) } else { ROOT_BYTES };
            let text = format!("{name:?} of {version} ");
            let bytes: Vec<u8> = text.bytes().cycle().take(usize::try_from(length).unwrap()).collect();
            let mut stored = Vec::new();
            let packed = pack::pack(&bytes[..], &mut stored, 3).unwrap();
            assert!(bytes.len() < FRAME_BYTES);
            let full = Full {
                file: file.into(),
                size: stored.len() as u64,
                sha256: Sha256Digest::of(&stored),
                stored_frames: packed.stored_frames.clone(),
            };
            let (size, sha256, frames) = (bytes.len() as u64, Sha256Digest::of(&bytes), packed.frames.clone());
            parts.push(Part { name, size, sha256, frames, ways: vec![Way::Full(full)] });
            files.push((file, stored));
        }
        let release = Release {
            format: payload::release::FORMAT,
            app_id: app_id("slipway", "vm"),
            name: "slipway".into(),
            variant: "vm".into(),
            version: version.parse().unwrap(),
            arch: "amd64".into(),
            root_hash: Sha256Digest::of(b"root"),
            minimum_version: None,
            rollback_index: 3,
            parts,
            notes: String::new(),
        };
        let folder = release.folder();
        let root = Root::open(&self.root).unwrap();
        let mut draft = match &self.targets {
            Some(targets) => TargetsDraft::after(targets, &root, stamp(90)).unwrap(),
            None => TargetsDraft::new(stamp(90)),
        };
        let custom = json!({ "app-id": release.app_id, "version": version, "arch": "amd64" });
        files.push(("release.json", release.to_json()));
        for (name, bytes) in files {
            let target = Target::of(&bytes);
            let target = if name == "release.json" { target.with_custom(custom.clone()) } else { target };
            draft.add(&format!("{folder}/{name}"), &target).unwrap();
            self.files.insert(format!("targets/{folder}/{name}"), bytes);
        }
        self.targets = Some(draft.sign(&root, &[&self.offline]).unwrap());
        self.sign(true);
        folder
    }

    fn sign(&mut self, online: bool) {
        self.version += 1;
        let root = Root::open(&self.root).unwrap();
        let targets = self.targets.clone().unwrap();
        self.files.insert("tuf/1.root.json".into(), self.root.clone());
        self.files.insert("tuf/root.json".into(), self.root.clone());
        self.files.insert("tuf/targets.json".into(), targets.clone());
        if online {
            let snapshot = repository::snapshot(&root, &targets, self.version, stamp(30), &[&self.online]).unwrap();
            let timestamp = repository::timestamp(&root, &snapshot, self.version, stamp(7), &[&self.online]).unwrap();
            self.files.insert("tuf/snapshot.json".into(), snapshot);
            self.files.insert("tuf/timestamp.json".into(), timestamp);
        }
    }

    async fn upload(&self, server: &Server) {
        for (path, bytes) in &self.files {
            server.put_file(path, bytes).await.ok();
        }
    }
}

async fn timestamp(server: &Server) -> Vec<u8> {
    server.get("/tuf/timestamp.json").await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_release_is_published_and_offered() {
    let server = Server::start().await;
    let mut repository = Repository::new(1);
    let folder = repository.release("1.2.3");
    repository.upload(&server).await;
    assert_eq!(server.get("/tuf/root.json").await.status, 404, "nothing is seen before it is published");
    assert_eq!(server.get(&format!("/targets/{folder}/release.json")).await.status, 404);
    let published = server.api("POST", "/publish", None).await.ok().json();
    assert_eq!(published["releases"][0]["folder"], folder);
    assert_eq!(published["releases"][0]["version"], "1.2.3");
    for (path, bytes) in &repository.files {
        assert_eq!(server.get(&format!("/{path}")).await.body, *bytes, "{path}");
    }
    let release = server.api("GET", "/releases", None).await.ok().json();
    assert_eq!(release[0]["rollback-index"], 3);
    let names: Vec<&str> =
        release[0]["offer"]["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["root.erofs.zst", "root.verity.zst", "slipway.efi.zst", "release.json"], "the root comes first");

    // Again, and one more: what is there is kept.
    repository.release("1.3.0");
    repository.upload(&server).await;
    let published = server.api("POST", "/publish", None).await.ok().json();
    assert_eq!(published["releases"].as_array().unwrap().len(), 2);
    assert_eq!(server.api("GET", "/releases", None).await.json().as_array().unwrap().len(), 2);
    update_server::background::reconcile(&server.app).await.unwrap();
    assert_eq!(server.api("GET", "/releases", None).await.json().as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_machines_would_refuse_is_refused_and_the_old_repository_stays() {
    let server = Server::start().await;
    let mut repository = Repository::new(1);
    let folder = repository.release("1.2.3");
    let old = repository.files.clone();
    repository.upload(&server).await;
    server.api("POST", "/publish", None).await.ok();
    repository.release("1.3.0");
    repository.upload(&server).await;
    server.api("POST", "/publish", None).await.ok();
    let served = timestamp(&server).await;

    // Somebody restores the backup of last night.
    for name in ["timestamp.json", "snapshot.json", "targets.json"] {
        server.put_file(&format!("tuf/{name}"), &old[&format!("tuf/{name}")]).await.ok();
    }
    let refused = server.api("POST", "/publish", None).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(timestamp(&server).await, served);

    // A repository with other keys.
    let mut foreign = Repository::new(50);
    foreign.release("9.9.9");
    foreign.version = 50;
    foreign.sign(true);
    foreign.upload(&server).await;
    let refused = server.api("POST", "/publish", None).await;
    assert_eq!(refused.status, 409, "its first root is not ours: {}", refused.text());
    server.put_file("tuf/1.root.json", &repository.root).await.ok();
    let refused = server.api("POST", "/publish", None).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(timestamp(&server).await, served);
    assert_eq!(server.get("/targets/slipway-vm-9.9.9-amd64/release.json").await.status, 404);
    assert_eq!(server.get(&format!("/targets/{folder}/release.json")).await.status, 200);
    assert_eq!(server.api("GET", "/releases", None).await.json().as_array().unwrap().len(), 2);
}

/// A server that was told which root to believe.
async fn pinned(root: &[u8]) -> Server {
    let server = Server::start().await;
    std::fs::write(&server.app.layout.pinned, root).unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_publisher_token_cannot_bring_a_repository_of_its_own() {
    let ours = Repository::new(1);
    for (name, first) in [("a stranger's", Repository::new(50)), ("a stranger's that calls our root its first", Repository::new(50))] {
        let server = pinned(&ours.root).await;
        let (mut foreign, disguised) = (first, name.contains("calls"));
        foreign.release("9.9.9");
        if disguised {
            for path in ["tuf/1.root.json", "tuf/root.json"] {
                foreign.files.insert(path.into(), ours.root.clone());
            }
        }
        foreign.upload(&server).await;
        let refused = server.api("POST", "/publish", None).await;
        assert!((400..500).contains(&refused.status), "{name}: {} {}", refused.status, refused.text());
        assert_eq!(server.get("/tuf/root.json").await.status, 404, "{name}");
        assert_eq!(server.api("GET", "/releases", None).await.json().as_array().unwrap().len(), 0, "{name}");
        // Ours is published on top of what the thief left in staging.
        let mut ours = Repository::new(1);
        ours.version = 5;
        let folder = ours.release("1.2.3");
        ours.upload(&server).await;
        server.api("POST", "/publish", None).await.ok();
        assert_eq!(server.get(&format!("/targets/{folder}/release.json")).await.status, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_pinned_root_the_first_publisher_is_believed_and_a_damaged_pin_stops_everything() {
    let mut repository = Repository::new(50);
    repository.release("1.2.3");
    let server = Server::start().await;
    repository.upload(&server).await;
    server.api("POST", "/publish", None).await.ok();
    let damaged = pinned(b"{}").await;
    repository.upload(&damaged).await;
    let refused = damaged.api("POST", "/publish", None).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_numbered_root_never_changes() {
    let server = Server::start().await;
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    repository.upload(&server).await;
    server.api("POST", "/publish", None).await.ok();
    server.put_file("tuf/1.root.json", &Repository::new(50).root).await.ok();
    let refused = server.api("POST", "/publish", None).await;
    assert!(refused.text().contains("1.root.json"), "{} {}", refused.status, refused.text());
    assert_eq!(server.get("/tuf/1.root.json").await.body, repository.root);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_changed_file_publishes_nothing() {
    let server = Server::start().await;
    let mut repository = Repository::new(1);
    let folder = repository.release("1.2.3");
    let root = format!("targets/{folder}/root.erofs.zst");
    for (path, bytes) in repository.files.iter().filter(|(path, _)| **path != root) {
        server.put_file(path, bytes).await.ok();
    }
    let refused = server.api("POST", "/publish", None).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("root.erofs.zst"), "{}", refused.text());
    server.put_file(&root, b"something else").await.ok();
    assert_eq!(server.api("POST", "/publish", None).await.status, 422);
    assert_eq!(server.get("/tuf/timestamp.json").await.status, 404);
    server.put_file(&root, &repository.files[&root]).await.ok();
    server.api("POST", "/publish", None).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_arrived_in_part_is_not_mixed_with_the_one_before() {
    for missing in ["tuf/timestamp.json", "tuf/snapshot.json", "tuf/targets.json"] {
        let server = Server::start().await;
        let mut repository = Repository::new(1);
        repository.release("1.2.3");
        repository.upload(&server).await;
        server.api("POST", "/publish", None).await.ok();
        let served = server.get("/tuf/snapshot.json").await.body;
        repository.release("1.3.0");
        for (path, bytes) in repository.files.iter().filter(|(path, _)| *path != missing) {
            server.put_file(path, bytes).await.ok();
        }
        let refused = server.api("POST", "/publish", None).await;
        assert_eq!(refused.status, 422, "without {missing}: {}", refused.text());
        assert_eq!(server.get("/tuf/snapshot.json").await.body, served, "without {missing}");
        repository.upload(&server).await;
        server.api("POST", "/publish", None).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_switch_and_database_completes_itself() {
    let server = Server::start().await;
    let mut repository = Repository::new(1);
    repository.release("1.2.3");
    repository.upload(&server).await;
    let now = jiff::Timestamp::from_millisecond(NOW.0).unwrap();
    let verified = update_server::publish::verify::verify(&server.app.layout, &online::Keys::default(), now).unwrap();
    update_server::publish::switch::switch(&server.app.layout, &verified).unwrap();
    assert_eq!(server.api("GET", "/releases", None).await.json().as_array().unwrap().len(), 0);
    update_server::background::reconcile(&server.app).await.unwrap();
    assert_eq!(server.api("GET", "/releases", None).await.json().as_array().unwrap().len(), 1);
    // Publishing again what is half there works as well.
    server.api("POST", "/publish", None).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_whole_or_not_there() {
    let server = Server::start().await;
    let digest = "0".repeat(64);
    let wrong = server.put_file_as("targets/a/file", b"content", &digest).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    let staged = server.app.layout.staging.join("targets/a");
    assert_eq!(std::fs::read_dir(&staged).unwrap().count(), 0, "nothing is left");
    // The sender dies in the middle.
    let head = format!(
        "PUT /api/v1/files/targets/a/file HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nX-Content-SHA256: {digest}\r\nContent-Length: 1000\r\n\r\nonly this",
        server.admin
    );
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut stream = stream;
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    drop(stream);
    server.put_file("targets/a/other", b"x").await.ok();
    assert!(!staged.join("file").exists());
    for missing in ["", "xyz", &"g".repeat(64)] {
        assert_eq!(server.put_file_as("targets/a/file", b"content", missing).await.status, 400, "{missing}");
    }
    let header = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(b"x"));
    let authorization = format!("Bearer {}", server.admin);
    for (path, status) in [("targets/a/other", 200), ("targets/a/file", 404)] {
        let headers = [("Authorization", authorization.as_str()), ("X-Content-SHA256", header.as_str())];
        assert_eq!(server.send("HEAD", &format!("/api/v1/files/{path}"), &headers, b"").await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leaves_its_folder() {
    let server = Server::start().await;
    let outside = server.dir.path().join("outside");
    for path in [
        "targets/../../outside",
        "targets/..%2f..%2foutside/x",
        "targets/%2e%2e/outside",
        "targets/a/%2e%2e%2foutside",
        "tuf/..%2f..%2foutside.json",
        "..%2foutside/x/y",
        "%2fetc/passwd/x",
        "targets/a/.hidden",
        "targets/a/b%00c",
        "targets/a/b%5cc",
        "targets/a/b/c",
        "targets/a/",
        "tuf/root.txt",
    ] {
        let answer = server.put_file(path, b"x").await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        let answer = server.get(&format!("/{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert!(!outside.exists());
    assert_eq!(server.get("/targets/..%2f..%2fserver.db/x").await.status, 404);
    assert_eq!(server.get("/tuf/..%2f..%2fserver.db").await.status, 404);
    // A link in staging is replaced, never followed.
    let staged = server.app.layout.staging.join("targets/l");
    std::fs::create_dir_all(&staged).unwrap();
    std::os::unix::fs::symlink(&outside, staged.join("file")).unwrap();
    std::os::unix::fs::symlink(&outside, staged.join(".part-file")).unwrap();
    server.put_file("targets/l/file", b"x").await.ok();
    assert!(!outside.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_never_changes() {
    let server = Server::start().await;
    server.stock_release("1.0.0", b"first").await;
    server.put_file("targets/flatcar-1.0.0/update.gz", b"second").await.ok();
    let again = json!({ "app": "another", "version": "1.0.0", "folder": "flatcar-1.0.0", "files": ["update.gz"] });
    assert_eq!(server.api("POST", "/releases", Some(again)).await.status, 409);
    assert_eq!(server.get("/targets/flatcar-1.0.0/update.gz").await.body, b"first");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_served_in_ranges_with_validators() {
    let server = Server::start().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    server.stock_release("1.0.0", &bytes).await;
    let path = "/targets/flatcar-1.0.0/update.gz";
    let whole = server.get(path).await.ok();
    assert_eq!(whole.body, bytes);
    let tag = whole.header("etag").unwrap().to_owned();
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert!(whole.header("cache-control").unwrap().contains("immutable"));
    let head = server.send("HEAD", path, &[], b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("1000000"), 0));
    let part = server.send("GET", path, &[("Range", "bytes=999990-"), ("If-Range", &tag)], b"").await;
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 999990-999999/1000000")));
    assert_eq!(part.body, bytes[999_990..]);
    let stale = server.send("GET", path, &[("Range", "bytes=999990-"), ("If-Range", "\"other\"")], b"").await;
    assert_eq!((stale.status, stale.body.len()), (200, 1_000_000));
    assert_eq!(server.send("GET", path, &[("If-None-Match", &tag)], b"").await.status, 304);
    assert_eq!(server.send("GET", path, &[("Range", "bytes=1000000-")], b"").await.status, 416);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_keys_complete_and_refresh_the_metadata_and_sign_no_release() {
    let dir = tempfile::tempdir().unwrap();
    let keys = online_keys(dir.path());
    let mut repository = Repository::new(1);
    let db = Db::sqlite(&dir.path().join("server.db")).await.unwrap();
    let server = Server::on(db, dir, online::Keys::read(&keys).unwrap()).await;
    repository.release("1.2.3");
    repository.files.retain(|path, _| !path.ends_with("snapshot.json") && !path.ends_with("timestamp.json"));
    repository.upload(&server).await;
    server.api("POST", "/publish", None).await.ok();
    let first = timestamp(&server).await;
    update_server::background::resign(&server.app).await.unwrap();
    assert_eq!(timestamp(&server).await, first, "fresh enough");
    server.clock.advance(Span::hours(4 * 24));
    update_server::background::resign(&server.app).await.unwrap();
    let second = timestamp(&server).await;
    assert_ne!(second, first);
    let json: serde_json::Value = serde_json::from_slice(&second).unwrap();
    assert_eq!(json["signed"]["version"], 2);
    // The online key alone makes no release.
    let mut stolen = Repository::new(1);
    stolen.offline = KeySigner::from_seed(&[2; 32]);
    let root = Root::open(&stolen.root).unwrap();
    let draft = TargetsDraft::new(stamp(90));
    assert!(draft.sign(&root, &[&stolen.offline]).is_err());
}

/// A folder with the online key of `Repository::new(1)`.
pub fn online_keys(dir: &std::path::Path) -> std::path::PathBuf {
    let keys = dir.join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("online.pem"), ed25519_pem(&[2; 32])).unwrap();
    keys
}

fn ed25519_pem(seed: &[u8; 32]) -> String {
    use base64::Engine as _;
    // PKCS#8 of a bare ed25519 seed: RFC 8410.
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend_from_slice(seed);
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64::engine::general_purpose::STANDARD.encode(der))
}
