//! Peers that say nothing, or nothing but ticks.

use std::time::Duration;

use crate::attacker::Attacker;
use crate::lab::{Expected, MEMORY, run_with};

const TICKTIME: Duration = Duration::from_millis(800);

#[test]
fn a_silent_peer_is_given_up_after_net_ticktime() {
    run_with(
        |victim| victim.net_ticktime(TICKTIME),
        async |lab| {
            let silent = Attacker::connect(lab).await;
            silent.closed().await;
            lab.assert(&Expected {
                warnings: &["the peer is not responding (net_tick_timeout)"],
                memory: MEMORY,
            });
        },
    );
}

#[test]
fn a_peer_that_only_ticks_stays() {
    run_with(
        |victim| victim.net_ticktime(TICKTIME),
        async |lab| {
            let mut ticking = Attacker::connect(lab).await;
            let mut pace = tokio::time::interval(TICKTIME / 8);
            for _ in 0..32 {
                pace.tick().await;
                assert!(ticking.write(&[0; 4]).await, "it is given up");
            }
            ticking.settle(lab).await;
            lab.assert(&Expected {
                warnings: &[],
                memory: MEMORY,
            });
        },
    );
}

/// Ticks without end and without pause.
#[test]
fn a_flood_of_ticks() {
    run_with(
        |victim| victim.net_ticktime(TICKTIME),
        async |lab| {
            let mut ticking = Attacker::connect(lab).await;
            for _ in 0..64 {
                assert!(ticking.write(&[0; 1 << 18]).await);
            }
            ticking.settle(lab).await;
            lab.assert(&Expected {
                warnings: &[],
                memory: MEMORY,
            });
        },
    );
}

/// Half a frame, drip by drip: bytes are bytes, so it is alive.
#[test]
fn a_frame_in_slow_drips() {
    run_with(
        |victim| victim.net_ticktime(TICKTIME),
        async |lab| {
            let mut slow = Attacker::connect(lab).await;
            assert!(slow.write(&(40_u32 << 20).to_be_bytes()).await);
            let mut pace = tokio::time::interval(TICKTIME / 8);
            for _ in 0..32 {
                pace.tick().await;
                assert!(slow.write(&[131]).await, "it is given up");
            }
            lab.assert(&Expected {
                warnings: &[],
                memory: MEMORY,
            });
        },
    );
}
