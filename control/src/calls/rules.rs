//! `/v1/rules` and `/v1/rules/{name}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use squall_config::model::Name;
use squall_config::spec::{RuleSpec, RulesSpec};
use squall_config::{Problem, Problems, parse_value};

use crate::app::App;
use crate::document::Draft;
use crate::error::ApiError;
use crate::events::EventKind;
use crate::input::{Change, RuleName, rules_document, strip_status};
use crate::merge_patch::merge_patch;
use crate::publish::Publisher;
use crate::view::{RuleOut, RulesOut, answer, tag};
use crate::write::{Outcome, UpdateError, Write};

/// `GET /v1/rules`.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    let view = app.publisher.view();
    let rules = RuleOut::all(&view.written, &view.snapshot);
    answer(StatusCode::OK, view.generation, &RulesOut { generation: view.generation, rules })
}

/// `GET /v1/rules/{name}`.
pub(crate) async fn get(State(app): State<Arc<App>>, RuleName(name): RuleName) -> Result<Response, ApiError> {
    let view = app.publisher.view();
    let (place, _) = view.written.rule(&name).ok_or_else(|| ApiError::no_rule(&name))?;
    Ok(answer(StatusCode::OK, view.generation, &RuleOut::new(&view.written, place, &view.snapshot)))
}

/// `PUT /v1/rules`.
pub(crate) async fn replace_all(State(app): State<Arc<App>>, mut change: Change) -> Result<Response, ApiError> {
    let body = change.take_body()?;
    if body.get("rules").is_none() && !body.is_array() {
        let problem = Problem::new("rules", "the rules are missing").with_hint("send {\"rules\": […]}, or [] for none");
        return Err(ApiError::invalid(problem.into()));
    }
    app.blocking(move |app| {
        let publisher = &app.publisher;
        let set: RulesSpec = parse_value(&rules_document(body)).map_err(ApiError::invalid)?;
        let names: Vec<String> = set.rules.iter().map(|rule| rule.name.clone()).collect();
        let outcome = publisher.update(&change.write, |draft| {
            draft.refuse_ordered(&set.rules)?;
            draft.replace_rules(set.rules);
            Ok(())
        })?;
        tell(publisher, &change.write, &outcome, "replace", &names);
        let rules = RuleOut::all(&outcome.written, &publisher.view().snapshot);
        Ok(answer(StatusCode::OK, outcome.generation, &RulesOut { generation: outcome.generation, rules }))
    })
    .await?
}

/// `PUT /v1/rules/{name}`.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    mut change: Change,
) -> Result<Response, ApiError> {
    let body = change.take_body()?;
    app.blocking(move |app| {
        let publisher = &app.publisher;
        let spec = parse_rule(&name, body)?;
        let mut place = usize::MAX;
        let outcome = publisher.update(&change.write, |draft| {
            refuse_of_others(draft, &name)?;
            refuse_toxic(draft, &name)?;
            let is_new = draft.rule(&name).is_none();
            place = draft.put_rule(spec);
            Ok(is_new)
        });
        let outcome = outcome.map_err(|error| relative(error, place))?;
        tell(publisher, &change.write, &outcome, "put", &[name]);
        let is_created = outcome.value && !change.write.dry_run;
        let status = if is_created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(answer_rule(publisher, status, &outcome, place))
    })
    .await?
}

/// `PATCH /v1/rules/{name}`.
pub(crate) async fn patch(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    mut change: Change,
) -> Result<Response, ApiError> {
    let mut body = change.take_body()?;
    strip_status(&mut body);
    app.blocking(move |app| {
        let publisher = &app.publisher;
        let mut refusal = None;
        let mut place = usize::MAX;
        let outcome = publisher.update(&change.write, |draft| {
            refuse_of_others(draft, &name)?;
            refuse_toxic(draft, &name)?;
            let Some((at, spec)) = draft.rule(&name) else { return Err(UpdateError::NoRule(name.clone())) };
            place = at;
            let mut patched = serde_json::to_value(spec).unwrap_or_default();
            merge_patch(&mut patched, &body);
            match parse_rule(&name, patched) {
                Ok(spec) => draft.patch_rule(place, spec),
                Err(error) => {
                    refusal = Some(error);
                    return Err(UpdateError::Invalid(Problems::default()));
                }
            }
            Ok(())
        });
        let outcome = outcome.map_err(|error| refusal.unwrap_or_else(|| relative(error, place)))?;
        tell(publisher, &change.write, &outcome, "patch", &[name]);
        Ok(answer_rule(publisher, StatusCode::OK, &outcome, place))
    })
    .await?
}

/// `DELETE /v1/rules/{name}`.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    RuleName(name): RuleName,
    change: Change,
) -> Result<Response, ApiError> {
    app.blocking(move |app| {
        let publisher = &app.publisher;
        let outcome = publisher.update(&change.write, |draft| {
            refuse_of_others(draft, &name)?;
            if draft.remove_rule(&name) { Ok(()) } else { Err(UpdateError::NoRule(name.clone())) }
        })?;
        tell(publisher, &change.write, &outcome, "delete", &[name]);
        let mut response = StatusCode::NO_CONTENT.into_response();
        tag(&mut response, outcome.generation);
        Ok(response)
    })
    .await?
}

/// The rule of a body; its name may be left out, but not be another one than the path's.
fn parse_rule(name: &str, mut body: Value) -> Result<RuleSpec, ApiError> {
    let invalid = |detail: String, hint: &str| ApiError::invalid(Problem::new("name", detail).with_hint(hint).into());
    Name::new(name).map_err(|wrong| invalid(wrong, "choose another name in the path"))?;
    strip_status(&mut body);
    if let Value::Object(members) = &mut body {
        members.entry("name").or_insert_with(|| json!(name));
    }
    let spec: RuleSpec = parse_value(&body).map_err(ApiError::invalid)?;
    if spec.name != name {
        let detail = format!("{:?} in the body, {name:?} in the path", spec.name);
        return Err(invalid(detail, "make them the same, or leave the name out of the body; rules are not renamed"));
    }
    Ok(spec)
}

/// What a toxic is, Toxiproxy's API says.
fn refuse_toxic(draft: &Draft, rule: &str) -> Result<(), UpdateError> {
    match draft.proxy_of(rule) {
        Some(proxy) => Err(UpdateError::Toxic { rule: rule.to_owned(), proxy: proxy.to_owned() }),
        None => Ok(()),
    }
}

/// What an experiment or a controller put there is theirs.
fn refuse_of_others(draft: &Draft, rule: &str) -> Result<(), UpdateError> {
    if draft.is_ordered(rule) {
        return Err(UpdateError::OfController(rule.to_owned()));
    }
    match draft.experiment_of(rule) {
        Some(experiment) => Err(UpdateError::OfExperiment { rule: rule.to_owned(), experiment: experiment.to_owned() }),
        None => Ok(()),
    }
}

fn relative(error: UpdateError, place: usize) -> ApiError {
    ApiError::from(error).relative_to(&format!("rules[{place}]"))
}

fn answer_rule<T>(publisher: &Publisher, status: StatusCode, outcome: &Outcome<T>, place: usize) -> Response {
    answer(status, outcome.generation, &RuleOut::new(&outcome.written, place, &publisher.view().snapshot))
}

fn tell<T>(publisher: &Publisher, write: &Write, outcome: &Outcome<T>, action: &str, names: &[String]) {
    if outcome.changed && !write.dry_run {
        let generation = outcome.generation;
        tracing::info!(by = %write.by, action, rules = ?names, generation, "rules changed");
        let is_shadow =
            |name: &&String| outcome.written.rule(name).is_some_and(|(_, rule)| rule.mode.as_deref() == Some("shadow"));
        let shadow: Vec<&String> = names.iter().filter(is_shadow).collect();
        publisher.tell(EventKind::Rule, generation, json!({ "action": action, "rules": names, "shadow": shadow }));
    }
}
