//! Program: one that says in lines what it has recorded, until it is killed or told to end.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use testkit::wait::eventually;
use testkit::{run, succeed};

/// A running program, killed when dropped.
pub struct Program {
    process: Child,
    input: Option<ChildStdin>,
    said: PathBuf,
}

impl Program {
    /// Starts it. What it says goes to the file `said`, so that not a line of one that is killed is missed.
    pub fn start(command: &mut Command, said: PathBuf) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(File::create(&said).unwrap()).spawn().unwrap();
        let input = process.stdin.take();
        Self { process, input, said }
    }

    /// The whole lines that it has said.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.said).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Waits until it has said `count` more lines.
    pub fn go_on(&mut self, count: usize) {
        let before = self.lines().len();
        eventually("it says more", || {
            assert_eq!(self.process.try_wait().unwrap(), None, "{:?}", self.said);
            self.lines().len() >= before + count
        });
    }

    /// Kills it with SIGKILL. Returns all that it said.
    pub fn kill(mut self) -> Vec<String> {
        run::kill(&mut self.process);
        self.lines()
    }

    /// Ends its input, or sends it SIGTERM, and waits until it has ended well. Returns all that it said.
    pub fn end(mut self, how: End) -> Vec<String> {
        match how {
            End::Input => drop(self.input.take()),
            End::Term => drop(succeed(Command::new("kill").args(["-TERM", &self.process.id().to_string()]))),
        }
        let status = run::exit(&mut self.process);
        assert!(status.success(), "{status}: {:?}", self.lines().last());
        self.lines()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a program is told to end.
#[derive(Clone, Copy)]
pub enum End {
    Input,
    Term,
}
