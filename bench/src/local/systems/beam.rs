//! The BEAM: `erl/local_bench.erl` does the loads, and says how.

use super::{Runs, System, all_of_it, as_described};

pub(super) const OTP25: System = System {
    name: "OTP 25",
    runs: Runs::Erl {
        variable: "PURLIN_OTP25",
        default: Some("erl"),
    },
    note: as_described,
    share: all_of_it,
};

pub(super) const OTP28: System = System {
    name: "OTP 28",
    runs: Runs::Erl {
        variable: "PURLIN_OTP28",
        default: None,
    },
    note: as_described,
    share: all_of_it,
};
