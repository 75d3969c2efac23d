//! A root shell in a guest, on a terminal of its own in there: editing, colours and `less` work.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use anyhow::{Context, bail};
use camino::Utf8Path;
use image_builder::cmd::Cmd;
use uuid::Uuid;

use crate::agent::SHELL_PORT_NAME;
use crate::guest::Guest;

/// Leaves the shell and lets it run on: ctrl-], as in telnet.
const ESCAPE: u8 = 0x1d;
const BLOCK: usize = 16 << 10;

/// Connects this process' input and output with a root shell in the guest until the shell ends, the guest goes away, or the
/// person types ctrl-].
pub fn talk(guest: &Guest, socket: &Utf8Path) -> anyhow::Result<()> {
    let stream = UnixStream::connect(socket).with_context(|| format!("connecting to {socket}"))?;
    let end = format!("slipway-shell-{}-ended", Uuid::new_v4());
    let terminal = Terminal::raw();
    guest.check(&start(terminal.size.as_deref(), &end)).context("starting a shell in the guest")?;
    let mut to_guest = stream.try_clone().context("sharing the channel")?;
    // Ends with the process: a blocked read of a terminal cannot be called back.
    std::thread::spawn(move || forward(&mut std::io::stdin().lock(), &mut to_guest));
    relay(stream, &mut std::io::stdout().lock(), end.as_bytes())
}

/// The script that starts a shell on the second port, without waiting for it.
fn start(size: Option<&str>, end: &str) -> String {
    let port = format!("/dev/virtio-ports/{SHELL_PORT_NAME}");
    let size = size.map(|size| format!("stty {size}; ")).unwrap_or_default();
    format!(
        "test -c {port} || {{ echo 'no {port} in this guest' >&2; exit 1; }}\n\
         setsid bash -c 'script -qfc \"{size}exec bash -il\" /dev/null; printf %s {end}' <>{port} >&0 2>&1 &"
    )
}

fn forward(from: &mut impl Read, to: &mut impl Write) {
    let mut block = [0; BLOCK];
    while let Ok(count @ 1..) = from.read(&mut block) {
        let part = block[..count].split(|byte| *byte == ESCAPE).next().unwrap_or_default();
        if to.write_all(part).is_err() || part.len() < count {
            break;
        }
    }
}

/// Passes on what the guest says until it says `end`, which is not shown.
fn relay(mut from: impl Read, to: &mut impl Write, end: &[u8]) -> anyhow::Result<()> {
    let mut held: Vec<u8> = Vec::new();
    let mut block = [0; BLOCK];
    loop {
        let count = from.read(&mut block).context("reading from the guest's shell")?;
        if count == 0 {
            bail!("the guest went away");
        }
        held.extend_from_slice(&block[..count]);
        let found = held.windows(end.len()).position(|window| window == end);
        // What may be the beginning of the end is held back.
        let keep = found.unwrap_or_else(|| held.len() - beginning(&held, end));
        to.write_all(&held[..keep]).and_then(|()| to.flush()).context("writing to the terminal")?;
        if found.is_some() {
            return Ok(());
        }
        held.drain(..keep);
    }
}

/// How many of the last bytes of `text` are the first ones of `end`.
fn beginning(text: &[u8], end: &[u8]) -> usize {
    (1..end.len().min(text.len() + 1)).rev().find(|count| text.ends_with(&end[..*count])).unwrap_or(0)
}

/// The terminal, in raw mode if it is one; dropping this restores it.
struct Terminal {
    saved: Option<String>,
    size: Option<String>,
}

impl Terminal {
    fn raw() -> Self {
        if !std::io::stdin().is_terminal() {
            return Self { saved: None, size: None };
        }
        let saved = stty(&["-g"]);
        let size = stty(&["size"]).and_then(|size| {
            let (rows, columns) = size.split_once(' ')?;
            Some(format!("rows {} cols {}", rows.parse::<u16>().ok()?, columns.parse::<u16>().ok()?))
        });
        stty(&["raw", "-echo"]);
        Self { saved, size }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            stty(&[saved]);
        }
    }
}

/// Terminal modes belong to the terminal that is our input; `stty` of coreutils knows all of them.
fn stty(args: &[&str]) -> Option<String> {
    let cmd = Cmd::new("stty").args(args).with(|inner| {
        inner.stdin(Stdio::inherit());
    });
    // A terminal without modes is still good for reading and writing.
    cmd.text().ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its parts one read at a time.
    struct Parts(Vec<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, block: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let part = self.0.remove(0);
            block[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }

    #[test]
    fn the_end_is_noticed_wherever_it_is_cut_and_never_shown() {
        let cases: [(Vec<&'static [u8]>, &str); 5] = [
            (vec![b"hello ", b"END"], "hello "),
            (vec![b"helloE", b"N", b"D more"], "hello"),
            (vec![b"ENEN", b"D"], "EN"),
            (vec![b"EEND"], "E"),
            (vec![b"E", b"x", b"END"], "Ex"),
        ];
        for (parts, shown) in cases {
            let mut out = Vec::new();
            relay(Parts(parts.clone()), &mut out, b"END").unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), shown, "{parts:?}");
        }
    }

    #[test]
    fn a_guest_that_goes_away_is_an_error_and_all_it_said_is_shown() {
        let mut out = Vec::new();
        assert!(relay(Parts(vec![b"hello"]), &mut out, b"END").unwrap_err().to_string().contains("went away"));
        assert_eq!(out, b"hello");
    }

    #[test]
    fn the_escape_ends_the_forwarding() {
        let mut out = Vec::new();
        forward(&mut Parts(vec![b"ls\n", b"ab\x1dcd", b"never"]), &mut out);
        assert_eq!(out, b"ls\nab");
    }
}
