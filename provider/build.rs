//! Link arguments of the module.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The library context may dlclose the module while the core's worker still runs, or while thread-local destructors
    // of this copy of the standard library are pending. The mapping stays (measured: without it both crash).
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // A symbol that only libcrypto could give must fail here, not in the host program.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
}
