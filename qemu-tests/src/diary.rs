//! What a scenario asked a machine and what it was told, in order: who reads about a failure sees how it came to it.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use camino::Utf8Path;

/// The file, beside the machine's other logs.
pub(crate) const FILE: &str = "conversation.log";
/// Most of one answer that is kept, in bytes; the end of it, where errors are.
const ANSWER_MAX: usize = 4 << 10;
/// Most of all that is kept, in bytes: a scenario that goes on for hours fills no disk.
const SIZE_MAX: usize = 16 << 20;

/// The file and what was written last.
#[derive(Debug)]
pub(crate) struct Diary {
    file: Option<File>,
    begun: Instant,
    size: usize,
    last: String,
    again: u32,
}

impl Diary {
    /// Written to `folder`; nothing is kept when that is not possible, for a test does not fail because of its log.
    pub(crate) fn beside(folder: &Utf8Path) -> Self {
        let file = File::options().create(true).append(true).open(folder.join(FILE)).ok();
        Self { file, begun: Instant::now(), size: 0, last: String::new(), again: 0 }
    }

    /// One question with its answer. What is asked again and answered alike is counted and not repeated.
    pub(crate) fn note(&mut self, question: &str, answer: &str) {
        let mut from = answer.len().saturating_sub(ANSWER_MAX);
        while !answer.is_char_boundary(from) {
            from += 1;
        }
        let entry = format!("$ {question}\n{}\n", answer[from..].trim_end());
        if entry == self.last {
            self.again += 1;
            return;
        }
        self.flush();
        let at = self.begun.elapsed().as_secs_f32();
        self.write(&format!("\n[{at:.1} s] {entry}"));
        self.last = entry;
    }

    /// Says how often the last answer was repeated.
    pub(crate) fn flush(&mut self) {
        if self.again > 0 {
            let at = self.begun.elapsed().as_secs_f32();
            let text = format!("({} times more the same, until {at:.1} s)\n", self.again);
            self.again = 0;
            self.write(&text);
        }
    }

    fn write(&mut self, text: &str) {
        self.size += text.len();
        if self.size > SIZE_MAX {
            self.file = None;
        }
        if let Some(file) = &mut self.file {
            // A full disk is the test's problem, not its log's.
            let _ = file.write_all(text.as_bytes());
        }
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_counted_and_long_answers_keep_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap();
        let mut diary = Diary::beside(folder);
        for _ in 0..3 {
            diary.note("is it up?", "no");
        }
        diary.note("is it up?", "yes");
        diary.note("what is there?", &format!("ä{}end", "x".repeat(ANSWER_MAX)));
        drop(diary);
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap();
        assert_eq!(text.matches("is it up?").count(), 2, "{text}");
        assert!(text.contains("(2 times more the same") && text.contains("yes"), "{text}");
        assert!(text.ends_with("end\n") && text.len() < ANSWER_MAX + 500, "{}", text.len());
    }

    #[test]
    fn a_folder_that_is_not_there_keeps_nothing_and_hurts_nobody() {
        Diary::beside("/nonexistent/folder".into()).note("a", "b");
    }
}
