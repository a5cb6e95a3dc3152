//! Faults: the file by which tests/c/fault_shim.c is told which calls fail, and tells what was called.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compile::compile_shim;

/// Where the folder's name stands, after the first words.
const FOLDER_AT: usize = 8 * 9;
/// Where the words after it begin.
const AFTER_FOLDER: u64 = FOLDER_AT as u64 + 4096;

/// A number in the file; `struct faults` in the shim says what it means.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    Calls = 0,
    First = 8,
    Last = 16,
    Error = 24,
    OnlySyncs = 32,
    Made = 40,
    FailedSyncs = 48,
    RetriedSyncs = 56,
    SyncUs = 64,
    ReadError = AFTER_FOLDER as isize,
    ReadUs = AFTER_FOLDER as isize + 8,
    Full = AFTER_FOLDER as isize + 16,
}

/// What a program that the shim is loaded into is to meet.
pub struct Faults {
    path: PathBuf,
    file: File,
}

impl Faults {
    /// Compiles the shim into `dir`.
    pub fn compile(dir: &Path) -> PathBuf {
        compile_shim("tests/c/fault_shim.c", dir)
    }

    /// Makes the file `path`, for what is below `folder`: nothing fails yet.
    pub fn below(folder: &Path, path: &Path) -> Self {
        let mut bytes = vec![0; 8192];
        let folder = folder.to_str().unwrap().as_bytes();
        bytes[FOLDER_AT..][..folder.len()].copy_from_slice(folder);
        fs::write(path, bytes).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        Self { path: path.to_path_buf(), file }
    }

    /// Loads the compiled `shim` into the program that `command` starts.
    pub fn load(&self, shim: &Path, command: &mut Command) {
        command.env("LD_PRELOAD", shim).env("SPANSPOOL_TEST_FAULTS", &self.path);
    }

    pub fn set(&self, word: Word, value: u64) {
        self.file.write_all_at(&value.to_ne_bytes(), word as u64).unwrap();
    }

    pub fn get(&self, word: Word) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, word as u64).unwrap();
        u64::from_ne_bytes(bytes)
    }
}
