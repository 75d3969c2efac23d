//! Public keys from another site.

use serde::Deserialize;

use super::fetch::{Fetch, Need};
use crate::model::text::FromText;
use crate::model::value::SshKey;
use crate::plan::effect::AuthorizedKey;

/// Largest answer, in bytes.
const ANSWER_LIMIT: u64 = 256 << 10;
/// Most keys in one answer.
const MAX_KEYS: usize = 100;
/// Longest key, in bytes; RSA with 16384 bits needs less than 3 KiB.
const MAX_KEY_BYTES: usize = 8 << 10;

/// An entry of a JSON array; GitHub's have an `id` as well.
#[derive(Deserialize)]
struct Entry {
    key: String,
}

/// Fetches the keys at `url`.
///
/// # Errors
/// With what is wrong with the address or its answer.
pub(super) fn fetch(fetch: Option<&dyn Fetch>, url: &str) -> Result<Vec<AuthorizedKey>, String> {
    if !url.starts_with("https://") {
        return Err("it is not https".to_owned());
    }
    let fetch = fetch.ok_or("there is no network here")?;
    let answer = fetch.get(url, ANSWER_LIMIT, Need::May)?;
    if answer.len() as u64 > ANSWER_LIMIT {
        return Err(format!("the answer has more than {ANSWER_LIMIT} bytes"));
    }
    read(&answer)
}

/// The keys in an answer: a JSON array of objects with `key`, or lines as in `authorized_keys`.
///
/// Entries that are no plain public key are left out: a site may have kinds of keys that this host does not know, and it has no
/// business giving options. An empty array says that there are no keys; an empty page says nothing.
fn read(answer: &[u8]) -> Result<Vec<AuthorizedKey>, String> {
    let text = std::str::from_utf8(answer).map_err(|_| "the answer is not text")?.trim();
    let lines: Vec<String> = if text.starts_with('[') {
        let entries: Vec<Entry> = serde_json::from_str(text)
            .map_err(|error| format!("the answer is not an array of objects with `key`: line {}", error.line()))?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        entries.into_iter().map(|entry| entry.key).collect()
    } else {
        text.lines().map(str::to_owned).collect()
    };
    let mut keys: Vec<AuthorizedKey> = Vec::new();
    for line in lines.iter().filter(|line| line.len() <= MAX_KEY_BYTES) {
        let Some(key) = SshKey::from_text(line).ok().filter(SshKey::is_without_options) else { continue };
        let key = AuthorizedKey(key.as_str().to_owned());
        if !keys.contains(&key) {
            keys.push(key);
        }
        if keys.len() > MAX_KEYS {
            return Err(format!("the answer has more than {MAX_KEYS} keys"));
        }
    }
    if keys.is_empty() { Err("the answer has no public key".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHGqNXFZTM3pUvNYlVsGnMSOFzWN4FtzGPQvJRLLGiTw";

    struct Says(Vec<u8>);

    impl Fetch for Says {
        fn get(&self, _url: &str, limit: u64, need: Need) -> Result<Vec<u8>, String> {
            assert_eq!((limit, need), (ANSWER_LIMIT, Need::May));
            Ok(self.0.clone())
        }
    }

    fn words(answer: &str) -> Result<Vec<String>, String> {
        read(answer.as_bytes()).map(|keys| keys.into_iter().map(|key| key.0).collect())
    }

    #[test]
    fn both_forms_of_answers_are_read() {
        let one = Ok(vec![KEY.to_owned()]);
        for answer in [
            format!("[{{\"id\": 1, \"key\": \"{KEY}\"}}]"),
            format!("{KEY}\n"),
            format!("# of ada\r\n\r\n{KEY}\r\n{KEY}\n"),
            format!("ssh-new AAAA\ncommand=\"rm\" {KEY}\n{KEY}"),
            format!("[{{\"key\": \"{KEY}\"}}, {{\"key\": \"{KEY}\\nssh-rsa AAAA\"}}, {{\"key\": \"# end x\"}}]"),
        ] {
            assert_eq!(words(&answer), one, "{answer}");
        }
        assert_eq!(words(&format!("{KEY} ada@home")), Ok(vec![format!("{KEY} ada@home")]));
        assert_eq!(words(" [] "), Ok(Vec::new()), "no keys, in so many words");
    }

    #[test]
    fn answers_that_say_nothing_are_errors() {
        for answer in
            ["", "\n", "<html>Not today</html>", "[", "[1]", "[{\"id\": 1}]", "{\"message\": \"rate limit\"}", "[{\"key\": \"x\"}]"]
        {
            assert!(words(answer).is_err(), "{answer}");
        }
        assert!(read(b"\xff").is_err());
        let many: String = (0..=MAX_KEYS).map(|number| format!("{KEY} {number}\n")).collect();
        assert!(words(&many).unwrap_err().contains("more than 100 keys"));
        assert!(words(&format!("{KEY} {}", "a".repeat(MAX_KEY_BYTES))).is_err());
    }

    #[test]
    fn only_https_and_only_so_much() {
        let says = |text: &str| Says(text.as_bytes().to_vec());
        assert_eq!(fetch(Some(&says(KEY)), "https://a/").map(|keys| keys.len()), Ok(1));
        assert!(fetch(Some(&says(KEY)), "http://a/").is_err());
        assert!(fetch(None, "https://a/").is_err());
        let large = Says(vec![b'\n'; usize::try_from(ANSWER_LIMIT).unwrap() + 1]);
        assert!(fetch(Some(&large), "https://a/").unwrap_err().contains("bytes"));
    }
}
