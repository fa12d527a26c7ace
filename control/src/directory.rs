//! A directory that belongs to one process, and files in it that are whole or not there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Held for as long as the process lives; it also says which process that is.
const LOCK: &str = "lock";
/// 64 times the size of ten thousand short rules.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A file that was damaged, and was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Under the name that it has now.
    pub(crate) file: PathBuf,
    /// What was wrong with it.
    pub(crate) why: String,
}

/// A directory that belongs to this process.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Locked; the system unlocks it when the process ends, however it does.
    _lock: File,
}

impl Directory {
    /// Takes the directory; makes it when it is not there. The error says what is wrong and what to do.
    pub(crate) fn take(path: &Path) -> Result<Self, String> {
        let fail = |what: &str, error: &dyn std::fmt::Display| format!("{}: {what}: {error}", path.display());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| fail("cannot be made", &error))?;
        let name = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&name)
            .map_err(|error| fail("no file can be made in it", &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _unreadable = (&lock).take(32).read_to_string(&mut owner);
                return Err(format!(
                    "{} belongs to another running squall (process {}); give each its own",
                    path.display(),
                    owner.trim()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(fail("cannot be locked", &error)),
        }
        let mut sign = || -> io::Result<()> {
            lock.set_len(0)?;
            lock.write_all(format!("{}\n", std::process::id()).as_bytes())
        };
        sign().map_err(|error| fail("cannot be written to", &error))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of a file; `None` when it is not there.
    ///
    /// # Errors
    /// It is there, but cannot be read, or is far too large.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.file(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        Ok(Some(content))
    }

    /// Writes a file so that it has the old content or the new one whatever happens, and returns when it has the new one
    /// for good.
    ///
    /// # Errors
    /// What the system says; then the old content is there.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.file(&format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&temporary, self.file(name))?;
            self.sync()
        };
        write().inspect_err(|_| drop(std::fs::remove_file(&temporary)))
    }

    /// Removes a file for good.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync(),
        }
    }

    /// Gives a file another name, that says that it is damaged and since when.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn set_aside(&self, name: &str, why: String) -> io::Result<Damaged> {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "");
        let names = (0..1000).map(|n| if n == 0 { String::new() } else { format!("-{n}") });
        let mut free = names.map(|n| self.file(&format!("{name}.damaged-{at}{n}"))).filter(|path| !path.exists());
        let file = free.next().ok_or_else(|| io::Error::other("too many damaged files of this second"))?;
        std::fs::rename(self.file(name), &file)?;
        self.sync()?;
        Ok(Damaged { file, why })
    }

    /// Names are for good when the directory is (fsync(2)).
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_belongs_to_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Directory::take(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(LOCK))), (0o700, 0o600));
        let error = Directory::take(&path).unwrap_err();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        Directory::take(&path).unwrap();
        std::fs::write(parent.path().join("file"), "").unwrap();
        assert!(Directory::take(&parent.path().join("file")).unwrap_err().contains("cannot be made"));
    }

    #[test]
    fn files_are_replaced_removed_and_set_aside() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::take(parent.path()).unwrap();
        assert_eq!(directory.read("x").unwrap(), None);
        directory.write("x", b"one").unwrap();
        directory.write("x", b"two").unwrap();
        assert_eq!(directory.read("x").unwrap().unwrap(), b"two");
        let aside = [directory.set_aside("x", String::new()).unwrap().file, {
            directory.write("x", b"three").unwrap();
            directory.set_aside("x", String::new()).unwrap().file
        }];
        assert_eq!(aside.map(|path| std::fs::read_to_string(path).unwrap()), ["two", "three"]);
        directory.write("x", b"four").unwrap();
        directory.remove("x").unwrap();
        directory.remove("x").unwrap();
        assert_eq!(directory.read("x").unwrap(), None);
        assert!(!directory.file("x.new").exists());
        // A write that cannot be finished leaves what was there.
        directory.write("x", b"old").unwrap();
        std::fs::create_dir(directory.file("x.new")).unwrap();
        assert!(directory.write("x", b"new").is_err());
        assert_eq!(directory.read("x").unwrap().unwrap(), b"old");
    }
}
