//! Random damage never passes, and whatever is written is read back.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use trust::repository::{self, RootDraft, TargetsDraft};
use trust::{Answer, Error, Refresh, Role, Root, Signer, Target, Targets, Trusted, canonical};

use crate::support::{LATER, NOW, Repo, TARGET, bytes, key, time};

const PATHS: [&str; 4] = ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"];

/// A repository in which nothing but signatures holds things together: no lengths, no hashes.
fn bare() -> Repo {
    let mut repo = Repo::new();
    repo.next_root(&[1], |_| ());
    repo.snapshot["meta"]["targets.json"] = json!({"version": 1});
    repo.relink_snapshot();
    repo.timestamp["meta"]["snapshot.json"] = json!({"version": 1});
    repo.relink_timestamp();
    repo
}

/// Either it is refused, or it says what the honest one says.
fn check(repo: &Repo, honest: &Targets) {
    // A root that was damaged beyond recognition ends the chain at the one before, which names the same keys: still refused.
    if let Ok(targets) = repo.run(repo.newcomer()).outcome {
        assert_eq!(*targets, *honest);
    }
}

/// All places in a value.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                places(member, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), into)),
        _ => {}
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z _!.-]{0,8}", inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_pass(path in prop::sample::select(&PATHS), cuts in prop::collection::vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..4)) {
        let mut repo = bare();
        let honest = repo.run(repo.newcomer()).outcome.unwrap();
        let file = repo.files.get_mut(path).unwrap();
        for (place, byte, how) in cuts {
            let place = place.index(file.len());
            match how {
                0 => file[place] = byte,
                1 => file.insert(place, byte),
                2 => _ = file.remove(place),
                _ => file[place] ^= 1 << (byte % 8),
            }
        }
        check(&repo, &honest);
    }

    #[test]
    fn a_changed_value_never_verifies(path in prop::sample::select(&PATHS), place in any::<Index>(), new in scalar()) {
        let mut repo = bare();
        let mut file: Value = serde_json::from_slice(&repo.files[path]).unwrap();
        let mut all = Vec::new();
        places(&file["signed"], "/signed", &mut all);
        let target = file.pointer_mut(&all[place.index(all.len())]).unwrap();
        prop_assume!(*target != new);
        *target = new;
        repo.files.insert(path.to_owned(), bytes(&file));
        prop_assert!(repo.run(repo.newcomer()).outcome.is_err());
    }

    #[test]
    fn a_changed_signature_never_verifies(path in prop::sample::select(&PATHS), digit in 0..128_usize, new in "[0-9a-f]") {
        let mut repo = bare();
        let mut file: Value = serde_json::from_slice(&repo.files[path]).unwrap();
        let mut sig = file["signatures"][0]["sig"].as_str().unwrap().to_owned();
        prop_assume!(sig[digit..=digit] != new);
        sig.replace_range(digit..=digit, &new);
        file["signatures"][0]["sig"] = sig.into();
        repo.files.insert(path.to_owned(), bytes(&file));
        let refused = matches!(repo.refusal(), Error::Signatures { .. });
        prop_assert!(refused);
    }

    #[test]
    fn any_bytes_are_an_error_and_never_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Root::open(&garbage).is_err());
        let repo = Repo::new();
        for path in PATHS {
            let mut evil = repo.clone();
            evil.files.insert(path.to_owned(), garbage.clone());
            prop_assert!(evil.run(evil.newcomer()).outcome.is_err());
        }
        _ = canonical::parse(&garbage);
    }

    #[test]
    fn any_signed_value_is_an_error_and_never_a_panic(garbage in value(), role in prop::sample::select(&Role::ALL)) {
        let mut signed = json!({"_type": role.name(), "spec_version": "1.0.31", "version": 2, "expires": LATER});
        for name in ["keys", "roles", "meta", "targets", "delegations", "consistent_snapshot"] {
            signed[name] = garbage.clone();
        }
        let mut repo = Repo::new();
        *repo.signed(role) = signed;
        match role {
            Role::Root => repo.put_root(&[1]),
            Role::Targets => repo.relink(),
            Role::Snapshot => repo.relink_snapshot(),
            Role::Timestamp => repo.relink_timestamp(),
        }
        // An empty object is an empty list of targets; nothing else random makes sense.
        let fine = role == Role::Targets && garbage == json!({});
        let outcome = repo.run(repo.newcomer()).outcome;
        prop_assert_eq!(outcome.is_ok(), fine);
        // Foreign text in messages is short and harmless.
        let text = outcome.map_or_else(|error| error.to_string(), |_| String::new());
        prop_assert!(text.len() < 3000 && !text.contains(char::is_control), "{}", text);
    }

    #[test]
    fn canonical_json_is_read_back(value in value()) {
        let text = canonical::to_vec(&value).unwrap();
        prop_assert_eq!(canonical::parse(&text), Ok(value.clone()));
        // However it was spelled before.
        prop_assert_eq!(canonical::parse(&serde_json::to_vec_pretty(&value).unwrap()), Ok(value));
    }

    #[test]
    fn what_is_published_is_read_back(
        names in prop::collection::btree_set("[a-z0-9][a-z0-9._-]{0,9}[a-z0-9](/[a-z0-9]{1,8}x){0,3}", 0..20),
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 20),
        threshold in 1..4_u64,
        consistent in any::<bool>(),
        versions in prop::array::uniform2(1..1_000_000_u64),
    ) {
        let names: Vec<_> = names.into_iter().filter(|name| trust::TargetName::new(name).is_ok()).collect();
        let keys: Vec<_> = (1..=12).map(key).collect();
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
        let mut draft = RootDraft::new(time(LATER)).consistent_snapshot(consistent);
        for (role, keys) in Role::ALL.into_iter().zip(keys.chunks(3)) {
            draft = draft.role(role, threshold, keys.iter().map(Signer::public_key));
        }
        let root_json = draft.sign(&signers).unwrap();
        let root = Root::open(&root_json).unwrap();
        let mut targets = TargetsDraft::new(time(LATER));
        for (name, content) in names.iter().zip(&contents) {
            targets.add(name, &Target::of(content).with_custom(json!({"n": content.len()}))).unwrap();
        }
        let targets = targets.sign(&root, &signers).unwrap();
        let snapshot = repository::snapshot(&root, &targets, versions[0], time(LATER), &signers).unwrap();
        let timestamp = repository::timestamp(&root, &snapshot, versions[1], time(LATER), &signers).unwrap();
        let mut refresh = Refresh::new(Trusted::new(root_json), time(NOW)).unwrap();
        let run: Result<(), Error> = refresh.run(|want| Ok(match want.path.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "timestamp.json" => Answer::Bytes(timestamp.clone()),
            "snapshot.json" => Answer::Bytes(snapshot.clone()),
            "targets.json" => Answer::Bytes(targets.clone()),
            _ => Answer::Missing,
        }));
        prop_assert_eq!(run, Ok(()));
        let read = refresh.finish().unwrap();
        prop_assert_eq!(read.len(), names.len());
        for (name, content) in names.iter().zip(&contents) {
            let target = read.find(name).unwrap();
            prop_assert!(target.check(content).is_ok());
            prop_assert_eq!(&target.custom, &json!({"n": content.len()}));
        }
        prop_assert!(read.find(TARGET).is_none());
    }
}
