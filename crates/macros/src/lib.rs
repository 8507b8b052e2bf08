//! See the workspace's ARCHITECTURE.
