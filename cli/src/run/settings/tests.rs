use clap::Parser;
use squall_config::model::{AccessLog, ListenerProtocol};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: RunArgs,
}

fn load(words: &[&str]) -> Result<Settings, Failure> {
    let line = Line::try_parse_from([&["run"], words].concat()).unwrap();
    Settings::load(&line.args)
}

const FILE: &str = "version: 1
control: { address: 127.0.0.1:1111 }
seed: 7
listeners:
  - { name: to-b, address: 127.0.0.1:8081, cluster: b }
clusters:
  - { name: b, endpoints: ['127.0.0.1:9000'] }
";

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn an_upstream_alone_is_a_configuration() {
    let settings = load(&["--upstream", "http://127.0.0.1:9000"]).unwrap();
    let listener = &settings.config.listeners[0];
    assert_eq!((listener.name.as_str(), listener.address), (LISTENER, LISTEN_DEFAULT));
    assert_eq!(listener.protocol, ListenerProtocol::Http);
    assert_eq!(settings.config.clusters[0].endpoints[0].address.to_string(), "127.0.0.1:9000");
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = file(FILE);
    let path = file.path().to_str().unwrap();
    let settings = load(&["-c", path]).unwrap();
    assert_eq!((settings.config.control.address.tcp().unwrap().port(), settings.config.seed), (1111, Some(7)));
    assert!(settings.config.telemetry.is_none() && settings.config.access_log.is_none());

    let flags =
        ["--control", "127.0.0.1:2222", "--telemetry", "127.0.0.1:3333", "--seed", "8", "--access-log", "a.log"];
    let settings = load(&[&["-c", path], &flags[..]].concat()).unwrap();
    assert_eq!((settings.config.control.address.tcp().unwrap().port(), settings.config.seed), (2222, Some(8)));
    assert_eq!(settings.config.telemetry.unwrap().port(), 3333);
    assert_eq!(settings.config.access_log, Some(AccessLog::File("a.log".into())));

    // After a reload, too.
    let (mut reloaded, _) = squall_config::load_text(FILE).unwrap();
    settings.overrides.apply(&mut reloaded);
    assert_eq!(reloaded, settings.document);
}

#[test]
fn an_upstream_is_added_to_a_file_unless_the_names_are_taken() {
    let other = file(FILE);
    let settings = load(&["-c", other.path().to_str().unwrap(), "--upstream", "127.0.0.1:9001"]).unwrap();
    assert_eq!(settings.config.listeners.len(), 2);

    let taken = file(&FILE.replace("to-b", LISTENER));
    let failure = load(&["-c", taken.path().to_str().unwrap(), "--upstream", "127.0.0.1:9001"]).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.text().contains(LISTENER), "{}", failure.text());
}

#[test]
fn what_is_missing_is_said() {
    for (words, part) in [(&[][..], "--upstream"), (&["--listen", "127.0.0.1:0"][..], "--upstream")] {
        let failure = load(words).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.text().contains(part), "{}", failure.text());
    }
}
