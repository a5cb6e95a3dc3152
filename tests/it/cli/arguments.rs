//! The command line itself: what is refused, with which exit code, and what the texts name.

use std::fs::{File, OpenOptions};
use std::process::Stdio;

use spanspool::config::SETTINGS;
use testkit::TempDir;
use testkit::cli::{Ended, run, spanspool};

const COMMANDS: [&str; 10] =
    ["demo", "enqueue", "drain", "status", "cat", "rejected", "check", "settings", "completions", "man"];
const OF_A_SPOOL: [&str; 6] = ["enqueue", "drain", "status", "cat", "check", "rejected"];

/// Exit code 2, nothing on stdout, and a message that names all of `parts`.
#[track_caller]
fn assert_usage_error(args: &[&str], parts: &[&str]) {
    let ended = run(args).with(2);
    assert_eq!(ended.out, "", "{args:?}");
    for part in parts {
        assert!(ended.err.contains(part), "{args:?}: no {part:?} in: {}", ended.err);
    }
}

#[test]
fn without_a_command_it_says_which_there_are() {
    assert_usage_error(&[], &COMMANDS);
    assert_usage_error(&["dran"], &["'dran'", "'drain'"]);
}

#[test]
fn help_names_every_command_and_no_internal_one() {
    for asked in ["help", "--help", "-h"] {
        let text = run(&[asked]).with(0).out;
        for command in COMMANDS {
            assert!(text.contains(&format!("\n  {command} ")), "{command} in {text}");
        }
        assert!(!text.contains("child"), "{text}");
    }
}

#[test]
fn each_command_has_a_help_text_that_names_its_options() {
    for command in COMMANDS {
        let text = run(&[command, "--help"]).with(0).out;
        assert!(text.contains(&format!("\nUsage: spanspool {command}")), "{text}");
        assert_eq!(text, run(&["help", command]).with(0).out);
    }
    for command in OF_A_SPOOL {
        let text = run(&[command, "--help"]).with(0).out;
        for option in ["--spool-dir <DIR>", "--set <KEY=VALUE>", "--json", "--help"] {
            assert!(text.contains(&format!(" {option}")), "{option} in the help of {command}");
        }
    }
    assert_usage_error(&["help", "nonsense"], &["'nonsense'"]);
}

#[test]
fn help_settings_names_every_setting_with_what_is_allowed() {
    let text = run(&["help", "settings"]).with(0).out;
    for setting in SETTINGS {
        assert!(text.contains(&format!(
            "{}\n    {}\n    allowed: {};",
            setting.name, setting.meaning, setting.allowed
        )));
    }
}

#[test]
fn version_is_the_crate_s() {
    assert_eq!(run(&["--version"]).with(0).out, format!("spanspool {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_option_is_named_with_the_one_meant() {
    for command in OF_A_SPOOL {
        assert_usage_error(&[command, "--sool-dir", "x"], &["'--sool-dir'", "'--spool-dir'"]);
        assert_usage_error(&[command, "--spool-dir"], &["a value is required for '--spool-dir <DIR>'"]);
        assert_usage_error(&[command, "--json=yes"], &["'yes' for '--json'"]);
    }
    assert_usage_error(&["demo", "--spool-dir", "x"], &["'--spool-dir'", "Usage: spanspool demo"]);
    assert_usage_error(&["status", "extra"], &["'extra'", "Usage: spanspool status"]);
    assert_usage_error(&["enqueue", "--spool-dir=x", "a", "b"], &["'b'"]);
}

#[test]
fn a_spool_folder_must_be_named() {
    for words in [
        &["enqueue"][..],
        &["drain"],
        &["status"],
        &["cat"],
        &["rejected", "list"],
        &["rejected", "purge", "--all"],
    ] {
        assert_usage_error(words, &["'--spool-dir' is missing"]);
    }
}

#[test]
fn a_wrong_setting_is_refused_before_anything_is_done() {
    let folder = TempDir::new("cli");
    let dir = folder.argument("spool");
    for command in [&["enqueue"][..], &["drain"], &["status"], &["cat"], &["rejected", "list"]] {
        for (setting, parts) in [
            ("max_batch_size", &["'max_batch_size'", "KEY=VALUE"][..]),
            ("max_batch_size=0", &["max_batch_size='0'", "1 to 65536"]),
            ("max_batch_sise=1", &["'max_batch_sise'", "did you mean 'max_batch_size'"]),
            ("spool_dir=", &["spool_dir=''", "a directory"]),
            ("endpoint=ftp://x", &["endpoint='ftp://x'", "http://"]),
        ] {
            assert_usage_error(&[command, &["--spool-dir", &dir, "--set", setting]].concat(), parts);
        }
    }
    assert!(!folder.path().join("spool").exists());
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    for command in [&["enqueue"][..], &["drain"], &["status"], &["cat"], &["rejected", "list"]] {
        let ended =
            run(&[command, &["--spool-dir=/nonexistent", "--set=api_key=sk-secret"]].concat()).with(2);
        for part in ["api_key", "/proc/PID/cmdline", "OPENAI_API_KEY", "--api-key-file"] {
            assert!(ended.err.contains(part), "{}", ended.err);
        }
        assert!(!ended.err.contains("sk-secret"), "{}", ended.err);
    }
}

#[test]
fn a_file_that_holds_no_key_is_refused_by_its_name() {
    let folder = TempDir::new("cli");
    let spool = folder.argument("");
    for (file, part) in [
        (folder.argument("absent"), "No such file"),
        (folder.write("empty", " \n"), "it is empty"),
        (folder.write("long", "k".repeat(5000)), "4096"),
        (folder.write("two-lines", "sk-secret\nsk-secret"), "visible ASCII"),
        (folder.write("binary", b"\xff\xfe"), "UTF-8"),
    ] {
        let words = ["drain", "--spool-dir", &spool, "--timeout-ms=1", "--api-key-file", &file];
        assert_usage_error(&words, &["api", part]);
        assert!(!run(&words).err.contains("sk-secret"));
    }
}

#[test]
fn a_named_key_is_refused_without_being_repeated() {
    let folder = TempDir::new("cli");
    let spool = folder.argument("");
    let bad = folder.write("bad", "sk-secret\nsk-secret");
    let good = folder.write("good", "sk-secret");
    let long = format!("{}=X", "n".repeat(256));
    let file = |name: &str, path: &str| format!("--named-key-file={name}={path}");
    for (options, part) in [
        (&["--named-key-env=team".to_owned()][..], "'team' is not NAME=VARIABLE"),
        (&["--named-key-env==X".to_owned()], "1 to 255 bytes"),
        (&[format!("--named-key-env={long}")], "1 to 255 bytes"),
        (&["--named-key-env=team=SPANSPOOL_ABSENT".to_owned()], "'SPANSPOOL_ABSENT' is not set"),
        (&["--named-key-env=team=BLANK".to_owned()], "'BLANK' is empty"),
        (&["--named-key-env=team=FOREIGN".to_owned()], "for 'team' can't be sent: only visible ASCII"),
        (&["--named-key-file=team".to_owned()], "'team' is not NAME=FILE"),
        (&[file("team", &folder.argument("absent"))], "No such file"),
        (&[file("team", &bad)], "for 'team' can't be sent: only visible ASCII"),
        (&[file("team", &good), "--named-key-env=team=KEY".to_owned()], "more than one key for 'team'"),
    ] {
        let mut drain = spanspool(&["drain", "--timeout-ms=1", "--spool-dir", &spool]);
        drain.args(options).env("BLANK", " \n").env("FOREIGN", "sk-sécret").env("KEY", "sk-secret");
        let ended = Ended::from(drain.output().unwrap()).with(2);
        assert!(
            ended.err.contains(part) && ended.err.contains("'--named-key-"),
            "{options:?}: {}",
            ended.err
        );
        assert!(!ended.err.contains("sk-"), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
    assert!(!folder.path().join("lanes").exists());
}

#[test]
fn drain_needs_an_exporter_and_a_timeout_in_whole_milliseconds() {
    assert_usage_error(
        &["drain", "--spool-dir=x", "--set", "exporter=none"],
        &["exporter=none", "backend, otlp, console"],
    );
    for wrong in ["-1", "1s", "", "1.5"] {
        let option = format!("--timeout-ms={wrong}");
        assert_usage_error(
            &["drain", "--spool-dir=x", &option],
            &["'--timeout-ms <N>'", &format!("'{wrong}'"), "whole number"],
        );
    }
}

#[test]
fn rejected_must_be_told_what_to_do_and_with_which_items() {
    assert_usage_error(&["rejected", "--spool-dir=x"], &["list, requeue, purge"]);
    assert_usage_error(&["rejected", "delete", "--spool-dir=x"], &["'delete'", "list|requeue|purge"]);
    assert_usage_error(&["rejected", "list", "a-1", "--spool-dir=x"], &["'a-1'"]);
    for action in ["requeue", "purge"] {
        assert_usage_error(&["rejected", action, "--spool-dir=x"], &["--all"]);
        assert_usage_error(&["rejected", action, "a-1", "--all", "--spool-dir=x"], &["[ID]", "--all"]);
    }
}

#[test]
fn a_reader_that_has_gone_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = spanspool(&["help", "settings"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn output_that_cannot_be_written_is_a_fault() {
    let full: File = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = spanspool(&["help", "settings"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}
