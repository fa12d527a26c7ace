//! Reads what the operator wrote, from a file or stdin, and says what is wrong with it.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use squall_config::Problems;
use squall_config::model::Config;
use squall_config::spec::ConfigSpec;
use squall_control::Access;

use crate::exit::{Exit, Failure};

/// No configuration is larger; 16 MiB hold more than `rules_max` rules.
const BYTES_MAX: u64 = 16 << 20;

/// What writes a configuration.
const BEGIN: &str = "squall config init FILE";

/// The whole text of a file, or of stdin when `path` is `-`.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let n_bytes = if path == Path::new("-") {
        std::io::stdin().lock().take(BYTES_MAX + 1).read_to_string(&mut text).context("cannot read stdin")?
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let context = || format!("cannot read {} as text", path.display());
        file.take(BYTES_MAX + 1).read_to_string(&mut text).with_context(context)?
    };
    if n_bytes as u64 > BYTES_MAX {
        let message = format!("{} is larger than {} MiB; split it", path.display(), BYTES_MAX >> 20);
        return Err(Failure::new(Exit::Failure, message));
    }
    Ok(text)
}

/// [`read`] of a file that one can begin with: when it is not there, the failure says how.
pub(crate) fn read_or_begin(path: &Path, begin: &str) -> Result<String, Failure> {
    read(path).map_err(|failure| match path.try_exists() {
        Ok(false) if path != Path::new("-") => Failure::new(
            failure.exit,
            format!("there is no file {}; `{begin}` writes one to begin with", path.display()),
        ),
        _ => failure,
    })
}

/// A configuration from a file or stdin, as written and checked.
pub(crate) fn load_config(path: &Path) -> Result<(ConfigSpec, Config), Failure> {
    squall_config::load_text(&read_or_begin(path, BEGIN)?).map_err(|problems| invalid(path, &problems))
}

/// A configuration as [`load_config`] gives it, whose certificates, keys and tokens can be used, too.
pub(crate) fn load_usable_config(path: &Path) -> Result<(ConfigSpec, Config), Failure> {
    let text = read_or_begin(path, BEGIN)?;
    let loaded = squall_config::load_text(&text).map_err(|problems| invalid(path, &problems))?;
    let tokens = Access::open(&loaded.1.control).map(drop);
    let certificates = squall_proxy::check_certificates(&loaded.1);
    let problems: Vec<_> = [tokens, certificates].into_iter().filter_map(Result::err).flat_map(|p| p.0).collect();
    if problems.is_empty() {
        return Ok(loaded);
    }
    Err(invalid(path, &squall_config::locate(&text, Problems(problems))))
}

/// The failure that lists every problem, one a line, in the form that editors jump to: `file:line:column: …`.
pub(crate) fn invalid(path: &Path, problems: &Problems) -> Failure {
    let name = if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() };
    let n = problems.0.len();
    let mut text = format!("{name} is invalid ({n} {})", if n == 1 { "problem" } else { "problems" });
    for problem in &problems.0 {
        text.push_str(&format!("\n  {name}"));
        for position in [problem.line, problem.column].into_iter().flatten() {
            text.push_str(&format!(":{position}"));
        }
        text.push_str(": ");
        if !problem.path.is_empty() {
            text.push_str(&format!("{}: ", problem.path));
        }
        text.push_str(&problem.detail);
        if let Some(hint) = &problem.hint {
            text.push_str(&format!("; {hint}"));
        }
    }
    Failure::new(Exit::InvalidConfig, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_config::Problem;

    #[test]
    fn a_file_that_is_not_there_can_be_begun() {
        let failure = read_or_begin(Path::new("no/such.yaml"), BEGIN).err();
        let text = failure.as_ref().map(Failure::text).unwrap_or_default();
        let expected = "there is no file no/such.yaml; `squall config init FILE` writes one to begin with";
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(failure.map(|failure| failure.exit), Some(Exit::Failure));
    }

    #[test]
    fn every_problem_has_its_place_and_its_fix() {
        let problem = |path: &str, line, hint: Option<&str>| Problem {
            path: path.to_owned(),
            line,
            column: line,
            detail: "is wrong".to_owned(),
            hint: hint.map(str::to_owned),
        };
        let problems = Problems(vec![problem("rules[0].fault", Some(7), Some("right it")), problem("", None, None)]);
        let failure = invalid(Path::new("squall.yaml"), &problems);
        assert_eq!(failure.exit, Exit::InvalidConfig);
        let text = failure.text();
        assert!(text.contains("2 problems"), "{text}");
        assert!(text.contains("\n  squall.yaml:7:7: rules[0].fault: is wrong; right it"), "{text}");
        assert!(text.ends_with("\n  squall.yaml: is wrong"), "{text}");
    }
}
