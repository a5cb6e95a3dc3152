//! Clock: the wall clock as a program sees it that tests/c/clock_shim.c is loaded into.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::compile::compile_shim;

/// A wall clock that can be set.
pub struct Clock {
    shim: PathBuf,
    path: PathBuf,
    file: File,
}

impl Clock {
    /// Compiles the shim into `dir`. The clock is right at first.
    pub fn compile(dir: &Path) -> Self {
        let path = dir.join("clock");
        fs::write(&path, [0; 8]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        Self { shim: compile_shim("tests/c/clock_shim.c", dir), path, file }
    }

    /// Gives this clock to the program that `command` starts.
    pub fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("SPANSPOOL_TEST_CLOCK", &self.path);
    }

    /// From now on the clock is so many seconds fast.
    pub fn shift(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Sets the clock to the time after a start without a battery: a minute after the begin of 1970.
    pub fn unset(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.shift(60 - i64::try_from(now.as_secs()).unwrap());
    }
}
