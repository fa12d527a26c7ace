//! Certificates in files: replaced while handshakes go on, and not replaced by what is no good.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, TlsClient, TlsOptions, eventually};

use squall_integration::kubernetes::{Operator, binary};

fn shown(operator: &Operator, authority: &Authority) -> Vec<u8> {
    TlsClient::connect(operator.https, authority, &TlsOptions::default()).unwrap().peer_certificate()
}

#[test]
fn a_new_certificate_is_taken_while_handshakes_go_on() {
    let authority = Arc::new(Authority::new());
    let operator = Operator::webhooks(&authority, &[]);
    let (is_over, n_done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (address, authority) = (operator.https, Arc::clone(&authority));
            let (is_over, n_done) = (Arc::clone(&is_over), Arc::clone(&n_done));
            std::thread::spawn(move || {
                while !is_over.load(Relaxed) {
                    let mut client = TlsClient::connect(address, &authority, &TlsOptions::default()).unwrap();
                    assert_eq!(client.get("/inject").unwrap().status, 405);
                    n_done.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let mut before = shown(&operator, &authority);
    for _ in 0..3 {
        authority.issue("operator");
        before = eventually("the new certificate", PATIENCE, || {
            Some(shown(&operator, &authority)).filter(|now| *now != before)
        });
    }
    let n_before = n_done.load(Relaxed);
    eventually("handshakes after the last change", PATIENCE, || (n_done.load(Relaxed) > n_before + 4).then_some(()));
    is_over.store(true, Relaxed);
    for caller in callers {
        caller.join().expect("no handshake was refused");
    }
    assert_eq!(operator.metric("squall_kubernetes_tls_loads_total{result=\"ok\"}"), 4.0);
    assert_eq!(operator.metric("squall_kubernetes_tls_loads_total{result=\"error\"}"), 0.0);
    assert!(operator.metric("squall_kubernetes_tls_not_after_seconds") > 1.7e9);
}

#[test]
fn a_pair_that_is_no_good_leaves_the_one_before() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let before = shown(&operator, &authority);
    let key = std::fs::read(authority.path("operator.key")).unwrap();
    authority.issue("other");
    let failed = || operator.metric("squall_kubernetes_tls_loads_total{result=\"error\"}");
    // The key of another certificate; a text; nothing at all.
    std::fs::copy(authority.path("other.key"), authority.path("operator.key")).unwrap();
    eventually("the key of another is told", PATIENCE, || (failed() == 1.0).then_some(()));
    std::fs::write(authority.path("operator.crt"), "text").unwrap();
    eventually("a text is told", PATIENCE, || (failed() == 2.0).then_some(()));
    std::fs::remove_file(authority.path("operator.crt")).unwrap();
    eventually("a file that has gone is told", PATIENCE, || (failed() == 3.0).then_some(()));
    assert_eq!(shown(&operator, &authority), before);
    assert_eq!(operator.plain().get("/readyz").status, 200, "it can do what it is for");
    assert!(operator.said().contains("the key is not that of the certificate"), "{}", operator.said());

    std::fs::write(authority.path("operator.key"), key).unwrap();
    authority.issue("operator");
    eventually("the next one that is good", PATIENCE, || (shown(&operator, &authority) != before).then_some(()));
    assert_eq!(failed(), 3.0, "what is bad is told once");
}

#[test]
fn what_cannot_be_used_at_the_start_ends_it_with_the_reason() {
    let authority = Authority::new();
    authority.issue("operator");
    authority.issue("other");
    let file = |name: &str| authority.file(name);
    let run = |arguments: &[&str]| {
        let done = Command::new(binary())
            .args(["run", "--only", "webhook", "--listen", "127.0.0.1:0", "--telemetry", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", "/nowhere")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .output()
            .unwrap();
        (done.status.success(), String::from_utf8(done.stderr).unwrap())
    };
    let (cert, key, other) = (file("operator.crt"), file("operator.key"), file("other.key"));
    for (arguments, why) in [
        (&["--tls-cert", &cert, "--tls-key", &other][..], "the key is not that of the certificate"),
        (&["--tls-cert", "/not/there", "--tls-key", &key], "/not/there cannot be read"),
        (&["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &key], "no certificate of an authority"),
        (&["--tls-cert", &cert], "--tls-key"),
        (&[], "there is no way to the API server"),
        (&["--tls-cert", &cert, "--tls-key", &key, "--mode", "magic"], "mode"),
        (&["--tls-cert", &cert, "--tls-key", &key, "--log", "a=b=c"], "--log"),
    ] {
        let (is_well, said) = run(arguments);
        assert!(!is_well && said.contains(why), "{arguments:?}: {said}");
    }
}
