//! T04: signatures and keys that some implementations accept and others do not.
//!
//! The forged vectors were computed from the seed `01 01 ...` and the message `slipway` with plain big-integer arithmetic: with `k = H(R, A, M)`,
//! `S = r + k a` satisfies the verification equation up to what the small-order part of R adds.

use ed25519_dalek::{Signature as Loose, VerifyingKey};
use trust::{KeyError, PublicKey, Signature, Signer};

use crate::support::key;

const MESSAGE: &[u8] = b"slipway";
const HONEST: &str =
    "87cc847120b92dd7a865e68ae67a6f6f10dc878a199326e2029dc4923ab5908728663ec816798f47801fc7d0b7994a26adc7d5d525595cda2d3fbf703786880c";

fn verifies(signature: &str) -> bool {
    key(1).public_key().verify(MESSAGE, &Signature::from_hex(signature).unwrap())
}

/// RFC 8032's equation without further checks.
fn verifies_loosely(signature: &str) -> bool {
    let loose = VerifyingKey::from_bytes(key(1).public_key().as_bytes()).unwrap();
    ed25519_dalek::Verifier::verify(&loose, MESSAGE, &Loose::from_slice(&hex::decode(signature).unwrap()).unwrap()).is_ok()
}

#[test]
fn agrees_with_an_independent_implementation() {
    assert_eq!(hex::encode(key(1).public_key().as_bytes()), "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    assert_eq!(hex::encode(key(1).sign(MESSAGE).unwrap().to_bytes()), HONEST);
    assert!(verifies(HONEST));
}

/// RFC 8032, section 7.1, tests 1 to 3.
#[test]
fn agrees_with_the_rfc() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let signer = trust::KeySigner::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
        let message = hex::decode(message).unwrap();
        assert_eq!(signer.public_key(), PublicKey::from_hex(public).unwrap());
        assert_eq!(hex::encode(signer.sign(&message).unwrap().to_bytes()), signature);
        assert!(signer.public_key().verify(&message, &Signature::from_hex(signature).unwrap()));
    }
}

#[test]
fn t04_forged_forms_of_a_signature() {
    let cases = [
        (
            "S + L: the same signature, written differently",
            "87cc847120b92dd7a865e68ae67a6f6f10dc878a199326e2029dc4923ab59087153a342531dca19f56bcbe739693293badc7d5d525595cda2d3fbf703786881c",
            false,
        ),
        (
            "R is the neutral element: satisfies the equation",
            "0100000000000000000000000000000000000000000000000000000000000000638478638447953ad86b4924032760bfdde21f7a3d1e781d7602f6a312351b01",
            true,
        ),
        (
            "R is the neutral element in another spelling",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f9634aa735f14d64a6278f47627e971f4c3f27478fb089886165000e54d0a9c0f",
            false,
        ),
        (
            "R has order 8: satisfies the equation times 8",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc050e25cc467336d287ff599421394ec49d743ad2cb9ddf9df87d96b2ea5742cd0c",
            false,
        ),
        (
            "R has a part of order 8: satisfies the equation times 8",
            "fd8615e97bc29952652402e1226b4deb2efa550fbc1bc9dd79807fc32c255ba6a4b486248497d6535288a5d49094b407ea32e847b18e931a98d9a841998b370d",
            false,
        ),
    ];
    for (what, signature, loosely) in cases {
        assert_eq!(verifies_loosely(signature), loosely, "{what}: the vector is not what it should be");
        assert!(!verifies(signature), "{what}");
    }
}

#[test]
fn t04_every_flipped_bit_matters() {
    let honest = hex::decode(HONEST).unwrap();
    for bit in 0..512 {
        let mut forged: [u8; 64] = honest.clone().try_into().unwrap();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!key(1).public_key().verify(MESSAGE, &Signature::from_bytes(forged)), "bit {bit}");
    }
}

#[test]
fn t04_small_order_and_twice_spelled_keys() {
    let ff = |first: &str, last: &str| format!("{first}{}{last}", "ff".repeat(30));
    let zero = |first: &str, last: &str| format!("{first}{}{last}", "00".repeat(30));
    let weak = [
        zero("01", "00"),
        ff("ec", "7f"),
        zero("00", "00"),
        zero("00", "80"),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85".to_owned(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa".to_owned(),
        // The same points in other spellings.
        zero("01", "80"),
        ff("ec", "ff"),
        ff("ee", "7f"),
        ff("ee", "ff"),
        ff("ed", "7f"),
        ff("ed", "ff"),
    ];
    for text in weak {
        let refused = PublicKey::from_hex(&text);
        assert!(matches!(refused, Err(KeyError::Weak | KeyError::Encoding)), "{text}: {refused:?}");
    }
    // y = p + 3 .. p + 18: points of large order in a second spelling, where there is a point at all.
    for first in 0xf0..=0xff_u32 {
        let text = ff(&format!("{first:02x}"), "7f");
        assert_eq!(PublicKey::from_hex(&text), Err(KeyError::Encoding), "{text}");
    }
    for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
        assert_eq!(PublicKey::from_hex(text), Err(KeyError::Hex));
    }
}
