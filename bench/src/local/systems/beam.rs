//! The BEAM: `erl/local_bench.erl` does the loads, and says how.

use super::{Runs, System, all_of_it};
use crate::local::loads::Kind;

pub(super) const OTP25: System = System {
    name: "OTP 25",
    runs: Runs::Erl {
        variable: "PURLIN_OTP25",
        default: Some("erl"),
    },
    note,
    share: all_of_it,
};

pub(super) const OTP28: System = System {
    name: "OTP 28",
    runs: Runs::Erl {
        variable: "PURLIN_OTP28",
        default: None,
    },
    note,
    share: all_of_it,
};

fn note(kind: Kind) -> Option<&'static str> {
    let by_hand = kind == Kind::Stream;
    by_hand.then_some("no such function: processes that are monitored, in a queue")
}
