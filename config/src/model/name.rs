//! Names.

/// A name of a listener, cluster or rule: 1–63 characters of `a-z 0-9 - _ .`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(std::sync::Arc<str>);

impl Name {
    /// The longest name, as in DNS labels (RFC 1035 §2.3.4).
    pub const LENGTH_MAX: usize = 63;

    /// Accepts a well-formed name; the error says which character or length is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        let first = text.chars().next().ok_or("a name cannot be empty")?;
        if text.len() > Self::LENGTH_MAX {
            return Err(format!("a name has at most {} characters, this has {}", Self::LENGTH_MAX, text.len()));
        }
        if !first.is_ascii_alphanumeric() {
            return Err(format!("a name begins with a letter or digit, not with {first:?}"));
        }
        match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(*c))) {
            Some(c) => Err(format!("{c:?} cannot be in a name; use a-z, 0-9, '-', '_' and '.'")),
            None => Ok(Self(text.into())),
        }
    }

    /// The nearest name that is allowed and not taken: characters that are not become `-`, and a number ends what is taken.
    pub fn free(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
        let base = nearest(wanted);
        let numbered = (2_u64..).map(|n| {
            let end = format!("-{n}");
            format!("{}{end}", &base[..base.len().min(Self::LENGTH_MAX - end.len())])
        });
        std::iter::once(base.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(base)
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // With the width that was asked for.
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The nearest name that is allowed. Of a long one its end counts as much as its beginning, since numbers stand there.
fn nearest(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let name: String = text.chars().map(|c| c.to_ascii_lowercase()).map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = if name.is_empty() { "unnamed" } else { name };
    let cut = name.len().saturating_sub(Name::LENGTH_MAX);
    if cut == 0 {
        return name.to_owned();
    }
    let (begin, end) = name.split_at(Name::LENGTH_MAX / 2);
    format!("{begin}{}", &end[cut..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_valid() {
        for (text, name) in [
            ("ratings-1", "ratings-1"),
            ("Shop Ratings/EU-2", "shop-ratings-eu-2"),
            ("-_.", "unnamed"),
            ("", "unnamed"),
            ("über", "ber"),
        ] {
            assert_eq!(nearest(text), name);
        }
        let long = nearest(&format!("{}-17", "x".repeat(300)));
        assert!(Name::new(&long).is_ok() && long.ends_with("-17"), "{long}");
    }
}
