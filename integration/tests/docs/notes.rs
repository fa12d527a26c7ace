//! What `helm install` says when it is done: its commands are run as those of pages are.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use squall_integration::programs::{python, script};

use crate::checks::Check;
use crate::page::Block;
use crate::section;

const NAME: &str = "deploy/chart/squall/templates/NOTES.txt";

/// For each kind of installation.
pub(crate) const ALL: [Check; 2] = [
    ("deploy/chart/squall/templates/NOTES.txt: with its defaults", || play(&json!({}))),
    ("deploy/chart/squall/templates/NOTES.txt: injection alone", || play(&json!({"controller": {"enabled": false}}))),
];

fn play(values: &Value) -> Result<(), String> {
    let Some(python) = python(NAME) else { return Ok(()) };
    let cases = format!("[{values}]");
    let mut command = Command::new("bash");
    command.args(["-c", "exec \"$0\" \"$1\" render <<<\"$2\""]).arg(python).arg(script("helm_peer.py")).arg(cases);
    let done = command.stderr(Stdio::inherit()).output().map_err(|e| e.to_string())?;
    let answer: Value = serde_json::from_slice(&done.stdout).map_err(|e| format!("{NAME} cannot be rendered: {e}"))?;
    let texts = answer[0]["rendered"].as_object().ok_or_else(|| answer.to_string())?;
    let notes = texts.iter().find(|(name, _)| name.ends_with("NOTES.txt")).and_then(|(_, text)| text.as_str());
    let notes = notes.ok_or("there are no notes")?;
    // Commands are what is indented, and are copied with that.
    let commands: Vec<&str> = notes.lines().filter(|line| line.starts_with("     ")).collect();
    if commands.len() < 4 {
        return Err(format!("{} commands in:\n{notes}", commands.len()));
    }
    // A tunnel needs a pod that runs; what it leads to is there.
    let text = commands.join("\n").replace(" port-forward ", " get ").replace("/service-a 9470", "/service-a") + "\n";
    let block = Block { line: 0, language: "sh".to_owned(), marker: "cluster".to_owned(), text };
    section::run(NAME, &values.to_string(), &[block])
}
