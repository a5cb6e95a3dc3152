//! Tracer: runs a worker under ptrace(2) and kills it at a chosen stop: before or after its n-th system call, in any of
//! its threads, or a number of instructions after that.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::{fs, mem, ptr, thread};

use libc::pid_t;
use testkit::wait::PATIENCE;

/// Where a traced process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillAt {
    Never,
    /// At this stop, counted from 1; each system call has one before it and one after it.
    Stop(u64),
    /// This many instructions after the stop, of the thread that stopped.
    Behind {
        stop: u64,
        steps: u64,
    },
    /// This many instructions after the beginning of the n-th enqueue, counted from 1.
    Enqueue {
        nth: u64,
        steps: u64,
    },
}

/// How a traced process went.
#[derive(Debug, Default)]
pub struct Run {
    pub stops: u64,
    pub enqueues: u64,
    pub killed: bool,
    /// Which thread was killed in which system call, for people.
    pub place: String,
}

struct Tracer {
    pid: pid_t,
    at: KillAt,
    run: Run,
    /// The thread that is stepped, and the steps left.
    stepping: Option<(pid_t, u64)>,
}

/// Runs `worker`, which asks to be traced and then stops, until it ends or is killed.
pub fn run(worker: &mut Command, at: KillAt) -> Run {
    // Waited for thread by thread, below.
    #[allow(clippy::zombie_processes)]
    let child = worker.spawn().unwrap();
    let _watchdog = Watchdog::over(child.id() as pid_t);
    let mut tracer = Tracer { pid: child.id() as pid_t, at, run: Run::default(), stepping: None };
    let (tid, status) = wait();
    assert!(tid == tracer.pid && libc::WIFSTOPPED(status), "the worker does not stop: {status:#x}");
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    tracer.request(libc::PTRACE_SETOPTIONS, tid, options as usize);
    tracer.request(libc::PTRACE_SYSCALL, tid, 0);
    tracer.follow();
    tracer.run
}

impl Tracer {
    /// Follows all threads until the process has ended.
    fn follow(&mut self) {
        loop {
            let (tid, status) = wait();
            if libc::WIFSTOPPED(status) {
                self.stopped(tid, status);
            } else if tid == self.pid {
                let expected = if self.run.killed {
                    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
                } else {
                    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
                };
                assert!(expected, "the worker ended by itself: {status:#x} {:?}", self.run);
                return;
            }
        }
    }

    fn stopped(&mut self, tid: pid_t, status: i32) {
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80 {
            self.at_system_call(tid);
        } else if signal == libc::SIGTRAP && status >> 16 == 0 && self.stepping.is_some_and(|(t, _)| t == tid)
        {
            self.step(tid);
        } else {
            // A thread begins with SIGSTOP, and PTRACE_O_TRACECLONE tells of it with SIGTRAP.
            let own = signal == libc::SIGTRAP || signal == libc::SIGSTOP;
            self.request(libc::PTRACE_SYSCALL, tid, if own { 0 } else { signal as usize });
        }
    }

    fn at_system_call(&mut self, tid: pid_t) {
        if self.stepping.is_some_and(|(stepped, _)| stepped == tid) {
            return self.step(tid);
        }
        self.run.stops += 1;
        let steps = match self.at {
            KillAt::Enqueue { .. } if !begins_enqueue(tid) => None,
            KillAt::Enqueue { nth, steps } => {
                self.run.enqueues += 1;
                (self.run.enqueues == nth).then_some(steps)
            }
            KillAt::Never => {
                self.run.enqueues += u64::from(begins_enqueue(tid));
                None
            }
            KillAt::Stop(stop) => (stop == self.run.stops).then_some(0),
            KillAt::Behind { stop, steps } => (stop == self.run.stops).then_some(steps),
        };
        match steps {
            Some(0) => self.kill(tid),
            Some(steps) if self.stepping.is_none() => {
                self.stepping = Some((tid, steps));
                self.request(libc::PTRACE_SINGLESTEP, tid, 0);
            }
            _ => self.request(libc::PTRACE_SYSCALL, tid, 0),
        }
    }

    fn step(&mut self, tid: pid_t) {
        match &mut self.stepping {
            Some((_, left)) if *left > 1 => {
                *left -= 1;
                self.request(libc::PTRACE_SINGLESTEP, tid, 0);
            }
            _ => self.kill(tid),
        }
    }

    fn kill(&mut self, tid: pid_t) {
        if !self.run.killed {
            self.run.killed = true;
            let read = |name| {
                fs::read_to_string(format!("/proc/{}/task/{tid}/{name}", self.pid)).unwrap_or_default()
            };
            self.run.place = format!("{} in {}", read("comm").trim(), read("syscall").trim());
            // SAFETY: no memory is involved; the process is our child and not waited for yet.
            assert_eq!(unsafe { libc::kill(self.pid, libc::SIGKILL) }, 0);
        }
    }

    /// A thread may be gone already, killed with its process.
    fn request(&self, request: libc::c_uint, tid: pid_t, data: usize) {
        // SAFETY: none of the requests made here writes to memory of ours.
        let answer = unsafe { libc::ptrace(request, tid, ptr::null_mut::<c_void>(), data as *mut c_void) };
        let error = io::Error::last_os_error();
        assert!(answer == 0 || error.raw_os_error() == Some(libc::ESRCH), "ptrace {request}: {error}");
    }
}

/// Kills a process that hangs, so that no wait for it is without end. Dropped, it leaves the process alone.
struct Watchdog(#[allow(dead_code, reason = "its end tells the thread")] Sender<()>);

impl Watchdog {
    fn over(pid: pid_t) -> Self {
        let (ended, end) = channel();
        thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // SAFETY: no memory is involved.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        Self(ended)
    }
}

/// Whether the thread stopped before getppid(2), by which the worker marks that an enqueue begins.
fn begins_enqueue(tid: pid_t) -> bool {
    // SAFETY: all zeros is a value of this plain struct.
    let mut info: libc::ptrace_syscall_info = unsafe { mem::zeroed() };
    let bytes = mem::size_of_val(&info) as *mut c_void;
    // SAFETY: the request writes at most `bytes` bytes to the struct; where `op` says so its `entry` is filled in.
    unsafe {
        libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, bytes, &raw mut info);
        info.op == libc::PTRACE_SYSCALL_INFO_ENTRY && info.u.entry.nr == libc::SYS_getppid as u64
    }
}

/// Waits for a thread of a process that this thread traces; other threads' children are theirs.
fn wait() -> (pid_t, i32) {
    let mut status = 0;
    // SAFETY: `status` is ours.
    let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    assert!(tid > 0, "waitpid: {}", io::Error::last_os_error());
    (tid, status)
}
