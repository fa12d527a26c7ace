//! `/v1/experiments` and `/v1/experiments/{name}`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squall_config::model::{Experiment, Name};
use squall_config::spec::ExperimentDocument;
use squall_config::{Problem, Problems, parse_value, validate_experiment};

use crate::actor::Actor;
use crate::app::App;
use crate::error::ApiError;
use crate::experiment::board::{EXPERIMENTS_MAX, Entry, Refusal};
use crate::experiment::plan::Plan;
use crate::experiment::report::{Report, ReportFormat, UnknownFormat, Verdict};
use crate::experiment::start::{NotNow, asks_others, check};
use crate::input::{Change, RuleName, reason};
use crate::role::Role;
use crate::text::rfc3339;
use crate::view::{answer, tag};

/// How long the traffic is watched for a plan.
const LOOK: Duration = Duration::from_secs(1);

/// A note is shorter.
const NOTE_BYTES_MAX: usize = 2000;

/// An experiment.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExperimentStatus")]
pub(crate) struct ExperimentOut {
    /// Its name.
    name: String,
    /// A line for people.
    title: String,
    /// `pending`, `baseline`, `injecting` or `recovering` while a run is under way; else `done` or `aborted`, as the last run
    /// ended, or `idle`.
    phase: &'static str,
    /// The number of the run under way, or of the last one; null when there was none.
    run: Option<u64>,
    /// When that started. RFC 3339.
    started_at: Option<String>,
    /// When it ended. RFC 3339; null while it runs.
    ended_at: Option<String>,
    /// `held`, `failed` or `inconclusive`; null while it runs, and when there was none.
    verdict: Option<Verdict>,
    /// Why.
    reasons: Vec<String>,
    /// Calls or connections that its rules faulted so far.
    injected: u64,
    /// When it starts by itself; null when it does not. RFC 3339.
    next_start_at: Option<String>,
    /// Runs whose reports are kept.
    reports: Vec<u64>,
    /// Whether the controller of the cluster ordered it; then it begins, and goes away, as that says.
    ordered: bool,
}

/// An experiment with its document.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Experiment")]
pub(crate) struct ExperimentWhole {
    #[serde(flatten)]
    document: ExperimentDocument,
    /// How it is; not looked at in a body.
    status: ExperimentOut,
}

/// All experiments.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Experiments")]
pub(crate) struct ExperimentsOut {
    experiments: Vec<ExperimentOut>,
}

impl ExperimentOut {
    fn new(name: &str, entry: &Entry) -> Self {
        let report = entry.report(None);
        let of = |report: &Report| report.rules.iter().map(|rule| rule.injected).sum();
        let title = entry.document.spec.as_ref().and_then(|spec| spec.title.clone());
        Self {
            name: name.to_owned(),
            title: title.unwrap_or_else(|| name.to_owned()),
            phase: entry.phase(),
            run: report.as_ref().map(|report| report.run),
            started_at: report.as_ref().map(|report| report.started_at.clone()),
            ended_at: report.as_ref().and_then(|report| report.ended_at.clone()),
            verdict: report.as_ref().and_then(|report| report.verdict),
            reasons: report.as_ref().map(|report| report.reasons.clone()).unwrap_or_default(),
            injected: report.as_deref().map_or(0, of),
            next_start_at: entry.next.map(rfc3339),
            reports: entry.reports.keys().copied().collect(),
            ordered: entry.is_ordered,
        }
    }
}

/// `GET /v1/experiments`.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    let all = app.experiments.all();
    let experiments = all.iter().map(|(name, entry)| ExperimentOut::new(name, entry)).collect();
    answer(StatusCode::OK, app.publisher.generation(), &ExperimentsOut { experiments })
}

/// `GET /v1/experiments/{name}`.
pub(crate) async fn get(State(app): State<Arc<App>>, RuleName(name): RuleName) -> Result<Response, ApiError> {
    whole(&app, &name, StatusCode::OK)
}

/// `PUT /v1/experiments/{name}`: checked against the configuration in force; nothing starts.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    mut change: Change,
) -> Result<Response, ApiError> {
    let body = change.take_body()?;
    change.write.precondition.check(app.publisher.generation())?;
    let document = parse(&name, body)?;
    let against = app.publisher.view().written.lasting();
    let experiment = validate_experiment(&document, &against).map_err(ApiError::invalid)?;
    may_ask_others(&experiment, &change.write.by)?;
    if change.write.dry_run {
        let status =
            ExperimentOut::new(&name, &app.experiments.get(&name).unwrap_or_else(|| Entry::new(document.clone())));
        let body = ExperimentWhole { document, status };
        return Ok(answer(StatusCode::OK, app.publisher.generation(), &body));
    }
    let kept = (experiment.name.clone(), document.clone());
    let is_new = app.experiments.put(&experiment.name, document, experiment.schedule).map_err(|r| refuse(&name, r))?;
    app.blocking(move |app| app.experiments.archive.keep_document(&kept.0, &kept.1))
        .await?
        .map_err(crate::write::UpdateError::NotKept)?;
    note(&app, &change, &name, "");
    whole(&app, &name, if is_new { StatusCode::CREATED } else { StatusCode::OK })
}

/// To make Squall ask others is for those who may change the configuration.
fn may_ask_others(experiment: &Experiment, by: &Actor) -> Result<(), ApiError> {
    let is_admin = !matches!(by, Actor::Caller(caller) if caller.role < Role::Admin);
    if is_admin || !asks_others(experiment) {
        return Ok(());
    }
    let detail = "the experiment makes Squall ask other addresses (prometheus or probe), and the role inject may not";
    let hint = "use a token with the role admin to put it there; any token of the role inject may start it";
    Err(ApiError::new(StatusCode::FORBIDDEN, "spec", detail, hint))
}

/// `DELETE /v1/experiments/{name}`: with its reports.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    change: Change,
) -> Result<Response, ApiError> {
    change.write.precondition.check(app.publisher.generation())?;
    if change.write.dry_run {
        let entry = app.experiments.get(&name).ok_or_else(|| refuse(&name, Refusal::Unknown))?;
        if entry.is_ordered || entry.is_busy() {
            return Err(refuse(&name, if entry.is_ordered { Refusal::Ordered } else { Refusal::Running }));
        }
    } else {
        let runs = app.experiments.remove(&name).map_err(|refusal| refuse(&name, refusal))?;
        note(&app, &change, &name, "");
        app.blocking(move |app| app.experiments.archive.remove(&name, runs.into_iter()))
            .await?
            .map_err(crate::write::UpdateError::NotKept)?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    tag(&mut response, app.publisher.generation());
    Ok(response)
}

/// `POST /v1/experiments/{name}/start`; with `dry_run` says what it would do.
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    change: Change,
) -> Result<Response, ApiError> {
    change.write.precondition.check(app.publisher.generation())?;
    let entry = app.experiments.get(&name).ok_or_else(|| refuse(&name, Refusal::Unknown))?;
    if entry.is_ordered {
        return Err(refuse(&name, Refusal::Ordered));
    }
    let experiment = check(&app, &entry.document).map_err(|refused| not_now(&refused))?;
    if change.write.dry_run {
        let (before, began) = (app.data_plane.traffic(), Instant::now());
        tokio::time::sleep(LOOK).await;
        let now = app.data_plane.traffic();
        let against = app.publisher.view().written.lasting();
        let plan = Plan::new(&experiment, &against, [&before, &now], began.elapsed());
        return Ok(answer(StatusCode::OK, app.publisher.generation(), &plan));
    }
    app.experiments.ask(experiment).map_err(|refusal| refuse(&name, refusal))?;
    note(&app, &change, &name, "");
    whole(&app, &name, StatusCode::ACCEPTED)
}

/// `POST /v1/experiments/{name}/stop`: its faults end within a moment; it is aborted.
pub(crate) async fn stop(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    change: Change,
) -> Result<Response, ApiError> {
    change.write.precondition.check(app.publisher.generation())?;
    let why = reason(change.body.clone())?;
    if !change.write.dry_run {
        app.experiments.stop(&name, &why).map_err(|refusal| refuse(&name, refusal))?;
        note(&app, &change, &name, &why);
    }
    whole(&app, &name, StatusCode::ACCEPTED)
}

/// What somebody noted.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExperimentNote")]
pub(crate) struct NoteIn {
    /// For the timeline of the report.
    text: String,
}

/// `POST /v1/experiments/{name}/notes`: goes into the timeline of the run under way.
pub(crate) async fn notes(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    mut change: Change,
) -> Result<Response, ApiError> {
    let hint = format!("send {{\"text\": \"the replica is promoted\"}}, of at most {NOTE_BYTES_MAX} bytes");
    let invalid = |detail: String| ApiError::invalid(Problem::new("text", detail).with_hint(hint.clone()).into());
    let NoteIn { text } = serde_json::from_value(change.take_body()?).map_err(|error| invalid(error.to_string()))?;
    if text.trim().is_empty() || text.len() > NOTE_BYTES_MAX {
        return Err(invalid(format!("{} bytes", text.len())));
    }
    change.write.precondition.check(app.publisher.generation())?;
    if !change.write.dry_run {
        app.experiments.note(&name, text).map_err(|refusal| refuse(&name, refusal))?;
    }
    whole(&app, &name, StatusCode::ACCEPTED)
}

/// What report is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    format: Option<String>,
    run: Option<u64>,
}

/// `GET /v1/experiments/{name}/report`.
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let words = ReportFormat::ALL.map(ReportFormat::name).join(", ");
    let bad = |detail: String| {
        let hint = format!("the query has format ({words}) and run (a number)");
        ApiError::new(StatusCode::BAD_REQUEST, "query", detail, hint)
    };
    let Query(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let format: ReportFormat = match wanted.format {
        Some(word) => word.parse().map_err(|unknown: UnknownFormat| bad(unknown.to_string()))?,
        None => ReportFormat::Json,
    };
    let entry = app.experiments.get(&name).ok_or_else(|| refuse(&name, Refusal::Unknown))?;
    let report: Arc<Report> = entry.report(wanted.run).ok_or_else(|| {
        let detail = match wanted.run {
            Some(run) => format!("there is no report of run {run} of experiment {name:?}"),
            None => format!("experiment {name:?} has not run yet"),
        };
        let hint = format!("GET /v1/experiments/{name} lists the runs whose reports are kept");
        ApiError::new(StatusCode::NOT_FOUND, "run", detail, hint)
    })?;
    // A large one takes milliseconds.
    let text = app.blocking(move |_| report.render(format)).await?;
    let mut response = (StatusCode::OK, text).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    Ok(response)
}

/// The document of a body; its name may be left out, but not be another one than the path's.
fn parse(name: &str, mut body: Value) -> Result<ExperimentDocument, ApiError> {
    let invalid = |detail: String, hint: &str| {
        ApiError::invalid(Problems(vec![Problem::new("metadata.name", detail).with_hint(hint)]))
    };
    Name::new(name).map_err(|wrong| invalid(wrong, "choose another name in the path"))?;
    if let Value::Object(members) = &mut body {
        members.remove("status");
        let metadata = members.entry("metadata").or_insert_with(|| json!({}));
        if let Value::Object(metadata) = metadata {
            metadata.entry("name").or_insert_with(|| json!(name));
        }
    }
    let document: ExperimentDocument = parse_value(&body).map_err(ApiError::invalid)?;
    let written = document.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
    if written != name {
        let detail = format!("{written:?} in the body, {name:?} in the path");
        return Err(invalid(detail, "make them the same, or leave the name out of the body"));
    }
    Ok(document)
}

fn whole(app: &App, name: &str, status: StatusCode) -> Result<Response, ApiError> {
    let entry = app.experiments.get(name).ok_or_else(|| refuse(name, Refusal::Unknown))?;
    let out = ExperimentOut::new(name, &entry);
    let body = ExperimentWhole { document: entry.document, status: out };
    Ok(answer(status, app.publisher.generation(), &body))
}

fn refuse(name: &str, refusal: Refusal) -> ApiError {
    let (status, detail, hint) = match refusal {
        Refusal::Unknown => (
            StatusCode::NOT_FOUND,
            format!("there is no experiment {name:?}"),
            "GET /v1/experiments lists them; PUT makes one".to_owned(),
        ),
        Refusal::Running => (
            StatusCode::CONFLICT,
            format!("experiment {name:?} is running"),
            format!("wait for its end, or POST /v1/experiments/{name}/stop"),
        ),
        Refusal::NotRunning => (
            StatusCode::CONFLICT,
            format!("experiment {name:?} is not running"),
            format!("POST /v1/experiments/{name}/start starts it"),
        ),
        Refusal::Ordered => (
            StatusCode::CONFLICT,
            format!("experiment {name:?} comes from the controller of the cluster"),
            format!("change or delete it in the cluster; POST /v1/experiments/{name}/stop ends its run here"),
        ),
        Refusal::TooMany => (
            StatusCode::CONFLICT,
            format!("there are {EXPERIMENTS_MAX} experiments already"),
            "DELETE those that nobody needs".to_owned(),
        ),
    };
    ApiError::new(status, "name", detail, hint)
}

fn not_now(refused: &NotNow) -> ApiError {
    let hint = match refused {
        NotNow::Invalid(problems) => return ApiError::invalid(problems.clone()),
        NotNow::Halted(_) => "POST /v1/resume, when all is well again".to_owned(),
        NotNow::Overlaps { other, .. } => {
            format!("wait for the end of {other:?}, or POST /v1/experiments/{other}/stop")
        }
        NotNow::NotReady => "GET /readyz says when it does".to_owned(),
    };
    ApiError::new(StatusCode::CONFLICT, "", refused.to_string(), hint)
}

fn note(app: &App, change: &Change, name: &str, reason: &str) {
    let about = if reason.is_empty() { format!("experiment {name}") } else { format!("experiment {name}: {reason}") };
    app.note(change.write.done(app.publisher.generation()).because(&about));
}
