//! Asks the controller again and again, and does what it orders.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use http::{Method, Uri};
use squall_config::Chain;
use squall_config::model::Controller;
use squall_config::spec::RuleSpec;
use squall_orders::{ORDERS_BYTES_MAX, PATH, Report};
use tokio::task::JoinHandle;

use super::answer::{Orders, Trouble, Unread, read, shortened};
use super::board::ControllerAnswer;
use super::pace::Pace;
use super::runs::Runs;
use super::{labels, report};
use crate::app::App;
use crate::disk::Disk;
use crate::document::Now;
use crate::publish::Publisher;
use crate::web::{Web, WebConnection, WebRequest};

/// A change of the rules that takes longer is given up, and so is a file.
const WORK_WITHIN: Duration = Duration::from_secs(10);

/// By the wall clock an answer may be so much older than by the other one.
const AGE_BEYOND: Duration = Duration::from_secs(1);

/// After an error of our own.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(5);

/// Follows the controller; never returns.
pub(crate) async fn run(app: Arc<App>, web: Arc<dyn Web>, controller: Controller) {
    app.controller.begin(controller.url.to_string());
    let mut follower = Follower {
        app,
        web,
        url: asked_at(&controller.url),
        controller,
        pace: Pace::default(),
        runs: Runs::default(),
        unread: Vec::new(),
        work: Work::default(),
        labels: Work::default(),
        disk: Disk::default(),
    };
    loop {
        if AssertUnwindSafe(follower.turn()).catch_unwind().await.is_err() {
            // The lease runs out, unless the next turns are better.
            tracing::error!("following the controller met an error of its own");
            tokio::time::sleep(PAUSE_AFTER_PANIC).await;
        }
    }
}

/// Where orders are given.
fn asked_at(controller: &Uri) -> Uri {
    let root = controller.to_string();
    format!("{}{PATH}", root.trim_end_matches('/')).parse().unwrap_or_else(|_| controller.clone())
}

struct Follower {
    app: Arc<App>,
    web: Arc<dyn Web>,
    controller: Controller,
    url: Uri,
    pace: Pace,
    runs: Runs,
    /// Ordered rules that could not be read.
    unread: Vec<Unread>,
    work: Work<Result<bool, String>>,
    labels: Work<Result<BTreeMap<String, String>, String>>,
    disk: Disk,
}

impl Follower {
    /// One question, what follows from the answer, and the pause after it.
    async fn turn(&mut self) {
        let asked = Now::read();
        let pause = match self.ask().await {
            Ok(orders) => self.take(asked, orders).await,
            Err(trouble) => Err(trouble),
        };
        let pause = pause.unwrap_or_else(|trouble| self.miss(trouble));
        let is_led = self.app.controller.holds(Now::read());
        self.runs.step(&self.app, is_led);
        tokio::time::sleep(pause).await;
    }

    async fn ask(&mut self) -> Result<Orders, Trouble> {
        let none = |why: String| Trouble { answer: ControllerAnswer::None, why };
        let file = self.controller.labels_file.clone();
        let labels = self.labels.done(move || labels::read(file.as_deref())).await;
        let labels = labels.unwrap_or_else(|| Err(unread(self.controller.labels_file.as_ref()))).map_err(none)?;
        let wait = self.pace.wait(self.runs.is_busy(&self.app));
        let request = WebRequest {
            method: Method::POST,
            url: self.url.clone(),
            token_file: self.controller.token_file.clone(),
            ca: self.controller.ca.clone(),
            body: report::text(self.report(labels, wait)),
            body_bytes_max: ORDERS_BYTES_MAX,
            connection: WebConnection::Kept,
        };
        let (begun, within) = (Now::read(), wait + self.pace.margin());
        let answer = tokio::time::timeout(within, self.web.ask(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {within:?}"))).map_err(none)?;
        // One that lay in a buffer while the machine slept says nothing about now.
        let age = Now::read().wall.duration_since(begun.wall).unwrap_or_default();
        if age > within + AGE_BEYOND {
            let why = format!("the answer came after {} s", age.as_secs());
            return Err(Trouble { answer: ControllerAnswer::Invalid, why });
        }
        read(&answer)
    }

    fn report(&self, labels: BTreeMap<String, String>, wait: Duration) -> Report {
        let view = self.app.publisher.view();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels,
            following: self.app.controller.revision(),
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            halted: view.halt.as_ref().map(|halt| shortened(&halt.reason)),
            rules: report::rules(&view, &self.unread),
            experiments: self.runs.reports(&self.app),
        }
    }

    /// Does what was ordered: halts before, and resumes after everything else.
    async fn take(&mut self, asked: Now, orders: Orders) -> Result<Duration, Trouble> {
        let received = Now::read();
        let Orders { revision, lease, halt, rules, experiments } = orders;
        let is_new = self.app.controller.revision().as_ref() != Some(&revision);
        if halt.is_some() && self.app.publisher.follow_halt(halt.as_deref()) {
            self.app.publisher.write_later(&mut self.disk, Publisher::write_down);
        }
        if is_new {
            let (rules, unread) = apart(rules);
            self.apply(rules, lease, received).await?;
            self.unread = unread;
            self.app.controller.follow(&revision);
        } else {
            self.app.publisher.renew(lease, received);
        }
        // Only while it is connected the kill switch heeds it.
        if self.app.publisher.follow_halt(halt.as_deref()) {
            self.app.publisher.write_later(&mut self.disk, Publisher::write_down);
        }
        if is_new {
            self.runs.follow(&self.app, experiments);
            self.say(&revision, halt.as_deref());
        }
        self.app.controller.note(ControllerAnswer::Orders, None);
        let after = received.monotonic.saturating_duration_since(asked.monotonic);
        Ok(self.pace.answered(lease, after, is_new))
    }

    /// Puts the rules in force, and renews the lease with them.
    async fn apply(&mut self, rules: Vec<RuleSpec>, lease: Duration, received: Now) -> Result<(), Trouble> {
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let (publisher, unwanted) = (Arc::clone(&self.app.publisher), Arc::clone(&is_unwanted));
        let put = move || publisher.order(rules, lease, received, &unwanted).map_err(|error| Chain(&error).to_string());
        let done = self.work.done(put).await;
        if done.is_none() {
            is_unwanted.store(true, Ordering::SeqCst);
        }
        let done = done.unwrap_or_else(|| Err("another change takes too long".to_owned()));
        let failed = |why| format!("the orders cannot be put in force: {why}");
        done.map(drop).map_err(|why| Trouble { answer: ControllerAnswer::Orders, why: failed(why) })
    }

    fn say(&self, revision: &str, halt: Option<&str>) {
        let view = self.app.publisher.view();
        let ordered = &view.written.ordered;
        let problems =
            ordered.rules.iter().filter_map(|rule| Some((rule.spec.name.as_str(), rule.problem.as_deref()?)));
        let unread = self.unread.iter().map(|unread| (unread.name.as_str(), unread.problem.as_str()));
        for (rule, problem) in problems.chain(unread) {
            tracing::warn!(rule, problem, "a rule of the controller is left out");
        }
        let (rules, experiments) = (ordered.in_force().count(), self.runs.reports(&self.app).len());
        tracing::info!(revision, rules, experiments, halt, "the orders of the controller changed");
    }

    /// There are no orders. Gives how long to pause.
    fn miss(&mut self, Trouble { answer, why }: Trouble) -> Duration {
        let (url, why) = (&self.controller.url, shortened(&why));
        match self.app.controller.note(answer, Some(why.clone())) {
            true => tracing::warn!(%url, why, "no orders from the controller"),
            false => tracing::debug!(%url, why, "no orders from the controller"),
        }
        self.pace.failed(std::hash::RandomState::new().build_hasher().finish())
    }
}

/// Those that could be read, and the others.
fn apart(rules: Vec<Result<RuleSpec, Unread>>) -> (Vec<RuleSpec>, Vec<Unread>) {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for rule in rules {
        match rule {
            Ok(rule) => read.push(rule),
            Err(problem) => unread.push(problem),
        }
    }
    (read, unread)
}

fn unread(file: Option<&PathBuf>) -> String {
    format!("{}: it takes too long to be read", file.map(|file| file.display().to_string()).unwrap_or_default())
}

/// Work that may hang takes one thread at most: no more is begun before it is done.
struct Work<T>(Option<JoinHandle<T>>);

impl<T> Default for Work<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Work<T> {
    /// Does it on another thread; `None` when that takes too long, or what was begun before does.
    async fn done(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let end = tokio::time::Instant::now() + WORK_WITHIN;
        if let Some(before) = &mut self.0 {
            let _of_nobody = tokio::time::timeout_at(end, before).await.ok()?;
            self.0 = None;
        }
        let handle = self.0.insert(tokio::task::spawn_blocking(work));
        let done = tokio::time::timeout_at(end, handle).await.ok()?;
        self.0 = None;
        done.ok()
    }
}
