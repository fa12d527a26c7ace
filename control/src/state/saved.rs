//! What of a process outlives it, as text: the rules with their ends, the kill switch, and whether somebody held a lease.
//!
//! Two lines of JSON: the digest of the second, and everything else. Whatever became of the file, it is as it was written
//! or it is known not to be.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use squall_config::spec::RuleSpec;

use super::clock::{End, Moment};

/// The version of this form.
const VERSION: u32 = 1;

/// What of a process outlives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// The generation in force.
    pub(crate) generation: u64,
    /// When it was written down.
    pub(crate) then: Moment,
    /// The kill switch, when it is on.
    pub(crate) halt: Option<SavedHalt>,
    /// Who held the lease, when somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<String>,
    /// The rules of the configuration file, as it was loaded last.
    #[serde(deserialize_with = "kept::list")]
    pub(crate) of_file: Vec<RuleSpec>,
    /// All rules, in order.
    pub(crate) rules: Vec<SavedRule>,
    /// Rules of the file whose time is over.
    #[serde(deserialize_with = "kept::map")]
    pub(crate) retired: BTreeMap<String, RuleSpec>,
}

/// The kill switch is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedHalt {
    pub(crate) reason: String,
    pub(crate) since_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) by_controller: bool,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedRule {
    #[serde(deserialize_with = "kept::one")]
    pub(crate) rule: RuleSpec,
    /// Whether the file made it; else the API did.
    pub(crate) is_of_file: bool,
    pub(crate) made_at_ms: u64,
    /// `None` does not end.
    pub(crate) end: Option<End>,
}

/// Rules with the toxics that they are, which nobody else can write.
mod kept {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer};
    use squall_config::spec::RuleSpec;
    use squall_config::toxiproxy::ToxicOf;

    #[derive(Deserialize)]
    struct Kept {
        #[serde(default)]
        toxic: Option<Box<ToxicOf>>,
        #[serde(flatten)]
        rule: RuleSpec,
    }

    impl From<Kept> for RuleSpec {
        fn from(Kept { toxic, rule }: Kept) -> Self {
            Self { toxic, ..rule }
        }
    }

    pub(super) fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RuleSpec, D::Error> {
        Kept::deserialize(deserializer).map(RuleSpec::from)
    }

    pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RuleSpec>, D::Error> {
        Ok(Vec::<Kept>::deserialize(deserializer)?.into_iter().map(RuleSpec::from).collect())
    }

    pub(super) fn map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, RuleSpec>, D::Error> {
        let kept = BTreeMap::<String, Kept>::deserialize(deserializer)?;
        Ok(kept.into_iter().map(|(name, kept)| (name, kept.into())).collect())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    squall_state: u32,
    sha256: String,
}

impl Saved {
    /// The text of the file.
    pub(super) fn to_text(&self) -> String {
        let body = serde_json::to_string(self).expect("invariant: what is saved has text keys and cannot fail");
        let header = Header { squall_state: VERSION, sha256: hex(body.as_bytes()) };
        let header = serde_json::to_string(&header).expect("invariant: a header has text keys and cannot fail");
        format!("{header}\n{body}\n")
    }

    /// Reads the text of the file. The error says what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
        let (header, body) = text.split_once('\n').ok_or("it has no second line")?;
        let header: Header = serde_json::from_str(header).map_err(|_| "its first line is not that of a state")?;
        if header.squall_state != VERSION {
            return Err(format!("it is of version {}, and this Squall knows version {VERSION}", header.squall_state));
        }
        let body = body.strip_suffix('\n').ok_or("its end is missing")?;
        if hex(body.as_bytes()) != header.sha256 {
            return Err("it is not what was written (its digest is another one)".to_owned());
        }
        serde_json::from_str(body).map_err(|error| format!("it cannot be read: {error}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let value = serde_json::json!({ "rules": [{ "name": "a", "percentage": "2.5%", "fault": { "delay": "2s" }, "ttl": "1h" }] });
        let rules = squall_config::parse_value::<squall_config::spec::RulesSpec>(&value).unwrap().rules;
        Saved {
            generation: 7,
            then: Moment::read(),
            halt: Some(SavedHalt { reason: "lunch".to_owned(), since_ms: 1, by_controller: false }),
            lease: Some("ci-run-17".to_owned()),
            of_file: rules.clone(),
            rules: vec![SavedRule {
                rule: rules[0].clone(),
                is_of_file: false,
                made_at_ms: 1,
                end: Some(End { at_ms: 2, left_ms: 1 }),
            }],
            retired: BTreeMap::from([("a".to_owned(), rules[0].clone())]),
        }
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        let saved = saved();
        assert_eq!(Saved::parse(saved.to_text().as_bytes()), Ok(saved));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let text = saved().to_text();
        for end in 0..text.len() {
            assert!(Saved::parse(&text.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        for place in 0..text.len() {
            for bit in [0, 3, 7] {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                assert!(Saved::parse(&bytes).is_err(), "bit {bit} of byte {place}");
            }
        }
        for (text, part) in [
            ("", "second line"),
            ("{}\n{}\n", "first line"),
            ("{\"squall_state\":2,\"sha256\":\"\"}\n{}\n", "version 2"),
        ] {
            assert!(Saved::parse(text.as_bytes()).unwrap_err().contains(part), "{text}");
        }
    }
}
