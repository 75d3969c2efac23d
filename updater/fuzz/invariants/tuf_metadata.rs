//! Bytes without a valid signature change nothing of what is trusted, and no bytes, signed or not, make a client panic.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use trust::repository::{self, RootDraft, TargetsDraft};
use trust::{Answer, KeySigner, Refresh, Role, Root, Signer, Target, Trusted};

const NOW: &str = "2027-01-01T00:00:00Z";
const LATER: &str = "2027-02-01T00:00:00Z";

/// A small repository with one key for everything.
struct Genuine {
    key: KeySigner,
    root: Vec<u8>,
    files: BTreeMap<&'static str, Vec<u8>>,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let later = LATER.parse().expect("a time");
    let key = KeySigner::from_seed(&[7; 32]);
    let draft = Role::ALL.into_iter().fold(RootDraft::new(later), |draft, role| draft.role(role, 1, [key.public_key()]));
    let root_json = draft.sign(&[&key]).expect("a root");
    let root = Root::open(&root_json).expect("the root just made");
    let mut targets = TargetsDraft::new(later);
    targets.add("slipway-vm-1.0.0-amd64/release.json", &Target::of(b"{}")).expect("a good name");
    let targets = targets.sign(&root, &[&key]).expect("targets");
    let snapshot = repository::snapshot(&root, &targets, 1, later, &[&key]).expect("a snapshot");
    let timestamp = repository::timestamp(&root, &snapshot, 1, later, &[&key]).expect("a timestamp");
    Genuine {
        key,
        root: root_json,
        files: BTreeMap::from([("timestamp.json", timestamp), ("snapshot.json", snapshot), ("targets.json", targets)]),
    }
});

/// The genuine files, and what is signed of each, for [`check`]: to begin damaging from.
#[allow(dead_code, reason = "libFuzzer begins from nothing")]
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let genuine = &*GENUINE;
    let files = [&genuine.root, &genuine.files["timestamp.json"], &genuine.files["snapshot.json"], &genuine.files["targets.json"]];
    let mut seeds = Vec::new();
    for (which, file) in (0_u8..).zip(files) {
        let text = String::from_utf8_lossy(file);
        let signed = text.find("\"signed\":").map_or(0, |at| at + "\"signed\":".len());
        for part in [&file[..], &file[signed..]] {
            seeds.push([&[which], part].concat());
        }
    }
    seeds
}

/// Panics when the invariant does not hold for `bytes`: which file it replaces, and the file.
pub(crate) fn check(bytes: &[u8]) {
    let Some((which, file)) = bytes.split_first() else { return };
    let path = ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"][usize::from(which % 4)];
    let genuine = &*GENUINE;
    let accepted = refresh(path, file);
    if accepted {
        // The same content in other white space, or with other letters in the hex of a signature, is what was signed.
        let signed = |bytes: &[u8]| trust::canonical::parse(bytes).ok().and_then(|file| file.get("signed").cloned());
        let good = genuine.files.get(path).and_then(|good| signed(good));
        assert!(good.is_some() && signed(file) == good, "{path} was accepted without a signature");
    }
    // The same content, signed by the right key: it may be accepted or not, but it must not panic.
    let Ok(signature) = genuine.key.sign(file) else { return };
    let hex: String = signature.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let head = format!("{{\"signatures\":[{{\"keyid\":\"{}\",\"sig\":\"{hex}\"}}],\"signed\":", genuine.key.public_key().id());
    refresh(path, &[head.as_bytes(), file, b"}"].concat());
}

/// Runs a client over the genuine files, with `file` in place of `path`; true when `file` came to be trusted.
fn refresh(path: &str, file: &[u8]) -> bool {
    let genuine = &*GENUINE;
    let Ok(mut refresh) = Refresh::new(Trusted::new(genuine.root.clone()), NOW.parse().expect("a time")) else {
        unreachable!("the genuine root is good")
    };
    while let Some(want) = refresh.want() {
        let asked = want.path.as_str() == path;
        let bytes = if asked { Some(file.to_vec()) } else { genuine.files.get(want.path.as_str()).cloned() };
        let before = refresh.trusted().clone();
        let result = refresh.supply(bytes.map_or(Answer::Missing, Answer::Bytes));
        if result.is_err() {
            assert_eq!(&before, refresh.trusted(), "a refused file leaves no trace");
            return false;
        }
        if asked {
            return true;
        }
    }
    false
}
