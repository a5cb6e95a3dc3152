//! `spanspool`: looks after a spool from the command line, and shows what it does.
#![allow(missing_docs, reason = "a program has no API; each file says what it is for")]
#![allow(clippy::print_stderr, reason = "standard error is for people; output goes through a writer")]

mod cli;
mod commands;
mod demo;
mod otlp;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use cli::outcome::{Done, Failure, exit};
use commands::{cat, check, completions, drain, enqueue, man, rejected, settings, status};
use demo::{CHILD, Child};

/// Keeps traces and spans on disk until an HTTP ingest has them
///
/// The commands that work on a spool take --spool-dir DIR and --set KEY=VALUE.
/// The API key comes from the environment, OPENAI_API_KEY, or from a file.
/// 'spanspool help COMMAND' describes a command, 'spanspool help settings' every
/// setting.
///
/// Exit code: 0 done, 1 something is left or invalid, 2 wrong usage.
#[derive(Parser)]
#[command(name = "spanspool", version, verbatim_doc_comment)]
#[command(arg_required_else_help = true, args_override_self = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Enqueue(enqueue::Enqueue),
    Drain(drain::Drain),
    Status(status::Status),
    View(commands::view::View),
    Cat(cat::Cat),
    Rejected(rejected::Rejected),
    Check(check::Check),
    Settings(settings::Settings),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let done = match self {
            Self::Demo(demo) => demo.run(out),
            Self::Enqueue(enqueue) => enqueue.run(out),
            Self::Drain(drain) => drain.run(out),
            Self::Status(status) => status.run(out),
            Self::View(view) => view.run(out),
            Self::Cat(cat) => cat.run(out),
            Self::Rejected(rejected) => rejected.run(out),
            Self::Check(check) => check.run(out),
            Self::Settings(settings) => settings.run(out),
            Self::Completions(completions) => completions.run(CommandLine::command(), out),
            Self::Man(man) => man.run(CommandLine::command()),
        }?;
        out.flush()?;
        Ok(done)
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.peek().is_some_and(|word| word == CHILD) {
        return exit(Child::parse_from(words).run(), CHILD);
    }
    let parsed = CommandLine::command().try_get_matches().and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((name, CommandLine::from_arg_matches(&matches)?.command))
    });
    // `Stdout` locks for each write only: the library's console exporter writes there too.
    let mut out = io::stdout();
    match parsed {
        Ok((name, command)) => exit(command.run(&mut out), &format!("spanspool {name}")),
        Err(error) if error.use_stderr() => {
            // With standard error closed, the exit code still speaks.
            let _ = write!(io::stderr(), "{}", error.render());
            ExitCode::from(2)
        }
        // Help or the version, as asked for.
        Err(text) => exit(print(&text, &mut out), "spanspool"),
    }
}

fn print(text: &clap::Error, out: &mut dyn Write) -> Result<Done, Failure> {
    write!(out, "{}", text.render())?;
    out.flush()?;
    Ok(Done::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_option_is_described() {
        CommandLine::command().help_expected(true).debug_assert();
    }
}
