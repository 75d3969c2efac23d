//! What the property tests do to the seeds of the fuzz targets, which libFuzzer does in its own way.

use std::path::Path;

use proptest::prelude::*;

/// The files in `updater/fuzz/seeds/NAME`, as seen from a package beside `fuzz`.
#[allow(dead_code, reason = "signed seeds are made when they are needed")]
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let mut paths: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", dir.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One of `seeds` with a few bytes replaced and perhaps its end cut off, or two of them joined somewhere.
pub(crate) fn damaged(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..5));
    let parts = (prop::sample::select(seeds.clone()), prop::sample::select(seeds), prop::collection::vec(change, 0..4));
    (parts, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8).prop_map(|((mut one, other, changes), at, from, how)| {
        for (at, new) in changes {
            let at = at.index(one.len());
            one.splice(at..(at + new.len()).min(one.len()), new);
        }
        match how {
            0 => one.truncate(at.index(one.len())),
            1 => one.splice(at.index(one.len()).., other[from.index(other.len())..].iter().copied()).for_each(drop),
            _ => {}
        }
        one
    })
}
