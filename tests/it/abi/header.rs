//! The committed C header is what the sources say, and says what the library does.

use std::fs;

use spanspool::config::SETTINGS;

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/spanspool.h"));

/// The file at `path` as it stands in a comment of the header.
fn commented(path: &str, indent: &str) -> String {
    let text = fs::read_to_string(testkit::root().join(path)).unwrap();
    text.lines().map(|line| format!("{}\n", format!(" * {indent}{line}").trim_end())).collect()
}

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
         just header"
    );
}

#[test]
fn first_page_has_the_example_and_then_the_promise() {
    let (page, _) = GENERATED.split_once("#ifndef SPANSPOOL_H").unwrap();
    let example = page.find(&commented("examples/c/quickstart.c", "    ")).unwrap();
    let promise = format!(" * The promise\n * -----------\n{}", commented("docs/promise.txt", ""));
    assert!(example < page.find(&promise).unwrap());
}

#[test]
fn settings_stand_after_the_declarations() {
    let (_, mut rest) = GENERATED.split_once("#endif  /* SPANSPOOL_H */").unwrap();
    for setting in SETTINGS {
        let default =
            if setting.default.is_empty() { String::new() } else { format!(" = {}", setting.default) };
        let row = format!(
            "\n *   {}{default}\n *       {}\n *       allowed: {}\n",
            setting.name, setting.meaning, setting.allowed
        );
        let at = rest.find(&row).unwrap_or_else(|| panic!("not there, or not in its order:{row}"));
        rest = &rest[at + row.len() - 1..];
    }
    assert!(SETTINGS.len() > 30);
    assert!(rest.starts_with("\n *   header.NAME\n"));
}

#[test]
fn header_is_plain_ascii_in_short_lines() {
    let odd = GENERATED.lines().position(|line| !line.is_ascii());
    assert_eq!(odd, None, "this line (from 0) is not ASCII, which some compilers warn of");
    // A text from elsewhere has its own 120 columns.
    let text = |line: &'static str| line.strip_prefix(" * ").unwrap_or(line);
    let long = GENERATED.lines().find(|line| text(line).len() > 120);
    assert_eq!(long, None);
}
