//! Says how the shared library is linked, and writes `OUT_DIR/spanspool-config-version.cmake` for `cargo cinstall`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

const CMAKE_VERSION: &str = "cmake/spanspool-config-version.cmake.in";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={CMAKE_VERSION}");
    keep_loaded();
    let mut text = fs::read_to_string(CMAKE_VERSION)?;
    for part in ["VERSION", "VERSION_MAJOR", "VERSION_MINOR"] {
        text = text.replace(&format!("@{part}@"), &env::var(format!("CARGO_PKG_{part}"))?);
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("spanspool-config-version.cmake"), text)?;
    Ok(())
}

/// Keeps the shared library in memory after `dlclose`: its threads still run there, and so do the handlers that it
/// registered with `pthread_atfork`.
fn keep_loaded() {
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
