//! A rate limiter as a state machine: so many permits an interval; who asks for one more waits for the next.
//!
//! `cargo run --example rate_limiter`

use std::time::{Duration, Instant};

use purlin::prelude::*;

const PERMITS: u32 = 3;
const INTERVAL: Duration = Duration::from_millis(200);

#[purlin::message]
#[derive(PartialEq)]
enum State {
    Open,
    Exhausted,
}

#[purlin::events]
enum Event {
    /// Answers how many permits are left in this interval.
    #[call]
    Acquire(ReplyTo<u32>),
    Refill,
}

struct RateLimiter {
    left: u32,
}

impl GenStatem for RateLimiter {
    type State = State;
    type Event = Event;

    async fn init(&mut self, ctx: &mut StatemContext<'_, Self>) -> Result<State, InitError> {
        ctx.generic_timeout("refill", INTERVAL, Event::Refill);
        Ok(State::Open)
    }

    async fn handle_event(
        &mut self,
        state: &State,
        event: Event,
        ctx: &mut StatemContext<'_, Self>,
    ) {
        match (state, event) {
            (State::Open, Event::Acquire(from)) => {
                self.left -= 1;
                from.reply(self.left).await;
                if self.left == 0 {
                    ctx.next_state(State::Exhausted);
                }
            }
            (State::Exhausted, event @ Event::Acquire(_)) => ctx.postpone(event),
            (_, Event::Refill) => {
                self.left = PERMITS;
                ctx.generic_timeout("refill", INTERVAL, Event::Refill);
                ctx.next_state(State::Open);
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder("limiter@127.0.0.1")
        .cookie("secret")
        .without_epmd();
    let node = node.start().await?;
    let limiter = RateLimiter { left: PERMITS }.start(&node).await?;
    let began = Instant::now();
    for n in 1..=7 {
        let left = limiter.call(Acquire).await?;
        println!("{n}: after {} ms, {left} left", began.elapsed().as_millis());
    }
    node.stop(Duration::from_secs(1)).await;
    Ok(())
}
