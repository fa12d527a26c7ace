use serde_json::json;

use super::*;

/// The text with an annotation in each of its documents.
fn changed(text: &str) -> String {
    let change = |part: &Part<'_>| match part.document().unwrap() {
        Some(document) => {
            let mut value = document.value.clone();
            value["added"] = json!("more");
            part.with(&document, &value).unwrap().into_owned()
        }
        None => part.text.to_owned(),
    };
    parts(text).iter().map(change).collect()
}

#[test]
fn the_parts_of_a_text_are_the_text() {
    for (text, n) in [
        ("", 0),
        ("a: 1", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("# note\n---\na: 1\n---\n---\nb: 2", 4),
        ("%YAML 1.2\n---\na: 1\n...\n# end\n---\nb: 2\n", 3),
        ("a: |\n  ---\n  b\n---- : 1\n", 1),
        ("--- # note\r\na: 1\r\n---\r\nb: 2\r\n", 2),
        ("{\"a\": \"---\"}", 1),
        ("a: 1\n...\nb: 2\n", 2),
    ] {
        let parts = parts(text);
        assert_eq!(parts.len(), n, "{text:?}");
        assert_eq!(parts.iter().map(|part| part.text).collect::<String>(), text);
        for part in &parts {
            let before = &text[..part.text.as_ptr() as usize - text.as_ptr() as usize];
            assert_eq!(part.line, before.matches('\n').count() + 1, "{text:?}");
        }
    }
}

#[test]
fn what_does_not_change_stays_as_it_was_written() {
    let text = "# note\nb: 0o17   # octal\na:   [1,\n  2]\n";
    let part = &parts(text)[0];
    let document = part.document().unwrap().unwrap();
    assert_eq!(part.with(&document, &document.value).unwrap(), text);
}

#[test]
fn markers_and_comments_before_a_document_stay() {
    assert_eq!(changed("# note\n\n---\n# of a\na: 1\n"), "# note\n\n---\n# of a\na: 1\nadded: more\n");
    assert_eq!(changed("--- {a: 1}\n---\n{b: 2}\n"), "---\na: 1\nadded: more\n---\nb: 2\nadded: more\n");
    assert_eq!(changed("a: 1\n...\nb: 2\n"), "a: 1\nadded: more\n...\nb: 2\nadded: more\n");
    assert_eq!(changed("%YAML 1.2\n---\na: 1\n"), "%YAML 1.2\n---\na: 1\nadded: more\n");
    assert_eq!(changed("---\n---\n# nothing\n---\na: 1"), "---\n---\n# nothing\n---\na: 1\nadded: more\n");
}

#[test]
fn fields_and_items_keep_their_order() {
    let text = "z: 1\nlist:\n- name: b\n  x: 1\n  a: 2\n- q: 1\n  b: 2\n- - d: 1\n    c: 2\nb: 2\n";
    assert_eq!(changed(text), format!("{text}added: more\n"));
    let json = "{\n  \"z\": 1,\n  \"b\": {\n    \"q\": null,\n    \"x\": []\n  },\n  \"added\": \"more\"\n}\n";
    assert_eq!(changed("{\"z\": 1, \"b\": {\"q\": null, \"x\": []}}"), json);
}

#[test]
fn items_that_come_before_others_do_not_disturb_them() {
    let part = &parts("list:\n- name: b\n  x: 1\n  a: 2\n")[0];
    let document = part.document().unwrap().unwrap();
    let value = json!({ "list": [{ "name": "new", "a": 0 }, { "a": 2, "name": "b", "x": 1 }] });
    let text = part.with(&document, &value).unwrap();
    assert_eq!(text, "list:\n- name: new\n  a: 0\n- name: b\n  x: 1\n  a: 2\n");
}

#[test]
fn values_are_read_as_kubectl_reads_them() {
    let value = |text: &str| parts(text)[0].document().unwrap().unwrap().value["a"].clone();
    for (text, expected) in [
        ("a: yes", json!(true)),
        ("a: off", json!(false)),
        ("a: 0400", json!(256)),
        ("a: 0o400", json!(256)),
        ("a: '0400'", json!("0400")),
        ("a: 1.10", json!(1.1)),
        ("a: 1e3", json!(1000.0)),
        ("a: 2024-01-01", json!("2024-01-01")),
        ("a: ~", json!(null)),
        ("a: !!str 1", json!("1")),
        ("b: &x {c: 1}\na:\n  <<: *x\n  d: 2", json!({ "c": 1, "d": 2 })),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

/// Texts that look like something else to one reader of YAML or the other.
#[test]
fn texts_stay_texts() {
    let texts = [
        "yes",
        "No",
        "on",
        "y",
        "0400",
        "0o17",
        "1e3",
        "1_000",
        "12:30:45",
        "2024-01-01",
        "null",
        "~",
        "",
        " a",
        "a ",
        "#a",
        "a: b",
        "a #b",
        "- a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "\"a\"",
        "'a'",
        "a\nb",
        "a\n",
        "\na",
        "a\n\n",
        "\ta",
        "a\tb",
        "<<",
        "=",
        ".inf",
        "0x1F",
        "1.5",
        "-1",
        "é\u{2028}x",
        "\u{1}",
        "{a",
        "[a",
        "|",
        ">",
        "? a",
        ": a",
        "---",
        "...",
        "  two\nlines",
        "trailing \nblank",
        "a\r\nb",
    ];
    for text in texts.into_iter().map(str::to_owned).chain([format!("{} {}", "x".repeat(200), "y".repeat(200))]) {
        let part = &parts("a: 1\n")[0];
        let document = part.document().unwrap().unwrap();
        let written = part.with(&document, &json!({ "a": [text], text.as_str(): 1 })).unwrap().into_owned();
        let again: Value = parts(&written)[0].document().unwrap().unwrap().value;
        assert_eq!(again, json!({ "a": [text], text.as_str(): 1 }), "{written}");
    }
}

#[test]
fn what_cannot_be_read_says_where() {
    let problem = |text: &str| parts(text).iter().find_map(|part| part.document().err()).unwrap();
    assert_eq!(problem("a: 1\n---\nb: [1\n").line.map(|line| line >= 3), Some(true));
    let twice = problem("a: 1\n---\nb: 1\nb: 2\n");
    assert_eq!((twice.line, twice.column), (Some(4), Some(1)), "{twice:?}");
    let json = problem("{\n\"a\": 1,\n\"a\": 2}");
    assert!(json.line == Some(3) && json.detail.contains("there twice"), "{json:?}");
}
