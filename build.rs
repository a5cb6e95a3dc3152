//! Writes the C header to `OUT_DIR/spanspool.h`, with the feature `c-abi`. The copy in `include/` is compared with it
//! by `tests/it/abi/header.rs`: a build never writes into the source folder, which may be read-only.

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
    /// How the header is made of them, with its first page and what stands before its table of settings.
    const CONFIG: &str = "cbindgen.toml";
    const EXAMPLE: &str = "examples/c/quickstart.c";
    const PROMISE: &str = "docs/promise.txt";
    const TABLE: &str = "src/config/table.rs";

    // Of the table the setters are left out: they are the library's.
    macro_rules! settings {
        ($($name:literal, $default:literal, $allowed:literal, $meaning:literal, $set:expr;)*) => {
            const SETTINGS: &[[&str; 4]] = &[$([$name, $default, $allowed, $meaning]),*];
        };
    }
    include!("src/config/table.rs");

    pub fn write() -> Result<(), Box<dyn Error>> {
        for file in SOURCES.iter().chain(&["src/capi", "build.rs", CONFIG, EXAMPLE, PROMISE, TABLE]) {
            println!("cargo::rerun-if-changed={file}");
        }
        let mut config = cbindgen::Config::from_file(CONFIG)?;
        let parts = [
            ("@EXAMPLE@", commented("    ", &fs::read_to_string(EXAMPLE)?)?),
            ("@PROMISE@", commented("", &fs::read_to_string(PROMISE)?)?),
            ("@SETTINGS@", commented("  ", &settings())?),
        ];
        for text in [&mut config.header, &mut config.trailer].into_iter().flatten() {
            for (place, part) in &parts {
                *text = text.replace(place, part);
            }
        }
        config.after_includes = Some(version_macros()?);
        let builder =
            SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |b, file| b.with_src(file));
        builder.generate()?.write_to_file(Path::new(&env::var("OUT_DIR")?).join("spanspool.h"));
        Ok(())
    }

    /// `text` as lines of a C comment, each after `indent`, without the last line break.
    fn commented(indent: &str, text: &str) -> Result<String, Box<dyn Error>> {
        if text.contains("*/") {
            return Err(format!("it would end the comment that it is put into: {text}").into());
        }
        let line = |line: &str| format!(" * {indent}{line}").trim_end().to_owned();
        Ok(text.lines().map(line).collect::<Vec<_>>().join("\n"))
    }

    fn settings() -> String {
        let row = |[name, default, allowed, meaning]: &[&str; 4]| {
            let default = if default.is_empty() { String::new() } else { format!(" = {default}") };
            format!("{name}{default}\n    {meaning}\n    allowed: {allowed}\n")
        };
        SETTINGS.iter().map(row).collect()
    }

    /// The version of the crate for C's preprocessor.
    fn version_macros() -> Result<String, Box<dyn Error>> {
        let part = |name: &str| -> Result<u32, Box<dyn Error>> {
            Ok(env::var(format!("CARGO_PKG_VERSION_{name}"))?.parse()?)
        };
        let number = part("MAJOR")? << 16 | part("MINOR")? << 8 | part("PATCH")?;
        Ok(format!(
            "\n/** The version of this header; spanspool_version() gives that of the library. */\n\
             #define SPANSPOOL_VERSION \"{}\"\n\
             /** The version of this header as 0x00MMmmpp; spanspool_version_number() gives that of the library. */\n\
             #define SPANSPOOL_VERSION_NUMBER 0x{number:06x}",
            env::var("CARGO_PKG_VERSION")?
        ))
    }
}
