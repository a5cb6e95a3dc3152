//! `spanspool`: looks after a spool from the command line, and shows what it does.
#![allow(missing_docs, reason = "a program has no API; each file says what it is for")]
#![allow(
    clippy::print_stderr,
    reason = "a program talks to people; its stdout goes through a writer, see `Failure`"
)]

mod cli;
mod commands;
mod demo;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use cli::args::Args;
use cli::command::{Command, Done, Failure};
use spanspool::config::SETTINGS;

/// Every subcommand, in the order of the usage text; one without a summary is not for people.
static COMMANDS: &[Command] = &[
    demo::COMMAND,
    commands::enqueue::COMMAND,
    commands::drain::COMMAND,
    commands::status::COMMAND,
    commands::cat::COMMAND,
    commands::rejected::COMMAND,
    commands::check::COMMAND,
    demo::CHILD,
];

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn listed() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.summary.is_empty())
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let name = words.next().map(|word| word.to_string_lossy().into_owned());
    // `Stdout` locks for each write only: the library's console exporter writes there too.
    let mut out = io::stdout();
    let result = match name.as_deref() {
        None => Err(Failure::Usage(format!("no command given\n\n{}", overview()))),
        Some("--version" | "-V") => version(&mut out),
        Some("help" | "--help" | "-h") => help(words.next(), &mut out),
        Some(name) => match find(name) {
            Some(command) => start(command, words, &mut out),
            None => Err(Failure::Usage(format!("unknown command '{name}'; known: {}", known()))),
        },
    };
    finish(result, name.filter(|name| find(name).is_some()))
}

fn start(
    command: &'static Command,
    words: impl Iterator<Item = OsString>,
    out: &mut dyn Write,
) -> Result<Done, Failure> {
    let args = Args::parse(words, command)?;
    if args.has("--help") {
        writeln!(out, "{}", command.help)?;
        return Ok(Done::All);
    }
    let done = (command.run)(&args, out)?;
    out.flush()?;
    Ok(done)
}

fn finish(result: Result<Done, Failure>, command: Option<String>) -> ExitCode {
    let who = command.map_or_else(|| "spanspool".into(), |command| format!("spanspool {command}"));
    let (code, message) = match result {
        Ok(Done::All) | Err(Failure::ClosedPipe) => return ExitCode::SUCCESS,
        Ok(Done::SomethingLeft) => return ExitCode::from(1),
        Err(Failure::Failed(message)) => (1, message),
        Err(Failure::Usage(message)) => (2, message),
    };
    // Without a stderr there is nobody left to tell; the exit code still speaks.
    let _ = writeln!(io::stderr(), "{who}: {message}");
    ExitCode::from(code)
}

fn version(out: &mut dyn Write) -> Result<Done, Failure> {
    writeln!(out, "spanspool {}", env!("CARGO_PKG_VERSION"))?;
    Ok(Done::All)
}

fn help(topic: Option<OsString>, out: &mut dyn Write) -> Result<Done, Failure> {
    let topic = topic.map(|topic| topic.to_string_lossy().into_owned());
    match topic.as_deref() {
        None => writeln!(out, "{}", overview())?,
        Some("settings") => settings(out)?,
        Some(name) => match find(name) {
            Some(command) => writeln!(out, "{}", command.help)?,
            None => {
                return Err(Failure::Usage(format!("no help on '{name}'; there is: {}, settings", known())));
            }
        },
    }
    Ok(Done::All)
}

fn overview() -> String {
    let commands: String = listed().map(|c| format!("  {:<9} {}\n", c.name, c.summary)).collect();
    format!(
        "spanspool {}: keeps traces and spans on disk until an HTTP ingest has them

Usage: spanspool COMMAND [OPTIONS]

Commands:
{commands}  help      this text; help COMMAND; help settings

Every command but demo takes --spool-dir DIR and --set KEY=VALUE.
The API key comes from the environment, OPENAI_API_KEY, or from a file.

Exit code: 0 done, 1 something is left or invalid, 2 wrong usage.",
        env!("CARGO_PKG_VERSION")
    )
}

fn settings(out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "Settings for --set KEY=VALUE. Bytes may end in KiB, MiB or GiB.\n")?;
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        writeln!(out, "{}\n    {}", setting.name, setting.meaning)?;
        writeln!(out, "    allowed: {}; default: {default}", setting.allowed)?;
    }
    writeln!(out, "header.NAME\n    an extra request header\n    allowed: visible ASCII; default: none")?;
    Ok(())
}

fn known() -> String {
    listed().map(|c| c.name).collect::<Vec<_>>().join(", ")
}
