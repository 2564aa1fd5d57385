//! The checks of the feature `sanity`, each in a child that must end by them.
#![cfg(feature = "sanity")]

use wrasse_allocator::{Heap, Options, Region};

fn ends_the_process(misuse: impl FnOnce(&Heap)) -> bool {
    // SAFETY: the child does one thing and exits.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let region = Region::reserve(Options {
                reserve: 1 << 26,
                ..Options::default()
            })
            .unwrap();
            misuse(region.as_ref().heap().unwrap());
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT
    }
}

#[test]
fn proper_use_does_not() {
    assert!(!ends_the_process(|heap| unsafe {
        // SAFETY: one thread.
        let block = heap.allocate(48);
        block.write_bytes(255, 48);
        heap.release(block);
        heap.release(heap.allocate(48));
    }));
}

#[test]
fn a_double_release_does() {
    // SAFETY: meant to be caught.
    assert!(ends_the_process(|heap| unsafe {
        let block = heap.allocate(48);
        heap.allocate(48);
        heap.release(block);
        heap.release(block);
    }));
}

#[test]
fn a_release_inside_a_block_does() {
    // SAFETY: meant to be caught.
    assert!(ends_the_process(|heap| unsafe {
        let block = heap.allocate(48);
        heap.release(block.add(16));
    }));
}

#[test]
fn a_release_of_what_was_never_handed_out_does() {
    // SAFETY: meant to be caught.
    assert!(ends_the_process(|heap| unsafe {
        let block = heap.allocate(48);
        heap.release(block.add(1 << 20));
    }));
}

#[test]
fn writing_to_a_released_block_does() {
    // SAFETY: meant to be caught.
    assert!(ends_the_process(|heap| unsafe {
        let block = heap.allocate(48);
        heap.release(block);
        block.write_bytes(0x41, 16);
        heap.allocate(48);
    }));
}
