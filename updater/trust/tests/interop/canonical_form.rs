//! Both write the same canonical form.

use proptest::prelude::*;
use serde_json::{Value, json};
use tough::schema::Role as _;
use trust::canonical;

use crate::readers::NEVER;

/// A targets file with `custom` in it, through tough and back to bytes that would be signed.
fn through_tough(custom: &Value) -> (Vec<u8>, Vec<u8>) {
    let signed = json!({
        "_type": "targets", "spec_version": "1.0.0", "version": 1, "expires": NEVER,
        "targets": {"a": {"length": 1, "hashes": {"sha256": "00".repeat(32)}, "custom": {"it": custom}}},
        "x-more": [custom],
    });
    let theirs: tough::schema::Targets = serde_json::from_value(signed.clone()).unwrap();
    (theirs.canonical_form().unwrap(), canonical::to_vec(&signed).unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Unicode that normalisation, which only tough does, leaves alone; and control characters.
        "[ -~\\t\\n\\u{1}éßж漢\\u{1f600}]{0,12}".prop_map(Value::from),
    ];
    // Keys: where one key is the beginning of another, tough sorts the closing quote along with them, so characters below it are left out.
    scalar.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[#-\\[\\]-~]{0,8}", inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_value(value in value()) {
        let (theirs, ours) = through_tough(&value);
        prop_assert_eq!(String::from_utf8_lossy(&theirs), String::from_utf8_lossy(&ours));
    }
}
