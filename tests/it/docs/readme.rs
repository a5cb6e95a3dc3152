//! The README shows what is: its table of settings is the library's, its programs are those that are tested.

use std::fs;

use spanspool::config::SETTINGS;

const BEGIN: &str = "<!-- settings: made by tests/it/docs/readme.rs -->\n";
const END: &str = "<!-- end of settings -->\n";

fn readme() -> String {
    fs::read_to_string(testkit::root().join("README.md")).unwrap()
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
fn table_of_settings_is_the_one_of_the_library() {
    let text = readme();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    assert!(SETTINGS.len() > 30);
    if std::env::var_os("SPANSPOOL_UPDATE_README").is_some() {
        let text = [before, BEGIN, &settings_table(), END, after].concat();
        fs::write(testkit::root().join("README.md"), text).unwrap();
        return;
    }
    assert!(
        table == settings_table(),
        "README.md's table of settings is not that of config::SETTINGS; update it:\n\
         SPANSPOOL_UPDATE_README=1 cargo test --test it readme"
    );
}

#[test]
fn programs_in_the_readme_are_the_ones_that_are_tested() {
    let text = readme();
    let programs = [
        ("c", "examples/c/quickstart.c"),
        ("cpp", "examples/cpp/quickstart.cpp"),
        ("go", "examples/go/main.go"),
        ("python", "examples/python/agent_run.py"),
        ("rust", "examples/rust/quickstart.rs"),
    ];
    for (language, path) in programs {
        let source = fs::read_to_string(testkit::root().join(path)).unwrap();
        let block = format!("```{language}\n{}\n```\n", source.trim_end());
        assert!(text.contains(&block), "README.md has not this block:\n{block}");
    }
}
