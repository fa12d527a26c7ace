use super::*;

fn control(text: &str) -> String {
    format!("version: 1\ncontrol: {text}\n")
}

#[test]
fn the_control_api_listens_on_loopback_or_on_a_socket() {
    for (text, expected) in [
        ("{}", "127.0.0.1:9470"),
        ("{address: 127.0.0.9:1}", "127.0.0.9:1"),
        ("{address: \"[::1]:1\"}", "[::1]:1"),
        ("{address: \"unix:/run/squall.sock\"}", "unix:/run/squall.sock"),
        ("{address: \"unix:///run/squall.sock\"}", "unix:/run/squall.sock"),
        ("{address: \"unix:squall.sock\"}", "unix:squall.sock"),
    ] {
        let api = load(&control(text)).control;
        assert_eq!(api.address.to_string(), expected);
        assert!(api.address.is_local() && !api.asks_who(), "{text}");
    }
    for (text, part) in [
        ("{address: \"unix:\"}", "names no socket"),
        ("{address: \"unix:/run/\"}", "names no socket"),
        ("{address: \"unix://\"}", "names no socket"),
        (&format!("{{address: \"unix:/{}\"}}", "x".repeat(107)), "at most 107 bytes, and this one 108"),
    ] {
        let found = problems(&control(text));
        assert!(matches!(&found[..], [one] if one.starts_with("control.address: ") && one.contains(part)), "{found:?}");
    }
}

#[test]
fn nobody_on_the_network_may_call_it_unasked() {
    for address in ["0.0.0.0:9470", "[::]:9470", "10.1.2.3:9470", "[2001:db8::1]:9470", "[::ffff:10.1.2.3]:9470"] {
        let bare = control(&format!("{{address: \"{address}\"}}"));
        let problem = crate::validate(&crate::parse_text(&bare).unwrap()).unwrap_err().0.remove(0);
        assert_eq!(problem.path, "control.address", "{address}");
        assert!(problem.detail.contains("from other machines"), "{problem}");
        let hint = problem.hint.unwrap();
        assert!(["127.0.0.1", "token_file", "client_ca"].iter().all(|part| hint.contains(part)), "{hint}");
        // TLS alone says who Squall is, not who calls.
        let tls = control(&format!("{{address: \"{address}\", tls: {{cert: c, key: k}}}}"));
        assert_eq!(problems(&tls).len(), 1, "{address}");
        for more in ["token_file: t", "tls: {cert: c, key: k, client_ca: ca}"] {
            let api = load(&control(&format!("{{address: \"{address}\", {more}}}"))).control;
            assert!(api.asks_who() && !api.address.is_local(), "{address} {more}");
        }
    }
    load(&control("{address: \"[::ffff:127.0.0.1]:1\"}"));
}

#[test]
fn tls_and_token_files_are_named_whole() {
    for (text, expected) in [
        ("{token_file: \"\"}", &["control.token_file: no file is named"][..]),
        ("{token_file: \"a b\\nc d\"}", &["control.token_file: this is the content of a file, not its name"]),
        ("{tls: {}}", &["control.tls.cert: missing", "control.tls.key: missing"]),
        ("{tls: {cert: c, key: k, client_ca: \"\"}}", &["control.tls.client_ca: no file is named"]),
        // What is wrong with the authentication is said alone.
        ("{address: \"0.0.0.0:1\", tls: {cert: c, client_ca: a}}", &["control.tls.key: missing"]),
        (
            "{address: \"unix:s\", tls: {cert: c, key: k}}",
            &["control.tls: a Unix socket never leaves this machine, so there is nothing to encrypt"],
        ),
    ] {
        assert_eq!(problems(&control(text)), expected, "{text}");
    }
}

#[test]
fn a_state_directory_has_a_name() {
    assert_eq!(problems("version: 1\nstate_dir: \"\"\n"), ["state_dir: no directory is named"]);
    assert_eq!(load("version: 1\nstate_dir: a/b\n").state_dir, Some("a/b".into()));
}
