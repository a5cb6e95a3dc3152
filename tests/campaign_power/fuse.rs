//! Fuse: a folder of files that a process serves through /dev/fuse: the few requests that mkfs and a loop device make. One
//! thread answers them, one after the other.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::env;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

/// A file that is served.
pub trait Served: Send + Sync {
    fn bytes(&self) -> u64;
    fn read(&self, offset: u64, into: &mut [u8]);
    fn write(&self, offset: u64, bytes: &[u8]);
    /// What was written before must be on stable storage when it returns.
    fn flush(&self);
}

const MAX_WRITE: usize = 1 << 20;
/// A write comes with its headers.
const REQUEST_BYTES: usize = MAX_WRITE + 4096;

const ROOT: u64 = 1;

/// In the environment: the number of the device's descriptor.
const DEVICE: &str = "SPANSPOOL_FUSE_DEVICE";

// From linux/fuse.h.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const FALLOCATE: u32 = 43;
const BIG_WRITES: u32 = 1 << 5;
const MAX_PAGES: u32 = 1 << 22;

const IN_HEADER_BYTES: usize = 40;

#[derive(Default)]
struct Files {
    by_node: HashMap<u64, Arc<dyn Served>>,
    by_name: HashMap<String, u64>,
    newest: u64,
}

/// Makes a folder at `path` and mounts a file system on it. The process that holds the returned device serves it. Once the
/// device is closed, every call below `path` fails.
pub fn mount(path: &Path) -> File {
    fs::create_dir_all(path).unwrap();
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let (target, options) = (c_path(path), CString::new(options).unwrap());
    // SAFETY: all four are strings that end with a zero and outlive the call.
    let answer = unsafe {
        libc::mount(c"power".as_ptr(), target.as_ptr(), c"fuse".as_ptr(), 0, options.as_ptr().cast())
    };
    assert_eq!(answer, 0, "mount {}: {}", path.display(), io::Error::last_os_error());
    device
}

/// Unmounts what is mounted at `path`. Lazily: a loop device may let go of its file a moment after its own file system is
/// unmounted.
pub fn unmount(path: &Path) {
    let target = c_path(path);
    // SAFETY: a string that ends with a zero and outlives the call.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}

/// Lets what `command` starts have the device, which must be open then, as `inherited`.
pub fn hand_down(device: &File, command: &mut Command) {
    let device = device.as_raw_fd();
    command.env(DEVICE, device.to_string());
    let keep = move || {
        // SAFETY: the call gets numbers only.
        let answer = unsafe { libc::fcntl(device, libc::F_SETFD, 0) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: a system call is all that it makes between fork and exec.
    unsafe { command.pre_exec(keep) };
}

/// The device that `hand_down` has left to this process, if one has.
pub fn inherited() -> Option<File> {
    let device = env::var(DEVICE).ok()?.parse().unwrap();
    // SAFETY: it was opened for this process, which takes it once.
    Some(unsafe { File::from_raw_fd(device) })
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// What a mounted folder holds.
pub struct Folder(Arc<Mutex<Files>>);

impl Folder {
    /// The folder of `device`, served by a thread from now on.
    pub fn serve(device: File) -> Self {
        let files = Arc::new(Mutex::new(Files { newest: ROOT, ..Files::default() }));
        thread::spawn({
            let files = files.clone();
            move || serve(device, &files)
        });
        Self(files)
    }

    /// Adds a file under a name that was never in use before: what the kernel has cached is of one file only.
    pub fn add(&self, name: &str, file: Arc<dyn Served>) {
        let mut files = self.0.lock().unwrap();
        files.newest += 1;
        let node = files.newest;
        files.by_node.insert(node, file);
        files.by_name.insert(name.to_owned(), node);
    }

    /// The file is not opened any more.
    pub fn remove(&self, name: &str) {
        let mut files = self.0.lock().unwrap();
        if let Some(node) = files.by_name.remove(name) {
            files.by_node.remove(&node);
        }
    }
}

/// Answers requests until the folder is unmounted.
fn serve(mut device: File, files: &Mutex<Files>) {
    let mut request = vec![0; REQUEST_BYTES];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) => length,
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR | libc::EAGAIN)) => continue,
            // ENODEV: unmounted.
            Err(_) => return,
        };
        let request = Request(&request[..length]);
        let answer = match request.word(4) {
            FORGET | BATCH_FORGET | INTERRUPT => continue,
            operation => answer(operation, &request, files),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut reply = Vec::with_capacity(16 + body.len());
        reply.extend(((16 + body.len()) as u32).to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(request.long(8).to_ne_bytes());
        reply.extend(body);
        // The kernel does not want the answer of a request that was interrupted.
        let _ = device.write(&reply);
    }
}

/// A request's header and arguments.
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn arguments(&self) -> &[u8] {
        &self.0[IN_HEADER_BYTES..]
    }
}

fn answer(operation: u32, request: &Request<'_>, files: &Mutex<Files>) -> Result<Vec<u8>, i32> {
    let node = request.long(16);
    let file = || files.lock().unwrap().by_node.get(&node).cloned().ok_or(libc::ENOENT);
    // Where the arguments of READ, WRITE and the like have offset and size.
    let (offset_at, size_at) = (IN_HEADER_BYTES + 8, IN_HEADER_BYTES + 16);
    match operation {
        INIT => {
            let mut body = [7_u32, 31, 128 << 10, BIG_WRITES | MAX_PAGES].map(u32::to_ne_bytes).concat();
            body.extend([16_u16, 12].map(u16::to_ne_bytes).concat());
            body.extend([MAX_WRITE as u32, 1].map(u32::to_ne_bytes).concat());
            body.extend([(MAX_WRITE / 4096) as u16, 0].map(u16::to_ne_bytes).concat());
            body.resize(64, 0);
            Ok(body)
        }
        LOOKUP => {
            let name = request.arguments().split(|byte| *byte == 0).next().unwrap_or_default();
            let files = files.lock().unwrap();
            let node = std::str::from_utf8(name).ok().and_then(|name| files.by_name.get(name));
            let node = *node.ok_or(libc::ENOENT)?;
            // Node, generation, and for how long entry and attributes may be cached.
            let mut body = [node, 1, 3600, 3600, 0].map(u64::to_ne_bytes).concat();
            body.extend(attributes(node, files.by_node[&node].bytes()));
            Ok(body)
        }
        GETATTR | SETATTR => {
            let bytes = if node == ROOT { 0 } else { file()?.bytes() };
            let mut body = [3600_u64, 0].map(u64::to_ne_bytes).concat();
            body.extend(attributes(node, bytes));
            Ok(body)
        }
        OPEN => Ok(vec![0; 16]),
        RELEASE | FLUSH => Ok(Vec::new()),
        READ => {
            let mut body = vec![0; request.word(size_at) as usize];
            file()?.read(request.long(offset_at), &mut body);
            Ok(body)
        }
        WRITE => {
            let size = request.word(size_at) as usize;
            let data = request.arguments().get(40..40 + size).ok_or(libc::EIO)?;
            file()?.write(request.long(offset_at), data);
            Ok([size as u32, 0].map(u32::to_ne_bytes).concat())
        }
        FSYNC => {
            file()?.flush();
            Ok(Vec::new())
        }
        FALLOCATE => Err(libc::EOPNOTSUPP),
        _ => Err(libc::ENOSYS),
    }
}

fn attributes(node: u64, bytes: u64) -> Vec<u8> {
    let (kind, links) = if node == ROOT { (libc::S_IFDIR | 0o755, 2) } else { (libc::S_IFREG | 0o600, 1) };
    let mut body = [node, bytes, bytes / 512, 0, 0, 0].map(u64::to_ne_bytes).concat();
    body.extend([0, 0, 0, kind, links, 0, 0, 0, 4096, 0].map(u32::to_ne_bytes).concat());
    body
}
