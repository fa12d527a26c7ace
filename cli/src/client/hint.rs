//! What the API advises, for whoever has the command line in hand.

const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];

/// A hint with verbs in place of the calls that there are verbs for: `GET /v1/rules` is `squall rule ls`.
pub(super) fn in_verbs(hint: &str) -> String {
    let Some(at) = METHODS.iter().filter_map(|method| hint.find(&format!("{method} /v1/"))).min() else {
        return hint.to_owned();
    };
    let (before, call) = hint.split_at(at);
    let (method, rest) = call.split_once(" /v1/").unwrap_or((call, ""));
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    let (path, after) = rest.split_at(rest.find(|c| !is_of_path(c)).unwrap_or(rest.len()));
    let verb = match (method, &path.split('/').collect::<Vec<_>>()[..]) {
        ("GET", ["rules"]) => "`squall rule ls`".to_owned(),
        ("GET", ["experiments"]) => "`squall experiment ls`".to_owned(),
        ("GET", ["experiments", name]) => format!("`squall experiment get {name}`"),
        ("POST", ["experiments", name, verb @ ("start" | "stop")]) => format!("`squall experiment {verb} {name}`"),
        ("POST", [verb @ ("halt" | "resume")]) => format!("`squall {verb}`"),
        ("DELETE", ["lease"]) => "`squall lease release`".to_owned(),
        _ => format!("{method} /v1/{path}"),
    };
    format!("{before}{verb}{}", in_verbs(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_with_a_verb_are_told_by_it() {
        for (hint, told) in [
            ("GET /v1/rules lists them; wait", "`squall rule ls` lists them; wait"),
            (
                "delete that rule (GET /v1/rules lists it), then reload",
                "delete that rule (`squall rule ls` lists it), then reload",
            ),
            (
                "POST /v1/experiments/a.b-1/stop ends all of its rules; POST /v1/halt ends all faults",
                "`squall experiment stop a.b-1` ends all of its rules; `squall halt` ends all faults",
            ),
            ("GET /v1/experiments/e lists the runs", "`squall experiment get e` lists the runs"),
            ("or DELETE /v1/lease, which ends it", "or `squall lease release`, which ends it"),
            ("POST /v1/drain, or write 200", "POST /v1/drain, or write 200"),
            ("GET what you like", "GET what you like"),
        ] {
            assert_eq!(in_verbs(hint), told);
        }
    }
}
