//! Disk: a file system whose power can be cut at any instant: a copy of what the disk had just then is mounted
//! elsewhere.
//!
//! ```text
//!   Plain                                    Cached
//!   live     the file system under test      live     the file system under test
//!     disk.img, a file on                      disk.img, a file on
//!   outer    xfs, or btrfs where none is     platter  ext4
//!                                              platter.img, a file on
//!                                            outer    xfs or btrfs
//! ```
//! Why a copy is what a power cut leaves: a loop device writes to its file only what the file system above sent to the
//! disk, so what is in that one's page cache alone is not in the file. `FICLONE` takes the whole file in one instant:
//! it keeps every write to it out meanwhile, and each request of a loop device is one write. So a `Plain` capture is a
//! disk without a cache of its own. A `Cached` disk has one: the page cache of the platter's file system. A flush that
//! arrives at the upper loop device becomes an fsync of `disk.img` there, which writes to `platter.img`; what was
//! written since the last flush is in `platter.img` only as far as it was written back. So a capture of that, mounted,
//! with its journal replayed, is a disk that lost its cache, or kept parts of it: `write_back_some` brings any part to
//! the platter, in any order.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::client::Noise;
pub use testkit::mount::Kind;
use testkit::mount::Mount;
use testkit::{TempDir, succeed};

/// The least that xfs can be made with is 300 MiB. All images are sparse.
const DISK_BYTES: u64 = 320 << 20;
const PLATTER_BYTES: u64 = 512 << 20;
const OUTER_BYTES: u64 = 8 << 30;

/// Whether the machine has what a disk of `kind` takes. If not, `test` is skipped with a line that says why.
pub fn can_make(kind: Kind, test: &str) -> bool {
    // The platter is an ext4.
    let all = [Kind::Ext4, outer_kind(), kind];
    all.iter().all(|kind| kind.is_available(test))
}

/// The file system below all others, which must be able to copy a file in one instant.
fn outer_kind() -> Kind {
    if Kind::Btrfs.is_installed() && !Kind::Xfs.is_installed() { Kind::Btrfs } else { Kind::Xfs }
}

/// The disk, its file system mounted.
pub struct Disk {
    kind: Kind,
    // Unmounted in this order.
    live: Mount,
    platter: Option<Mount>,
    _outer: Mount,
    dir: TempDir,
}

impl Disk {
    pub fn new(kind: Kind, cached: bool) -> Self {
        let dir = TempDir::new("power");
        let image = dir.join("outer.img");
        outer_kind().make(&image, OUTER_BYTES);
        let outer = Mount::new(&image, "loop", dir.join("outer"));
        let platter = cached.then(|| {
            let image = outer.path().join("platter.img");
            Kind::Ext4.make(&image, PLATTER_BYTES);
            Mount::new(&image, "loop", dir.join("platter"))
        });
        let image = platter.as_ref().unwrap_or(&outer).path().join("disk.img");
        kind.make(&image, DISK_BYTES);
        let live = Mount::new(&image, "loop", dir.join("live"));
        let disk = Self { kind, live, platter, _outer: outer, dir };
        disk.sync();
        disk
    }

    /// The folder in which the file system under test is mounted.
    pub fn live(&self) -> &Path {
        self.live.path()
    }

    /// Brings all that was written so far to the platter.
    pub fn sync(&self) {
        succeed(Command::new("sync").arg("-f").arg(self.live()));
    }

    /// Writes random parts of what the disk has in its cache to the platter, as a disk may at any time.
    pub fn write_back_some(&self, noise: &mut Noise) {
        let Some(platter) = &self.platter else { return };
        let image = File::open(platter.path().join("disk.img")).unwrap();
        const PART_BYTES: u64 = 64 << 10;
        for part in (0..DISK_BYTES / PART_BYTES).filter(|_| noise.below(2) == 0) {
            // SAFETY: the call gets numbers only, and the file is open.
            let answer = unsafe {
                libc::sync_file_range(
                    image.as_raw_fd(),
                    (part * PART_BYTES) as i64,
                    PART_BYTES as i64,
                    libc::SYNC_FILE_RANGE_WRITE,
                )
            };
            assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
        }
    }

    /// What the disk has at one instant during the call.
    pub fn capture(&self) -> Capture {
        let outer = self.dir.join("outer");
        let (from, to) = match self.platter {
            Some(_) => (outer.join("platter.img"), outer.join("cut.img")),
            None => (outer.join("disk.img"), outer.join("cut.img")),
        };
        succeed(Command::new("cp").arg("--reflink=always").args([&from, &to]));
        Capture { image: to }
    }

    /// Mounts `capture` as the machine would after the cut: the file system replays its journal.
    pub fn mount(&self, capture: Capture) -> Remains {
        let mut image = capture.image.clone();
        let mut platter = None;
        if self.platter.is_some() {
            let mount = Mount::new(&image, Kind::Ext4.options_of_copy(), self.dir.join("cut-platter"));
            image = mount.path().join("disk.img");
            platter = Some(mount);
        }
        let disk = Mount::new(&image, self.kind.options_of_copy(), self.dir.join("cut"));
        // Old kernels know a btrfs by its id and would show the live one.
        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        assert_ne!(
            device(disk.path()),
            device(self.live()),
            "this kernel cannot mount a copy of a mounted btrfs"
        );
        Remains { disk, _platter: platter, _capture: capture }
    }
}

/// A copy of a disk as it was at one instant.
pub struct Capture {
    image: PathBuf,
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It goes with the disk's folder at the latest.
        let _ = fs::remove_file(&self.image);
    }
}

/// What the power cut left, mounted.
pub struct Remains {
    // Unmounted in this order.
    disk: Mount,
    _platter: Option<Mount>,
    _capture: Capture,
}

impl Remains {
    pub fn folder(&self) -> &Path {
        self.disk.path()
    }
}
