use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::cmd::{Cmd, CmdError};
use crate::sign::{sign_pe, tests::key_pair};
use crate::test_support::{skip, tools};
use crate::uki::assemble::tests::tiny_stub;

/// A small signed addon and the certificate that signed it.
fn signed(dir: &Path, name: &str) -> Option<(Vec<u8>, SigningCertificate)> {
    let tools = tools(&["usr/bin/osslsigncode"])?;
    let (key, cert) = key_pair(dir, name)?;
    let (input, output) = (dir.join(format!("{name}.in")), dir.join(format!("{name}.out")));
    std::fs::write(&input, crate::uki::addon(&tiny_stub(), "slot=a").unwrap()).unwrap();
    sign_pe(&tools, &key, &cert, 1_700_000_000, &input, &output).unwrap();
    Some((std::fs::read(output).unwrap(), SigningCertificate::load(&cert).unwrap()))
}

fn check(bytes: &[u8], certificate: &SigningCertificate) -> Result<(), SignatureError> {
    verify(&Pe::parse(bytes).map_err(|error| SignatureError::Malformed(error.to_string()))?, certificate)
}

#[test]
fn what_we_sign_we_accept_and_so_does_sbverify() {
    let dir = tempfile::tempdir().unwrap();
    let Some((bytes, certificate)) = signed(dir.path(), "Owner") else { return };
    check(&bytes, &certificate).unwrap();
    let signer = signer(&Pe::parse(&bytes).unwrap()).unwrap().unwrap();
    assert_eq!(signer, Signer { common_name: "Owner".into(), certificate_sha256: hex::encode(certificate.sha256()) });
    match Cmd::new("sbverify").arg("--cert").arg(dir.path().join("Owner.crt")).arg(dir.path().join("Owner.out")).run() {
        Err(error @ CmdError::Missing { .. }) => skip(&error.to_string()),
        result => result.unwrap(),
    }
}

#[test]
fn what_sbsign_signs_we_accept() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_, certificate)) = signed(dir.path(), "Owner") else { return };
    let path = |name: &str| dir.path().join(name);
    let sbsign = Cmd::new("sbsign").arg("--key").arg(path("Owner.key")).arg("--cert").arg(path("Owner.crt"));
    match sbsign.arg("--output").arg(path("theirs")).arg(path("Owner.in")).run() {
        Err(CmdError::Io { .. } | CmdError::Missing { .. }) => skip("sbsign is not installed"),
        result => {
            result.unwrap();
            check(&std::fs::read(path("theirs")).unwrap(), &certificate).unwrap();
        }
    }
}

#[test]
fn any_changed_byte_of_a_signed_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let Some((good, certificate)) = signed(dir.path(), "Owner") else { return };
    let unseen: Vec<usize> = (0..good.len())
        .filter(|at| {
            let mut bad = good.clone();
            bad[*at] ^= 0x10;
            check(&bad, &certificate).is_ok()
        })
        .collect();
    assert_eq!(unseen, Vec::<usize>::new());
}

#[test]
fn each_fault_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let Some((good, certificate)) = signed(dir.path(), "Owner") else { return };
    let Some((_, other)) = signed(dir.path(), "Stranger") else { return };
    let unsigned = crate::uki::addon(&tiny_stub(), "slot=a").unwrap();
    assert_eq!(check(&unsigned, &certificate), Err(SignatureError::Unsigned));
    assert_eq!(signer(&Pe::parse(&unsigned).unwrap()), Ok(None));
    let another = check(&good, &other).unwrap_err();
    assert_eq!(
        another.to_string(),
        format!("it is signed by another certificate: `Owner` (SHA-256 {})", hex::encode(certificate.sha256()))
    );
    let mut changed = good.clone();
    let at = good.windows(6).position(|window| window == b"slot=a").unwrap();
    changed[at + 5] = b'b';
    assert_eq!(check(&changed, &certificate), Err(SignatureError::ContentChanged));
    let table = Pe::parse(&good).unwrap().certificate_table().unwrap().unwrap();
    let mut wrong = good.clone();
    // The signature value is the last field before the padding.
    let last = (table.start..table.end).rev().find(|at| good[*at] != 0).unwrap();
    wrong[last] ^= 1;
    assert_eq!(check(&wrong, &certificate), Err(SignatureError::SignatureWrong));
    let mut longer = good;
    longer.extend([0; 8]);
    assert!(matches!(check(&longer, &certificate), Err(SignatureError::Malformed(_))));
}

#[test]
fn a_certificate_of_the_same_name_is_another_certificate() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some((bytes, _)) = signed(one.path(), "Owner") else { return };
    let Some((_, namesake)) = signed(two.path(), "Owner") else { return };
    assert!(matches!(check(&bytes, &namesake), Err(SignatureError::AnotherCertificate(_))));
}

proptest! {
    #[test]
    fn garbage_in_the_certificate_table_never_panics(table in proptest::collection::vec(any::<u8>(), 8..256)) {
        let mut bytes = crate::uki::addon(&tiny_stub(), "slot=a").unwrap();
        let start = bytes.len() as u32;
        bytes[0x58 + 112 + 32..][..4].copy_from_slice(&start.to_le_bytes());
        bytes[0x58 + 112 + 36..][..4].copy_from_slice(&(table.len() as u32).to_le_bytes());
        let mut table = table;
        let len = table.len() as u32;
        table[..4].copy_from_slice(&len.to_le_bytes());
        table[4..8].copy_from_slice(&[0, 2, 2, 0]);
        bytes.extend(table);
        let _ = signer(&Pe::parse(&bytes).unwrap());
    }
}
