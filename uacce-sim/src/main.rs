//! Simulator daemon.
fn main() {}
