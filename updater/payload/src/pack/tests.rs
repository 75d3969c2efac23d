use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::frame;
use crate::test_data::noise;

/// Packs `data`, unpacks every frame, and checks all that [`Packed`] says.
fn round_trip(data: &[u8], level: i32) -> (Packed, Vec<u8>) {
    let mut stored = Vec::new();
    let packed = pack(data, &mut stored, level).unwrap();
    assert_eq!((packed.size, packed.sha256), (data.len() as u64, Sha256Digest::of(data)));
    assert_eq!((packed.stored_size, packed.stored_sha256), (stored.len() as u64, Sha256Digest::of(&stored)));
    let part = packed.clone().into_part(PartName::Root, "file");
    let full = part.known_ways().next().unwrap();
    let mut bytes = Vec::new();
    for (index, piece) in data.chunks(FRAME_BYTES).enumerate() {
        let begin = full.stored_offset(index) as usize;
        let one = &stored[begin..begin + full.stored_frames[index] as usize];
        assert_eq!(part.frame_len(index), piece.len());
        frame::unpack(one, part.frame_len(index), &mut bytes).unwrap();
        assert!(bytes == piece, "frame {index}");
        assert_eq!(part.frames[index], Sha256Digest::of(piece));
    }
    assert_eq!(part.frames.len(), data.len().div_ceil(FRAME_BYTES));
    assert_eq!(part.frame_len(part.frames.len()), 0);
    assert_eq!(part.frame_len(usize::MAX), 0);
    (packed, stored)
}

#[test]
fn parts_of_all_lengths_come_back() {
    for length in [1, 4095, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES + 4096] {
        round_trip(&noise(length), 1);
    }
    let (packed, _) = round_trip(&vec![0; 3 * FRAME_BYTES], 3);
    assert!(packed.stored_size < 3000, "{}", packed.stored_size);
}

#[test]
fn noise_fits_the_limit_of_a_stored_frame() {
    let (packed, _) = round_trip(&noise(FRAME_BYTES), 3);
    assert!(packed.stored_frames[0] <= crate::release::STORED_FRAME_MAX_BYTES);
    assert!(zstd::zstd_safe::compress_bound(FRAME_BYTES) <= crate::release::STORED_FRAME_MAX_BYTES as usize);
}

#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    let mut data = noise(4 * FRAME_BYTES + 77);
    data[FRAME_BYTES..2 * FRAME_BYTES].fill(9);
    let pack = |threads| {
        let mut stored = Vec::new();
        (pack_on(threads, &data[..], &mut stored, 3).unwrap(), stored)
    };
    let first = pack(1);
    for threads in [0, 2, 3, 16] {
        assert!(pack(threads) == first, "{threads} threads");
    }
}

/// A source that gives one odd piece after the other, as a pipe does.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.0.len()).min(65_537);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn how_the_input_arrives_changes_nothing() {
    let data = noise(2 * FRAME_BYTES + 1);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    assert_eq!(pack(&data[..], &mut one, 1).unwrap(), pack(Dribble(&data), &mut other, 1).unwrap());
    assert!(one == other);
}

#[test]
fn errors_name_the_step() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no disk"))
        }
    }
    let error = |result: Result<Packed, PackError>| result.unwrap_err().to_string();
    assert_eq!(error(pack(&b""[..], io::sink(), 3)), "the part is empty");
    assert_eq!(error(pack(Broken, io::sink(), 3)), "reading the part: no disk");
    assert!(error(pack(&b"abc"[..], Cursor::new(&mut [0_u8; 3][..]), 3)).starts_with("writing the packed part: "));
    assert!(error(pack(&b"abc"[..], io::sink(), 99)).starts_with("compressing a frame: level 99 is not one of "));
    assert!(matches!(pack(io::repeat(0), io::sink(), i32::MIN), Err(PackError::Compress(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_part_comes_back(data in prop::collection::vec(any::<u8>(), 1..5000), times in 1_usize..200, level in -3_i32..6) {
        round_trip(&data.repeat(times), level);
    }
}
