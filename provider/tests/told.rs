//! Signature contexts that are told something late, in part or in vain, against the default provider alone.

mod common;

use common::{Devices, Scratch, cases, said, succeed};

const ROWS: [&str; 4] = ["rsa-2048-private", "ecdsa-p-256-sign", "ecdsa-p-384-sign", "sm2-sign"];

/// What software does instead when the device answers with errors must be told all of it, too.
const FAILING: Devices = Devices::Chosen(&["--hw", "v3", "--device", "hpre", "--fault", "status"]);

#[test]
fn same_answers_to_what_is_told_late_or_in_vain() {
    let scratch = Scratch::new("told");
    let program = scratch.compile("told");
    for devices in [Devices::None, Devices::Simulated, FAILING] {
        let output = succeed(&mut scratch.command(&program, devices));
        cases(&format!("told, {devices:?}"), &output);
        let done: Option<u64> =
            said(&output).lines().find_map(|line| line.strip_prefix("done ")?.parse().ok());
        let rows = scratch.take_counters();
        let all = rows.values().map(|row| row.hardware + row.software.values().sum::<u64>()).sum();
        assert_eq!(done, Some(all), "{rows:?}");
        for name in ROWS {
            let row = &rows[name];
            assert_eq!(row.hardware > 0, devices == Devices::Simulated, "{name}: {rows:?}");
            let troubled = row.software.keys().any(|reason| ["device-error", "paused"].contains(&&**reason));
            assert_eq!(troubled, devices == FAILING, "{name}: {rows:?}");
        }
    }
}
