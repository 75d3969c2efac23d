//! What holds for any user data.

use cloud_config::metadata::Metadata;
use cloud_config::run::{Input, prepare};

/// Panics when something that must hold does not.
pub(crate) fn check(bytes: &[u8]) {
    let metadata = Metadata { private_ipv4: Some([10, 0, 0, 5].into()), public_ipv4: Some([192, 0, 2, 5].into()), ..Metadata::default() };
    let input = Input { documents: vec![("user-data".to_owned(), bytes.to_vec())], metadata, network_files: Vec::new() };
    let (first, second) = (prepare(&input, None, false), prepare(&input, None, false));
    assert_eq!(first.problems, second.problems, "problems depend on something else than the bytes");
    assert_eq!(first.plan.is_none(), first.has_errors(), "there is a plan exactly when there is no error");
    for problem in &first.problems {
        assert!(problem.place.line >= 1 && problem.place.column >= 1, "{problem:?} is nowhere");
    }
    if let (Some(first), Some(second)) = (&first.plan, &second.plan) {
        assert_eq!(first.hash(), second.hash(), "plans depend on something else than the bytes");
        for effect in &first.effects {
            let text = effect.to_string();
            assert!(!text.contains("/../"), "a path leads upwards: {text}");
        }
    }
}
