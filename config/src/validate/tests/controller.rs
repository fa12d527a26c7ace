use super::*;

fn controller(text: &str) -> String {
    format!("version: 1\ncontroller: {text}\n")
}

#[test]
fn a_controller_is_an_address_and_files() {
    let found =
        load(&controller("{url: \"https://c.svc:443\", ca: a, token_file: t, labels_file: l}")).controller.unwrap();
    assert_eq!(found.url, "https://c.svc:443/");
    let files = [found.ca, found.token_file, found.labels_file].map(Option::unwrap);
    assert_eq!(files, ["a", "t", "l"].map(std::path::PathBuf::from));
    let found = load(&controller("{url: \"https://10.0.0.1\"}")).controller.unwrap();
    assert_eq!((found.ca, found.token_file, found.labels_file), (None, None, None));
    assert_eq!(load("version: 1\n").controller, None);
}

#[test]
fn nobody_on_the_way_may_give_orders() {
    for (text, part) in [
        ("{}", "controller.url: missing"),
        ("{url: \"\"}", "controller.url: it is not an address of https"),
        ("{url: c.svc}", "controller.url: it is not an address of https"),
        ("{url: \"http://c.svc\"}", "controller.url: over http anybody"),
        ("{url: \"https://u:secret@c.svc\"}", "controller.url: there is a user in it"),
        ("{url: \"https://c.svc/v1\"}", "controller.url: there is a path in it"),
        ("{url: \"https://c.svc?a\"}", "controller.url: there is a path in it"),
        ("{url: \"https://c.svc\", ca: \"\"}", "controller.ca: no file is named"),
        ("{url: \"https://c.svc\", token_file: \"\"}", "controller.token_file: no file is named"),
    ] {
        let found = problems(&controller(text));
        assert!(matches!(&found[..], [one] if one.starts_with(part)), "{text}: {found:?}");
        assert!(!found[0].contains("secret"));
    }
}
