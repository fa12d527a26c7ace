//! Asks again and again, on a task of its own that ends with whoever wants the answers.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::guards::judge::Finding;
use crate::guards::remote::RemoteJudge;
use crate::web::Web;

/// Answers that nobody has looked at; more wait.
const WAITING_MAX: usize = 64;

/// An answer, judged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answered {
    /// Whether what must not be is so; `None`: nobody knows.
    pub(super) is_broken: Option<bool>,
    /// The number, or the status.
    pub(super) value: Option<f64>,
    /// What went wrong.
    pub(super) trouble: Option<String>,
}

/// Asks until it is dropped.
#[derive(Debug)]
pub(super) struct Asking(AbortHandle);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Asking {
    /// Begins at once. Called on a runtime.
    pub(super) fn begin(web: Arc<dyn Web>, judge: RemoteJudge) -> (Self, mpsc::Receiver<Answered>) {
        Self::tell(web, judge, |judge, finding| {
            // A probe counts failures in a row, a query goes by each number.
            let is_broken = if judge.is_probe() { finding.is_enough } else { finding.since.is_some() };
            let is_broken = (!finding.is_blind).then_some(is_broken);
            Answered { is_broken, value: finding.value, trouble: finding.trouble }
        })
    }

    /// Begins at once, and tells what was found as it is. Called on a runtime.
    pub(super) fn findings(web: Arc<dyn Web>, judge: RemoteJudge) -> (Self, mpsc::Receiver<Finding>) {
        Self::tell(web, judge, |_, finding| finding)
    }

    fn tell<T: Send + 'static>(
        web: Arc<dyn Web>,
        mut judge: RemoteJudge,
        form: fn(&RemoteJudge, Finding) -> T,
    ) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let task = async move {
            loop {
                let asked = Instant::now();
                let timeout = judge.target().timeout;
                let answer = tokio::time::timeout(timeout, web.ask(judge.request())).await;
                let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")));
                let finding = judge.step(Instant::now(), answer);
                let next = asked + judge.target().every;
                if sender.send(form(&judge, finding)).await.is_err() {
                    return;
                }
                tokio::time::sleep_until(next.into()).await;
            }
        };
        (Self(tokio::spawn(task).abort_handle()), receiver)
    }
}
