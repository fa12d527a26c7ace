//! The configuration file changes while Squall runs: in place, by rename, by the symlink swap of a mounted ConfigMap,
//! by SIGHUP; and a bad file changes nothing but what is said about it.

use std::time::Duration;

use squall_integration::origin::Origin;
use squall_integration::{RawClient, Settings, Squall, eventually};

/// A watched file is noticed within this; the fall-back poll of file systems without events may take 10 s.
const NOTICED: Duration = Duration::from_secs(15);
/// Within this by events alone.
const NOTICED_BY_EVENTS: Duration = Duration::from_secs(5);

fn settings(origin: &Origin, status: u16) -> Settings {
    let rule = format!("rules:\n  - name: r\n    percentage: 100\n    fault: {{ abort: {status} }}");
    Settings::http(origin.address).with(&rule)
}

fn answers(squall: &Squall, status: u16, why: &str) {
    answers_within(NOTICED, squall, status, why);
}

fn answers_within(time: Duration, squall: &Squall, status: u16, why: &str) {
    eventually(&format!("{status} after {why}"), time, || {
        (RawClient::connect(squall.to_b()).get("/").status == status).then_some(())
    });
}

fn reloads(squall: &Squall, result: &str) -> f64 {
    squall.api().metrics().sum("squall_config_reloads_total", &[("result", result)])
}

#[test]
fn a_file_written_in_place_is_noticed() {
    let origin = Origin::ok();
    let squall = Squall::start(&settings(&origin, 501));
    let address = squall.to_b();
    let mut open = RawClient::connect(address);
    assert_eq!(open.get("/").status, 501);
    std::fs::write(squall.file(), settings(&origin, 502).text()).unwrap();
    answers(&squall, 502, "a write");
    assert_eq!(open.get("/").status, 502, "on a connection that was open");
    assert_eq!(squall.to_b(), address, "a listener on port 0 stays where it is");
    // The rules change first, then it is told.
    eventually("it is counted", NOTICED, || (reloads(&squall, "ok") >= 1.0).then_some(()));
}

#[test]
fn a_file_replaced_by_rename_is_noticed() {
    let origin = Origin::ok();
    let squall = Squall::start(&settings(&origin, 501));
    for status in [502, 503, 504] {
        let other = squall.directory().join("other.yaml");
        std::fs::write(&other, settings(&origin, status).text()).unwrap();
        std::fs::rename(other, squall.file()).unwrap();
        answers(&squall, status, "a rename");
    }
}

#[test]
fn the_symlink_swap_of_a_config_map_is_noticed() {
    use std::os::unix::fs::symlink;
    let origin = Origin::ok();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let write = |name: &str, status| {
        std::fs::create_dir(here.join(name)).unwrap();
        std::fs::write(here.join(name).join("squall.yaml"), settings(&origin, status).text()).unwrap();
    };
    write("..2026_1", 501);
    symlink("..2026_1", here.join("..data")).unwrap();
    symlink("..data/squall.yaml", here.join("squall.yaml")).unwrap();
    let squall = Squall::start_in(directory, &[]);
    answers(&squall, 501, "the start");
    let here = squall.directory();
    for (i, status) in [(2, 502), (3, 503)] {
        let name = format!("..2026_{i}");
        std::fs::create_dir(here.join(&name)).unwrap();
        std::fs::write(here.join(&name).join("squall.yaml"), settings(&origin, status).text()).unwrap();
        symlink(&name, here.join("..data_tmp")).unwrap();
        std::fs::rename(here.join("..data_tmp"), here.join("..data")).unwrap();
        std::fs::remove_dir_all(here.join(format!("..2026_{}", i - 1))).unwrap();
        // The look at the start may find the first swap; the second one is seen by events alone.
        answers_within(NOTICED_BY_EVENTS, &squall, status, "the swap");
    }
    assert_eq!(squall.api().json("/v1/status")["last_reload"]["result"], "ok");
}

#[test]
fn sighup_reloads() {
    let origin = Origin::ok();
    let squall = Squall::start(&settings(&origin, 501));
    let before = reloads(&squall, "ok");
    std::fs::write(squall.file(), settings(&origin, 502).text()).unwrap();
    squall.signal("HUP");
    eventually("502 soon after SIGHUP", Duration::from_secs(2), || {
        (RawClient::connect(squall.to_b()).get("/").status == 502).then_some(())
    });
    eventually("it is counted", NOTICED, || (reloads(&squall, "ok") > before).then_some(()));
}

#[test]
fn an_invalid_file_keeps_the_old_configuration() {
    let origin = Origin::ok();
    let squall = Squall::start(&settings(&origin, 501));
    let generation = squall.api().generation();
    let missing_percentage = "version: 1\nrules:\n  - name: r\n    fault: { abort: 502 }\n";
    for (failures, bad) in [(0.0, "rules: [}"), (1.0, missing_percentage)] {
        std::fs::write(squall.file(), bad).unwrap();
        squall.signal("HUP");
        eventually("the failure is counted", NOTICED, || (reloads(&squall, "error") > failures).then_some(()));
        assert_eq!(RawClient::connect(squall.to_b()).get("/").status, 501, "{bad:?}");
        assert_eq!(squall.api().generation(), generation);
    }
    let status = squall.api().json("/v1/status").to_string();
    assert!(status.contains("percentage"), "the status names the problem: {status}");
    squall.says("percentage");
    std::fs::write(squall.file(), settings(&origin, 503).text()).unwrap();
    squall.signal("HUP");
    answers(&squall, 503, "a good file again");
}

#[test]
fn a_file_that_vanishes_changes_nothing() {
    let origin = Origin::ok();
    let squall = Squall::start(&settings(&origin, 501));
    std::fs::remove_file(squall.file()).unwrap();
    squall.signal("HUP");
    squall_integration::wait::pause(Duration::from_millis(500));
    assert_eq!(RawClient::connect(squall.to_b()).get("/").status, 501);
    std::fs::write(squall.file(), settings(&origin, 502).text()).unwrap();
    squall.signal("HUP");
    answers(&squall, 502, "its return");
}

#[test]
fn listeners_and_clusters_of_the_file_change_too() {
    let (one, two) = (Origin::ok(), Origin::answering("HTTP/1.1 204 No Content\r\n\r\n"));
    let squall = Squall::start(&Settings::http(one.address));
    assert_eq!(RawClient::connect(squall.to_b()).get("/").status, 200);
    let text = Settings::http(two.address).listener("second", "http", "service-b").text();
    std::fs::write(squall.file(), text).unwrap();
    squall.signal("HUP");
    answers(&squall, 204, "a new endpoint");
    assert_eq!(RawClient::connect(squall.address("second")).get("/").status, 204);
}
