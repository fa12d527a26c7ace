//! Which pods of a share are hit.

use squall_config::units::Percentage;

/// So many pods at most run an experiment: its status has a verdict of each.
pub(crate) const EXPERIMENT_PODS_MAX: usize = 100;

/// A share of pods, rounded down; one at least, unless it is the share of nothing, or nothing of a share.
pub(super) fn count(n: usize, share: Percentage) -> usize {
    if n == 0 || share == Percentage::NEVER {
        return 0;
    }
    let ppm = share.ppm() as usize;
    (n.saturating_mul(ppm) / Percentage::ALWAYS.ppm() as usize).max(1)
}

/// Where a pod stands among those that an object may hit: the first are hit first. It is the same whoever else is there, so that a
/// larger share is the smaller one and more, and a pod that comes or goes moves at most one other.
pub(super) fn place(object: &str, pod: &str) -> [u8; 8] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(object.as_bytes());
    context.update(b"/");
    context.update(pod.as_bytes());
    let mut place = [0; 8];
    for (byte, digest) in place.iter_mut().zip(context.finish().as_ref()) {
        *byte = *digest;
    }
    place
}
