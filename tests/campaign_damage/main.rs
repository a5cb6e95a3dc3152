//! Damage: one random damage to one random file of a spool, many times over. Whatever the damage did not touch arrives.
//!
//! ```text
//! SPANSPOOL_TRIALS=20000 cargo test --test campaign_damage -- --nocapture
//! ```
//! `SPANSPOOL_SEED=<n>` repeats a run. Trials run in child processes, so that a panic, an abort or a hang of one is
//! seen.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::single_range_in_vec_init)]

mod harm;
mod template;
mod trial;

use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use template::Template;
use testkit::{TempDir, campaign, run};
use trial::Figures;

/// Trials of the run that is part of every test run.
const SMOKE_TRIALS: u64 = 60;
/// Trials of one child process.
const SHARE: u64 = 250;
/// A trial takes tens of milliseconds; one that says nothing for so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Tells a child what to do: seed, first trial, after the last, folder of the templates, whether it is the control.
const WORK: &str = "SPANSPOOL_DAMAGE_WORK";

#[test]
fn whatever_damage_did_not_touch_arrives() {
    if env::var(WORK).is_ok() {
        return;
    }
    let (seed, trials) = (campaign::seed("campaign damage"), campaign::trials(SMOKE_TRIALS));
    // The campaign is about bytes, not about the disk.
    let scratch = TempDir::in_memory("damage");
    Template::make_all(&scratch.join("templates"));
    let (mut figures, mut failures) = (Figures::default(), Vec::new());
    let mut first = 0;
    while first < trials {
        let end = trials.min(first + SHARE);
        share(seed, first..end, scratch.path(), false, &mut figures, &mut failures);
        first = end;
        if trials > SMOKE_TRIALS && first % 1000 < SHARE {
            println!("{figures} failures={}", failures.len());
        }
    }
    println!("campaign damage: {figures} failures={}", failures.len());
    assert!(failures.is_empty(), "SPANSPOOL_SEED={seed}:\n{}", failures.join("\n"));
}

/// The null control: when nothing is said to be touched, the campaign must complain of what is lost.
#[test]
fn the_campaign_sees_what_is_lost() {
    if env::var(WORK).is_ok() {
        return;
    }
    let scratch = TempDir::in_memory("damage-control");
    Template::make_all(&scratch.join("templates"));
    let (mut figures, mut failures) = (Figures::default(), Vec::new());
    share(7, 0..SMOKE_TRIALS, scratch.path(), true, &mut figures, &mut failures);
    let lost = failures.iter().filter(|failure| failure.contains("untouched items are missing")).count();
    println!("campaign damage, control: {figures} failures={}", failures.len());
    assert!(lost > 3, "{lost} of {SMOKE_TRIALS} trials were seen to lose items:\n{}", failures.join("\n"));
}

/// Runs some trials in a child process, and another one after a trial that ended it.
fn share(
    seed: u64,
    mut trials: std::ops::Range<u64>,
    scratch: &std::path::Path,
    control: bool,
    figures: &mut Figures,
    failures: &mut Vec<String>,
) {
    while !trials.is_empty() {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "work", "--nocapture", "--test-threads=1"])
            .env(WORK, format!("{seed} {} {} {} {control}", trials.start, trials.end, scratch.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, said) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line))));
        let errors = thread::spawn(move || stderr.lines().map_while(Result::ok).collect::<Vec<_>>());
        let mut hung = false;
        loop {
            match said.recv_timeout(HANGS_AFTER) {
                Ok(line) => {
                    if let Some(done) = line.strip_prefix("done ") {
                        figures.add(done);
                        trials.start += 1;
                    } else if let Some(failure) = line.strip_prefix("failed ") {
                        failures.push(failure.to_owned());
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    hung = true;
                    child.kill().unwrap();
                }
            }
        }
        let status = run::exit(&mut child);
        let errors = errors.join().unwrap().join("\n");
        if !trials.is_empty() {
            let how = if hung { "hangs".to_owned() } else { format!("ends the process: {status}") };
            failures.push(format!("trial {} {how}\n{errors}", trials.start));
            trials.start += 1;
        } else if !status.success() || !errors.is_empty() {
            failures.push(format!("trials before {}: {status}, and on stderr:\n{errors}", trials.end));
        }
    }
}

/// The child's side.
#[test]
fn work() {
    let Ok(work) = env::var(WORK) else { return };
    let words: Vec<&str> = work.split(' ').collect();
    let (seed, first, end) =
        (words[0].parse::<u64>().unwrap(), words[1].parse().unwrap(), words[2].parse().unwrap());
    let scratch = PathBuf::from(words[3]);
    // The test harness has begun a line of its own.
    println!();
    let templates = Template::load_all(&scratch.join("templates"));
    for n in first..end {
        match trial::run(&templates, seed, n, &scratch.join("trial"), words[4] == "true") {
            (figures, None) => println!("done {figures}"),
            (figures, Some(failure)) => {
                println!("failed trial {n}: {}", failure.replace('\n', " | "));
                println!("done {figures}");
            }
        }
    }
}
