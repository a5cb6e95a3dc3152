//! What the program says of itself: help, man pages and shell completions name all that there is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use testkit::cli::{Ended, run, spanspool};
use testkit::{TempDir, have};

/// Every command, as the words that lead to it, found by reading the help from the top.
fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut next = 0;
    while let Some(words) = found.get(next).cloned() {
        next += 1;
        let help = help_of(&words);
        let listed = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            if name != "help" {
                found.push([&words[..], &[name.to_owned()]].concat());
            }
        }
    }
    found
}

fn help_of(words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    run(&words).with(0).out
}

/// The long options that `text` names, dashes and all.
fn options(text: &str) -> BTreeSet<String> {
    let word = |at: usize| text[at..].split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).next().unwrap();
    text.match_indices("--").map(|(at, _)| word(at).to_owned()).filter(|word| word.len() > 2).collect()
}

/// The options that stand at the beginning of a line, where help describes them.
fn described(help: &str) -> BTreeSet<String> {
    let entry = |line: &str| {
        let text = line.trim_start();
        let text = if text.starts_with("-h, ") || text.starts_with("-V, ") { &text[4..] } else { text };
        text.starts_with("--").then(|| text.split([' ', '=']).next().unwrap().to_owned())
    };
    help.lines().filter(|line| line.starts_with("  ")).filter_map(entry).collect()
}

#[test]
fn the_help_of_each_command_describes_its_options() {
    let words: Vec<_> = commands().iter().map(|words| words.join(" ")).collect();
    for expected in ["", "demo", "drain", "rejected list", "rejected requeue", "rejected purge", "man"] {
        assert!(words.iter().any(|words| words == expected), "{expected:?} in {words:?}");
    }
    let of = |words: &[&str]| described(&run(words).with(0).out);
    let drain: BTreeSet<_> = [
        "--spool-dir",
        "--set",
        "--timeout-ms",
        "--api-key-file",
        "--named-key-env",
        "--named-key-file",
        "--json",
        "--help",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(of(&["drain", "--help"]), drain);
    assert!(of(&["rejected", "purge", "--help"]).contains("--all"));
    for words in commands() {
        let lines = help_of(&words);
        let mut lines = lines.lines().peekable();
        while let Some(line) = lines.next() {
            if described(line).is_empty() || !line.starts_with("      --") && !line.starts_with("  -") {
                continue;
            }
            let beside = line.trim().split("  ").filter(|part| !part.is_empty()).count() > 1;
            let below = lines.peek().is_some_and(|next| !next.trim().is_empty());
            assert!(beside || below, "{words:?}: {line:?} has no description");
        }
    }
}

#[test]
fn a_mistyped_word_is_answered_with_the_one_meant() {
    for (words, meant) in [
        (&["stauts"][..], "'status'"),
        (&["drain", "--timeout"], "'--timeout-ms'"),
        (&["check", "--repiar"], "'--repair'"),
        (&["rejected", "purg"], "'purge'"),
        (&["completions", "bsh"], "'bash'"),
    ] {
        let ended = run(words).with(2);
        assert!(ended.err.contains("tip: ") && ended.err.contains(meant), "{words:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{words:?}");
    }
}

#[test]
fn completions_name_every_command_and_option() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]).with(0).out;
        assert!(!script.contains("child"), "{shell}: {script}");
        for words in commands() {
            if let Some(name) = words.last() {
                assert!(script.contains(name.as_str()), "{shell}: {name}");
            }
            for option in described(&help_of(&words)) {
                // Fish scripts leave the dashes out.
                assert!(script.contains(option.trim_start_matches('-')), "{shell}: {option} of {words:?}");
            }
        }
    }
    let folder = TempDir::new("cli-help");
    let script = folder.write("bash", run(&["completions", "bash"]).with(0).out);
    let load = format!("set -eu; . '{script}'; complete -p spanspool");
    if !have("bash", "--version", "completions are loaded") {
        return;
    }
    let ended = Ended::from(Command::new("bash").args(["--norc", "-c", &load]).output().unwrap()).with(0);
    assert!(ended.out.trim_end().ends_with(" spanspool"), "{}", ended.out);
}

#[test]
fn a_shell_that_is_gone_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        spanspool(&[]).args(["completions", "zsh"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn there_is_a_man_page_for_each_command_with_all_of_its_options() {
    let folder = TempDir::new("cli-help");
    run(&["man", &folder.argument("")]).with(0);
    let mut pages = BTreeSet::new();
    for words in commands() {
        let name = [&["spanspool".to_owned()], &words[..]].concat().join("-") + ".1";
        let page = fs::read_to_string(folder.join(&name)).unwrap().replace("\\-", "-");
        assert!(page.contains(".SH NAME\n") && page.contains(".SH SYNOPSIS\n"), "{page}");
        let named = options(&page);
        for option in described(&help_of(&words)) {
            assert!(named.contains(&option), "{option} in {name}:\n{page}");
        }
        pages.insert(name);
    }
    let files: BTreeSet<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, pages);
    let settings = fs::read_to_string(folder.join("spanspool-settings.1")).unwrap().replace("\\-", "-");
    for setting in spanspool::config::SETTINGS {
        assert!(settings.contains(setting.name), "{} in {settings}", setting.name);
    }
}

#[test]
fn man_pages_need_a_folder_that_exists() {
    let folder = TempDir::new("cli-help");
    let absent = folder.argument("absent");
    let ended = run(&["man", &absent]).with(1);
    assert!(ended.err.contains(&absent) && ended.err.contains("No such file"), "{}", ended.err);
}

#[test]
fn paths_need_not_be_utf_8() {
    let folder = TempDir::new("cli-help");
    let path = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let (spool, items, key) = (path(b"spool-\xff"), path(b"items-\xfe"), path(b"key-\xfd"));
    fs::write(&items, "{\"id\":\"a\"}\n").unwrap();
    fs::write(&key, "sk-test").unwrap();
    let ended = |command: &mut Command| Ended::from(command.output().unwrap());
    ended(spanspool(&[]).args(["enqueue", "--spool-dir"]).arg(&spool).arg(&items)).with(0);
    assert!(spool.is_dir());
    let mut set = OsStr::new("--set=spool_dir=").to_owned();
    set.push(&spool);
    assert_eq!(ended(spanspool(&[]).arg("cat").arg(&set)).with(0).out, "{\"id\":\"a\"}\n");
    let status = ended(spanspool(&[]).args(["status", "--json", "--spool-dir"]).arg(&spool)).with(0);
    assert_eq!(status.json()["pending"], 1);
    let mut drain = spanspool(&[]);
    drain.args(["drain", "--timeout-ms=100", "--set=endpoint=http://127.0.0.1:9/"]).arg(&set);
    ended(drain.arg("--api-key-file").arg(&key)).with(1);
    // Of the settings, only paths may be anything else but text.
    let wrong =
        ended(spanspool(&[]).arg("cat").arg(&set).arg(OsStr::from_bytes(b"--set=endpoint=\xff"))).with(2);
    assert!(wrong.err.contains("endpoint") && wrong.err.contains("UTF-8"), "{}", wrong.err);
}

#[test]
fn of_an_option_given_twice_the_last_counts() {
    let folder = TempDir::new("cli-help");
    let dir = folder.argument("spool");
    run(&["enqueue", "--spool-dir=/nonexistent/spool", "--json", "--spool-dir", &dir, "--json"]).with(0);
}

#[test]
fn the_options_of_rejected_stand_before_or_after_the_action() {
    let folder = TempDir::new("cli-help");
    let dir = folder.argument("spool");
    run(&["enqueue", "--spool-dir", &dir]).with(0);
    run(&["rejected", "--spool-dir=/nonexistent", "list", "--spool-dir", &dir]).with(0);
    let purged = run(&["rejected", "--json", "--spool-dir", &dir, "purge", "--all"]).with(0).json();
    assert_eq!(purged, serde_json::json!({"purged": 0}));
    let ended = run(&["rejected", "--spool-dir", &dir, "--set=max_batch_size=0", "list", "--set=jitter=0"]);
    assert!(ended.with(2).err.contains("max_batch_size='0'"));
}
