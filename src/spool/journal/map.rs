//! Map: the journal's file in memory. The ring is mapped twice, one copy after the other, so that a record that runs
//! over the end of the ring is still one slice.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::os::process::file_size_limit;

/// Bytes before the ring in the file and in memory: a multiple of every page size in use (4, 16, 64 KiB).
pub(super) const HEADER_BYTES: u64 = 64 << 10;

/// A shared mapping of header and ring.
///
/// Bytes are written by the thread that reserved them and read by others only after the release-store
/// and acquire-load of a word next to them; words are atomics.
pub(super) struct Map {
    base: NonNull<u8>,
    ring_bytes: u64,
    page_bytes: u64,
}

// SAFETY: the mapping lives until drop and belongs to no thread; the protocol above orders all access.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps `file`, which is `HEADER_BYTES + ring_bytes` long; `ring_bytes` is a multiple of 64 KiB.
    pub(super) fn new(file: &File, ring_bytes: u64, writable: bool) -> io::Result<Self> {
        let header = HEADER_BYTES as usize;
        let ring = ring_bytes as usize;
        let total = header + 2 * ring;
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a fresh reservation of address space; nothing else refers to it.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                total,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        let page_bytes = page_bytes();
        let map = Self { base, ring_bytes, page_bytes };
        map.map_parts(file, protection)?;
        Ok(map)
    }

    /// Maps header and ring, and the ring once more after them, into the reservation.
    fn map_parts(&self, file: &File, protection: libc::c_int) -> io::Result<()> {
        let (header, ring) = (HEADER_BYTES as usize, self.ring_bytes as usize);
        for (at, length, offset) in [(0, header + ring, 0), (header + ring, ring, header)] {
            // SAFETY: the target lies inside the reservation, which `self` owns.
            let mapped = unsafe {
                libc::mmap(
                    self.base.as_ptr().add(at).cast(),
                    length,
                    protection,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    file.as_raw_fd(),
                    offset as libc::off_t,
                )
            };
            if mapped == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    pub(super) fn ring_bytes(&self) -> u64 {
        self.ring_bytes
    }

    /// Maps `file`, which holds the same bytes, in the place of the file that is mapped here.
    ///
    /// No thread may write meanwhile. After an error it is not known which file is mapped in which part.
    pub(super) fn change_file(&self, file: &File) -> io::Result<()> {
        self.map_parts(file, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Copies to `fresh`, a mapping of the same size, what differs there; words are copied whole.
    ///
    /// In pages, so that a second copy dirties only those that were written since the first.
    pub(super) fn copy_to(&self, fresh: &Map) {
        let bytes = HEADER_BYTES + self.ring_bytes;
        for page in (0..bytes).step_by(self.page_bytes as usize) {
            let words = || (page..(page + self.page_bytes).min(bytes)).step_by(8).map(|at| at as usize);
            if words().any(|at| self.word(at).load(Relaxed) != fresh.word(at).load(Relaxed)) {
                words().for_each(|at| fresh.word(at).store(self.word(at).load(Relaxed), Relaxed));
            }
        }
    }

    /// The word at byte `offset` of the header; `offset` is a multiple of 8.
    pub(super) fn header_word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset < HEADER_BYTES as usize);
        self.word(offset & (HEADER_BYTES as usize - 8))
    }

    /// Position `pos` of the endless ring.
    pub(super) fn slot(&self, pos: u64) -> Slot<'_> {
        Slot { map: self, at: self.ring_offset(pos & !7) }
    }

    /// Makes ring positions `from..to` durable; an error means that they may never be.
    pub(super) fn sync_ring(&self, file: &File, from: u64, to: u64) -> io::Result<()> {
        let start = self.ring_offset(from) as u64;
        let end = start + (to - from).min(self.ring_bytes);
        let mirror = HEADER_BYTES + self.ring_bytes;
        self.sync(file, start, end.min(mirror))?;
        if end > mirror { self.sync(file, HEADER_BYTES, end - self.ring_bytes) } else { Ok(()) }
    }

    /// Makes the header durable.
    pub(super) fn sync_header(&self, file: &File) -> io::Result<()> {
        self.sync(file, 0, self.page_bytes)
    }

    /// Takes the write faults of positions `from..to` now, so that enqueue need not.
    pub(super) fn prefault(&self, from: u64, to: u64) {
        #[cfg(target_os = "linux")]
        {
            let (start, end) = self.pages(self.ring_offset(from) as u64, to - from);
            // SAFETY: the range lies inside the mapping; the advice changes no byte. Old kernels answer EINVAL.
            unsafe {
                libc::madvise(
                    self.base.as_ptr().add(start as usize).cast(),
                    (end - start) as usize,
                    libc::MADV_POPULATE_WRITE,
                )
            };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (from, to);
    }

    /// On Linux `msync` is a ranged fdatasync: it writes these pages only and flushes the device.
    #[cfg(not(target_os = "macos"))]
    fn sync(&self, file: &File, start: u64, end: u64) -> io::Result<()> {
        let (start, end) = self.pages(start, end - start);
        // SAFETY: the range lies inside the mapping.
        let answer = unsafe {
            libc::msync(self.base.as_ptr().add(start as usize).cast(), (end - start) as usize, libc::MS_SYNC)
        };
        let error = match answer {
            0 => return Ok(()),
            _ => io::Error::last_os_error(),
        };
        // Where a sandbox refuses the call, the whole file can be synced.
        let is_refused = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS));
        if is_refused { file.sync_data() } else { Err(error) }
    }

    /// On macOS only F_FULLFSYNC, which `sync_all` uses, reaches the medium.
    #[cfg(target_os = "macos")]
    fn sync(&self, file: &File, _start: u64, _end: u64) -> io::Result<()> {
        file.sync_all()
    }

    /// The whole pages that hold `len` bytes from `start`, kept inside the mapping.
    #[cfg(not(target_os = "macos"))]
    fn pages(&self, start: u64, len: u64) -> (u64, u64) {
        let mask = self.page_bytes - 1;
        let end = (start + len + mask) & !mask;
        (start & !mask, end.min(HEADER_BYTES + 2 * self.ring_bytes))
    }

    fn ring_offset(&self, pos: u64) -> usize {
        (HEADER_BYTES + pos % self.ring_bytes) as usize
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: all callers keep `offset` 8-aligned and inside header or doubled ring, and the mapping
        // is shared memory that is only ever touched here as atomics or under the protocol above.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }
}

/// A position of the ring and what comes after it, found by one division.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    map: &'a Map,
    /// In bytes of the mapping, in the ring's first copy: a whole ring comes after it.
    at: usize,
}

impl<'a> Slot<'a> {
    /// The word `offset` bytes after the position; a multiple of 8, less than 64 KiB, which the smallest ring has.
    pub(super) fn word(&self, offset: usize) -> &'a AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset < HEADER_BYTES as usize);
        self.map.word(self.at + (offset & (HEADER_BYTES as usize - 8)))
    }

    /// The `len` bytes that begin `offset` after the position, all of it at most one ring. The caller has seen them
    /// committed.
    pub(super) fn bytes(&self, offset: usize, len: usize) -> &'a [u8] {
        let (at, len) = self.clamp(offset, len);
        // SAFETY: `clamp` keeps it inside the doubled mapping.
        unsafe { std::slice::from_raw_parts(self.map.base.as_ptr().add(at), len) }
    }

    /// Copies `bytes` to `offset` after the position; the caller has reserved that and no thread reads it yet.
    pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
        let (at, len) = self.clamp(offset, bytes.len());
        // SAFETY: as in `bytes`; the reservation makes this thread the only one there.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.base.as_ptr().add(at), len) }
    }

    fn clamp(&self, offset: usize, len: usize) -> (usize, usize) {
        let ring = self.map.ring_bytes as usize;
        let offset = offset.min(ring);
        (self.at + offset, len.min(ring - offset))
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let total = (HEADER_BYTES + 2 * self.ring_bytes) as usize;
        // SAFETY: the reservation of `new`; no slice of it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), total) };
    }
}

fn page_bytes() -> u64 {
    // SAFETY: no memory is involved.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096).max(4096)
}

/// Has btrfs write `file`, which is empty, in place: a new copy of each page would want room that a full disk has not,
/// and a write to mapped memory has no other answer to that than SIGBUS. Other file systems do so anyway.
fn forbid_copies(file: &File) {
    #[cfg(target_os = "linux")]
    {
        /// From linux/fs.h.
        const FS_NOCOW_FL: libc::c_int = 0x0080_0000;
        let mut flags: libc::c_int = 0;
        // SAFETY: the calls read and write `flags` only; a file system that does not know them answers an error.
        unsafe {
            if libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) == 0 {
                flags |= FS_NOCOW_FL;
                libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags);
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Reserves `bytes` of disk for `file`, which is empty, so that a full disk is an error now and never a SIGBUS later.
pub(super) fn preallocate(file: &File, bytes: u64) -> io::Result<()> {
    if let Some(limit) = file_size_limit().filter(|limit| *limit < bytes) {
        let why = format!(
            "it takes {bytes} bytes, and a file of this process at most {limit} (RLIMIT_FSIZE, ulimit -f)"
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    forbid_copies(file);
    #[cfg(target_os = "linux")]
    {
        // SAFETY: no memory is involved.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes as libc::off_t) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // Some file systems do not know the call, and some sandboxes refuse it.
        if !matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM)) {
            return Err(error);
        }
    }
    write_zeros(file, bytes)
}

/// Writes `bytes` zeros: blocks that were written once need no metadata commit when they are written again.
///
/// A page at a time: Linux caches a longer write in larger units, and a sync of one record would write the whole unit.
pub(super) fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let zeros = vec![0; page_bytes() as usize];
    let mut at = 0;
    while at < bytes {
        let len = zeros.len().min((bytes - at) as usize);
        file.write_all_at(&zeros[..len], at)?;
        at += len as u64;
    }
    Ok(())
}
