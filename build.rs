//! Writes the C header to `OUT_DIR/spanspool.h`, with the feature `c-abi`. The copy in `include/` is compared with it by
//! `tests/header.rs`: a build never writes into the source folder, which may be read-only.

#[cfg(feature = "c-abi")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    header::write()
}

#[cfg(not(feature = "c-abi"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "c-abi")]
mod header {
    use std::env;
    use std::error::Error;
    use std::fs;
    use std::path::Path;

    /// The files with the C ABI, whose modules are read as well. Naming them spares a run of `cargo metadata`.
    const SOURCES: &[&str] = &["src/config/log.rs", "src/spool/stats.rs", "src/capi/mod.rs"];
    const SETTINGS: &str = "cbindgen.toml";
    const EXAMPLE: &str = "examples/c/quickstart.c";

    pub fn write() -> Result<(), Box<dyn Error>> {
        for file in SOURCES.iter().chain(&["src/capi", "build.rs", SETTINGS, EXAMPLE]) {
            println!("cargo::rerun-if-changed={file}");
        }
        let example = fs::read_to_string(EXAMPLE)?;
        let mut config = cbindgen::Config::from_file(SETTINGS)?;
        config.header = config.header.map(|page| page.replace("@EXAMPLE@\n", &commented(&example, "    ")));
        config.after_includes = Some(version_macros()?);
        let builder =
            SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |b, file| b.with_src(file));
        builder.generate()?.write_to_file(Path::new(&env::var("OUT_DIR")?).join("spanspool.h"));
        Ok(())
    }

    /// `text` as lines of a C comment.
    fn commented(text: &str, indent: &str) -> String {
        text.lines().map(|line| format!("{}\n", format!(" * {indent}{line}").trim_end())).collect()
    }

    /// The version of the crate for C's preprocessor.
    fn version_macros() -> Result<String, Box<dyn Error>> {
        let part = |name: &str| -> Result<u32, Box<dyn Error>> {
            Ok(env::var(format!("CARGO_PKG_VERSION_{name}"))?.parse()?)
        };
        let number = part("MAJOR")? << 16 | part("MINOR")? << 8 | part("PATCH")?;
        Ok(format!(
            "\n/** The version of this header; spanspool_version() tells that of the library. */\n\
             #define SPANSPOOL_VERSION \"{}\"\n\
             /** The version of this header as 0x00MMmmpp; spanspool_version_number() tells that of the library. */\n\
             #define SPANSPOOL_VERSION_NUMBER 0x{number:06x}",
            env::var("CARGO_PKG_VERSION")?
        ))
    }
}
