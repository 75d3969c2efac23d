//! No bytes make the parser panic; an accepted release is within its limits, and is the same after writing and reading it.

use payload::release::{MAX_FRAMES, MAX_WAYS, PART_MAX_BYTES, is_plain_file_name};
use payload::{PartName, Release};

/// Panics when the invariant does not hold for `bytes`.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(release) = Release::parse(bytes) else { return };
    assert!(bytes.len() <= Release::MAX_BYTES);
    for name in PartName::ALL {
        let part = release.part(name).expect("every part is there");
        assert!(part.size > 0 && part.size <= PART_MAX_BYTES && part.frames.len() <= MAX_FRAMES && part.ways.len() <= MAX_WAYS);
        let sum: u64 = (0..part.frames.len()).map(|index| part.frame_len(index) as u64).sum();
        assert_eq!(sum, part.size, "the frames make up the part");
        for full in part.known_ways() {
            assert!(is_plain_file_name(&full.file), "{}", full.file);
            assert_eq!((full.stored_frames.len(), full.stored_offset(usize::MAX)), (part.frames.len(), full.size));
        }
    }
    assert!(is_plain_file_name(&release.folder()) || release.folder().len() > 128, "{}", release.folder());
    assert_eq!(Release::parse(&release.to_json()).as_ref(), Ok(&release));
}
