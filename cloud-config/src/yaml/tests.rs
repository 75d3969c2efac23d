use proptest::prelude::*;

use super::*;

fn tree(text: &str) -> Node {
    let parsed = parse(text);
    assert_eq!(parsed.problems, [], "{text}");
    parsed.root.unwrap()
}

fn entry<'n>(node: &'n Node, key: &str) -> &'n Node {
    let Kind::Mapping(entries) = &node.kind else { panic!("{node:?}") };
    &entries.iter().find(|entry| entry.key.text == key).unwrap().value
}

fn text<'n>(node: &'n Node, key: &str) -> &'n str {
    &entry(node, key).as_scalar().unwrap().text
}

fn first_problem(text: &str) -> String {
    parse(text).problems.first().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn scalars_keep_their_text_and_style() {
    let node = tree("a: 0644\nb: 'no'\nc: |\n  x\n   y\nd: no\ne: !!binary aGk=\nf: \"q\\n\"\n");
    let table = [
        ("a", "0644", Style::Plain),
        ("b", "no", Style::Quoted),
        ("c", "x\n y\n", Style::Block),
        ("d", "no", Style::Plain),
        ("f", "q\n", Style::Quoted),
    ];
    for (key, expected, style) in table {
        let scalar = entry(&node, key).as_scalar().unwrap();
        assert_eq!((scalar.text.as_str(), scalar.style), (expected, style), "{key}");
    }
    assert_eq!(entry(&node, "e").as_scalar().unwrap().tag, Some(Tag::Binary));
}

#[test]
fn spans_are_bytes_of_the_text() {
    let source = "é: ü\nlist:\n  - \"ä b\"\n  - {key: välue, x: y}\r\nend: 1\n";
    let node = tree(source);
    let Kind::Sequence(items) = &entry(&node, "list").kind else { panic!() };
    assert_eq!(&source[entry(&node, "é").span.bytes.clone()], "ü");
    assert_eq!(&source[items[0].span.bytes.clone()], "\"ä b\"");
    assert_eq!(&source[entry(&items[1], "key").span.bytes.clone()], "välue");
    assert_eq!((entry(&items[1], "key").span.line, entry(&items[1], "key").span.column), (4, 11));
    assert_eq!(&source[entry(&node, "end").span.bytes.clone()], "1");
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    let node = tree("base: &b {x: 1, y: 2}\nover: {<<: *b, y: 3}\nboth: {<<: [{z: 1}, *b], x: 0}\nsame: *b\n");
    assert_eq!((text(entry(&node, "over"), "x"), text(entry(&node, "over"), "y")), ("1", "3"));
    assert_eq!((text(entry(&node, "both"), "x"), text(entry(&node, "both"), "z"), text(entry(&node, "both"), "y")), ("0", "1", "2"));
    assert_eq!(text(entry(&node, "same"), "y"), "2");
}

#[test]
fn a_key_twice_is_reported_with_both_lines() {
    let parsed = parse("a: 1\nb: 2\na: 3\n");
    assert_eq!(parsed.problems.len(), 1);
    assert_eq!(parsed.problems[0].to_string(), "the key `a` is already on line 1");
    assert_eq!(parsed.problems[0].span().line, 3);
    assert!(parsed.root.is_some(), "the rest is still checked");
}

#[test]
fn what_is_no_configuration_is_refused() {
    let table = [
        ("a: [1, 2", "this is not YAML"),
        ("a: b: c", "this is not YAML"),
        ("a:\n\t- b\n  c: d", "this is not YAML"),
        ("a: 'x", "this is not YAML"),
        ("a: *nowhere", "this is not YAML"),
        ("a: &x [*x]", "an alias cannot be inside of what it stands for"),
        ("---\na: 1\n---\nb: 2\n", "a second document starts here"),
        ("? [a]\n: b\n", "a key is text"),
        ("a: !ruby/object:X {}\nb: !secret x", "the type `!secret` is not known"),
        ("a: {<<: 1}", "`<<` takes a mapping"),
    ];
    for (text, expected) in table {
        assert!(first_problem(text).contains(expected), "{text}: {}", first_problem(text));
    }
    assert_eq!(parse(""), Parsed::default());
    assert_eq!(parse("# nothing\n").root, None);
}

#[test]
fn budgets_hold() {
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
    let blocks: String = (0..=MAX_DEPTH).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let wide = format!("[{}]", "a,".repeat(MAX_NODES));
    let long = format!("a: {}", "x".repeat(MAX_BYTES));
    let laughs: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..10).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))))
        .collect();
    let copies = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 20].join(", "));
    let table =
        [(deep, "levels"), (blocks, "levels"), (wide, "values"), (long, "bytes"), (laughs, "values"), (copies, "bytes through aliases")];
    for (text, what) in table {
        assert!(
            matches!(parse(&text).problems.last(), Some(YamlProblem::TooLarge { what: found, .. }) if *found == what),
            "{what}: {:?}",
            parse(&text).problems.last()
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ \\n\\t\\r:\\-\\[\\]{},&*!|>'\"%@`#?<~a0é\\\\]{0,80}") {
        let parsed = parse(&text);
        for problem in &parsed.problems {
            prop_assert!(problem.span().bytes.end <= text.len());
        }
    }

    #[test]
    fn plain_values_are_found_again(words in prop::collection::vec("[a-zé]{1,8}", 1..20)) {
        let source: String = words.iter().enumerate().map(|(n, word)| format!("k{n}: {word}\n")).collect();
        let node = tree(&source);
        for (n, word) in words.iter().enumerate() {
            prop_assert_eq!(&source[entry(&node, &format!("k{n}")).span.bytes.clone()], word.as_str());
        }
    }
}
