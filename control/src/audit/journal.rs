//! The file of the audit: lines of JSON, appended, each for good before anybody is told of what it tells.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use crate::directory::{Damaged, Directory};

/// The audit.
const AUDIT: &str = "audit.jsonl";
/// The part of the audit before this one.
const BEFORE: &str = "audit.jsonl.1";
/// Then the file becomes the one before, and a new one begins: some 50,000 entries each.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// What is read of it at the start: as much as is kept in memory.
const TAIL_BYTES: u64 = 1 << 20;

/// The file of the audit.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: Arc<Directory>,
    file: File,
    n_bytes: u64,
}

/// What is in a file of the audit.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// The last lines, in order.
    pub(crate) lines: Vec<String>,
    /// What was there instead, and was set aside.
    pub(crate) damaged: Option<Damaged>,
}

impl Journal {
    /// Opens the file to append to it, and reads its last lines; `check` says whether a line is one. A line that was not
    /// finished is cut off, since nobody was told of it; a file with anything else that is no line is set aside.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(directory: &Arc<Directory>, check: impl Fn(&str) -> bool) -> io::Result<(Self, Tail)> {
        let tail = match last_lines(directory, &check)? {
            Ok(lines) => Tail { lines, damaged: None },
            Err(why) => Tail { lines: Vec::new(), damaged: Some(directory.set_aside(AUDIT, why)?) },
        };
        let file = append_to(directory)?;
        let n_bytes = file.metadata()?.len();
        Ok((Self { directory: Arc::clone(directory), file, n_bytes }, tail))
    }

    /// Appends these lines, for good.
    ///
    /// # Errors
    /// What the system says; the lines may be there in part, and are cut off before the next ones come.
    pub(crate) fn append(&mut self, lines: &str) -> io::Result<()> {
        if self.n_bytes + lines.len() as u64 > FILE_BYTES_MAX && self.n_bytes > 0 {
            std::fs::rename(self.directory.file(AUDIT), self.directory.file(BEFORE))?;
            self.file = append_to(&self.directory)?;
            self.n_bytes = 0;
            self.directory.sync()?;
        }
        let mut write = || {
            self.file.write_all(lines.as_bytes())?;
            self.file.sync_data()
        };
        if let Err(error) = write() {
            let _still_in_part = self.file.set_len(self.n_bytes);
            return Err(error);
        }
        self.n_bytes += lines.len() as u64;
        Ok(())
    }
}

fn append_to(directory: &Directory) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(directory.file(AUDIT))?;
    directory.sync()?;
    Ok(file)
}

/// The last lines of the file; else what is wrong with it.
fn last_lines(directory: &Directory, check: impl Fn(&str) -> bool) -> io::Result<Result<Vec<String>, String>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(directory.file(AUDIT)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(Vec::new())),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut content = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut content)?;
    let file = OpenOptions::new().write(true).open(directory.file(AUDIT))?;
    let end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if end < content.len() {
        tracing::info!(bytes = content.len() - end, "cutting off a line of the audit that was not finished");
        file.set_len(begin + end as u64)?;
        file.sync_all()?;
        content.truncate(end);
    }
    // The first line of a part of a file is a part of a line.
    let skip =
        if begin > 0 { content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1) } else { 0 };
    let Ok(text) = std::str::from_utf8(&content[skip..]) else {
        return Ok(Err("it is not text".to_owned()));
    };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    Ok(match lines.iter().position(|line| !check(line)) {
        Some(bad) => Err(format!("line {} from its end is not one of an audit", lines.len() - bad)),
        None => Ok(lines),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Arc<Directory>) -> (Journal, Tail) {
        Journal::open(directory, |line| line.starts_with('{')).unwrap()
    }

    #[test]
    fn lines_are_appended_and_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::take(parent.path()).unwrap());
        let (mut journal, tail) = open(&directory);
        assert!(tail.lines.is_empty());
        journal.append("{1}\n{2}\n").unwrap();
        drop(journal);
        let (mut journal, tail) = open(&directory);
        assert_eq!((tail.lines, tail.damaged), (vec!["{1}".to_owned(), "{2}".to_owned()], None));
        journal.append("{3}\n").unwrap();
        // As a killed process may leave it.
        journal.file.write_all(b"{\"unfin").unwrap();
        let (mut journal, tail) = open(&directory);
        assert_eq!((tail.lines.len(), tail.damaged), (3, None));
        journal.append("{4}\n").unwrap();
        assert_eq!(std::fs::read_to_string(directory.file(AUDIT)).unwrap(), "{1}\n{2}\n{3}\n{4}\n");
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        for damage in [&b"{1}\nnonsense\n{2}\n"[..], b"{1}\n\xff\xfe\n", b"\n"] {
            let parent = tempfile::tempdir().unwrap();
            let directory = Arc::new(Directory::take(parent.path()).unwrap());
            std::fs::write(directory.file(AUDIT), damage).unwrap();
            let (mut journal, tail) = open(&directory);
            assert!(tail.lines.is_empty());
            assert_eq!(std::fs::read(tail.damaged.unwrap().file).unwrap(), damage);
            journal.append("{1}\n").unwrap();
            assert_eq!(open(&directory).1.lines, ["{1}"]);
        }
    }

    #[test]
    fn two_files_are_the_most() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::take(parent.path()).unwrap());
        let (mut journal, ..) = open(&directory);
        let line = format!("{{{}}}\n", "x".repeat(1 << 20));
        for _ in 0..50 {
            journal.append(&line).unwrap();
        }
        let length = |name| std::fs::metadata(directory.file(name)).unwrap().len();
        assert!(
            length(AUDIT) <= FILE_BYTES_MAX && length(BEFORE) <= FILE_BYTES_MAX && length(BEFORE) > FILE_BYTES_MAX / 2
        );
        // Of a long file only the end is read, from the first whole line on.
        journal.append("{1}\n{2}\n").unwrap();
        assert_eq!(open(&directory).1.lines, ["{1}", "{2}"]);
    }
}
