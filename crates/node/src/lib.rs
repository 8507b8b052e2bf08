//! See the workspace's ARCHITECTURE.

pub mod services;
