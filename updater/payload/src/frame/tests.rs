use std::time::Instant;

use proptest::prelude::*;
use zstd::bulk::{Compressor, compress};
use zstd::zstd_safe::CParameter;

use super::*;
use crate::test_data::noise;

/// Skippable frame of RFC 8878 with four bytes in it.
const SKIPPABLE: &[u8] = b"\x50\x2a\x4d\x18\x04\0\0\0abcd";

fn unpacked(stored: &[u8], expected: usize) -> Result<Vec<u8>, FrameError> {
    let mut into = vec![0xaa; 10];
    let result = unpack(stored, expected, &mut into);
    if result.is_err() {
        assert!(into.is_empty(), "an error leaves nothing behind");
    }
    assert!(into.capacity() <= FRAME_BYTES, "{} bytes were allocated", into.capacity());
    result.map(|()| into)
}

#[test]
fn a_frame_holds_what_was_put_in() {
    for length in [0, 1, 255, 256, 300, 65_791, 65_792, 1 << 20, FRAME_BYTES] {
        for data in [noise(length), vec![0; length]] {
            for level in if length < 1 << 20 { &[-5, 1, 3, 19][..] } else { &[1, 3] } {
                assert!(unpacked(&compress(&data, *level).unwrap(), length).unwrap() == data, "{length} bytes at level {level}");
            }
        }
    }
}

#[test]
fn one_unpacker_serves_many_frames_even_after_a_broken_one() {
    let mut unpacker = Unpacker::new().unwrap();
    let mut into = Vec::new();
    let good = compress(&noise(5000), 3).unwrap();
    for _ in 0..3 {
        unpacker.unpack(&good, 5000, &mut into).unwrap();
        assert_eq!(into, noise(5000));
        assert!(unpacker.unpack(&good[..good.len() - 9], 5000, &mut into).is_err());
        assert!(into.is_empty());
    }
}

#[test]
fn another_length_than_the_signed_one_is_refused() {
    let stored = compress(&noise(1000), 3).unwrap();
    for expected in [0, 999, 1001, FRAME_BYTES] {
        assert_eq!(unpacked(&stored, expected), Err(FrameError::Length { declared: 1000, expected }));
    }
    assert_eq!(unpacked(&stored, FRAME_BYTES + 1), Err(FrameError::Expected(FRAME_BYTES + 1)));
    assert_eq!(unpacked(&stored, usize::MAX), Err(FrameError::Expected(usize::MAX)));
}

#[test]
fn nothing_may_follow_or_precede_the_frame() {
    let stored = compress(&noise(1000), 3).unwrap();
    for tail in [&b"\0"[..], &stored, SKIPPABLE] {
        let trailing = FrameError::Trailing(tail.len());
        assert_eq!(unpacked(&[&stored, tail].concat(), 1000), Err(trailing.clone()));
        // Even where the second frame would make the length right.
        assert!(unpacked(&[&stored, tail].concat(), 2000).is_err(), "{trailing}");
    }
    assert_eq!(unpacked(&[SKIPPABLE, &stored].concat(), 1000), Err(FrameError::Header("this is not a zstd frame")));
}

#[test]
fn every_truncation_is_refused() {
    let stored = compress(&noise(700), 3).unwrap();
    for length in 0..stored.len() {
        assert!(unpacked(&stored[..length], 700).is_err(), "{length} bytes");
    }
}

/// T25: what was compressed twice, or with something else on the way, is not what the metadata describes.
#[test]
fn double_and_foreign_encodings_are_refused() {
    let data = vec![7; 100_000];
    let once = compress(&data, 3).unwrap();
    let twice = compress(&once, 3).unwrap();
    assert_eq!(unpacked(&twice, data.len()), Err(FrameError::Length { declared: once.len() as u64, expected: data.len() }));
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let old_zstd = b"\x27\xb5\x2f\xfd\0\0\0\0\0\0";
    for foreign in [&data[..], gzip, old_zstd, b"\xfd7zXZ\0\0\x04", b"<html>", b""] {
        assert_eq!(unpacked(foreign, 100), Err(FrameError::Header("this is not a zstd frame")));
    }
}

/// T18: a few bytes that become a terabyte. One frame can repeat a block of 128 KiB in 4 bytes.
#[test]
fn bombs_cost_neither_time_nor_memory() {
    let begun = Instant::now();
    let rle_blocks = |header: &[u8], blocks: usize| {
        let mut frame = b"\x28\xb5\x2f\xfd".to_vec();
        frame.extend_from_slice(header);
        // Block header: 21 bits size, type 1 (RLE), not last.
        let block = (128_u32 << 10) << 3 | 1 << 1;
        frame.extend([&block.to_le_bytes()[..3], b"\0"].concat().repeat(blocks));
        frame
    };
    // 1 MiB of blocks, 32 GiB of zeros: with the size left out, a lie about it, and the truth.
    let nothing_declared = rle_blocks(&[0x00, 0x58], 1 << 18);
    assert_eq!(unpacked(&nothing_declared, FRAME_BYTES), Err(FrameError::Header("it does not declare its length")));
    let lie = rle_blocks(&[0xa0, 0, 0, 0x40, 0], 1 << 18);
    assert!(matches!(unpacked(&lie, FRAME_BYTES), Err(FrameError::Damaged(_))));
    let truth = rle_blocks(&[0xe0, 0, 0, 0, 0, 8, 0, 0, 0], 1 << 18);
    assert_eq!(unpacked(&truth, FRAME_BYTES), Err(FrameError::Window(32 << 30)));
    // Frames of nothing but empty blocks, and a stored frame longer than any.
    let mut empty_blocks = b"\x28\xb5\x2f\xfd\xa0\0\0\x40\0".to_vec();
    empty_blocks.extend([0; 3].repeat(FRAME_BYTES / 3 - 10));
    assert!(unpacked(&empty_blocks, FRAME_BYTES).is_err());
    assert_eq!(unpacked(&vec![0; 5 << 20], FRAME_BYTES), Err(FrameError::Long(5 << 20)));
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn a_window_larger_than_ours_is_refused() {
    // Streaming without a declared size keeps the window in the header; then the size is written in by hand.
    let mut frame = b"\x28\xb5\x2f\xfd\x80\x70\x01\0\0\0".to_vec();
    // One raw block, the last, one byte.
    frame.extend_from_slice(&[0b1001, 0, 0, b'x']);
    assert_eq!(unpacked(&frame, 1), Err(FrameError::Window(16 << 20)));
    frame[5] = 0x68;
    assert_eq!(unpacked(&frame, 1).unwrap(), b"x");
}

#[test]
fn a_frame_that_needs_a_dictionary_is_refused() {
    let dictionary = noise(1000);
    let mut compressor = Compressor::with_dictionary(3, &dictionary).unwrap();
    compressor.set_parameter(CParameter::ContentSizeFlag(true)).unwrap();
    let stored = compressor.compress(&dictionary).unwrap();
    // A raw dictionary has no id to declare, so the content refers to what is not there.
    assert!(unpacked(&stored, 1000).is_err());
}

proptest! {
    /// Whatever arrives: exactly the expected length, or an error and nothing.
    #[test]
    fn arbitrary_bytes_never_make_another_length(mut stored in prop::collection::vec(any::<u8>(), 0..300), magic: bool, expected in 0_usize..5000) {
        if magic {
            stored.splice(0..0, *b"\x28\xb5\x2f\xfd");
        }
        if let Ok(bytes) = unpacked(&stored, expected) {
            prop_assert_eq!(bytes.len(), expected);
        }
    }

    /// A damaged frame gives an error or other bytes of the right length, which their digest tells apart.
    #[test]
    fn damaged_frames_never_make_another_length(length in 1_usize..20_000, at: prop::sample::Index, byte: u8, level in 1_i32..10) {
        let mut stored = compress(&noise(length / 2).repeat(2), level).unwrap();
        let at = at.index(stored.len());
        stored[at] = byte;
        if let Ok(bytes) = unpacked(&stored, length / 2 * 2) {
            prop_assert_eq!(bytes.len(), length / 2 * 2);
        }
    }
}
