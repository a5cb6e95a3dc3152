//! Mount: file systems of the tests' own, in images that are mounted through a loop device. It takes root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::tools::{have, is_installed, is_root, succeed};

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Whether the machine can make and mount one. If not, `test` is skipped with a line that says why.
    pub fn is_available(self, test: &str) -> bool {
        is_root(test) && have(&format!("mkfs.{}", self.name()), "-V", test)
    }

    /// Whether there is a tool to make one.
    pub fn is_installed(self) -> bool {
        is_installed(&format!("mkfs.{}", self.name()), "-V")
    }

    /// Options for a copy of a file system that is mounted as well.
    pub fn options_of_copy(self) -> &'static str {
        if self == Self::Xfs { "loop,nouuid" } else { "loop" }
    }

    /// Makes `image`, a sparse file, an empty file system.
    pub fn make(self, image: &Path, bytes: u64) {
        File::create(image).unwrap().set_len(bytes).unwrap();
        let force = if self == Self::Ext4 { "-F" } else { "-f" };
        succeed(Command::new(format!("mkfs.{}", self.name())).args(["-q", force]).arg(image));
    }
}

/// A mounted folder, unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts `image` at `folder`, which is made if nothing is there; `options` as for mount(8).
    pub fn new(image: &Path, options: &str, folder: PathBuf) -> Self {
        Self::try_new(image, options, folder).unwrap()
    }

    /// As `new`; what mount(8) says when it can't.
    pub fn try_new(image: &Path, options: &str, folder: PathBuf) -> Result<Self, String> {
        if !folder.exists() {
            fs::create_dir_all(&folder).unwrap();
        }
        let output = Command::new("mount").args(["-o", options]).arg(image).arg(&folder).output().unwrap();
        let said = || format!("mount {}: {}", image.display(), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(Self(folder)) } else { Err(said()) }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = |flag: &[&str]| {
            let mut command = Command::new("umount");
            command.args(flag).arg(&self.0).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        // A process that was just killed, or a thread that just ended, may still have a file open.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !unmount(&[]) {
            if Instant::now() > deadline {
                unmount(&["--lazy"]);
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}
