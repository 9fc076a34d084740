//! What is left in a process's memory of private keys that it has used and freed: nothing, in hardware as without us.

mod common;

use common::{Devices, Scratch, said, succeed};

#[test]
fn no_private_number_is_left_behind() {
    let scratch = Scratch::new("erased");
    let program = scratch.compile("erased");
    let kinds = [
        ("rsa-2048-private", "RSA", "rsa_keygen_bits:2048"),
        ("dh-2048", "DH", "group:ffdhe2048"),
        ("rsa-4096-private", "RSA", "rsa_keygen_bits:4096"),
    ];
    for (row, algorithm, option) in kinds {
        let generate = ["genpkey", "-quiet", "-algorithm", algorithm, "-pkeyopt", option, "-out", "key.pem"];
        succeed(scratch.stock("openssl").args(generate));
        succeed(scratch.stock(&program).args(["mask", "key.pem", "masked"]));
        for devices in [Devices::None, Devices::Simulated] {
            let output = succeed(scratch.command(&program, devices).args(["use", "key.pem", "masked"]));
            assert!(
                said(&output).lines().any(|line| line == "left 0"),
                "{row}, {devices:?}: {}",
                said(&output)
            );
            let rows = scratch.take_counters();
            assert_eq!(rows[row].hardware > 0, devices == Devices::Simulated, "{rows:?}");
        }
    }
}
