//! The ticker of one connection: keeps the peer from thinking us dead, and notices when it is.
//!
//! Kernel manual, `net_ticktime` and `net_tickintensity`; `dist_util:send_tick/6`. The ticker
//! looks `intensity` times per `net_ticktime`. At each look it sends a tick when nothing was
//! written since the look before and nothing waits to be written; to a *hidden* peer also when
//! nothing was read, because old C nodes answer ticks but never send one. After `intensity` looks
//! in a row at which nothing had been read, the peer is silent: close, reason `net_tick_timeout`.
//! So a peer is given up between T and 1.25 T after its last byte, at the default intensity of 4.
//! Measured with OTP 25 and T = 8 s: ticks at 2.0 s steps, a silent peer cut at 8.4 s.
//!
//! **Peers are not blamed for our own delay** (deviation from OTP). When a look comes later than
//! it was asked for by more than a quarter of the interval, this process was held up, and the
//! peer's bytes may be waiting unread. Such a look sends its tick but blames nobody, and the next
//! one is a whole interval away, which gives the reader its turn. Looks missed are not made up.
//! So that a peer that is really dead cannot hide behind a node that is always late, at most
//! `intensity` late looks in a row are forgiven; a byte read or a punctual look starts anew.
//!
//! The owner calls [`Ticker::handle_read`] for bytes read, also of half frames and ticks,
//! [`Ticker::handle_written`] for bytes written other than ticks, and [`Ticker::handle_timeout`]
//! when [`Ticker::poll_timeout`] is due. Not known here: whether a frame is half written; the
//! owner counts it as waiting, so that no tick lands inside.
//!
//! I1. A peer from which something was read between two looks is never silent at the second.
//! I2. At most one tick goes out at each look.

use core::time::Duration;

use crate::limits::{NET_TICK_INTENSITY, NET_TICKTIME};

/// How a connection ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `net_ticktime`: how long a silent peer is borne, about.
    pub net_ticktime: Duration,
    /// `net_tickintensity`: looks per `net_ticktime`; 0 counts as 1.
    pub intensity: u32,
    /// Whether the peer lacks the PUBLISHED flag.
    pub is_peer_hidden: bool,
}

impl Default for Config {
    /// OTP's: 60 s, four looks, a visible peer.
    fn default() -> Self {
        let (net_ticktime, intensity) = (NET_TICKTIME, NET_TICK_INTENSITY);
        Config {
            net_ticktime,
            intensity,
            is_peer_hidden: false,
        }
    }
}

/// What a look found must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a tick: four zero bytes.
    SendTick,
    /// The peer is silent: close the connection with the reason `net_tick_timeout`.
    PeerSilent,
}

/// The ticker of one connection.
#[derive(Clone, Debug)]
pub struct Ticker {
    config: Config,
    next_look: Duration,
    has_read: bool,
    has_written: bool,
    silent_looks: u32,
    late_looks: u32,
}

impl Ticker {
    /// A ticker for a connection that was established at `now`.
    pub fn new(now: Duration, config: Config) -> Self {
        let mut ticker = Ticker {
            config,
            next_look: now,
            has_read: false,
            has_written: false,
            silent_looks: 0,
            late_looks: 0,
        };
        ticker.next_look = now.saturating_add(ticker.interval());
        ticker
    }

    /// Something was read, if only a tick or a part of a frame.
    pub fn handle_read(&mut self) {
        self.has_read = true;
    }

    /// Something other than a tick was written.
    pub fn handle_written(&mut self) {
        self.has_written = true;
    }

    /// Looks, when a look is due at `now`; before that it does nothing. `is_queue_empty` says that
    /// nothing waits to be written, half a frame included.
    pub fn handle_timeout(&mut self, now: Duration, is_queue_empty: bool) -> Option<Output> {
        if now < self.next_look {
            return None;
        }
        self.count(now);
        self.schedule(now);
        let is_idle = !self.has_written || (self.config.is_peer_hidden && !self.has_read);
        (self.has_read, self.has_written) = (false, false);
        if self.silent_looks >= self.intensity() {
            Some(Output::PeerSilent)
        } else {
            (is_idle && is_queue_empty).then_some(Output::SendTick)
        }
    }

    /// When the next look is due.
    pub fn poll_timeout(&self) -> Duration {
        self.next_look
    }

    /// What this ticker was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counts this look for or against the peer.
    fn count(&mut self, now: Duration) {
        if self.has_read {
            (self.silent_looks, self.late_looks) = (0, 0);
        } else if self.is_late(now) && self.late_looks < self.intensity() {
            self.late_looks += 1;
        } else {
            self.silent_looks += 1;
            if !self.is_late(now) {
                self.late_looks = 0;
            }
        }
    }

    fn schedule(&mut self, now: Duration) {
        let from = if self.is_late(now) {
            now
        } else {
            self.next_look
        };
        self.next_look = from.saturating_add(self.interval());
    }

    fn is_late(&self, now: Duration) -> bool {
        now.saturating_sub(self.next_look) > self.interval() / 4
    }

    fn intensity(&self) -> u32 {
        self.config.intensity.max(1)
    }

    fn interval(&self) -> Duration {
        // A ticktime of zero would ask for a look at every instant.
        (self.config.net_ticktime / self.intensity()).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn ticker(is_peer_hidden: bool) -> Ticker {
        let net_ticktime = secs(8.0);
        Ticker::new(
            Duration::ZERO,
            Config {
                net_ticktime,
                intensity: 4,
                is_peer_hidden,
            },
        )
    }

    /// Looks punctually until `end` or silence, calling `before` ahead of each look.
    fn run(
        ticker: &mut Ticker,
        end: f64,
        mut before: impl FnMut(&mut Ticker),
    ) -> Vec<(f64, Output)> {
        let mut outputs = vec![];
        while ticker.poll_timeout() <= secs(end) {
            before(ticker);
            let now = ticker.poll_timeout();
            let output = ticker.handle_timeout(now, true);
            outputs.extend(output.map(|output| (now.as_secs_f64(), output)));
            if output == Some(Output::PeerSilent) {
                break;
            }
        }
        outputs
    }

    #[test]
    fn ticks_go_out_every_two_seconds_and_a_silent_peer_is_cut_at_eight() {
        use Output::{PeerSilent, SendTick};
        for is_hidden in [false, true] {
            let seen = run(&mut ticker(is_hidden), 60.0, |_| ());
            let expected = [
                (2.0, SendTick),
                (4.0, SendTick),
                (6.0, SendTick),
                (8.0, PeerSilent),
            ];
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_peer_that_only_answers_ticks_survives() {
        let seen = run(&mut ticker(false), 3600.0, Ticker::handle_read);
        assert_eq!(seen.len(), 1800);
        assert!(seen.iter().all(|(_, output)| *output == Output::SendTick));
    }

    #[test]
    fn who_writes_need_not_tick_except_to_a_silent_hidden_peer() {
        let write_and_read = |ticker: &mut Ticker| {
            ticker.handle_written();
            ticker.handle_read();
        };
        assert_eq!(run(&mut ticker(false), 60.0, write_and_read), []);
        assert_eq!(run(&mut ticker(true), 60.0, write_and_read), []);
        let visible = run(&mut ticker(false), 60.0, Ticker::handle_written);
        assert_eq!(visible, [(8.0, Output::PeerSilent)]);
        let hidden = run(&mut ticker(true), 60.0, Ticker::handle_written);
        assert_eq!(hidden.len(), 4, "ticks at 2, 4 and 6 s, cut at 8 s");
    }

    #[test]
    fn nothing_is_sent_into_a_queue_that_is_not_empty() {
        let mut ticker = ticker(false);
        assert_eq!(ticker.handle_timeout(secs(2.0), false), None);
        assert_eq!(
            ticker.handle_timeout(secs(4.0), true),
            Some(Output::SendTick)
        );
    }

    #[test]
    fn an_early_call_is_not_a_look() {
        let mut ticker = ticker(false);
        for _ in 0..100 {
            assert_eq!(ticker.handle_timeout(secs(1.99), true), None);
        }
        assert_eq!(ticker.poll_timeout(), secs(2.0));
    }

    #[test]
    fn a_small_delay_neither_drifts_nor_forgives() {
        let mut ticker = ticker(false);
        for look in 1..4 {
            let now = secs(2.0 * f64::from(look) + 0.4);
            assert_eq!(ticker.handle_timeout(now, true), Some(Output::SendTick));
        }
        assert_eq!(
            ticker.handle_timeout(secs(8.4), true),
            Some(Output::PeerSilent)
        );
    }

    #[test]
    fn a_peer_is_not_blamed_for_a_minute_in_which_we_did_not_run() {
        let mut ticker = ticker(false);
        run(&mut ticker, 6.0, |_| ());
        assert_eq!(
            ticker.handle_timeout(secs(68.0), true),
            Some(Output::SendTick)
        );
        assert_eq!(
            ticker.poll_timeout(),
            secs(70.0),
            "the reader gets its turn"
        );
        ticker.handle_read();
        assert_eq!(
            ticker.handle_timeout(secs(70.0), true),
            Some(Output::SendTick)
        );
    }

    #[test]
    fn a_dead_peer_is_cut_one_interval_after_a_delay() {
        let mut ticker = ticker(false);
        run(&mut ticker, 6.0, |_| ());
        assert_eq!(
            ticker.handle_timeout(secs(68.0), true),
            Some(Output::SendTick)
        );
        assert_eq!(
            ticker.handle_timeout(secs(70.0), true),
            Some(Output::PeerSilent)
        );
    }

    #[test]
    fn a_node_that_is_always_late_still_notices_a_dead_peer() {
        let mut ticker = ticker(false);
        let mut looks = 0;
        loop {
            looks += 1;
            let now = ticker.poll_timeout() + secs(1.9);
            if ticker.handle_timeout(now, true) == Some(Output::PeerSilent) {
                break;
            }
        }
        assert_eq!(looks, 8, "four forgiven, four counted");
    }

    #[test]
    fn a_ticktime_of_nothing_does_not_spin() {
        let config = Config {
            net_ticktime: Duration::ZERO,
            intensity: 0,
            is_peer_hidden: false,
        };
        let mut ticker = Ticker::new(Duration::ZERO, config);
        ticker.handle_read();
        assert!(ticker.poll_timeout() > Duration::ZERO);
        let now = ticker.poll_timeout();
        assert_eq!(ticker.handle_timeout(now, true), Some(Output::SendTick));
        assert!(ticker.poll_timeout() > now);
    }

    proptest! {
        /// I1, and the detection window: a peer is cut only when more than T passed since its
        /// last byte was read, and no later than 1.25 T and a look's delay.
        #[test]
        fn the_detection_window_holds(last_read_ms in 0_u64..60_000) {
            let mut ticker = ticker(false);
            let last_read = Duration::from_millis(last_read_ms);
            let mut next_read = Duration::ZERO;
            let cut = loop {
                let look = ticker.poll_timeout();
                while next_read <= look.min(last_read) {
                    ticker.handle_read();
                    next_read += Duration::from_millis(100);
                }
                if ticker.handle_timeout(look, true) == Some(Output::PeerSilent) { break look }
            };
            let silent = cut - (next_read - Duration::from_millis(100)).min(last_read);
            prop_assert!(silent >= secs(8.0) && silent <= secs(10.0), "{silent:?}");
        }
    }
}
