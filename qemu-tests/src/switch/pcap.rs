//! Captures in the classic format that every network tool reads
//! (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>).

use std::time::Duration;

/// The file's header: microseconds, version 2.4, frames up to 128 KiB, Ethernet.
pub const HEADER: [u8; 24] = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0];

/// One frame, seen at `time` since the switch started. A time beyond 136 years is cut.
#[must_use]
pub fn record(time: Duration, frame: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(16 + frame.len());
    for field in [time.as_secs() as u32, time.subsec_micros(), frame.len() as u32, frame.len() as u32] {
        record.extend_from_slice(&field.to_le_bytes());
    }
    record.extend_from_slice(frame);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_time_and_length_twice() {
        let record = record(Duration::new(3, 5_000), &[7; 14]);
        let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4), word(8), word(12)), (3, 5, 14, 14));
        assert_eq!(record[16..], [7; 14]);
        assert_eq!(u32::from_le_bytes(HEADER[..4].try_into().unwrap()), 0xa1b2_c3d4);
    }
}
