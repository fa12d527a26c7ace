//! The orders of one sidecar.

use std::fmt::Write as _;

use squall_orders::Orders;

/// Names orders by what they say: 64 bits of it, which is plenty for one sidecar to tell two apart.
pub(super) fn named(mut orders: Orders) -> Orders {
    orders.revision.clear();
    // What serde made of a text it can make a text of.
    let text = serde_json::to_vec(&orders).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    for byte in digest.as_ref().iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(orders.revision, "{byte:02x}");
    }
    orders
}
