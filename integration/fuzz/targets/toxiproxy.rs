//! Proxies and toxics as Toxiproxy's clients write them: what is taken becomes valid listeners, clusters and rules, or is
//! refused with words, and comes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_config::spec::{ConfigSpec, ProxySpec, ToxiproxySpec};
use squall_config::toxiproxy::{lower, raise};
use squall_config::validate;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proxies) = serde_json::from_slice::<Vec<ProxySpec>>(bytes) else { return };
    let toxiproxy = Some(ToxiproxySpec { proxies, ..ToxiproxySpec::default() });
    let lowered = lower(ConfigSpec { version: Some(1), toxiproxy, ..ConfigSpec::default() });
    if !lowered.problems.is_empty() {
        assert!(lowered.problems.iter().all(|problem| !problem.detail.is_empty()));
        return;
    }
    if let Err(problems) = validate(&lowered.document) {
        assert!(lowered.relocate(problems.0).iter().all(|problem| !problem.detail.is_empty()));
        return;
    }
    assert_eq!(lower(raise(&lowered.document)).document, lowered.document);
});
