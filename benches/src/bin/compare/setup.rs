//! What all measurements of a run have in common.

use std::path::Path;

use crate::identity::Identity;
use crate::origin::Origin;

/// Where to find things.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) squall: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) origin: Origin,
    pub(crate) identity: Identity,
}
