use super::*;

const GOOD: &str =
    "# comment\n\n admin alice  aaaaaaaaaaaaaaaa\ninject\tci bbbbbbbbbbbbbbbbbbbb== \nread grafana c-._~+/ccccccccc\n";

fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    set_mode(&file, mode);
    file
}

fn set_mode(file: &tempfile::NamedTempFile, mode: u32) {
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
}

fn role_of(file: &TokenFile, token: &str) -> Option<Role> {
    file.find(token).map(|(_, holder)| holder.role)
}

#[test]
fn every_line_is_a_token_with_role_and_name() {
    let tokens = Tokens::parse(GOOD).unwrap();
    for (token, name, role) in [
        ("aaaaaaaaaaaaaaaa", "alice", Role::Admin),
        ("bbbbbbbbbbbbbbbbbbbb==", "ci", Role::Inject),
        ("c-._~+/ccccccccc", "grafana", Role::Read),
    ] {
        assert_eq!(tokens.find(hash(token)), Some(&Holder { name: name.into(), role }));
    }
    for other in ["", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb", "AAAAAAAAAAAAAAAA"] {
        assert_eq!(tokens.find(hash(other)), None, "{other}");
    }
}

#[test]
fn wrong_lines_are_told_by_number_and_no_token_is_repeated() {
    for (text, part) in [
        ("", "no token"),
        ("# nothing\n", "no token"),
        ("secretsecretsecret\n", "line 1: has 1 words"),
        ("admin alice secretsecretsecret x\n", "line 1: has 4 words"),
        ("read a aaaaaaaaaaaaaaaa\n\nroot alice secretsecretsecret\n", "line 3: the first word"),
        ("secretsecretsecret admin alice", "line 1: the first word"),
        ("admin secret/secret/secret x", "line 1: the second word"),
        ("admin alice secretsecret", "line 1: the token has 12 characters"),
        ("admin alice secretsecretsecrét", "line 1: the token has other characters"),
        ("admin alice ====================", "line 1: the token has other characters"),
        (&format!("admin alice {}", "secret".repeat(100)), "line 1: the token has 600 characters"),
        ("admin a aaaaaaaaaaaaaaaa\nread b aaaaaaaaaaaaaaaa\n", "line 2: this token has been given away"),
    ] {
        let error = Tokens::parse(text).unwrap_err();
        assert!(error.to_string().contains(part), "{error} for {text:?}");
        assert!(!format!("{error} {}", error.hint()).contains("secretsecret"), "{error}");
    }
    let many: String = (0..=TOKENS_MAX).map(|n| format!("read a token-number-{n:08}\n")).collect();
    assert!(Tokens::parse(&many).unwrap_err().to_string().contains("more than 1000"));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
        let error = TokenFile::open(file(GOOD, mode).path()).unwrap_err();
        assert!(error.to_string().contains(&format!("mode is {mode:03o}")), "{error}");
        assert!(error.hint().contains("chmod 600"));
    }
    for mode in [0o600, 0o400] {
        TokenFile::open(file(GOOD, mode).path()).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    assert!(TokenFile::open(directory.path()).unwrap_err().to_string().contains("is not a file"));
    assert!(TokenFile::open(&directory.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn changes_take_effect_and_bad_ones_do_not() {
    let written = file(GOOD, 0o600);
    let tokens = TokenFile::open(written.path()).unwrap();
    tokens.reload();
    assert_eq!(tokens.reloads(), TokenReloads::default(), "the same text is no change");
    std::fs::write(written.path(), "inject alice aaaaaaaaaaaaaaaa\n").unwrap();
    tokens.reload();
    assert_eq!(role_of(&tokens, "aaaaaaaaaaaaaaaa"), Some(Role::Inject));
    assert_eq!(role_of(&tokens, "c-._~+/ccccccccc"), None, "a token that was removed is gone");
    for (text, mode) in [("nonsense", 0o600), ("read b bbbbbbbbbbbbbbbb", 0o644), ("", 0o600)] {
        std::fs::write(written.path(), text).unwrap();
        set_mode(&written, mode);
        tokens.reload();
        tokens.reload();
        assert_eq!(role_of(&tokens, "aaaaaaaaaaaaaaaa"), Some(Role::Inject), "{text}");
        assert!(tokens.status().error.is_some());
    }
    assert_eq!(tokens.reloads(), TokenReloads { ok: 1, error: 3 }, "each state of the file is told once");
    std::fs::write(written.path(), GOOD).unwrap();
    tokens.reload();
    assert_eq!(tokens.reloads(), TokenReloads { ok: 2, error: 3 });
    assert_eq!((tokens.status().error, tokens.status().count), (None, 3));
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_what_is_found_was_written(text in "([a-z]{0,6} [a-z]{1,4} [a-zA-Z0-9=/]{0,24}\n?){0,5}", token in "[a-c]{16}") {
        if let Ok(tokens) = Tokens::parse(&text) {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                let words: Vec<_> = line.split_ascii_whitespace().collect();
                proptest::prop_assert_eq!(&*tokens.find(hash(words[2])).unwrap().name, words[1]);
            }
            proptest::prop_assert!(tokens.find(hash(&token)).is_none() || text.contains(&token));
        }
    }
}
