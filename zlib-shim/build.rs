//! Link arguments of the preload library.

fn main() {
    // Rust code with thread-local destructors must not be unloaded under a host that dlopens and closes plugins.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwarpdrive_z.so");
    println!("cargo:rerun-if-changed=build.rs");
}
