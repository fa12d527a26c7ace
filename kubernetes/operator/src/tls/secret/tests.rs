use base64::Engine as _;
use serde_json::{Value, json};

use super::*;
use crate::serve::health::Health;
use crate::serve::metrics::{Metrics, TlsMetrics};
use crate::tls::tests::fake::Fake;

const SECRET: &str = "/api/v1/namespaces/chaos/secrets/squall-tls";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/squall";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/squall";

fn keeper(fake: &Fake) -> Keeper {
    Keeper {
        client: fake.client(),
        namespace: "chaos".to_owned(),
        secret: "squall-tls".to_owned(),
        names: vec!["squall.chaos.svc".to_owned()],
        webhook_configuration: "squall".to_owned(),
    }
}

fn certificates() -> (Arc<Certificates>, Health) {
    let health = Health::default();
    let metrics = TlsMetrics::new(&Metrics::new().unwrap()).unwrap();
    (Certificates::new(metrics, health.clone()), health)
}

fn configuration(kind: &str) -> Value {
    json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": "squall" }, "webhooks": [{
        "name": "a.squall.dev", "clientConfig": { "service": { "name": "squall", "namespace": "chaos" } },
        "sideEffects": "None", "admissionReviewVersions": ["v1"],
    }] })
}

fn field(fake: &Fake, name: &str) -> String {
    let text = fake.state().objects[SECRET]["data"][name].as_str().unwrap().to_owned();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

fn bundle(fake: &Fake, path: &str) -> String {
    let text = fake.state().objects[path]["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap().to_owned();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn the_first_makes_them_and_the_next_shows_the_same() {
    let fake = Fake::default();
    let (certificates, health) = certificates();
    let (mut shown, now) = (None, SystemTime::now());
    let missing = keeper(&fake).turn(&mut shown, &certificates, now).await.unwrap();
    assert!(missing.unwrap().contains("there is no webhook configuration squall"));
    assert_eq!(health.problem(), None, "pods that have the sidecar need no webhook");
    assert_eq!(fake.state().objects[SECRET]["type"], "kubernetes.io/tls");
    assert_eq!(field(&fake, "ca.crt"), *certificates.authority());

    fake.state().put(MUTATING, configuration("MutatingWebhookConfiguration"));
    fake.state().put(VALIDATING, configuration("ValidatingWebhookConfiguration"));
    let mut other = None;
    assert_eq!(keeper(&fake).turn(&mut other, &certificates, now).await.unwrap(), None);
    assert_eq!(other, shown);
    for path in [MUTATING, VALIDATING] {
        assert_eq!(bundle(&fake, path), field(&fake, "ca.crt"));
    }
    let n_writes = fake.state().writes.len();
    assert_eq!(keeper(&fake).turn(&mut other, &certificates, now).await.unwrap(), None);
    assert_eq!(fake.state().writes.len(), n_writes, "what is as it should be is not written");
}

#[tokio::test]
async fn of_two_that_begin_at_once_both_show_the_same() {
    let (one, two) = (Fake::default(), Fake::default());
    let now = SystemTime::now();
    let first = keeper(&one).kept(now).await.unwrap();
    let rival = one.state().objects[SECRET].clone();
    two.state().rival = Some((SECRET.to_owned(), rival));
    assert_eq!(keeper(&two).kept(now).await.unwrap(), first);

    // And in a race for real.
    let race = Fake::default();
    let all = futures_util::future::join_all((0..4).map(|_| {
        let keeper = keeper(&race);
        async move { keeper.kept(SystemTime::now()).await.unwrap() }
    }));
    let all = all.await;
    assert!(all.iter().all(|material| *material == all[0]));
}

#[tokio::test]
async fn a_renewal_that_another_replica_has_written_is_taken() {
    let fake = Fake::default();
    let now = SystemTime::now();
    let first = keeper(&fake).kept(now).await.unwrap();
    let late = now + Duration::from_secs(250 * 24 * 60 * 60);
    let renewed = first.renewed(&keeper(&fake).names, late).unwrap().unwrap();
    let mut rival = fake.state().objects[SECRET].clone();
    rival["data"] = serde_json::to_value(data(&renewed)).unwrap();
    fake.state().rival = Some((SECRET.to_owned(), rival));
    assert_eq!(keeper(&fake).kept(late).await.unwrap(), renewed);
    assert_eq!(fake.state().writes.last().unwrap(), &format!("PUT {SECRET}"));
    assert_eq!(renewed.authority, first.authority);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let fake = Fake::default();
    let other = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "squall-tls" }, "data": {} });
    fake.state().put(SECRET, other);
    let error = keeper(&fake).kept(SystemTime::now()).await.unwrap_err().to_string();
    assert!(error.contains("Secret squall-tls is somebody else's"), "{error}");
    assert!(fake.state().writes.is_empty());
}

#[tokio::test]
async fn a_broken_secret_of_ours_is_made_anew() {
    let fake = Fake::default();
    let first = keeper(&fake).kept(SystemTime::now()).await.unwrap();
    let mut broken = fake.state().objects[SECRET].clone();
    broken["data"]["tls.key"] = json!("dGV4dA==");
    fake.state().put(SECRET, broken);
    let next = keeper(&fake).kept(SystemTime::now()).await.unwrap();
    assert_eq!(next.authority, first.authority);
    assert_ne!(next.cert, first.cert);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_trying_and_what_is_shown_stays() {
    let fake = Fake::default();
    fake.state().is_down = true;
    let (certificates, health) = certificates();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(keeper(&fake).run(Arc::clone(&certificates), stopped));
    until(|| health.problem().is_some_and(|problem| problem.contains("ServiceUnavailable"))).await;
    fake.state().is_down = false;
    until(|| health.problem().is_none()).await;
    fake.state().put(MUTATING, configuration("MutatingWebhookConfiguration"));
    until(|| fake.state().objects[MUTATING]["webhooks"][0]["clientConfig"]["caBundle"].is_string()).await;
    assert_eq!(bundle(&fake, MUTATING), *certificates.authority());
    fake.state().is_down = true;
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(health.problem(), None);
    stop.send_replace(true);
    running.await.unwrap();
}

/// Time runs by itself here.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it did not come to it in a thousand seconds");
}
