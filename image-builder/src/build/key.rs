//! Keys of cached steps: a hash over everything that shapes a step's result, and nothing else.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The key of a step that `inputs` determine. `revision` changes when the code of the step does.
#[must_use]
pub fn of(revision: u32, inputs: &impl Serialize) -> String {
    let json = serde_json::to_vec(&(revision, inputs)).expect("inputs are plain data");
    hex::encode(Sha256::digest(json))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_key_depends_on_every_input() {
        let key = of(1, &("a", 2));
        assert_eq!(key, of(1, &("a", 2)));
        for other in [of(2, &("a", 2)), of(1, &("b", 2)), of(1, &("a", 3))] {
            assert_ne!(key, other);
        }
    }
}
