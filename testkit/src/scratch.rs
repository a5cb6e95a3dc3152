//! Scratch folders, and the folders of the project and of its build.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own, removed with all it holds when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        Self::new_in(&target_tmp(), name)
    }

    /// The same in the folder `parent`.
    pub fn new_in(parent: &Path, name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(unique);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The same in memory, where syncs cost nothing, if the system has a place for that.
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::new_in(memory, name) } else { Self::new(name) }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of `name` in it, as an argument of a program.
    pub fn argument(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    /// Makes a file in it; gives its path as an argument of a program.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.join(name), content).unwrap();
        self.argument(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A folder that can't be removed must not hide what the test found.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder of the test program, where cargo also leaves the libraries that it built for it.
pub(crate) fn test_program_dir() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

/// The `spanspool` program that cargo built for this test run.
pub fn program() -> PathBuf {
    test_program_dir().with_file_name("spanspool")
}

/// A folder below `target` for what the tests make.
pub fn target_tmp() -> PathBuf {
    test_program_dir().ancestors().nth(2).unwrap().join("tmp")
}
