//! The committed C header is what the sources say, and says what the library does.

use std::fmt::Write;
use std::fs;

use spanspool::config::SETTINGS;

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/spanspool.h"));

#[test]
fn committed_header_is_the_generated_one() {
    let path = testkit::root().join("include/spanspool.h");
    if std::env::var_os("SPANSPOOL_UPDATE_HEADER").is_some() {
        fs::write(&path, GENERATED).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(GENERATED.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(GENERATED.lines().count())) + 1;
    assert!(
        committed == GENERATED,
        "include/spanspool.h differs from the sources from line {line} on; update it:\n\
         SPANSPOOL_UPDATE_HEADER=1 cargo test --test it header"
    );
}

#[test]
fn every_setting_stands_in_the_header() {
    let mut table = String::new();
    for setting in SETTINGS {
        let default =
            if setting.default.is_empty() { String::new() } else { format!(" = {}", setting.default) };
        writeln!(table, " *   {}{default}", setting.name).unwrap();
        writeln!(table, " *       {}", setting.meaning).unwrap();
        writeln!(table, " *       allowed: {}", setting.allowed).unwrap();
    }
    assert!(SETTINGS.len() > 30);
    assert!(
        GENERATED.contains(&format!("\n{table} *   header.NAME\n")),
        "the table of settings in cbindgen.toml is not this:\n{table}"
    );
}

#[test]
fn example_in_the_header_is_the_one_that_is_tested() {
    let source = fs::read_to_string(testkit::root().join("examples/c/quickstart.c")).unwrap();
    let example: String =
        source.lines().map(|line| format!("{}\n", format!(" *     {line}").trim_end())).collect();
    assert!(GENERATED.contains(&example), "the example in cbindgen.toml is not this:\n{example}");
}

#[test]
fn header_is_plain_ascii() {
    let odd = GENERATED.lines().position(|line| !line.is_ascii());
    assert_eq!(odd, None, "this line (from 0) is not ASCII, which some compilers warn of");
}
