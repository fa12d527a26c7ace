//! An error with what caused it.

use std::error::Error;
use std::fmt;

/// An error with all its causes, on one line: `this cannot be done: because of that`. No error says its own cause;
/// whoever tells of it, in the log or in an answer, tells it with this.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = in_one_line(self.0);
        let mut next = self.0.source();
        while let Some(cause) = next {
            let words = in_one_line(cause);
            // Errors of libraries do say their cause, some of them.
            if !told.contains(&words) {
                told.push_str(": ");
                told.push_str(&words);
            }
            next = cause.source();
        }
        f.write_str(&told)
    }
}

/// Lists of problems have a line for each.
fn in_one_line(error: &dyn Error) -> String {
    error.to_string().lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Problem, Problems};

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Level(&'static str, #[source] Option<Box<dyn Error>>);

    fn level(words: &'static str, cause: impl Error + 'static) -> Level {
        Level(words, Some(Box::new(cause)))
    }

    #[test]
    fn every_cause_is_told_once_and_on_one_line() {
        let leaf = || Level("too many open files", None);
        assert_eq!(Chain(&leaf()).to_string(), "too many open files");
        let error = level("no start", level("cannot listen", leaf()));
        assert_eq!(Chain(&error).to_string(), "no start: cannot listen: too many open files");
        let says_it_itself = level("no start: cannot listen", level("cannot listen", leaf()));
        assert_eq!(Chain(&says_it_itself).to_string(), "no start: cannot listen: too many open files");
        let problems = Problems(vec![Problem::new("a", "is wrong").with_hint("mend it"), Problem::new("b", "too")]);
        assert_eq!(Chain(&level("not valid", problems)).to_string(), "not valid: a: is wrong; mend it; b: too");
    }
}
