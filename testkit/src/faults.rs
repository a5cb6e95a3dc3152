//! Faults: the file by which tests/c/fault_shim.c is told which calls fail.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compile::compile_shim;

/// Where the words after the folder's name begin.
const AFTER_FOLDER: u64 = 8 * 9 + 4096;

/// What a program that the shim is loaded into is to meet.
pub struct Faults {
    shim: PathBuf,
    path: PathBuf,
    file: File,
}

impl Faults {
    /// Compiles the shim into `dir`, and watches what is below `folder`.
    pub fn below(folder: &Path, dir: &Path) -> Self {
        let path = dir.join("faults");
        let mut bytes = vec![0; 8192];
        let folder = folder.to_str().unwrap().as_bytes();
        bytes[8 * 9..][..folder.len()].copy_from_slice(folder);
        fs::write(&path, bytes).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self { shim: compile_shim("tests/c/fault_shim.c", dir), path, file }
    }

    /// Loads the shim into the program that `command` starts.
    pub fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("SPANSPOOL_TEST_FAULTS", &self.path);
    }

    /// From now on reads fail with `errno`; with 0 they succeed.
    pub fn fail_reads(&self, errno: i32) {
        self.file.write_all_at(&(errno as u64).to_ne_bytes(), AFTER_FOLDER).unwrap();
    }

    /// From now on each read takes this long.
    pub fn slow_reads(&self, us: u64) {
        self.file.write_all_at(&us.to_ne_bytes(), AFTER_FOLDER + 8).unwrap();
    }
}
