use serde_json::json;

use super::*;

const DELAY: &str = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: a}, spec: {hosts: ['*'], \
                     http: [{fault: {delay: {fixedDelay: 1s, percent: 5}}}]}}";

#[test]
fn streams_lists_and_json_are_read() {
    let names = |text: &str| {
        let (rules, _) = import(text, &Options::default());
        rules.iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&format!("---\n{DELAY}\n---\n---\n# nothing\n---\n{DELAY}\n")), ["a-1", "a-1-2"]);
    assert_eq!(names(&format!("apiVersion: v1\nkind: List\nitems:\n- {DELAY}\n- {DELAY}\n")), ["a-1", "a-1-2"]);
    let json = "{\n\t\"apiVersion\": \"networking.istio.io/v1\",\n\t\"kind\": \"VirtualService\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\
                \"spec\": {\"http\": [\n\t\t{\"fault\": {\"delay\": {\"fixedDelay\": \"1s\", \"percent\": 5}}}\n\t]}\n}";
    assert_eq!(names(json), ["a-1"]);
}

#[test]
fn findings_and_problems_have_lines_of_any_document() {
    let mut import = Import::new();
    let text = format!(
        "{DELAY}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- kind: Pod\n- apiVersion: networking.istio.io/v1\n  \
                        kind: VirtualService\n  spec:\n    http:\n    - fault: {{abort: {{httpStatus: 500}}}}\n"
    );
    import.add(&text, &Options::default()).unwrap();
    let at: Vec<_> = import.findings.iter().map(|f| (f.line, f.path.as_str())).collect();
    assert_eq!(
        at,
        [(None, ""), (Some(12), "spec.http[0].fault.abort")].map(|(l, p)| (if p.is_empty() { Some(7) } else { l }, p))
    );
    let problems =
        import.add(&format!("{DELAY}\n---\n{}", DELAY.replace("[{fault", "[1, {fault")), &Options::default());
    let problem = &problems.unwrap_err().0[0];
    assert_eq!((problem.line, problem.path.as_str()), (Some(3), "spec.http[0]"));
    assert!(problem.detail.contains("expected"), "{problem}");
}

#[test]
fn what_is_no_document_is_said() {
    let add = |text: &str, options: &Options| {
        let mut import = Import::new();
        import.add(text, options).map(|()| import)
    };
    for text in ["", "# nothing\n", "a: [", "{\"a\": "] {
        assert!(add(text, &Options::default()).is_err(), "{text:?}");
    }
    for (text, part) in [
        ("just a text", "no document that is known"),
        ("[]", "no document that is known"),
        ("{apiVersion: chaos-mesh.org/v1alpha1, kind: PodChaos}", "what PodChaos does"),
    ] {
        let import = add(text, &Options::default()).unwrap();
        assert_eq!((import.n_documents, import.n_losses()), (0, 1), "{text}");
        assert!(import.findings[0].detail.contains(part), "{:?}", import.findings);
    }
    let other = Options { source: Some(Source::Kuma), ..Options::default() };
    let import = add(DELAY, &other).unwrap();
    assert_eq!((import.n_documents, import.spec.rules.len()), (0, 0));
    assert!(import.findings[0].detail.contains("another source"));
}

#[test]
fn names_are_unique_over_all_files() {
    let mut import = Import::new();
    for _ in 0..3 {
        import.add(DELAY, &Options::default()).unwrap();
    }
    let names: Vec<&str> = import.spec.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["a-1", "a-1-2", "a-1-3"]);
    assert_eq!(serde_json::to_value(&import.spec).unwrap()["version"], json!(1));
}
