//! Why apt refused an archive, from what it prints. Pure; the texts are those of the C locale.

/// Why apt would not take the lists of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The archive has no such suite.
    NoSuite { address: String, suite: String },
    /// The suite has no such component.
    NoComponent { component: String },
    /// A signature is missing, wrong, or by a key that is not in the keyring.
    Signature { address: String, suite: String, detail: String },
    /// The lists are older than the archive says they may be.
    Expired { detail: String },
    /// What came is not what the signed list announces.
    Damaged { detail: String },
    /// Nobody answered.
    Unreachable { detail: String },
}

/// Looks for one kind of complaint in a line; the other lines may say more about it.
type Kind = fn(&str, &[&str]) -> Option<Refusal>;

/// What a server, or the file system, says of something that is not there.
const ABSENT: &[&str] = &["404  Not Found", "404 Not Found", "File not found", "No such file or directory"];

/// What a program says when nobody answers.
const UNREACHABLE: &[&str] = &[
    "Could not resolve",
    "Could not connect",
    // apt 3
    "Unable to connect",
    "Connection refused",
    "Connection timed out",
    "Temporary failure",
    "Network is unreachable",
    "Cannot initiate the connection",
    "connection timed out",
    "Connection failed",
];

/// The most important complaint of `apt-get update`, if there is one.
pub(super) fn refusal(said: &str) -> Option<Refusal> {
    let lines: Vec<&str> = said.lines().collect();
    // In the order of weight: a forged list matters more than a server that is away.
    let kinds: [Kind; 6] = [signature, damaged, expired, no_suite, no_component, unreachable];
    kinds.iter().find_map(|kind| lines.iter().find_map(|line| kind(line, &lines)))
}

/// Whether a complaint says that nobody answered.
pub(super) fn is_unreachable(detail: &str) -> bool {
    UNREACHABLE.iter().any(|words| detail.contains(words))
}

/// `E: The repository 'ADDRESS SUITE InRelease' SAYS`
fn repository<'a>(line: &'a str, says: &str) -> Option<(&'a str, &'a str)> {
    let (inside, rest) = line.strip_prefix("E: The repository '")?.split_once('\'')?;
    let mut words = inside.split(' ');
    rest.contains(says).then_some((words.next()?, words.next()?))
}

fn signature(line: &str, lines: &[&str]) -> Option<Refusal> {
    let (address, suite) = repository(line, "is not signed").or_else(|| repository(line, "is no longer signed"))?;
    let why = |line: &&&str| line.contains(address) && (line.contains("GPG error") || line.contains("OpenPGP"));
    let detail = lines.iter().find(why).and_then(|line| line.split_once("InRelease: ").or_else(|| line.split_once("Release.gpg: ")));
    let detail = detail.map_or("there is no signature", |(_, detail)| detail).to_owned();
    Some(Refusal::Signature { address: address.to_owned(), suite: suite.to_owned(), detail })
}

fn damaged(line: &str, _: &[&str]) -> Option<Refusal> {
    let known = ["Hash Sum mismatch", "unexpected size", "Clearsigned file isn't valid"];
    known.iter().any(|words| line.contains(words)).then(|| Refusal::Damaged { detail: said(line) })
}

fn expired(line: &str, _: &[&str]) -> Option<Refusal> {
    let known = ["is expired", "is not valid yet"];
    (line.contains("Release file") && known.iter().any(|words| line.contains(words))).then(|| Refusal::Expired { detail: said(line) })
}

/// apt says of a server that is away, too, that it has no Release file; the lines `Err:2 ADDRESS SUITE Release` and
/// the one behind tell the difference.
fn no_suite(line: &str, lines: &[&str]) -> Option<Refusal> {
    let (address, suite) = repository(line, "does not have a Release file")?;
    let tried = format!(" {address} {suite} Release");
    let at = lines.iter().position(|line| line.starts_with("Err:") && line.ends_with(&tried));
    let reason = at.and_then(|at| lines.get(at + 1)).filter(|reason| reason.starts_with(' ')).map_or("", |reason| reason.trim());
    if !reason.is_empty() && !ABSENT.iter().any(|words| reason.contains(words)) {
        return Some(Refusal::Unreachable { detail: format!("{address} {suite}: {reason}") });
    }
    Some(Refusal::NoSuite { address: address.to_owned(), suite: suite.to_owned() })
}

fn no_component(line: &str, _: &[&str]) -> Option<Refusal> {
    let (_, rest) = line.split_once("doesn't have the component '")?;
    Some(Refusal::NoComponent { component: rest.split_once('\'')?.0.to_owned() })
}

fn unreachable(line: &str, _: &[&str]) -> Option<Refusal> {
    (line.starts_with("E: ") && is_unreachable(line)).then(|| Refusal::Unreachable { detail: said(line) })
}

/// A complaint without its marker and with single spaces.
fn said(line: &str) -> String {
    let line = line.strip_prefix("E: ").or_else(|| line.strip_prefix("W: ")).unwrap_or(line);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "W: GPG error: file:/a trixie InRelease: The following signatures were invalid: BADSIG AF86\n\
                          E: The repository 'file:/a trixie InRelease' is not signed.\n";

    #[test]
    fn complaints_are_understood() {
        let address = || "file:/a".to_owned();
        let suite = || "trixie".to_owned();
        let table = [
            (
                SIGNED,
                Refusal::Signature {
                    address: address(),
                    suite: suite(),
                    detail: "The following signatures were invalid: BADSIG AF86".to_owned(),
                },
            ),
            (
                "E: The repository 'file:/a trixie Release' is not signed.",
                Refusal::Signature { address: address(), suite: suite(), detail: "there is no signature".to_owned() },
            ),
            (
                "E: The repository 'file:/a trixie Release' does not have a Release file.",
                Refusal::NoSuite { address: address(), suite: suite() },
            ),
            (
                "W: Skipping acquire of configured file 'mian/binary-amd64/Packages' as repository 'file:/a trixie InRelease' doesn't have the component 'mian' (component misspelt in sources.list?)",
                Refusal::NoComponent { component: "mian".to_owned() },
            ),
            (
                "E: Failed to fetch http://m/dists/trixie/InRelease  Could not resolve 'm'\nE: Some index files failed to download.",
                Refusal::Unreachable { detail: "Failed to fetch http://m/dists/trixie/InRelease Could not resolve 'm'".to_owned() },
            ),
            (
                "E: Failed to fetch file:/a/Packages  Hash Sum mismatch\n   Hashes of expected file:",
                Refusal::Damaged { detail: "Failed to fetch file:/a/Packages Hash Sum mismatch".to_owned() },
            ),
            (
                "E: Release file for file:/a/InRelease is expired (invalid since 1d).",
                Refusal::Expired { detail: "Release file for file:/a/InRelease is expired (invalid since 1d).".to_owned() },
            ),
        ];
        for (stderr, expected) in table {
            assert_eq!(refusal(stderr), Some(expected), "{stderr}");
        }
    }

    #[test]
    fn a_server_that_is_away_is_not_taken_for_one_without_the_suite() {
        let said = |reason: &str| {
            format!(
                "Ign:1 http://m trixie InRelease\nErr:2 http://m trixie Release\n{reason}Reading package lists...\n\
                     E: The repository 'http://m trixie Release' does not have a Release file.\n"
            )
        };
        let away = refusal(&said("  Cannot initiate the connection to m. - connect (101: Network is unreachable)\n"));
        assert!(matches!(&away, Some(Refusal::Unreachable { detail }) if detail.starts_with("http://m trixie: Cannot")), "{away:?}");
        for reason in ["  404  Not Found [IP: 1]\n", "  File not found - /a (2: No such file or directory)\n", ""] {
            assert!(matches!(refusal(&said(reason)), Some(Refusal::NoSuite { .. })), "{reason}");
        }
    }

    #[test]
    fn a_forged_list_is_told_before_a_server_that_is_away() {
        let both = format!("E: Failed to fetch http://m/x  Could not connect to m\n{SIGNED}");
        assert!(matches!(refusal(&both), Some(Refusal::Signature { .. })));
    }

    #[test]
    fn what_is_no_complaint_is_none() {
        for stderr in [
            "",
            "W: something else\n",
            "E: The repository",
            "E: The repository 'x",
            "E: Unable to lock directory",
            "W: Could not resolve x",
        ] {
            assert_eq!(refusal(stderr), None, "{stderr}");
        }
    }
}
