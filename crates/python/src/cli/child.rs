//! A child that becomes the program, and this process while it waits.
//!
//! Whoever started this process knows no other: what it sends is for the program.
//! What the terminal sends, the program gets by itself.

use std::io::{self, Write};
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use super::MISUSE;

/// Those of the keyboard: the terminal sends them to all its processes.
const KEYBOARD: [libc::c_int; 2] = [libc::SIGINT, libc::SIGQUIT];
const SIGNALS: [libc::c_int; 6] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// The child that signals go on to; 0 while there is none.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// The last signal that came for this process or the child; 0 for none.
static CAME: AtomicI32 = AtomicI32::new(0);

/// Passes a signal on.
extern "C" fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    CAME.store(signal, Ordering::Relaxed);
    let child = CHILD.load(Ordering::Relaxed);
    // SAFETY: the kernel passes what it knows of the signal, which outlives the
    // handler (SA_SIGINFO); kill is async-signal-safe, and errno, which it may
    // change, is put back. The child is not reaped while CHILD has its id.
    unsafe {
        let from_terminal = KEYBOARD.contains(&signal) && (*info).si_code != libc::SI_USER;
        if child > 0 && !from_terminal {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::kill(child, signal);
            *errno = before;
        }
    }
}

/// The signals of this process while they are noted, and passed on to a child if
/// there is one. As before when this goes.
pub struct Signals {
    before: [(libc::c_int, libc::sigaction); SIGNALS.len()],
    set: libc::sigset_t,
    mask: libc::sigset_t,
}

impl Signals {
    /// From now on.
    pub fn take() -> Self {
        let signals = Signals::take_blocked();
        signals.unblock();
        signals
    }

    /// The last one that came since; 0 for none.
    pub fn last() -> libc::c_int {
        CAME.load(Ordering::Relaxed)
    }

    /// The same with all of them blocked.
    fn take_blocked() -> Self {
        CAME.store(0, Ordering::Relaxed);
        // SAFETY: all that libc gets lives on this stack. Signals are blocked from
        // before the handler is in place.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in SIGNALS {
                libc::sigaddset(&raw mut set, signal);
            }
            let mut mask: libc::sigset_t = mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, &raw mut mask);
            let mut handler: libc::sigaction = mem::zeroed();
            handler.sa_sigaction = pass_on as *const () as usize;
            handler.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigfillset(&raw mut handler.sa_mask);
            let before = SIGNALS.map(|signal| {
                let mut before: libc::sigaction = mem::zeroed();
                libc::sigaction(signal, &raw const handler, &raw mut before);
                (signal, before)
            });
            Signals { before, set, mask }
        }
    }

    fn unblock(&self) {
        // SAFETY: the mask is as the system has said it was, and lives in this value.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, ptr::null_mut()) };
    }

    /// In a child: as after `execve`, no handler may take a signal that is the program's.
    fn reset(&self) {
        for (signal, mut disposition) in self.before {
            // SAFETY: what libc reads lives on this stack.
            unsafe {
                if disposition.sa_sigaction != libc::SIG_IGN {
                    disposition = mem::zeroed();
                    disposition.sa_sigaction = libc::SIG_DFL;
                }
                libc::sigaction(signal, &raw const disposition, ptr::null_mut());
            }
        }
        self.unblock();
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: what libc reads lives in this value. Signals are blocked while the
        // dispositions are put back, so that none finds half of them.
        unsafe {
            libc::sigprocmask(libc::SIG_BLOCK, &raw const self.set, ptr::null_mut());
            for (signal, disposition) in self.before {
                libc::sigaction(signal, &raw const disposition, ptr::null_mut());
            }
        }
        self.unblock();
    }
}

/// A child that is the program. Signals are for it, not for this process, while
/// this is there; if this goes before the program does, the program goes on.
pub struct Child {
    process: libc::pid_t,
    status: Option<ExitStatus>,
    _signals: Signals,
}

/// Runs `replace` in a child, which it turns into the program, and waits for
/// its end; `replace` returns only if that fails, and says why. Signals are for
/// the program, not for this process, until then.
///
/// # Errors
/// One line: there can be no child.
pub fn spawn(replace: impl FnOnce() -> String) -> Result<ExitStatus, String> {
    Ok(Child::start(replace)?.wait())
}

impl Child {
    /// As [`spawn`], without waiting.
    ///
    /// # Errors
    /// One line: there can be no child.
    pub fn start(replace: impl FnOnce() -> String) -> Result<Self, String> {
        let _ = io::stdout().flush();
        // Blocked until the child is known (here) or has its dispositions (there), so
        // that none is lost between.
        let signals = Signals::take_blocked();
        // SAFETY: the command line runs in the only thread of a process that does
        // nothing else; the child executes the program or ends.
        let process = unsafe { libc::fork() };
        if process == 0 {
            signals.reset();
            let reason = replace();
            let _ = io::stderr().write_all(format!("wrasse: {reason}\n").as_bytes());
            // SAFETY: ends the child, without what the parent will do at its end.
            unsafe { libc::_exit(MISUSE) };
        }
        if process < 0 {
            let error = io::Error::last_os_error();
            return Err(format!("cannot start the program: {error}"));
        }
        CHILD.store(process, Ordering::Relaxed);
        signals.unblock();
        Ok(Child {
            process,
            status: None,
            _signals: signals,
        })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.status = self.status.or_else(|| self.reap(libc::WNOHANG));
        self.status
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.status = self.status.or_else(|| self.reap(0));
        self.status.unwrap_or_default()
    }

    /// Sends it a signal, if it has not ended.
    pub fn send(&mut self, signal: libc::c_int) {
        if self.ended().is_none() {
            // SAFETY: a child that is not reaped keeps its number.
            unsafe { libc::kill(self.process, signal) };
        }
    }

    /// Its end, with `options` of `waitid` besides; nothing if it has not come.
    fn reap(&self, options: libc::c_int) -> Option<ExitStatus> {
        // SAFETY: what libc writes to lives on this stack.
        unsafe {
            // Its id may be another process's as soon as it is reaped: first its end,
            // then no signal goes there any more, then what it has left.
            let mut info: libc::siginfo_t = mem::zeroed();
            let flags = libc::WEXITED | libc::WNOWAIT | options;
            let number = self.process as libc::id_t;
            let mut found = libc::waitid(libc::P_PID, number, &raw mut info, flags);
            while found < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                found = libc::waitid(libc::P_PID, number, &raw mut info, flags);
            }
            // Where nobody is to wait for children (SIGCHLD ignored) it is gone already.
            if found == 0 && info.si_pid() == 0 {
                return None;
            }
            CHILD.store(0, Ordering::Relaxed);
            let mut status = 0;
            while libc::waitpid(self.process, &raw mut status, 0) < 0 {
                if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                    break;
                }
            }
            Some(ExitStatus::from_raw(status))
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            CHILD.store(0, Ordering::Relaxed);
        }
    }
}
