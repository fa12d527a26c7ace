//! What a caller may do.

use std::fmt;

/// What a caller may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Read,
    /// Change rules, halt and resume, run experiments.
    Inject,
    /// Change the configuration.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Read, Self::Inject, Self::Admin];

    /// The word of the token file and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Inject => "inject",
            Self::Admin => "admin",
        }
    }

    /// The role of that word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_word_and_may_do_what_smaller_ones_may() {
        for role in Role::ALL {
            assert_eq!(Role::of(role.as_str()), Some(role));
        }
        assert_eq!(Role::of("root"), None);
        assert!(Role::Read < Role::Inject && Role::Inject < Role::Admin);
    }
}
