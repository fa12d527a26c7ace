//! Which exchanges an experiment looks at when there are too many for all of them: whole traces, or nothing of them.
//!
//! A call to A and the calls that A makes for it share an id. A hash of that id, compared with a threshold, says for each of them
//! whether it is looked at, so that all of a trace are or none, on each worker and in both directions, though nobody tells
//! anybody (consistent probability sampling, as of OpenTelemetry and W3C Trace Context Level 2; those take bits of the id
//! as they are, and so ask that its maker draws them). A smaller share is a part of each larger one.
//!
//! Ids that Squall gives are told from those of others ([`own_id`]), so that where callers bring none, only those requests need
//! some that are looked at ([`TraceShare::with_own_ids_alone`]).

use crate::draw::mix;

/// Of other draws, so that what a rule with a sticky share picks says nothing of what is looked at.
const SEED: u64 = 0x6A6F_696E;

/// Of the mark by which Squall knows its own ids.
const OWN_SEED: u64 = 0x6F77_6E20_6964;

/// From this bit on an id of Squall's own has its mark.
const MARK_AT: u32 = 96;

/// The bits of a UUID that say what kind it is (RFC 9562 §4): a request id that Squall makes of a trace has others there.
const UUID_MARKS: u128 = 0xF << 76 | 0b11 << 62;

/// What says whether two exchanges belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharedId {
    /// The trace id; the request id, where there is none.
    #[default]
    Trace,
    /// The request id; the trace id, where there is none.
    Request,
    /// Nothing: ids are the same for too many.
    None,
}

/// Which ids a request gets that comes without, where requests are given some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Given {
    /// A trace id and a request id.
    #[default]
    Both,
    /// The one that decides.
    Sole,
    /// The one that decides, if it is in the share, and else none.
    SoleInShare,
}

/// A share of all traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceShare {
    /// How often it is halved: 0 is everything, 3 an eighth.
    halvings: u8,
    by: SharedId,
    given: Given,
}

impl TraceShare {
    /// No smaller one.
    pub const HALVINGS_MAX: u8 = 32;

    /// The share after so many halvings, at most [`Self::HALVINGS_MAX`].
    pub fn new(halvings: u8, by: SharedId) -> Self {
        Self { halvings: halvings.min(Self::HALVINGS_MAX), by, given: Given::Both }
    }

    /// This share, where A is known to pass on the very id that says what belongs together: no request needs another.
    pub fn with_sole_id(self) -> Self {
        Self { given: Given::Sole, ..self }
    }

    /// [`Self::with_sole_id`], where besides hardly any request brings an id, and nothing else needs ids: they are for the share
    /// alone. Then it has only what has an id that Squall made, since of what has none, or one of A's own because A was given
    /// none, nobody knows to which request it belongs.
    pub fn with_own_ids_alone(self) -> Self {
        Self { given: Given::SoleInShare, ..self }
    }

    /// The only id that a request needs; `None` when both are wanted, because it is not known which A passes on.
    pub fn sole_id(self) -> Option<SharedId> {
        (self.given != Given::Both && self.by != SharedId::None).then_some(self.by)
    }

    /// Whether only what has an id of Squall's own is in the share: by which id, then.
    pub fn own_id_alone(self) -> Option<SharedId> {
        self.sole_id().filter(|_| self.given == Given::SoleInShare)
    }

    /// How often it is halved.
    pub fn halvings(self) -> u8 {
        self.halvings
    }

    /// By what exchanges belong together.
    pub fn by(self) -> SharedId {
        self.by
    }

    /// As one number, for who keeps it in an atomic.
    pub fn to_bits(self) -> u32 {
        (self.given as u32) << 16 | u32::from(self.halvings) << 8 | self.by as u32
    }

    /// The reverse.
    pub fn from_bits(bits: u32) -> Self {
        let by = match bits & 0xFF {
            0 => SharedId::Trace,
            1 => SharedId::Request,
            _ => SharedId::None,
        };
        let given = match bits >> 16 {
            0 => Given::Both,
            1 => Given::Sole,
            _ => Given::SoleInShare,
        };
        Self { given, ..Self::new((bits >> 8 & 0xFF) as u8, by) }
    }

    /// The place of an exchange among all, evenly spread; that of two exchanges that share the id is the same. `None` when it
    /// has no id: then any number that is drawn evenly serves. An id of 0 is none.
    pub fn place(self, trace: u128, request: u128) -> Option<u64> {
        let id = match self.by {
            SharedId::Trace if trace != 0 => trace,
            SharedId::Trace => request,
            SharedId::Request if request != 0 => request,
            SharedId::Request => trace,
            SharedId::None => 0,
        };
        (id != 0).then(|| place_of(id))
    }

    /// The place of an exchange with that id, if Squall made it, and if that place is in the share: what is looked at where
    /// [`TraceShare::own_id_alone`] decides.
    pub fn place_of_own(self, id: u128) -> Option<u64> {
        let place = place_of(id);
        (self.takes(place) && is_own_id(id)).then_some(place)
    }

    /// Whether what has that place is in the share.
    pub fn takes(self, place: u64) -> bool {
        is_in_share(place, self.halvings)
    }
}

/// Whether what has that place is in the share that is halved so often; more than [`TraceShare::HALVINGS_MAX`] is no share.
pub fn is_in_share(place: u64, halvings: u8) -> bool {
    halvings <= TraceShare::HALVINGS_MAX && place <= u64::MAX >> halvings
}

/// An id for a request, of bits that were drawn; 90 of them stay as they are. The upper 32 become a mark by which Squall knows
/// it again, wherever it comes from; of ids that others draw one in 2³² has it by chance. The bits that make a UUID are free.
pub fn own_id(bits: u128) -> u128 {
    bits & (u128::MAX >> (u128::BITS - MARK_AT)) | u128::from(mark_of(bits)) << MARK_AT
}

/// Whether [`own_id`] made it.
pub fn is_own_id(id: u128) -> bool {
    id >> MARK_AT == u128::from(mark_of(id))
}

/// Of what is below it.
#[expect(clippy::cast_possible_truncation, reason = "parts are taken")]
fn mark_of(id: u128) -> u32 {
    let id = id & !UUID_MARKS;
    mix(OWN_SEED, u64::from((id >> 64) as u32), id as u64) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
fn place_of(id: u128) -> u64 {
    let id = id & !UUID_MARKS;
    mix(SEED, (id >> 64) as u64, id as u64)
}

#[cfg(test)]
#[path = "trace_share_tests.rs"]
mod tests;
