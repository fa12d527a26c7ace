//! Which cluster gets the traffic for which server name.

use std::collections::BTreeMap;

use super::Name;

/// Clusters by the name that a client asks for in its TLS handshake (SNI, RFC 6066 §3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerNames {
    exact: BTreeMap<Box<str>, Name>,
    /// `b.example` for `*.b.example`: every name below it, however deep.
    below: BTreeMap<Box<str>, Name>,
}

impl ServerNames {
    /// Adds `a.example` or `*.b.example`, in any case. The cluster that had it before is given back.
    pub fn insert(&mut self, pattern: &str, cluster: Name) -> Option<Name> {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix("*.") {
            Some(parent) => self.below.insert(parent.into(), cluster),
            None => self.exact.insert(pattern.into(), cluster),
        }
    }

    /// Whether all names go the same way.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// Every cluster that is named, in a stable order, perhaps several times.
    pub fn clusters(&self) -> impl Iterator<Item = &Name> {
        self.exact.values().chain(self.below.values())
    }

    /// The cluster for a name: of the name itself, else of the nearest parent.
    pub fn cluster(&self, server_name: &str) -> Option<&Name> {
        let name = server_name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(cluster) = self.exact.get(name.as_str()) {
            return Some(cluster);
        }
        let parents = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
        parents.filter_map(|parent| self.below.get(parent)).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_wins() {
        let mut names = ServerNames::default();
        for (pattern, cluster) in [("a.example", "a"), ("*.Example", "any"), ("*.b.example", "b")] {
            assert_eq!(names.insert(pattern, Name::new(cluster).unwrap()), None);
        }
        for (name, cluster) in [
            ("a.example", Some("a")),
            ("A.EXAMPLE.", Some("a")),
            ("x.a.example", Some("any")),
            ("c.example", Some("any")),
            ("x.b.example", Some("b")),
            ("x.y.b.example", Some("b")),
            ("b.example", Some("any")),
            ("example", None),
            ("aexample", None),
            ("", None),
        ] {
            assert_eq!(names.cluster(name).map(Name::as_str), cluster, "{name}");
        }
        assert!(names.insert("*.B.example", Name::new("c").unwrap()).is_some(), "case does not matter");
        assert_eq!(names.clusters().count(), 3);
    }
}
