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

/// Passes a signal on.
extern "C" fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
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

/// Runs `replace` in a child, which it turns into the program, and waits for
/// its end; `replace` returns only if that fails, and says why. Signals are for
/// the program, not for this process, until then.
///
/// # Errors
/// One line: there can be no child.
pub fn spawn(replace: impl FnOnce() -> String) -> Result<ExitStatus, String> {
    let _ = io::stdout().flush();
    // SAFETY: the command line runs in the only thread of a process that does
    // nothing else; the child executes the program or ends. All that libc gets
    // lives on this stack. Signals are blocked from before the handler is in
    // place until the child is known (here) or has its dispositions (there), so
    // none is lost between; and again while the dispositions are put back.
    unsafe {
        let mut ours: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut ours);
        for signal in SIGNALS {
            libc::sigaddset(&raw mut ours, signal);
        }
        let mut mask: libc::sigset_t = mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, &raw const ours, &raw mut mask);
        let mut handler: libc::sigaction = mem::zeroed();
        handler.sa_sigaction = pass_on as *const () as usize;
        handler.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigfillset(&raw mut handler.sa_mask);
        let before = SIGNALS.map(|signal| {
            let mut before: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, &raw const handler, &raw mut before);
            (signal, before)
        });
        let child = libc::fork();
        if child == 0 {
            for (signal, mut disposition) in before {
                // As after execve: no handler may take a signal that is the program's.
                if disposition.sa_sigaction != libc::SIG_IGN {
                    disposition = mem::zeroed();
                    disposition.sa_sigaction = libc::SIG_DFL;
                }
                libc::sigaction(signal, &raw const disposition, ptr::null_mut());
            }
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut());
            let reason = replace();
            let _ = io::stderr().write_all(format!("wrasse: {reason}\n").as_bytes());
            libc::_exit(MISUSE);
        }
        let status = (child > 0).then(|| {
            CHILD.store(child, Ordering::Relaxed);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut());
            let status = wait(child);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const ours, ptr::null_mut());
            status
        });
        let error = io::Error::last_os_error();
        for (signal, disposition) in before {
            libc::sigaction(signal, &raw const disposition, ptr::null_mut());
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut());
        status.ok_or_else(|| format!("cannot start the program: {error}"))
    }
}

/// Waits for the end of the child in [`CHILD`].
fn wait(child: libc::pid_t) -> ExitStatus {
    // SAFETY: what libc writes to lives on this stack.
    unsafe {
        // Its id may be another process's as soon as it is reaped: first its end,
        // then no signal goes there any more, then what it has left.
        let mut info: libc::siginfo_t = mem::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT;
        while libc::waitid(libc::P_PID, child as libc::id_t, &raw mut info, flags) < 0 {
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
        CHILD.store(0, Ordering::Relaxed);
        let mut status = 0;
        while libc::waitpid(child, &raw mut status, 0) < 0 {
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
        ExitStatus::from_raw(status)
    }
}
