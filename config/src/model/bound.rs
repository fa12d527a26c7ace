//! How much is too much.

use std::fmt;

/// A bound of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// More is too much.
    Above(f64),
    /// Less is too little.
    Below(f64),
}

impl Bound {
    /// Whether a value is beyond it; what is no number is not.
    pub fn is_broken_by(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
        }
    }

    /// The same number from the other side: what holds as long as this bound is not broken.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Above(bound) => Self::Below(bound),
            Self::Below(bound) => Self::Above(bound),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(bound) => write!(f, "above {bound}"),
            Self::Below(bound) => write!(f, "below {bound}"),
        }
    }
}
