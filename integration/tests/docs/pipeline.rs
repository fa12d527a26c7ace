//! The job of a pipeline that a page shows: its steps are run in their order, beside a Service A that is called.

use std::path::Path;

use serde_json::Value;
use squall_integration::scene::Scene;
use squall_integration::service::Manners;

use crate::beside::hastened;
use crate::page::root;
use crate::shell::run_line;

/// What a machine of a pipeline has and this one does not: the images that `docker compose` starts, and the time for a build of
/// the release. Whether the arguments make sense is looked at all the same.
const STAND_INS: &str = r#"
cargo() { [ "$1 $2 $3" = "install --locked --path" ] && grep -q '^name = "squall"$' "$4/Cargo.toml"; }
docker() { [ "$*" = "compose up --detach --wait" ]; }
"#;

/// Runs what the steps say; what they hand on has to be there then. The error has the step.
pub(crate) fn run(text: &str, here: &Path) -> Result<(), (String, String)> {
    let steps: Vec<Value> = serde_saphyr::from_str(text).map_err(|e| ("its steps".to_owned(), e.to_string()))?;
    std::os::unix::fs::symlink(root().canonicalize().unwrap(), here.join("squall")).unwrap();
    let example = std::fs::read_to_string(root().join("config/experiments/slow-dependency.yaml")).unwrap();
    let example = hastened(&example).ok_or_else(|| ("its experiment".to_owned(), example))?;
    std::fs::write(here.join("slow-dependency.yaml"), example).unwrap();
    let scene = Scene::new(Manners::ROBUST);
    let environment = [("SQUALL_CONTROL", scene.squall.api().url())];
    for step in &steps {
        match (step["run"].as_str(), step["with"]["path"].as_str()) {
            (Some(line), None) => {
                run_line(&format!("{STAND_INS}{line}"), here, &environment).map_err(|why| (line.to_owned(), why))?;
            }
            (None, Some(path)) if step["uses"].is_string() => {
                if !here.join(path).join("report.junit.xml").exists() {
                    return Err((step.to_string(), format!("{path} has no report.junit.xml")));
                }
            }
            _ => {
                return Err((step.to_string(), "a step runs something, or hands on what is in `with.path`".to_owned()));
            }
        }
    }
    Ok(())
}
