//! What is looked at in all pages together.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use squall_integration::squall::output;

use crate::page::{Page, pages, root};
use crate::reference::schema_of;

/// A test, and what it is called.
pub(crate) type Check = (&'static str, fn() -> Result<(), String>);

/// All of them.
pub(crate) const ALL: [Check; 8] = [
    ("links lead somewhere", links),
    ("files that are spoken of are there", files),
    ("tests that the threat model names are there", threats),
    ("every page is in the index", index),
    ("the README is two screens", two_screens),
    ("files that pages show are valid", shown),
    ("every example is valid", examples),
    ("the changelog has this version, or what is to come", version),
];

fn told(wrong: &[String]) -> Result<(), String> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn links() -> Result<(), String> {
    let mut wrong = Vec::new();
    for page in pages() {
        let here = Path::new(&page.name).parent().unwrap_or(Path::new(""));
        for link in page.links() {
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let to = if path.is_empty() { page.name.clone() } else { here.join(path).display().to_string() };
            if !root().join(&to).exists() {
                wrong.push(format!("{} links to {link}, which is not there", page.name));
            } else if let Some(anchor) = anchor
                && !Page::read(&to).anchors().iter().any(|a| a == anchor)
            {
                wrong.push(format!("{} links to {link}: {to} has no such heading", page.name));
            }
        }
    }
    told(&wrong)
}

/// Is it a path of the workspace?
fn is_path(word: &str) -> bool {
    let top = word.split('/').next().unwrap_or_default();
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let tops =
        ["config", "fault", "proxy", "control", "kubernetes", "cli", "benches", "deploy", "docs", "integration", ".ci"];
    is_plain && word.contains('/') && tops.contains(&top)
}

fn files() -> Result<(), String> {
    let mut wrong = Vec::new();
    for page in pages() {
        let quoted = page.text.split('`').skip(1).step_by(2);
        // A tree of folders, indented by four.
        let trees = page.text.lines().filter(|l| l.starts_with("    ")).filter_map(|l| l.split_whitespace().next());
        for word in quoted.chain(trees.filter(|word| word.ends_with('/') && !word.starts_with('/'))) {
            let named = word.split("::").next().unwrap_or(word);
            if is_path(named) && !root().join(named).exists() {
                wrong.push(format!("{} speaks of {word}, which is not there", page.name));
            }
        }
    }
    told(&wrong)
}

/// Names of tests stand in brackets: (`one`, `another`).
fn threats() -> Result<(), String> {
    let text = Page::read("SECURITY.md").text;
    let brackets = text.split("(`").skip(1).filter_map(|rest| rest.split(')').next());
    let names = brackets.flat_map(|inside| inside.split(['`', ',']).map(str::trim));
    let mut wrong = Vec::new();
    for name in names.filter(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
        if !["", ".rs"].iter().any(|end| root().join(format!("integration/tests/{name}{end}")).exists()) {
            wrong.push(format!("SECURITY.md names the tests `{name}`, which are not there"));
        }
    }
    told(&wrong)
}

fn index() -> Result<(), String> {
    let index = Page::read("docs/README.md");
    let mut wrong = Vec::new();
    for page in pages() {
        if let Some(name) = page.name.strip_prefix("docs/")
            && name != "README.md"
            && !index.links().contains(&name)
        {
            wrong.push(format!("docs/README.md does not list {name}"));
        }
    }
    told(&wrong)
}

fn two_screens() -> Result<(), String> {
    let lines = Page::read("README.md").text.lines().count();
    if lines <= 100 {
        Ok(())
    } else {
        Err(format!("README.md has {lines} lines: what is more than 100 belongs into docs/"))
    }
}

/// A whole file, or a part of one, as far as it is no other program's. What its section uses is tried there.
fn shown() -> Result<(), String> {
    let file = jsonschema::validator_for(&without_required(schema_of(&["config", "schema"]))).unwrap();
    let experiment = jsonschema::validator_for(&schema_of(&["config", "schema", "--experiment"])).unwrap();
    let definitions = definitions();
    let fields = schema_of(&["config", "schema"])["properties"].as_object().unwrap().clone();
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages() {
        for (_, block) in page.blocks().into_iter().filter(|(_, b)| b.language == "yaml") {
            let failed = |why: String| format!("{}:{}: {why}", page.name, block.line);
            let value: Value = match serde_saphyr::from_str(&block.text) {
                Ok(value) => value,
                Err(why) => {
                    wrong.push(failed(why.to_string()));
                    continue;
                }
            };
            if let Some(inner) = value["data"]["squall.yaml"].as_str() {
                count += 1;
                wrong.extend(invalid(inner).map(failed));
            }
            let own = definitions.iter().find(|(kind, _)| value["kind"] == kind.as_str());
            let validator = match (value.as_object(), own) {
                (Some(object), _) if object.keys().all(|key| fields.contains_key(key)) => &file,
                (Some(object), _) if object.get("kind").is_some_and(|kind| kind == "Experiment") => &experiment,
                (_, Some((_, validator))) => validator,
                _ => continue,
            };
            count += 1;
            if block.marker.is_empty() && value.get("version").is_some() {
                wrong.extend(invalid(&block.text).map(failed));
            }
            wrong.extend(validator.iter_errors(&value).map(|e| failed(format!("{}: {e}", e.instance_path()))));
        }
    }
    if count < 10 {
        wrong.push(format!("{count} files"));
    }
    told(&wrong)
}

/// What Squall says of a configuration that it cannot use.
fn invalid(text: &str) -> Option<String> {
    let mut whole = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    whole.write_all(text.as_bytes()).unwrap();
    let done = output(&["config", "validate", whole.path().to_str().unwrap()]);
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

/// The custom resources: kinds, and what has to hold of their objects.
fn definitions() -> Vec<(String, jsonschema::Validator)> {
    let text = std::fs::read_to_string(root().join("deploy/kubernetes/crds.yaml")).unwrap();
    let definition = |text: &str| {
        let one: Value = serde_saphyr::from_str(text).unwrap();
        let schema = &one["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        (one["spec"]["names"]["kind"].as_str().unwrap().to_owned(), jsonschema::validator_for(schema).unwrap())
    };
    text.split("---\n").skip(1).map(definition).collect()
}

/// A part of a file needs not have everything.
fn without_required(mut schema: Value) -> Value {
    schema.as_object_mut().unwrap().remove("required");
    schema
}

fn examples() -> Result<(), String> {
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(root().join("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let done = output(&["config", "validate", path.to_str().unwrap()]);
            if !done.status.success() {
                wrong.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&done.stderr)));
            }
            count += 1;
        }
    }
    if count < 3 {
        wrong.push(format!("{count} examples"));
    }
    told(&wrong)
}

fn version() -> Result<(), String> {
    let changelog = Page::read("CHANGELOG.md").text;
    let version = env!("CARGO_PKG_VERSION");
    let has = changelog.contains("## [Unreleased]") || changelog.contains(&format!("## [{version}]"));
    if has { Ok(()) } else { Err(format!("CHANGELOG.md has neither Unreleased nor {version}")) }
}
