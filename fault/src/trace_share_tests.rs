use proptest::prelude::*;

use super::*;

fn share(halvings: u8) -> TraceShare {
    TraceShare::new(halvings, SharedId::Trace)
}

proptest! {
    #[test]
    fn exchanges_with_the_id_agree_whatever_else_they_carry(
        id in 1_u128.., others in any::<[u128; 2]>(), halvings in 0_u8..=32,
    ) {
        for (by, inbound, outbound) in [
            (SharedId::Trace, [id, others[0]], [id, others[1]]),
            (SharedId::Request, [others[0], id], [others[1], id]),
            // An id is an id, whichever field it stands in, when it is the only one.
            (SharedId::Trace, [id, 0], [0, id]),
            (SharedId::Request, [id, 0], [0, id]),
        ] {
            let share = TraceShare::new(halvings, by);
            let places = [inbound, outbound].map(|[trace, request]| share.place(trace, request).unwrap());
            prop_assert_eq!(places[0], places[1]);
            prop_assert_eq!(share.takes(places[0]), share.takes(places[1]));
        }
    }

    #[test]
    fn a_smaller_share_is_a_part_of_a_larger_one(place in any::<u64>(), halvings in 0_u8..32) {
        prop_assert!(share(0).takes(place));
        prop_assert!(share(halvings).takes(place) || !share(halvings + 1).takes(place));
        prop_assert!(!is_in_share(place, 33) && !is_in_share(place, 255));
    }

    #[test]
    fn it_is_the_same_after_a_way_through_an_atomic(halvings in 0_u8..=32, by in 0_u8..3) {
        let by = [SharedId::Trace, SharedId::Request, SharedId::None][usize::from(by)];
        let share = TraceShare::new(halvings, by);
        let (sole, own) = (share.with_sole_id(), share.with_own_ids_alone());
        for share in [share, sole, own] {
            prop_assert_eq!(TraceShare::from_bits(share.to_bits()), share);
        }
        let by = (by != SharedId::None).then_some(by);
        prop_assert_eq!([share, sole, own].map(TraceShare::sole_id), [None, by, by]);
        prop_assert_eq!([share, sole, own].map(TraceShare::own_id_alone), [None, None, by]);
    }

    #[test]
    fn squall_knows_its_own_ids_also_as_uuids_and_no_others(bits in any::<u128>(), flipped in 0_u32..128, halvings in 0_u8..4) {
        let id = own_id(bits);
        let uuid = id & !UUID_MARKS | 4 << 76 | 0b10 << 62;
        prop_assert!(is_own_id(id) && is_own_id(uuid) && own_id(id) == id);
        prop_assert_eq!(id << 32, bits << 32, "all that was drawn but for the mark");
        let (other, share) = (id ^ 1 << flipped, share(halvings));
        prop_assert!(!is_own_id(other) || UUID_MARKS >> flipped & 1 == 1, "{other:x}");
        let place = share.place(id, 0).filter(|place| share.takes(*place));
        prop_assert_eq!([id, uuid].map(|id| share.place_of_own(id)), [place; 2]);
        prop_assert!(share.place_of_own(other).is_none() || UUID_MARKS >> flipped & 1 == 1);
    }

    /// Of ids that count up from anywhere, in either half, as of makers that draw nothing.
    #[test]
    fn as_many_are_in_as_it_says(start in any::<u128>(), shift in prop::sample::select(vec![0_u32, 8, 40, 64, 80, 96])) {
        for halvings in 1..6 {
            let ids = (0..8_192_u128).map(|n| start.wrapping_add(n << shift).max(1));
            let taken = ids.filter(|id| share(halvings).takes(share(halvings).place(*id, 0).unwrap())).count();
            let (expected, deviation) = (8_192.0 / f64::from(1 << halvings), (8_192.0 / f64::from(1 << halvings)).sqrt());
            prop_assert!((taken as f64 - expected).abs() < 6.0 * deviation, "{} of {}", taken, expected);
        }
    }
}

/// Of ids of Squall's own as many are taken as of others, though they have a mark.
#[test]
fn as_many_of_squalls_own_are_in() {
    let ids = (0..80_000_u128).map(|n| own_id(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)));
    let taken = ids.filter(|id| share(4).place_of_own(*id).is_some()).count();
    assert!((4_700..=5_300).contains(&taken), "{taken} of 80,000");
}

#[test]
fn what_has_no_id_has_no_place() {
    assert!(!is_own_id(0) && TraceShare::default().place_of_own(0).is_none());
    assert_eq!(share(3).place(0, 0), None);
    assert_eq!(TraceShare::new(3, SharedId::None).place(1, 2), None);
}

#[test]
fn a_request_id_that_is_made_of_a_trace_has_its_place() {
    let trace = 0x6ba7_b810_9dad_11d1_40b4_00c0_4fd4_30c8_u128;
    let request = trace & !UUID_MARKS | 4 << 76 | 0b10 << 62;
    assert_ne!(trace, request);
    assert_eq!(share(3).place(trace, 0), share(3).place(0, request));
}

#[test]
fn what_a_sticky_rule_picks_says_nothing_of_what_is_looked_at() {
    // As the rule does it: the hash of the trace id, mixed with the seed and its own stream.
    let is_picked = |id: u128| {
        crate::draw::mix(0, crate::draw::stream_of("late-b"), crate::draw::hash(id.to_be_bytes())) % 1_000_000 < 50_000
    };
    let picked: Vec<u128> = (1..200_000).filter(|id| is_picked(*id)).collect();
    let taken = picked.iter().filter(|id| share(3).takes(share(3).place(**id, 0).unwrap())).count();
    let expected = picked.len() as f64 / 8.0;
    assert!((taken as f64 - expected).abs() < 4.0 * expected.sqrt(), "{taken} of {}", picked.len());
}
