use std::io::Write;

use proptest::prelude::*;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn parts(bytes: &[u8]) -> Vec<(String, Kind, String)> {
    let parts = read("user-data", bytes).unwrap();
    parts.into_iter().map(|part| (part.place_of_bytes(0..0).to_string(), part.kind.clone(), part.text().to_owned())).collect()
}

fn refusal(bytes: &[u8]) -> String {
    let error = read("user-data", bytes).unwrap_err();
    format!("{}: {error} ({})", error.line(), error.hint())
}

#[test]
fn the_first_line_says_what_it_is() {
    let table: [(&[u8], Kind); 5] = [
        (b"#cloud-config\na: 1\n", Kind::CloudConfig),
        (b"#cloud-config \r\na: 1\n", Kind::CloudConfig),
        (b"#!/bin/sh\necho\n", Kind::Script),
        (br#"{"ignition": {"version": "3.0.0"}}"#, Kind::Foreign("Ignition".to_owned())),
        (br#"{"ignitionVersion": 1}"#, Kind::Foreign("Ignition".to_owned())),
    ];
    for (bytes, kind) in table {
        assert_eq!(read("x", bytes).unwrap()[0].kind, kind);
    }
    for nothing in [&b""[..], b"\n", b"  \r\n"] {
        assert_eq!(read("x", nothing), Ok(Vec::new()));
    }
}

#[test]
fn what_is_nothing_known_is_refused_with_advice() {
    let table: [(&[u8], &str); 7] = [
        (b"a: 1\n", "begin with the line"),
        (b"#cloud-config foo\n", "nothing may follow"),
        (b" #cloud-config\n", "nothing may stand before"),
        ("\u{feff}#cloud-config\n".as_bytes(), "byte order mark"),
        (b"#cloud-config\nb: \xff\n", "2: this is not text in UTF-8"),
        (b"\x1f\x8bnot gzip", "this is not gzip"),
        (br#"{"a": 1}"#, "begin with the line"),
    ];
    for (bytes, expected) in table {
        assert!(refusal(bytes).contains(expected), "{}", refusal(bytes));
    }
}

#[test]
fn gzip_is_unpacked_within_bounds() {
    assert_eq!(parts(&gzip(b"#cloud-config\n")), [("user-data:1:1".to_owned(), Kind::CloudConfig, "#cloud-config\n".to_owned())]);
    assert_eq!(parts(&gzip(&gzip(b"#!/bin/sh\n")))[0].1, Kind::Script);
    assert!(refusal(&gzip(&vec![b'\n'; MAX_BYTES + 1])).contains("after unpacking"));
    assert!(refusal(&gzip(b"#cloud-config\n")[..12]).contains("cut off"));
    let onion = (0..=MAX_NESTING).fold(b"#cloud-config\n".to_vec(), |inner, _| gzip(&inner));
    assert!(refusal(&onion).contains("wrappings"));
    assert!(refusal(&vec![b'#'; MAX_BYTES + 1]).contains("bytes"));
}

const MIME: &str = "Content-Type: multipart/mixed;\n boundary=\"==b==\"\nMIME-Version: 1.0\n\npreamble\n--==b==\nContent-Type: text/cloud-config; charset=\"utf-8\"\nContent-Transfer-Encoding: 7bit\n\n#cloud-config\nhostname: one\n--==b==\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"setup.sh\"\n\nIyEvYmluL3NoCmVjaG8K\n--==b==\nContent-Type: text/cloud-config\n\nhostname: two\n--==b==--\nepilogue\n";

#[test]
fn mime_parts_know_their_lines_in_the_whole() {
    let expected = [
        ("user-data:10:1", Kind::CloudConfig, "#cloud-config\nhostname: one"),
        ("user-data (part 2, setup.sh):1:1", Kind::Script, "#!/bin/sh\necho\n"),
        ("user-data:21:1", Kind::CloudConfig, "hostname: two"),
    ];
    for text in [MIME.to_owned(), MIME.replace('\n', "\r\n")] {
        let found = parts(text.as_bytes());
        assert_eq!(found.len(), 3);
        for ((place, kind, text), (wanted_place, wanted_kind, wanted_text)) in found.into_iter().zip(expected.clone()) {
            assert_eq!((place.as_str(), kind, text.replace('\r', "").as_str()), (wanted_place, wanted_kind, wanted_text));
        }
    }
    let part = &read("user-data", MIME.as_bytes()).unwrap()[0];
    assert_eq!((part.line(11), part.line(9), part.line(12)), (Some("hostname: one"), None, None));
}

#[test]
fn mime_may_be_nested_quoted_compressed_and_foreign() {
    use base64::Engine;
    let packed = base64::engine::general_purpose::STANDARD.encode(gzip(b"#cloud-config\nhostname: packed\n"));
    let text = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\nContent-Type: text/plain\n\n#!/bin/sh\n--i--\n--o\n\
         Content-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n{packed}\n--o\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: quoted-printable\n\n\
         hostname: a=\nb=3D\n--o\nContent-Type: text/jinja2\n\nx\n--o--\n"
    );
    let found = parts(text.as_bytes());
    assert_eq!(found[0], ("user-data:10:1".to_owned(), Kind::Script, "#!/bin/sh".to_owned()));
    assert_eq!(found[1].2, "#cloud-config\nhostname: packed\n");
    assert_eq!(found[2].2, "hostname: ab=");
    assert_eq!(found[3].1, Kind::Foreign("a reader of `text/jinja2`".to_owned()));
}

#[test]
fn broken_mime_is_refused() {
    let table = [
        ("Content-Type: multipart/mixed\n\n--b--\n", "boundary"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n#cloud-config\n", "closing boundary is missing"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\n!!\n--b--\n", "not base64"),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\n=zz\n--b--\n",
            "quoted-printable",
        ),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: uuencode\n\nx\n--b--\n", "transfer encoding"),
    ];
    for (text, expected) in table {
        assert!(refusal(text.as_bytes()).contains(expected), "{text}: {}", refusal(text.as_bytes()));
    }
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", "--b\n\n#!/bin/sh\n".repeat(MAX_PARTS + 1));
    assert!(refusal(many.as_bytes()).contains("parts"));
}

#[test]
fn places_in_substituted_text_are_those_of_the_text_as_written() {
    let part = &read("user-data", b"#cloud-config\na: $private_ipv4 # end\n").unwrap()[0];
    let metadata = Metadata { private_ipv4: Some([10, 0, 0, 5].into()), ..Metadata::default() };
    let part = part.substituted(&metadata).unwrap();
    let at = part.text().find("# end").unwrap();
    let place = part.place(&Span { line: 2, column: at - 13, bytes: at..at + 5 });
    assert_eq!((place.line, place.column, place.width), (2, 18, 5));
    assert_eq!(part.line(2), Some("a: $private_ipv4 # end"));
}

use crate::metadata::Metadata;
use crate::yaml::Span;

proptest! {
    #[test]
    fn no_bytes_make_it_panic(lines in prop::collection::vec(prop_oneof![
        Just("Content-Type: multipart/mixed; boundary=b"), Just("--b"), Just("--b--"), Just(""), Just("Content-Transfer-Encoding: base64"),
        Just("Content-Transfer-Encoding: quoted-printable"), Just("#cloud-config"), Just("=3D="), Just("a: é"), Just("aGk=")], 0..20)) {
        let _ = read("x", lines.join("\n").as_bytes());
        let _ = read("x", format!("Content-Type: multipart/mixed; boundary=b\n\n{}", lines.join("\r\n")).as_bytes());
    }
}
