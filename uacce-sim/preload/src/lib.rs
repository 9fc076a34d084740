//! Preload library of the simulator.
