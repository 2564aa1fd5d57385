//! Tracing from many threads, across forks, and while threads end or panic.

use std::cell::RefCell;
use std::panic::catch_unwind;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use wrasse::tracemalloc::{self, take_snapshot};

use crate::{alone, lines_of};

fn block(size: usize) -> Vec<u8> {
    Vec::with_capacity(size)
}
const BLOCK: u32 = line!() - 2;

/// Blocks and bytes of [`block`].
fn blocks() -> (usize, usize) {
    let lines = lines_of(&take_snapshot().unwrap(), file!());
    let found = lines.iter().find(|(line, ..)| *line == BLOCK);
    found.map_or((0, 0), |(_, count, size)| (*count, *size))
}

#[test]
fn blocks_are_freed_by_other_threads() {
    let _alone = alone();
    tracemalloc::start(3);
    let (send, receive) = channel();
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let send = send.clone();
            thread::spawn(move || {
                let mut own = Vec::new();
                for number in 0..2000 {
                    let made = block(1 + number % 100);
                    if number % 2 == 0 {
                        send.send(made).unwrap();
                    } else if number % 4 == 1 {
                        own.push(made);
                    }
                }
                own
            })
        })
        .collect();
    drop(send);
    let keeper = thread::spawn(move || {
        let mut kept: Vec<Vec<u8>> = receive.into_iter().collect();
        kept.truncate(1000);
        kept
    });
    let own: Vec<_> = makers.into_iter().flat_map(|t| t.join().unwrap()).collect();
    let kept = keeper.join().unwrap();
    assert_eq!((own.len(), kept.len()), (2000, 1000));
    let bytes = own.iter().chain(&kept).map(Vec::capacity).sum();
    assert_eq!(blocks(), (3000, bytes));
    drop((own, kept));
    assert_eq!(blocks(), (0, 0));
}

#[test]
fn it_can_be_turned_on_and_off_at_any_time() {
    let _alone = alone();
    let done = AtomicBool::new(false);
    let begin = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..3 {
            let (done, begin) = (&done, &begin);
            scope.spawn(move || {
                begin.wait();
                let mut blocks: Vec<Vec<u8>> = Vec::new();
                let mut number = seed;
                while !done.load(Ordering::Relaxed) {
                    number = (number * 1103 + 12345) % 65_536;
                    if blocks.len() > number % 50 {
                        blocks.swap_remove(number % blocks.len());
                    } else {
                        blocks.push(block(1 + number));
                    }
                }
            });
        }
        begin.wait();
        for round in 0..30 {
            tracemalloc::start(1 + round % 5);
            tracemalloc::reset_peak();
            let snapshot = take_snapshot().unwrap();
            if round % 3 == 0 {
                tracemalloc::clear_traces();
            }
            let total: usize = snapshot.traces().map(|trace| trace.size).sum();
            assert!(total < 1 << 30);
            assert!(tracemalloc::get_tracemalloc_memory() > 0);
            tracemalloc::stop();
            assert_eq!(tracemalloc::get_traced_memory(), (0, 0));
        }
        tracemalloc::start(1);
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(blocks(), (0, 0));
}

#[test]
fn threads_end_with_destructors_that_allocate() {
    let _alone = alone();
    tracemalloc::start(2);
    struct Late(Vec<Vec<u8>>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.push(block(11));
            self.0.remove(0);
            std::mem::forget(block(13));
        }
    }
    thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });
    for _ in 0..3 {
        let thread = thread::spawn(|| {
            LATE.set(Some(Late(vec![block(5)])));
            block(7)
        });
        assert_eq!(thread.join().unwrap().capacity(), 7);
    }
    assert_eq!(blocks(), (3, 39), "what was forgotten");
}

#[test]
fn panics_and_backtraces_while_tracing() {
    let _alone = alone();
    tracemalloc::start(10);
    struct Allocates;
    impl Drop for Allocates {
        fn drop(&mut self) {
            std::mem::forget(block(17));
            // Allocates with the locks of the symboliser held.
            let trace = std::backtrace::Backtrace::force_capture().to_string();
            assert!(trace.contains("panics_and_backtraces"));
        }
    }
    for _ in 0..2 {
        let caught = catch_unwind(|| {
            let _allocates = Allocates;
            let text = block(19);
            std::panic::resume_unwind(Box::new(text));
        });
        let text = caught.unwrap_err().downcast::<Vec<u8>>().unwrap();
        assert_eq!(text.capacity(), 19);
    }
    assert_eq!(blocks(), (2, 34));
}

#[test]
#[cfg(unix)]
fn a_fork_finds_the_tables_whole() {
    let _alone = alone();
    tracemalloc::start(5);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::hint::black_box(block(1));
            }
        });
        for _ in 0..50 {
            // SAFETY: the child only allocates, which the C library allows after
            // a fork, and ends without running destructors.
            let status = unsafe {
                let child = libc::fork();
                assert!(child >= 0);
                if child == 0 {
                    let before = tracemalloc::get_traced_memory().0;
                    let kept = block(100_000);
                    let more = tracemalloc::get_traced_memory().0 - before;
                    libc::_exit(i32::from(more != kept.capacity()));
                }
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                status
            };
            assert_eq!(status, 0);
        }
        done.store(true, Ordering::Relaxed);
    });
}
