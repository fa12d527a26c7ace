//! Certificates that change while connections go on.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use squall_integration::origin::Origin;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{Authority, Settings, Squall, TlsClient, TlsOptions, eventually, squall};

fn settings(authority: &Authority, origin: &Origin) -> Settings {
    let settings = Settings::new().listener_with("to-b", "http", "service-b", &authority.listener("b"));
    settings.cluster("service-b", "http1", &[origin.address])
}

fn shown(squall: &Squall, authority: &Authority) -> Vec<u8> {
    TlsClient::connect(squall.to_b(), authority, &TlsOptions::default()).unwrap().peer_certificate()
}

fn reloads(squall: &Squall, result: &str) -> f64 {
    squall.api().metrics().sum("squall_tls_reloads_total", &[("result", result)])
}

#[test]
fn a_new_certificate_is_shown_and_no_connection_is_dropped() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    let squall = Squall::start(&settings(&authority, &origin));
    let (address, stop) = (squall.to_b(), Arc::new(AtomicBool::new(false)));
    let before = shown(&squall, &authority);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (stop, authority) = (Arc::clone(&stop), &authority);
                scope.spawn(move || {
                    let mut client = TlsClient::connect(address, authority, &TlsOptions::default()).unwrap();
                    let mut requests = 0;
                    while !stop.load(Ordering::SeqCst) {
                        assert_eq!(client.get("/").unwrap().status, 200);
                        // New connections pass at every moment, too.
                        let fresh = TlsClient::connect(address, authority, &TlsOptions::default());
                        assert_eq!(fresh.unwrap().get("/").unwrap().status, 200);
                        requests += 1;
                    }
                    requests
                })
            })
            .collect();
        for round in 1..=5 {
            let now = shown(&squall, &authority);
            authority.issue("b");
            eventually("another certificate", PATIENCE, || (shown(&squall, &authority) != now).then_some(()));
            assert!(reloads(&squall, "ok") >= f64::from(round));
        }
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
    assert_ne!(shown(&squall, &authority), before);
}

#[test]
fn a_pair_that_does_not_match_keeps_the_old_one_in_service() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    authority.issue_with("c", &["localhost"], SystemTime::now() + Duration::from_secs(7200));
    let squall = Squall::start(&settings(&authority, &origin));
    let before = shown(&squall, &authority);
    let end = squall.api().metrics().sum("squall_tls_certificate_not_after_seconds", &[("listener", "to-b")]);
    for broken in [std::fs::read_to_string(authority.path("c.crt")).unwrap(), "nonsense".to_owned()] {
        let failed = reloads(&squall, "error");
        std::fs::write(authority.path("b.crt"), broken).unwrap();
        eventually("a reload that fails", PATIENCE, || (reloads(&squall, "error") > failed).then_some(()));
        assert_eq!(shown(&squall, &authority), before, "the old one is in service");
        let status = squall.api().json("/v1/status");
        let error = status["certificates"][0]["error"].as_str().unwrap();
        assert!(error.contains("b.crt") || error.contains("b.key"), "{error}");
    }
    squall.says("those before stay in use");
    let (cert, key) = (authority.path("c.crt"), authority.path("c.key"));
    std::fs::copy(key, authority.path("b.key")).unwrap();
    std::fs::copy(cert, authority.path("b.crt")).unwrap();
    eventually("the new pair", PATIENCE, || (shown(&squall, &authority) != before).then_some(()));
    assert!(squall.api().json("/v1/status")["certificates"][0]["error"].is_null());
    let now = squall.api().metrics().sum("squall_tls_certificate_not_after_seconds", &[("listener", "to-b")]);
    assert!((now - end - 3600.0).abs() < 60.0, "{end} {now}");
}

/// As a mounted Secret: files are symlinks into `..data`, a symlink that is swapped.
#[test]
fn a_mounted_secret_is_followed() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    let mount = tempfile::tempdir().unwrap();
    let version = |name: &str| {
        let directory = mount.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        for file in ["b.crt", "b.key"] {
            std::fs::copy(authority.path(file), directory.join(file)).unwrap();
        }
        std::os::unix::fs::symlink(name, mount.path().join("..new")).unwrap();
        std::fs::rename(mount.path().join("..new"), mount.path().join("..data")).unwrap();
    };
    version("..1");
    for file in ["b.crt", "b.key"] {
        std::os::unix::fs::symlink(Path::new("..data").join(file), mount.path().join(file)).unwrap();
    }
    let here = mount.path().display();
    let tls = format!("tls: {{ cert: {here}/b.crt, key: {here}/b.key }}");
    let settings = Settings::new().listener_with("to-b", "http", "service-b", &tls);
    let squall = Squall::start(&settings.cluster("service-b", "http1", &[origin.address]));
    let before = shown(&squall, &authority);
    authority.issue("b");
    version("..2");
    eventually("the new version", PATIENCE, || (shown(&squall, &authority) != before).then_some(()));
}

#[test]
fn sighup_reloads_what_is_not_watched() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    let squall = Squall::start_with(&settings(&authority, &origin), &["--no-watch"]);
    let before = shown(&squall, &authority);
    authority.issue("b");
    pause(Duration::from_millis(300));
    assert_eq!(shown(&squall, &authority), before);
    squall.signal("HUP");
    eventually("the new certificate", PATIENCE, || (shown(&squall, &authority) != before).then_some(()));
}

#[test]
fn files_that_cannot_be_used_are_refused_with_their_place() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    authority.issue("c");
    let text = settings(&authority, &origin).text();
    let file = authority.path("squall.yaml");
    let path = file.display().to_string();
    let line = text.lines().position(|l| l.contains("tls:")).unwrap() + 1;
    let (cert, key) = (authority.file("b.crt"), authority.file("b.key"));
    for (from, to, expected) in [
        (key.as_str(), authority.file("c.key"), "it is not the key of the certificate in"),
        (&key, authority.file("none.key"), "cannot be read"),
        (&key, cert.clone(), "there is no private key in it"),
        (&cert, key.clone(), "there is no certificate in it"),
    ] {
        std::fs::write(&file, text.replacen(from, &to, 1)).unwrap();
        for verb in [&["config", "validate", &path][..], &["run", "-c", &path]] {
            let done = squall::output(verb);
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(3), "{said}");
            assert!(said.contains(expected) && said.contains(&format!("{path}:{line}:")), "{expected}: {said}");
            assert!(said.contains("listeners[0].tls."), "{said}");
        }
    }
    // A running Squall says so, too, and goes on as it was.
    let squall = Squall::start(&settings(&authority, &origin));
    let mut config = squall.api().json("/v1/config");
    config["listeners"][0]["tls"]["key"] = authority.file("none.key").into();
    let refused = squall.api().put("/v1/config", &config.to_string());
    assert!(refused.status == 409 && refused.text().contains("listeners[0].tls.key"), "{}", refused.text());
    assert_eq!(squall.api().generation(), 1);
}
