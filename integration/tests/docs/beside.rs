//! Commands that want a Service A beside Squall: one that calls B, is called, and is done with an experiment within seconds.

use std::path::Path;

use serde_json::{Value, json};
use squall_integration::keyboard::Keyboard;

use crate::page::Block;
use crate::shell::bash;

/// Whether a block is for it.
pub(crate) fn is_for_one(block: &Block) -> bool {
    typed(block).is_some()
}

/// What people type while the commands of a block run: `run beside A` has nothing, `run beside A, typing go; a note; go` three
/// lines. `None` for other blocks.
pub(crate) fn typed(block: &Block) -> Option<Vec<&str>> {
    let rest = block.marker.strip_prefix("run beside A")?;
    match rest.strip_prefix(", typing ") {
        Some(lines) => Some(lines.split(';').map(str::trim).collect()),
        None => rest.is_empty().then(Vec::new),
    }
}

/// Requests to A, so many a second: few enough to leave time for whatever runs beside a page.
pub(crate) const RATE: u32 = 100;

/// An experiment with times in which a test is done, and with as many faults in them as it needs to conclude something. What it
/// holds A to no neighbour can spoil, and an A that waits for a late B does not fulfil.
pub(crate) fn hastened(text: &str) -> Option<String> {
    let mut document: Value = serde_saphyr::from_str(text).ok().filter(|d: &Value| d["kind"] == "Experiment")?;
    let spec = &mut document["spec"];
    (spec["baseline"], spec["recovery"], spec["minimum_requests"]) = (json!("1s"), json!("2s"), json!(50));
    for state in spec["steady_state"].as_array_mut().into_iter().flatten() {
        if state["condition"]["metric"] == "p99" {
            state["condition"]["below"] = json!("1500ms");
        }
    }
    for step in spec["method"].as_array_mut().into_iter().flatten() {
        step["hold"] = json!("4s");
        if let Some(ramp) = step.get_mut("ramp") {
            ramp["over"] = json!("1s");
        }
        for rule in step["rules"].as_array_mut().into_iter().flatten() {
            let share = rule["percentage"].as_f64().unwrap_or_default();
            rule["percentage"] = json!(share.max(20.0));
        }
    }
    Some(document.to_string())
}

/// All experiments of a directory.
pub(crate) fn hasten(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml")
            && let Some(text) = std::fs::read_to_string(&path).ok().and_then(|text| hastened(&text))
        {
            std::fs::write(&path, text).unwrap();
        }
    }
}

/// Runs a command that asks: answers are typed when it does, notes while faults flow. What it said.
pub(crate) fn converse(
    line: &str,
    here: &Path,
    environment: &[(&'static str, String)],
    typed: &[&str],
) -> Result<String, String> {
    let mut command = bash(line, here);
    command.envs(environment.iter().cloned());
    let (mut keyboard, mut questions) = (Keyboard::of(command), 0);
    for what in typed {
        if ["go", "skip", "hold", "end"].contains(what) {
            questions += 1;
            keyboard.hears("? go, skip, hold or end", questions);
        } else {
            keyboard.hears("injecting", questions);
        }
        keyboard.types(what);
    }
    let (code, out, told) = keyboard.end();
    let said = format!("{out}\n{told}");
    if code == 0 { Ok(said) } else { Err(format!("it ended with {code}\n{said}")) }
}
