//! Docs: what the pages show is what the library has and what the tests run.
//!
//! Some parts of the pages are made from other files. `just docs` makes them again.

use std::fs;

use spanspool::config::SETTINGS;
use testkit::host::files_below;

fn read(path: &str) -> String {
    fs::read_to_string(testkit::root().join(path)).unwrap()
}

/// Compares what stands in `page` between the marks for `name` with `made`, or writes it there.
fn check(page: &str, name: &str, made: &str) {
    let text = read(page);
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} lacks {begin}"));
    let (shown, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} lacks {end}"));
    if shown == made {
        return;
    }
    assert!(
        std::env::var_os("SPANSPOOL_UPDATE_DOCS").is_some(),
        "{page} does not show {name} as it is; update it: SPANSPOOL_UPDATE_DOCS=1 just docs"
    );
    fs::write(testkit::root().join(page), [before, &begin, made, &end, after].concat()).unwrap();
}

fn settings_table() -> String {
    // A bar would end the cell.
    let cell = |text: &str| text.replace('|', "\\|");
    let mut table = String::from("| setting | default | allowed | what it does |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default {
            "" => String::new(),
            text => format!("`{text}`"),
        };
        let (allowed, meaning) = (cell(setting.allowed), cell(setting.meaning));
        table += &format!("| `{}` | {default} | {allowed} | {meaning} |\n", setting.name);
    }
    table
}

#[test]
fn pages_show_what_they_are_made_from() {
    assert!(SETTINGS.len() > 30);
    check("docs/settings.md", "config::SETTINGS", &settings_table());
    check("README.md", "docs/promise.txt", &read("docs/promise.txt"));
}

#[test]
fn excerpts_in_the_readme_are_lines_of_tested_programs() {
    let text = read("README.md");
    let mut excerpts = text.split("<!-- lines of ").skip(1).peekable();
    assert!(excerpts.peek().is_some());
    for excerpt in excerpts {
        let (path, rest) = excerpt.split_once(" -->\n```").unwrap();
        let (block, _) = rest.split_once("\n```").unwrap();
        let program = read(path);
        let mut lines = program.lines().map(str::trim);
        // The first line is the language's name.
        for line in block.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()) {
            assert!(
                lines.any(|l| l == line),
                "README.md: in {path} this line is missing or out of order: {line}"
            );
        }
    }
}

const PAGES: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "PERFORMANCE.md",
    "RELIABILITY.md",
    "SECURITY.md",
    "docs/design.md",
    "docs/guarantees.md",
    "docs/install.md",
    "docs/opentelemetry-cpp.md",
    "docs/otlp.md",
    "docs/settings.md",
    "examples/fleet/README.md",
];

#[test]
fn the_readme_and_the_map_are_short_and_lines_are_narrow() {
    assert!(read("README.md").lines().count() <= 200);
    assert!(read("ARCHITECTURE.md").lines().count() <= 150);
    for page in PAGES {
        for (n, line) in read(page).lines().enumerate() {
            // A row of a table cannot be wrapped.
            let fits = line.chars().count() <= 120 || line.starts_with('|');
            assert!(fits, "{page}:{}: more than 120 columns", n + 1);
        }
    }
}

/// The formatter wraps code and leaves docstrings alone.
#[test]
fn lines_of_python_are_narrow() {
    for folder in ["bindings/python/src", "bindings/python/tests", "examples", "tests"] {
        let files = files_below(&testkit::root().join(folder)).into_iter();
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "py")) {
            let text = fs::read_to_string(&file).unwrap();
            // What a checker is told stands behind its line.
            let code = |line: &str| line.split("  # type: ").next().unwrap_or(line).chars().count();
            let wide = text.lines().position(|line| code(line) > 120);
            assert_eq!(wide, None, "{}: more than 120 columns in this line (from 0)", file.display());
        }
    }
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c => (c.is_alphanumeric() || c == '-' || c == '_').then_some(c),
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for page in PAGES {
        for link in
            read(page).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
        {
            if link.starts_with("https://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let file = match path {
                "" => testkit::root().join(page),
                path => testkit::root().join(page).parent().unwrap().join(path),
            };
            assert!(file.exists(), "{page}: the link {link} leads nowhere");
            if !fragment.is_empty() {
                let text = fs::read_to_string(file).unwrap();
                let found = text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment);
                assert!(found, "{page}: the link {link} names no heading");
            }
        }
    }
}
