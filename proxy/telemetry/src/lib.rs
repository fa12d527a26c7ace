//! What the data plane tells of itself: `proxy` makes these, `control` judges and shows them, and neither knows the other.

mod outcome;
mod status;
mod tap;
mod traffic;

pub use outcome::{ExperimentMatch, Observation, Outcome};
pub use status::{CertificateStatus, EndpointStatus};
pub use tap::{TapEvent, TapFilter};
pub use traffic::{Traffic, TrafficTotals};
