//! The configuration file, read, and what came of loading it anew.

use std::path::Path;
use std::time::SystemTime;

use squall_config::{Problem, Problems};

/// 64 times the size of ten thousand short rules.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What came of a reload.
#[derive(Clone, Debug)]
pub struct Reload {
    /// When.
    pub at: SystemTime,
    /// The generation after it.
    pub generation: u64,
    /// Whether the configuration is another one than before.
    pub changed: bool,
    /// What is wrong with the file; empty when it is in force. Otherwise the old configuration is.
    pub problems: Vec<Problem>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Reload {
    /// Whether the file is in force.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The text of the file; never waits for a pipe, never reads without bound.
pub(crate) fn read(file: &Path) -> Result<String, Problems> {
    let fail = |detail: String| Problems::from(Problem::new("", format!("{}: {detail}", file.display())));
    let facts = std::fs::metadata(file).map_err(|e| fail(format!("cannot be read: {e}")))?;
    if !facts.is_file() {
        return Err(fail("is not a file".to_owned()));
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(fail(format!("has {} bytes, more than {FILE_BYTES_MAX}", facts.len())));
    }
    std::fs::read_to_string(file).map_err(|e| fail(format!("cannot be read: {e}")))
}
