use super::super::source::Source;
use super::*;

const CLUSTERS: u32 = 70_000;
const TABLE_SECTORS: u64 = 560;
const RESERVED: u64 = 8;
const DATA: u64 = (RESERVED + 2 * TABLE_SECTORS) * 512;

/// A FAT32 of clusters of one sector, kept as the sectors that are not zero.
struct Small(Source);

impl Blocks for Small {
    fn name(&self) -> &str {
        "small"
    }

    fn len(&self) -> u64 {
        DATA + u64::from(CLUSTERS) * 512
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, buffer)
    }
}

/// Changes to a good file system: allocation table entries, and bytes of clusters.
fn with(table: &[(u32, u32)], bytes: &[(u32, usize, &[u8])]) -> Fat {
    let mut image = vec![0; DATA as usize + 16 * 512];
    image[11..16].copy_from_slice(&[0, 2, 1, RESERVED as u8, 0]);
    image[16] = 2;
    image[32..36].copy_from_slice(&(RESERVED as u32 + 2 * TABLE_SECTORS as u32 + CLUSTERS).to_le_bytes());
    image[36..40].copy_from_slice(&(TABLE_SECTORS as u32).to_le_bytes());
    image[44] = 2;
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    const END: u32 = 0x0fff_ffff;
    // Root, a folder `efi`, and in it `long name.efi` of 600 bytes.
    let good = [(0, END), (1, END), (2, END), (3, END), (4, 5), (5, END)];
    for copy in 0..2 {
        for (cluster, next) in good.iter().chain(table) {
            let at = (RESERVED + copy * TABLE_SECTORS) as usize * 512 + *cluster as usize * 4;
            image[at..at + 4].copy_from_slice(&next.to_le_bytes());
        }
    }
    let mut put = |cluster: u32, at: usize, bytes: &[u8]| {
        let start = DATA as usize + (cluster as usize - 2) * 512 + at;
        image[start..start + bytes.len()].copy_from_slice(bytes);
    };
    put(2, 0, &short(b"EFI        ", FOLDER, 3, 0));
    put(3, 0, &long(b"LONGNA~1EFI", "long name.efi"));
    put(3, 32, &short(b"LONGNA~1EFI", 0x20, 4, 600));
    put(4, 0, &[1; 512]);
    put(5, 0, &[2; 512]);
    for (cluster, at, bytes) in bytes {
        put(*cluster, *at, bytes);
    }
    Fat::read(&Small(Source::Memory(image))).unwrap().unwrap()
}

fn short(name: &[u8; 11], attributes: u8, first: u16, size: u32) -> Vec<u8> {
    let mut raw = vec![0; 32];
    raw[..11].copy_from_slice(name);
    raw[11] = attributes;
    raw[26..28].copy_from_slice(&first.to_le_bytes());
    raw[28..32].copy_from_slice(&size.to_le_bytes());
    raw
}

fn long(of: &[u8; 11], name: &str) -> Vec<u8> {
    let mut raw = vec![0xff; 32];
    (raw[0], raw[11], raw[12], raw[26], raw[27]) = (LAST_PART | 1, LONG_NAME, 0, 0, 0);
    raw[13] = of.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
    for (unit, at) in name.encode_utf16().chain([0]).zip(places) {
        raw[at..at + 2].copy_from_slice(&unit.to_le_bytes());
    }
    raw
}

#[test]
fn a_good_one_is_read() {
    let fat = with(&[], &[]);
    assert!(fat.faults.is_empty() && fat.tolerated.is_empty(), "{fat:?}");
    let file = fat.file("efi/long name.efi").unwrap();
    assert_eq!((file.size, file.chain.as_slice()), (600, &[4, 5][..]));
    assert!(fat.file("efi").is_none() && fat.entries[0].is_folder);
}

#[test]
fn faults_are_found() {
    let table: &[(&str, Fat)] = &[
        ("runs into cluster 5, which is free", with(&[(5, 0)], &[])),
        ("runs into cluster 90000", with(&[(4, 90_000)], &[])),
        ("cluster 4 belongs to /efi/long name.efi as well", with(&[(5, 4)], &[])),
        ("belongs to /efi/long name.efi as well", with(&[], &[(3, 64, &short(b"OTHER   EFI", 0x20, 5, 100))])),
        ("do not hold its 5000 bytes", with(&[], &[(3, 32, &short(b"LONGNA~1EFI", 0x20, 4, 5000))])),
        ("a long name does not belong to longna~1.efi", with(&[], &[(3, 13, &[0])])),
    ];
    for (expected, fat) in table {
        assert!(fat.faults.iter().any(|fault| fault.problem.contains(expected)), "{expected}: {:?}", fat.faults);
    }
    assert_eq!(table.iter().map(|(_, fat)| fat.faults[0].shared).collect::<Vec<_>>(), [false, false, true, true, false, false]);
    let half = with(&[], &[(3, 13, &[0])]);
    assert!(half.file("efi/long name.efi").is_none(), "half a name hides the file");
}

#[test]
fn harmless_faults_are_counted() {
    assert_eq!(with(&[(9, 0x0fff_ffff)], &[]).tolerated, [("clusters that belong to no file", 1)]);
    assert_eq!(with(&[(1, 0x07ff_ffff)], &[]).tolerated, [("marked as not cleanly unmounted", 1)]);
}

#[test]
fn what_is_none_is_refused() {
    let read = |image: Vec<u8>| Fat::read(&Small(Source::Memory(image))).unwrap();
    assert!(read(vec![0; 512]).is_err());
    assert!(Geometry::parse(&[]).is_err());
}
