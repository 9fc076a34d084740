//! `uacce-sim`: run a command on simulated devices, serve them for a longer session, or print the variables to set.

use std::process::ExitCode;

fn main() -> ExitCode {
    uacce_sim::cli::main()
}
