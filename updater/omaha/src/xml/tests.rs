//! S03: everything a document can do to its reader.

use std::time::{Duration, Instant};

use super::*;

fn parse_text(text: &str) -> Result<Element, ParseError> {
    parse(text.as_bytes(), "a")
}

#[track_caller]
fn accepted(text: &str) -> Element {
    parse_text(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The document is refused with an error that begins like this, and at once.
#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let begun = Instant::now();
    let error = parse(bytes, "a").expect_err(&String::from_utf8_lossy(&bytes[..bytes.len().min(200)])).to_string();
    assert!(error.contains(expected), "{error}\nexpected: {expected}\n{}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
    // S03 allows 100 ms; a debug build on a busy machine gets more.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(error.len() < 300, "{error}");
}

#[test]
fn elements_and_attributes_are_read() {
    let element = accepted(
        "\u{feff}<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<!-- hello -->\n<a one='1' two = \"2\"\n><b/><c x='&lt;&#65;&#x42;&gt;'>text &amp; more <![CDATA[<none> of &it;]]></c ><b n='2'/></a>\n<!-- end -->\n",
    );
    assert_eq!((element.get("one"), element.get("two"), element.get("three")), (Some("1"), Some("2"), None));
    assert_eq!((&*element.text("one"), &*element.text("three")), ("1", ""));
    assert_eq!(element.first("c").unwrap().get("x"), Some("<AB>"));
    assert_eq!(element.all("b").map(|b| b.text("n")).collect::<Vec<_>>(), ["", "2"]);
    assert!(element.first("d").is_none());
}

#[test]
fn white_space_in_values_is_normalised() {
    assert_eq!(accepted("<a x='1\t2\n3\r\n4&#10;5&#9;6'/>").get("x"), Some("1 2 3 4\n5\t6"));
}

#[test]
fn billion_laughs_never_begin() {
    let laughs = (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect::<String>();
    refused(format!("<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY l0 \"ha\">{laughs}]><a x=\"&l9;\">&l9;</a>").as_bytes(), "document type");
    // Quadratic blow-up: one long entity, often.
    let long = "x".repeat(20_000);
    refused(format!("<!DOCTYPE a [<!ENTITY l \"{long}\">]><a>{}</a>", "&l;".repeat(10_000)).as_bytes(), "document type");
    refused(format!("<a>{}</a>", "&l;".repeat(10_000)).as_bytes(), "entity other than");
}

#[test]
fn document_types_are_refused_in_every_form() {
    for doctype in [
        "<!DOCTYPE a>",
        "<!DOCTYPE a SYSTEM 'http://evil.example/a.dtd'>",
        "<!DOCTYPE a PUBLIC '-//X' 'file:///etc/passwd'>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://evil.example'> %x;]>",
        "<!doctype a>",
        "<!DOCTYPE",
    ] {
        let error = parse_text(&format!("{doctype}<a/>")).unwrap_err();
        assert!(matches!(error, ParseError::Doctype { .. } | ParseError::Xml { .. }), "{doctype}: {error}");
    }
    assert!(parse_text("<a/><!DOCTYPE a>").is_err());
    assert!(parse_text("<a><!DOCTYPE a></a>").is_err());
}

#[test]
fn only_the_five_entities_exist() {
    assert_eq!(accepted("<a x='&amp;&lt;&gt;&quot;&apos;'>&amp;&lt;&gt;&quot;&apos;&#13;</a>").get("x"), Some("&<>\"'"));
    for entity in ["&nbsp;", "&xxe;", "&AMP;", "&;", "& ", "&amp", "&#;", "&#x;", "&#xg;", "&#-1;", "&#99999999999999999999;"] {
        assert!(parse_text(&format!("<a x='{entity}'/>")).is_err(), "{entity} in an attribute");
        assert!(parse_text(&format!("<a>{entity}</a>")).is_err(), "{entity} in text");
    }
}

#[test]
fn characters_that_xml_does_not_have_are_refused() {
    for character in ['\0', '\u{1}', '\u{8}', '\u{b}', '\u{1b}', '\u{1f}', '\u{fffe}', '\u{ffff}'] {
        let number = u32::from(character);
        for text in [
            format!("<a x='{character}'/>"),
            format!("<a>{character}</a>"),
            format!("<a><!--{character}--></a>"),
            format!("<a x='&#{number};'/>"),
            format!("<a>&#x{number:x};</a>"),
        ] {
            assert!(matches!(parse_text(&text), Err(ParseError::Character { .. })), "{text:?}");
        }
    }
    assert!(matches!(parse_text("<a x='&#xd800;'/>"), Err(ParseError::Character { .. })));
}

#[test]
fn processing_instructions_are_refused() {
    for text in [
        "<?php echo 1?><a/>",
        "<a><?xml-stylesheet href='x'?></a>",
        "<a/><?end?>",
        " <?xml version='1.0'?><a/>",
        "<a><?xml version='1.0'?></a>",
        "<?xml version='1.0'?><?xml version='1.0'?><a/>",
    ] {
        assert!(matches!(parse_text(text), Err(ParseError::Instruction { .. } | ParseError::Xml { .. })), "{text}");
    }
    for text in ["<?xml version='1.1'?><a/>", "<?xml?><a/>", "<?xml encoding='utf-8'?><a/>", "<?xml version='2.0'?><a/>"] {
        refused(text.as_bytes(), "version 1.0");
    }
}

#[test]
fn only_utf8_is_read() {
    let utf16: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    refused(&[b"\xfe\xff", &*utf16].concat(), "not UTF-8");
    let utf16: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(&[b"\xff\xfe", &*utf16].concat(), "not UTF-8");
    refused(&utf16, "does not allow");
    for encoding in ["UTF-7", "UTF-16", "ISO-8859-1", "windows-1252", "ebcdic", ""] {
        refused(format!("<?xml version='1.0' encoding='{encoding}'?><a/>").as_bytes(), "not UTF-8");
    }
    // UTF-7 hides markup in ASCII; without a decoder it stays text outside of an element.
    refused(b"+ADw-a/+AD4-", "");
    for bad in [&b"\xff"[..], b"\xc0\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        refused(&[b"<a x='", bad, b"'/>"].concat(), "not UTF-8");
    }
}

#[test]
fn size_depth_and_counts_are_bounded() {
    assert_eq!(parse(b"", "a"), Err(ParseError::Empty));
    assert_eq!(parse_text(" \n"), Err(ParseError::Empty));
    assert_eq!(parse_text("<!-- only -->"), Err(ParseError::Empty));
    let padded = |bytes: usize| format!("<a>{}</a>", " ".repeat(bytes - 7));
    accepted(&padded(MAX_BYTES));
    assert_eq!(parse_text(&padded(MAX_BYTES + 1)), Err(ParseError::Long(MAX_BYTES + 1)));
    assert_eq!(parse(&vec![b'<'; 100 << 20], "a"), Err(ParseError::Long(100 << 20)));

    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    accepted(&nested(MAX_DEPTH));
    assert_eq!(parse_text(&nested(MAX_DEPTH + 1)), Err(ParseError::Depth));
    assert_eq!(parse_text(&"<a>".repeat(MAX_BYTES / 3)), Err(ParseError::Depth));
    // What is deeper than any document may be long is refused for its length.
    assert!(matches!(parse_text(&nested(100_000)), Err(ParseError::Long(_))));

    let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
    accepted(&many(MAX_ELEMENTS - 1));
    assert_eq!(parse_text(&many(MAX_ELEMENTS)), Err(ParseError::Elements));

    let attributes = |count: usize| format!("<a {}/>", (0..count).map(|n| format!(" a{n}=''")).collect::<String>());
    accepted(&attributes(MAX_ATTRIBUTES));
    assert_eq!(parse_text(&attributes(MAX_ATTRIBUTES + 1)), Err(ParseError::Attributes("a".into())));
    assert_eq!(parse_text(&attributes(6000)), Err(ParseError::Attributes("a".into())));
    assert!(matches!(parse_text(&attributes(100_000)), Err(ParseError::Long(_))));

    let value = |bytes: usize| format!("<a x='{}'/>", "v".repeat(bytes));
    accepted(&value(MAX_VALUE_BYTES));
    assert!(matches!(parse_text(&value(MAX_VALUE_BYTES + 1)), Err(ParseError::ValueLong { .. })));
    let name = |bytes: usize| format!("<a {}='1'><{0}/></a>", "n".repeat(bytes));
    accepted(&name(MAX_NAME_BYTES));
    assert!(matches!(parse_text(&name(MAX_NAME_BYTES + 1)), Err(ParseError::Name { .. })));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for text in [
        "<a",
        "<a>",
        "</a>",
        "<a></b>",
        "<a><b></a></b>",
        "<a/><a/>",
        "<a></a><b/>",
        "<a/>text",
        "text<a/>",
        "&amp;<a/>",
        "<a/>&amp;",
        "<![CDATA[x]]><a/>",
        "<a/></a>",
        "<a x/>",
        "<a x=1/>",
        "<a x='1/>",
        "<a x='1' x='2'/>",
        "<a x=\"<\"/>",
        "<a x='1'y='2'/>",
        "<a ='1'/>",
        "<a 'x'='1'/>",
        "<a 1x='1'/>",
        "<a x;='1'/>",
        "<1a/>",
        "< a/>",
        "<a><!-- -- --></a>",
        "<a><!-- </a>",
        "<a><![CDATA[ </a>",
        "<a><!></a>",
        "<a>]]></a>",
        "<a></ a>",
        "<a></a b='1'>",
        "<a/",
        "<>",
        "<a><></a>",
        "plain",
        "{\"json\": 1}",
    ] {
        assert!(parse_text(text).is_err(), "{text}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let text = "<?xml version='1.0'?><a x='1'><b y=\"&lt;\"/>text<!-- c --><![CDATA[d]]></a>";
    accepted(text);
    for length in 0..text.len() {
        assert!(parse_text(&text[..length]).is_err(), "{}", &text[..length]);
    }
}

#[test]
fn the_outermost_element_is_known() {
    assert_eq!(parse_text("<b/>"), Err(ParseError::Root { found: "b".into(), expected: "a" }));
    // A prefix makes it another name: nothing here knows name spaces.
    assert!(parse_text("<x:a xmlns:x='y'/>").is_err());
    assert!(parse_text("<A/>").is_err());
}

#[test]
fn numbers_are_digits() {
    let element = accepted("<a n='12' minus='-3' plus='+3' space=' 3' big='18446744073709551616' hex='0x1' empty='' arabic='٣'/>");
    let unsigned = |name| number::<u64>(&element, "a", name);
    assert_eq!((unsigned("n"), unsigned("empty"), unsigned("absent")), (Ok(Some(12)), Ok(None), Ok(None)));
    assert_eq!(number::<i64>(&element, "a", "minus"), Ok(Some(-3)));
    for wrong in ["minus", "plus", "space", "big", "hex", "arabic"] {
        assert!(matches!(unsigned(wrong), Err(ParseError::Value { .. })), "{wrong}");
    }
    assert!(number::<i64>(&element, "a", "plus").is_err());
    assert!(flag(Some("1")) && flag(Some("TRUE")) && !flag(Some("yes")) && !flag(Some("0")) && !flag(None));
}
