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

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
