//! The one table of calls: the router and the API's description are both made from it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use http::{Method, StatusCode};
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::access::gate;
use crate::app::App;
use crate::calls::{
    audit, config, experiments, health, lease, log_level, openapi, rules, status, stream, switch, tap, traffic,
};
use crate::error::ApiError;
use crate::guard::refuse_web_pages;
use crate::input::Operation;
use crate::role::Role;

/// Calls that run at once; others wait. The kill switch, the lease and health are not counted.
const CALLS_MAX: usize = 64;

/// What a call takes or gives, for its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// JSON of a schema.
    Json(&'static str),
    /// JSON of a schema, which may be left out.
    OptionalJson(&'static str),
    /// Text of a media type.
    Text(&'static str),
    /// Nothing.
    Nothing,
}

/// One call.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Names the call in the description.
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) request: Body,
    /// The statuses of success and what comes with each.
    pub(crate) success: &'static [(u16, Body)],
    /// The statuses of refusal beyond 401, 403, 405, 429 and 500, which every call can give.
    pub(crate) refusals: &'static [u16],
    handler: fn() -> MethodRouter<Arc<App>>,
}

impl Route {
    /// Whether it changes something, so that it takes `If-Match` and `dry_run`.
    pub(crate) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// What a caller has to be allowed to do.
    pub(crate) fn role(&self) -> Role {
        match self.path {
            _ if !self.is_write() => Role::Read,
            "/v1/config" | "/v1/log-level" => Role::Admin,
            _ => Role::Inject,
        }
    }

    /// Whether it is answered without a token: it says nothing but whether Squall is well.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.path, "/livez" | "/readyz")
    }

    /// Whether it is answered even when everything else is busy.
    fn is_urgent(&self) -> bool {
        matches!(
            self.path,
            "/v1/halt" | "/v1/resume" | "/v1/lease" | "/v1/experiments/{name}/stop" | "/livez" | "/readyz"
        )
    }

    /// Whether a web page may ask for it: read-only and without secrets.
    fn is_telemetry(&self) -> bool {
        matches!(self.path, "/metrics" | "/livez" | "/readyz")
    }
}

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const EVENTS: &str = "text/event-stream";

macro_rules! route {
    ($method:ident $path:literal $operation:literal $summary:literal, $request:expr => $success:expr, $refusals:expr, $handler:expr) => {
        Route {
            method: Method::$method,
            path: $path,
            operation: $operation,
            summary: $summary,
            request: $request,
            success: $success,
            refusals: $refusals,
            handler: || $handler,
        }
    };
}

/// Every call.
pub(crate) fn routes() -> Vec<Route> {
    [of_faults(), of_experiments(), of_the_rest()].into_iter().flatten().collect()
}

/// Rules, the kill switch, the lease.
#[rustfmt::skip]
fn of_faults() -> Vec<Route> {
    use Body::{Json, Nothing, OptionalJson};
    vec![
        route!(GET "/v1/rules" "listRules" "All rules, in order of application, with what they have done",
            Nothing => &[(200, Json("Rules"))], &[], get(rules::list)),
        route!(PUT "/v1/rules" "replaceRules" "Replace the whole set of rules at once",
            Json("RuleSet") => &[(200, Json("Rules"))], &[400, 408, 412, 413, 422], put(rules::replace_all)),
        route!(GET "/v1/rules/{name}" "getRule" "One rule, with what it has done",
            Nothing => &[(200, Json("Rule"))], &[400, 404], get(rules::get)),
        route!(PUT "/v1/rules/{name}" "putRule" "Make a rule, or replace it; its ttl starts anew",
            Json("Rule") => &[(200, Json("Rule")), (201, Json("Rule"))], &[400, 408, 412, 413, 422], put(rules::put)),
        route!(PATCH "/v1/rules/{name}" "patchRule" "Change some fields of a rule by a JSON merge patch (RFC 7396)",
            Json("RulePatch") => &[(200, Json("Rule"))], &[400, 404, 408, 412, 413, 422], patch(rules::patch)),
        route!(DELETE "/v1/rules/{name}" "deleteRule" "Remove a rule; what it holds is released",
            Nothing => &[(204, Nothing)], &[400, 404, 408, 412, 413], delete(rules::delete)),
        route!(POST "/v1/halt" "halt" "The kill switch: no new faults, and what is held is released; stays until resume",
            OptionalJson("Reason") => &[(200, Json("HaltStatus"))], &[400, 408, 412, 413, 422], post(switch::halt)),
        route!(POST "/v1/resume" "resume" "End halt: faults as the rules say",
            OptionalJson("Reason") => &[(200, Json("HaltStatus"))], &[400, 408, 409, 412, 413, 422], post(switch::resume)),
        route!(GET "/v1/lease" "getLease" "Who watches over the faults, and until when",
            Nothing => &[(200, Json("LeaseStatus"))], &[], get(lease::get)),
        route!(PUT "/v1/lease" "putLease" "Take the lease or renew it; when nobody renews it, all faults stop until somebody takes it and resumes",
            Json("LeaseRequest") => &[(200, Json("LeaseStatus"))], &[400, 408, 409, 412, 413, 422], put(lease::put)),
        route!(DELETE "/v1/lease" "deleteLease" "Give the lease back; where the configuration asks for one, all faults stop",
            OptionalJson("LeaseHolder") => &[(200, Json("LeaseStatus"))], &[400, 408, 409, 412, 413, 422], delete(lease::delete)),
    ]
}

/// Experiments.
#[rustfmt::skip]
fn of_experiments() -> Vec<Route> {
    use Body::{Json, Nothing, OptionalJson};
    vec![
        route!(GET "/v1/experiments" "listExperiments" "All experiments, and how they are",
            Nothing => &[(200, Json("Experiments"))], &[], get(experiments::list)),
        route!(GET "/v1/experiments/{name}" "getExperiment" "One experiment, and how it is",
            Nothing => &[(200, Json("Experiment"))], &[400, 404], get(experiments::get)),
        route!(PUT "/v1/experiments/{name}" "putExperiment" "Make an experiment, or replace it; nothing starts",
            Json("Experiment") => &[(200, Json("Experiment")), (201, Json("Experiment"))], &[400, 408, 409, 412, 413, 422], put(experiments::put)),
        route!(DELETE "/v1/experiments/{name}" "deleteExperiment" "Remove an experiment with its reports",
            Nothing => &[(204, Nothing)], &[400, 404, 408, 409, 412, 413], delete(experiments::delete)),
        route!(POST "/v1/experiments/{name}/start" "startExperiment" "Start a run; with dry_run say what it would do, and what it would reach",
            Nothing => &[(200, Json("ExperimentPlan")), (202, Json("Experiment"))], &[400, 404, 408, 409, 412, 413, 422], post(experiments::start)),
        route!(POST "/v1/experiments/{name}/stop" "stopExperiment" "End the run under way: its faults end at once, and it is aborted",
            OptionalJson("Reason") => &[(202, Json("Experiment"))], &[400, 404, 408, 409, 412, 413, 422], post(experiments::stop)),
        route!(POST "/v1/experiments/{name}/notes" "noteExperiment" "Note something in the timeline of the run under way",
            Json("ExperimentNote") => &[(202, Json("Experiment"))], &[400, 404, 408, 409, 412, 413, 422], post(experiments::notes)),
        route!(GET "/v1/experiments/{name}/report" "getExperimentReport" "What came of the last run, or of one of the runs before. Query: format (json, markdown, html, junit, chaostoolkit), run",
            Nothing => &[(200, Json("Any"))], &[400, 404], get(experiments::report)),
    ]
}

/// What is seen, and the configuration.
#[rustfmt::skip]
fn of_the_rest() -> Vec<Route> {
    use Body::{Json, Nothing, Text};
    vec![
        route!(GET "/v1/status" "getStatus" "How Squall is",
            Nothing => &[(200, Json("Status"))], &[], get(status::get)),
        route!(GET "/v1/traffic" "getTraffic" "What has gone through the listeners since the start, as sums",
            Nothing => &[(200, Json("Traffic"))], &[], get(traffic::get)),
        route!(GET "/v1/config" "getConfig" "The configuration in force; can be put back",
            Nothing => &[(200, Json("ConfigSpec"))], &[], get(config::get)),
        route!(PUT "/v1/config" "putConfig" "Replace listeners, clusters, limits and rules at once",
            Json("ConfigSpec") => &[(200, Json("ConfigChange"))], &[400, 408, 409, 412, 413, 422], put(config::put)),
        route!(GET "/v1/events" "getEvents" "Server-Sent Events: rule, halt, resume, reload, expired, guard, lease, experiment, controller, proxy; lagged when some were lost",
            Nothing => &[(200, Text(EVENTS))], &[503], get(stream::events)),
        route!(GET "/v1/audit" "getAudit" "Who changed what: the last changes and those that were refused, the newest last",
            Nothing => &[(200, Json("Audit"))], &[400], get(audit::get)),
        route!(GET "/v1/tap" "getTap" "Server-Sent Events: each HTTP exchange as it ends, as in the access log; missed when some were left out. Query: rule, path, status, faulted, rate",
            Nothing => &[(200, Text(EVENTS))], &[400, 503], get(tap::get)),
        route!(GET "/v1/log-level" "getLogLevel" "How much the program's own log says",
            Nothing => &[(200, Json("LogLevel"))], &[], get(log_level::get)),
        route!(PUT "/v1/log-level" "putLogLevel" "Change that until the program ends; nothing else changes",
            Json("LogLevel") => &[(200, Json("LogLevel"))], &[400, 408, 412, 413, 422], put(log_level::put)),
        route!(GET "/metrics" "getMetrics" "Metrics in the text format of Prometheus",
            Nothing => &[(200, Text(METRICS))], &[], get(health::metrics)),
        route!(GET "/livez" "getLivez" "Whether this process answers",
            Nothing => &[(200, Text(TEXT))], &[], get(health::livez)),
        route!(GET "/readyz" "getReadyz" "Whether traffic is accepted; 503 (text) when not",
            Nothing => &[(200, Text(TEXT)), (503, Text(TEXT))], &[], get(health::readyz)),
        route!(GET "/openapi.json" "getOpenapi" "This description",
            Nothing => &[(200, Json("Any"))], &[], get(openapi::get)),
    ]
}

/// The control API.
pub(crate) fn control(app: Arc<App>) -> Router {
    let all = routes();
    let (telemetry, guarded): (Vec<_>, Vec<_>) = all.iter().partition(|route| route.is_telemetry());
    let (open, metrics): (Vec<_>, Vec<_>) = telemetry.into_iter().partition(|route| route.is_open());
    let (urgent, limited): (Vec<_>, Vec<_>) = guarded.into_iter().partition(|route| route.is_urgent());
    let gate = from_fn_with_state(Arc::clone(&app), gate::authenticate);
    assemble(&limited, Some(&app))
        .layer(GlobalConcurrencyLimitLayer::new(CALLS_MAX))
        .merge(assemble(&urgent, Some(&app)))
        .fallback(not_found)
        .layer(gate.clone())
        .layer(from_fn_with_state(Arc::clone(&app), refuse_web_pages))
        .merge(assemble(&metrics, Some(&app)).layer(gate))
        .merge(assemble(&open, None))
        .with_state(app)
}

/// The read-only telemetry.
pub(crate) fn telemetry(app: Arc<App>) -> Router {
    let all = routes();
    let telemetry: Vec<_> = all.iter().filter(|route| route.is_telemetry()).collect();
    assemble(&telemetry, None).fallback(not_found).with_state(app)
}

/// The router of these calls. With the state, callers need the role of the call.
fn assemble(routes: &[&Route], guarded: Option<&Arc<App>>) -> Router<Arc<App>> {
    let mut router = Router::new();
    let mut paths: Vec<&str> = routes.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let of_path = || routes.iter().filter(|route| route.path == path);
        let allow: Vec<&str> = of_path().map(|route| route.method.as_str()).collect();
        // A GET is a HEAD, too (RFC 9110 §9.3.2).
        let allow = allow.join(", ").replace("GET", "GET, HEAD");
        let refuse = move |request: Request| async move {
            ApiError::method_not_allowed(request.method(), request.uri().path(), &allow).into_response()
        };
        let methods = of_path().fold(MethodRouter::new(), |methods, route| {
            let call = (route.role(), Operation(route.operation));
            let require = move |state, request, next| gate::require(call, state, request, next);
            methods.merge(match guarded {
                Some(app) => (route.handler)().route_layer(from_fn_with_state(Arc::clone(app), require)),
                None => (route.handler)(),
            })
        });
        router = router.route(path, methods.fallback(refuse));
    }
    router
}

async fn not_found(request: Request) -> ApiError {
    let detail = format!("there is nothing at {}", request.uri().path());
    ApiError::new(
        StatusCode::NOT_FOUND,
        "",
        detail,
        "GET /openapi.json describes every call; paths have no / at the end",
    )
}
