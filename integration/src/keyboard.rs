//! A program that asks people, with hands on its keyboard.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wait::eventually;

/// A run of seconds, on a busy machine.
const RUN: Duration = Duration::from_secs(40);

/// A program under way. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct Keyboard {
    child: Child,
    keys: Option<ChildStdin>,
    told: Arc<Mutex<String>>,
    /// Takes in what it tells, to its end.
    listening: Option<JoinHandle<()>>,
}

impl Keyboard {
    /// Starts it.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn of(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (told, stderr) = (Arc::new(Mutex::new(String::new())), child.stderr.take().expect("stderr is a pipe"));
        let shared = Arc::clone(&told);
        let listening = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut told = shared.lock().unwrap_or_else(PoisonError::into_inner);
                told.push_str(&line);
                told.push('\n');
            }
        });
        Self { keys: child.stdin.take(), child, told, listening: Some(listening) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far on stderr, where it speaks with people.
    pub fn told(&self) -> String {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said this so often.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn hears(&self, what: &str, times: usize) {
        let begun = Instant::now();
        eventually(&format!("{what:?}"), RUN + Duration::from_secs(1), || {
            let told = self.told();
            assert!(begun.elapsed() < RUN, "not {what:?}, but:\n{told}");
            (told.matches(what).count() >= times).then_some(())
        });
    }

    /// Types a line.
    ///
    /// # Panics
    /// When nobody reads it.
    pub fn types(&mut self, line: &str) {
        writeln!(self.keys.as_mut().expect("the keyboard is there"), "{line}").expect("it reads what is typed");
    }

    /// Nobody can answer any more.
    pub fn is_taken_away(&mut self) {
        self.keys = None;
    }

    /// Waits for its end: the exit code, what is on stdout, and what it told.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(mut self) -> (i32, String, String) {
        let status = eventually("the end of it", RUN, || self.child.try_wait().expect("a child can be asked"));
        let (mut out, mut stdout) = (String::new(), self.child.stdout.take().expect("stdout is a pipe"));
        stdout.read_to_string(&mut out).expect("what it says is text");
        if let Some(listening) = self.listening.take() {
            listening.join().expect("what it tells is text");
        }
        (status.code().unwrap_or(-1), out, self.told())
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
