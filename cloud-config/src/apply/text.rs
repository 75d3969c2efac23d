//! Files that are edited, not replaced: pure functions from text to text.

/// Puts `values` into a file of `KEY=value` lines: the first line of a key is replaced, further ones go, new keys are appended in the
/// order given. Comments, blank lines and other keys stay where they are; line ends become those of Unix.
#[must_use]
pub fn assign(text: &str, values: &[(String, String)]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut written = vec![false; values.len()];
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        let key = line.split_once('=').map(|(key, _)| key.trim());
        match values.iter().position(|(name, _)| key == Some(name)) {
            None => lines.push(line.to_owned()),
            Some(index) if !written[index] => {
                written[index] = true;
                lines.push(format!("{}={}", values[index].0, values[index].1));
            }
            Some(_) => {}
        }
    }
    let missing = values.iter().zip(written).filter(|(_, written)| !written);
    lines.extend(missing.map(|((key, value), _)| format!("{key}={value}")));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Appends `addition` unless the text holds it already, on a line of its own.
#[must_use]
pub fn append(text: &[u8], addition: &[u8]) -> Vec<u8> {
    if addition.is_empty() || holds(text, addition) {
        return text.to_vec();
    }
    let mut bytes = text.to_vec();
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(addition);
    bytes
}

/// Whether `addition` stands in `text`, beginning at the start of a line and ending at the end of one.
fn holds(text: &[u8], addition: &[u8]) -> bool {
    let starts = std::iter::once(0).chain(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    starts.filter(|at| text[*at..].starts_with(addition)).any(|at| {
        let end = at + addition.len();
        addition.ends_with(b"\n") || end == text.len() || text[end] == b'\n'
    })
}

/// Puts a block of keys into `authorized_keys`, between two marks that name the set; what stands outside the marks is not ours.
#[must_use]
pub fn authorized_keys(text: &str, set: &str, keys: &[&str]) -> String {
    let (begin, end) = (format!("# begin {set}"), format!("# end {set}"));
    let block: Vec<&str> = if keys.is_empty() {
        Vec::new()
    } else {
        std::iter::once(begin.as_str()).chain(keys.iter().copied()).chain(std::iter::once(end.as_str())).collect()
    };
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| *line == begin);
    let last = first.and_then(|first| Some(first + lines[first..].iter().position(|line| *line == end)?));
    let mut out: Vec<&str> = Vec::with_capacity(lines.len() + block.len());
    match (first, last) {
        (Some(first), Some(last)) => {
            out.extend(&lines[..first]);
            out.extend(&block);
            out.extend(&lines[last + 1..]);
        }
        // Half a block is somebody's accident; its keys may be anybody's, so they stay.
        _ => {
            out.extend(&lines);
            out.extend(&block);
        }
    }
    out.iter().map(|line| format!("{line}\n")).collect()
}

/// Joins PEM certificates; each ends its line.
#[must_use]
pub fn bundle(certificates: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for certificate in certificates {
        out.extend_from_slice(certificate);
        if !certificate.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    out
}

/// The certificates of the base system that are switched on: the lines of `/etc/ca-certificates.conf` without `!` or `#`.
#[must_use]
pub fn enabled_certificates(conf: &str) -> Vec<&str> {
    conf.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['!', '#'])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn assignments_keep_order_and_comments() {
        for (before, change, after) in [
            ("", &[("B", "2"), ("A", "1")][..], "B=2\nA=1\n"),
            ("# c\r\nGROUP=stable\r\nX=1\r\n", &[("GROUP", "beta")], "# c\nGROUP=beta\nX=1\n"),
            ("A=1\nB=2\nA=3\n", &[("A", "9")], "A=9\nB=2\n"),
            ("AB=1\n#A=2\n", &[("A", "1")], "AB=1\n#A=2\nA=1\n"),
            ("A = 1", &[("A", "")], "A=\n"),
        ] {
            let once = assign(before, &values(change));
            assert_eq!(once, after);
            assert_eq!(assign(&once, &values(change)), once, "twice is once");
        }
    }

    #[test]
    fn appending_twice_is_appending_once() {
        for (before, addition, after) in [
            ("", "x\n", "x\n"),
            ("a", "x", "a\nx"),
            ("a\n", "x\ny\n", "a\nx\ny\n"),
            ("ax\n", "x\n", "ax\nx\n"),
            ("x\nb\n", "x", "x\nb\n"),
            ("a\n", "", "a\n"),
        ] {
            let once = append(before.as_bytes(), addition.as_bytes());
            assert_eq!(String::from_utf8(once.clone()).unwrap(), after);
            assert_eq!(append(&once, addition.as_bytes()), once);
        }
    }

    #[test]
    fn a_set_of_keys_replaces_itself_and_no_other() {
        let own = "ssh-ed25519 OWN me\n";
        let one = authorized_keys(own, "cloud-config", &["ssh-ed25519 A a", "ssh-ed25519 B b"]);
        assert_eq!(one, "ssh-ed25519 OWN me\n# begin cloud-config\nssh-ed25519 A a\nssh-ed25519 B b\n# end cloud-config\n");
        let two = authorized_keys(&one, "metadata", &["ssh-ed25519 M m"]);
        let three = authorized_keys(&two, "cloud-config", &["ssh-ed25519 B b"]);
        assert!(three.contains(" M ") && three.contains(" OWN ") && three.contains(" B ") && !three.contains(" A "), "{three}");
        assert_eq!(authorized_keys(&three, "cloud-config", &["ssh-ed25519 B b"]), three);
        assert_eq!(authorized_keys(&authorized_keys(&three, "cloud-config", &[]), "metadata", &[]), own);
    }

    #[test]
    fn half_a_block_is_left_alone() {
        let torn = "# begin cloud-config\nssh-ed25519 A a\n";
        assert_eq!(authorized_keys(torn, "cloud-config", &["k"]), format!("{torn}# begin cloud-config\nk\n# end cloud-config\n"));
    }

    #[test]
    fn only_certificates_that_are_on_are_joined() {
        assert_eq!(enabled_certificates("# c\nmozilla/A.crt\n!mozilla/B.crt\n\n"), ["mozilla/A.crt"]);
        assert_eq!(bundle(&[b"a".to_vec(), b"b\n".to_vec()]), b"a\nb\n");
    }
}
