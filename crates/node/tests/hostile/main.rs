//! A node among strangers: peers that lie, flood, stall and send garbage.
//!
//! Each case runs a victim, an honest Purlin node that stays connected to it and pings it all the
//! time, and an attacker made of `purlin-proto`'s machines and raw bytes, all on one thread. Each
//! asserts what the victim logs (and that it logs nothing else), that memory stays within a bound,
//! and that the honest node noticed nothing.

mod attacker;
mod dialled;
mod floods;
mod frames;
mod handshakes;
mod lab;
mod mapper;
mod ticks;

/// Counts what the whole test binary has allocated, attacker included.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
