//! Where people answer: lines of stdin.

use std::io::{BufRead, IsTerminal};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::exit::{Exit, Failure};
use crate::output;

/// Lines that wait to be looked at.
const LINES_MAX: usize = 100;

/// What people want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It may start.
    Go,
    /// The next one, please.
    Skip,
    /// Enough for today.
    End,
}

/// The desk.
pub(super) struct Desk {
    /// What is typed while nobody is asked.
    pub(super) lines: mpsc::Receiver<String>,
    asks_nobody: bool,
    runtime: Runtime,
}

impl Desk {
    /// Begins to listen; with `asks_nobody` every answer is go.
    pub(super) fn open(asks_nobody: bool) -> Result<Self, Failure> {
        let (sender, lines) = mpsc::channel(LINES_MAX);
        // A thread, since nothing else waits for a terminal without being in the way; it ends with the process.
        std::thread::Builder::new().name("gameday-desk".to_owned()).spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line.trim().to_owned()).is_err() {
                    return;
                }
            }
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { lines, asks_nobody, runtime })
    }

    /// Asks until there is an answer; Ctrl-C is one, too.
    pub(super) fn ask(&mut self, question: &str) -> Result<Answer, Failure> {
        if self.asks_nobody {
            return Ok(Answer::Go);
        }
        loop {
            output::say(&format!("{question}:"));
            let lines = &mut self.lines;
            let line = self.runtime.block_on(async {
                // Who followed a run has taken the signal from the system for good: it has to be looked at here, too.
                tokio::select! {
                    line = lines.recv() => line,
                    _ = tokio::signal::ctrl_c() => Some("end".to_owned()),
                }
            });
            let Some(line) = line else {
                let fix = if std::io::stdin().is_terminal() { "" } else { "; with --yes nobody is asked" };
                return Err(Failure::new(Exit::Usage, format!("nobody answers: stdin has ended{fix}")));
            };
            match answer(&line) {
                Some(answer) => return Ok(answer),
                None if line == "hold" => output::say("on hold; type go when all are ready"),
                None => output::say(&format!("{line:?} is no answer; type go, skip, hold or end")),
            }
        }
    }
}

fn answer(line: &str) -> Option<Answer> {
    match line.to_lowercase().as_str() {
        "go" | "g" | "y" | "yes" => Some(Answer::Go),
        "skip" | "s" => Some(Answer::Skip),
        "end" | "e" | "quit" | "q" => Some(Answer::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_starts_by_mistake() {
        assert_eq!(
            ["go", "Y", "skip", "quit"].map(answer),
            [Some(Answer::Go), Some(Answer::Go), Some(Answer::Skip), Some(Answer::End)]
        );
        for line in ["", "hold", "goo", "no", "n", "start"] {
            assert_eq!(answer(line), None, "{line}");
        }
    }
}
