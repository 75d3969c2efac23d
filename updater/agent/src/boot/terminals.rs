//! A word to everybody who sits at a terminal.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Writes `text` to terminals, given by their names below `/dev`. A terminal that does not take it is skipped: never wait for one.
pub fn warn_users(dev: &Path, ttys: &[String], text: &str) -> usize {
    let plain: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let message = format!("\r\n\x07Message from the updater: {plain}\r\n");
    ttys.iter().filter(|tty| write_one(dev, tty, message.as_bytes())).count()
}

fn write_one(dev: &Path, tty: &str, message: &[u8]) -> bool {
    let named = tty.strip_prefix("/dev/").unwrap_or(tty);
    let harmless = !named.is_empty() && named.split('/').all(|part| !part.is_empty() && part != ".." && part != ".");
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
    let (true, Ok(flags)) = (harmless, i32::try_from(flags)) else { return false };
    let path = dev.join(named);
    if !path.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device()) {
        return false;
    }
    OpenOptions::new().write(true).custom_flags(flags).open(path).and_then(|mut tty| tty.write_all(message)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminals_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let names = ["file", "", "../etc/passwd", "none", "pts//1"].map(str::to_owned);
        assert_eq!(warn_users(dir.path(), &names, "soon"), 0);
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"");
        assert_eq!(warn_users(Path::new("/dev"), &["null".to_owned(), "/dev/null".to_owned()], "soon\n"), 2);
    }
}
